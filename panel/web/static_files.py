"""Static files: read and compressed at their first use, and addressed with a hash of their content.

A file is kept in memory until the process ends, so a changed file is served after a restart.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug import Response as AnyResponse
from werkzeug.exceptions import NotFound

ENDPOINT = "static"
HOST_SCRIPT = "embed.js"
"""Host applications load it by a fixed address, which has no version."""

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
HOST_SCRIPT_LIFETIME = "public, max-age=300, must-revalidate"


@dataclass(frozen=True)
class StaticFile:
    path: Path

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
    def media_type(self) -> str:
        return mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"


def install(app: Flask) -> None:
    """Serve the files of the folder ``static``, and add the version to the addresses that ``url_for`` builds."""
    folder = Path(app.root_path) / "static"
    files = {path.relative_to(folder).as_posix(): StaticFile(path) for path in folder.rglob("*") if path.is_file()}

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        name = values.get("filename")
        if endpoint == ENDPOINT and name in files and name != HOST_SCRIPT:
            values.setdefault("v", files[name].version)

    @app.get("/static/<path:filename>", endpoint=ENDPOINT)
    def send(filename: str) -> AnyResponse:
        if filename not in files:
            raise NotFound
        response = _response(files[filename])
        response.headers["Cache-Control"] = _lifetime(filename, files[filename])
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


def _lifetime(filename: str, file: StaticFile) -> str:
    """An address without the current version may be asked for another content later, so it is revalidated."""
    if filename == HOST_SCRIPT:
        return HOST_SCRIPT_LIFETIME
    return IMMUTABLE if request.args.get("v") == file.version else REVALIDATED
