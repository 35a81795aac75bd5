"""Static files: read and compressed at their first use, and addressed with a hash of their content.

A file is kept in memory until the process ends, so a changed file is served after a restart.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, request
from werkzeug import Response as AnyResponse
from werkzeug.exceptions import NotFound

ENDPOINT = "static"
HOST_SCRIPT = "embed.js"
"""Host applications load it. Its usual address has no version of the content."""
ALIASES = {"embed.v1.js": HOST_SCRIPT}
"""Further names of files. The number is that of the interface: elements, attributes and events."""

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
HOST_SCRIPT_LIFETIME = "public, max-age=300, must-revalidate"


@dataclass(frozen=True)
class StaticFile:
    path: Path

    @property
    def is_host_script(self) -> bool:
        return self.path.name == HOST_SCRIPT

    @cached_property
    def body(self) -> bytes:
        return self.path.read_bytes()

    @cached_property
    def compressed(self) -> bytes | None:
        """The body compressed with gzip; None if that is not smaller."""
        packed = gzip.compress(self.body, 9, mtime=0)
        return packed if len(packed) < len(self.body) else None

    @cached_property
    def version(self) -> str:
        return hashlib.sha256(self.body).hexdigest()[:16]

    @cached_property
    def integrity(self) -> str:
        """The checksum for the attribute ``integrity`` of a script element."""
        return f"sha384-{base64.b64encode(hashlib.sha384(self.body).digest()).decode()}"

    @cached_property
    def media_type(self) -> str:
        return mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"


def install(app: Flask) -> None:
    """Serve the files of the folder ``static``, and add the version to the addresses that ``url_for`` builds."""
    folder = Path(app.root_path) / "static"
    files = {path.relative_to(folder).as_posix(): StaticFile(path) for path in folder.rglob("*") if path.is_file()}
    files |= {alias: files[name] for alias, name in ALIASES.items() if name in files}
    app.extensions["static-files"] = files

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        name = values.get("filename")
        if endpoint == ENDPOINT and name in files and not files[name].is_host_script:
            values.setdefault("v", files[name].version)

    @app.get("/static/<path:filename>", endpoint=ENDPOINT)
    def send(filename: str) -> AnyResponse:
        if filename not in files:
            raise NotFound
        response = _response(files[filename])
        response.headers["Cache-Control"] = _lifetime(files[filename])
        if files[filename].is_host_script:
            # Browsers ask for it with CORS as a module, and with a checksum.
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response.make_conditional(request)


def _response(file: StaticFile) -> Response:
    packed = file.compressed if request.accept_encodings["gzip"] else None
    response = Response(packed or file.body, mimetype=file.media_type)
    response.set_etag(f"{file.version}-gzip" if packed else file.version)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    if file.compressed:
        response.vary.add("Accept-Encoding")
    return response


def _lifetime(file: StaticFile) -> str:
    """An address without the current version may be asked for another content later, so it is revalidated."""
    if request.args.get("v") == file.version:
        return IMMUTABLE
    return HOST_SCRIPT_LIFETIME if file.is_host_script else REVALIDATED


def host_script() -> StaticFile:
    """The script that host applications load."""
    files: dict[str, StaticFile] = current_app.extensions["static-files"]
    return files[HOST_SCRIPT]
