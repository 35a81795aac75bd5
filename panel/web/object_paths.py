"""Spells the parts of an object and the id of an item as segments of an address, also those with a slash.

WSGI decodes the path before an application sees it, so that ``%2F`` looks like a separator, and some proxies refuse it.
Addresses of the panel therefore have the character U+E000 for a slash inside a part, and U+E001 for the dots of a part
that is a step in a path (``.`` and ``..``): no valid part contains them, and no server or proxy changes them. An
incoming ``%2F`` is read as well, from the request target as it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from flask import Flask
from werkzeug.routing import BaseConverter, PathConverter, UnicodeConverter

SLASH, DOT = "\ue000", "\ue001"
"""Private use, so not printable: ``parsing.object_ref`` refuses a part that contains one."""

_SLASH_IN_WSGI = SLASH.encode().decode("latin-1")
_SAFE = "!$&'()*+,:;=@"
_OF_OBJECTS = ("/objects/", "/api/objects/", "/embed/")
_JSON = "/api/"
_BYTE = re.compile(r"%[0-9A-Fa-f]{2}|.", re.DOTALL)
"""What becomes one byte of a decoded path, in a request target."""

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def segment(part: str) -> str:
    """A part of an object reference as one segment of an address."""
    return quote(_spelled(part), safe="")


def parts_of(path: str) -> list[str]:
    """The parts in the segments of a path that is percent-encoded."""
    return [_read(unquote(part)) for part in path.split("/")]


def _spelled(part: str) -> str:
    return part.replace(".", DOT) if part in (".", "..") else part.replace("/", SLASH)


def _read(segment: str) -> str:
    return segment.replace(SLASH, "/").replace(DOT, ".")


def encoded(path: str) -> str:
    """A decoded path, as ``request.path`` has it, for use in an address."""
    return quote(path, safe=f"/{_SAFE}")


class _WithSlash(BaseConverter):
    def to_python(self, value: str) -> str:
        return _read(value)

    def to_url(self, value: str) -> str:
        return quote(_spelled(value), safe=_SAFE)


class PartConverter(_WithSlash, UnicodeConverter):
    """One segment of a route that may contain a slash."""


class IdConverter(_WithSlash, PathConverter):
    """The id of an item at the end of a route. An unencoded slash belongs to it too."""


def install(app: Flask) -> None:
    """Add the converters ``part`` and ``id``, which routes need, and read paths before they are routed."""
    app.url_map.converters.update(part=PartConverter, id=IdConverter)
    routed = app.wsgi_app

    def read_path(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith((*_OF_OBJECTS, _JSON)):
            target = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
            environ["PATH_INFO"] = routed_path(path, target)
        return routed(environ, start_response)

    app.wsgi_app = read_path  # type: ignore[method-assign]


def routed_path(path: str, target: str) -> str:
    """The path to route: ``path``, in the encoding of WSGI, with U+E000 for each ``%2F`` in ``target``.

    Below ``/api/`` a final slash is dropped. ``target`` may be missing, or be another path, which is then ignored.
    """
    if "%" not in target:
        # Nothing was decoded. Most addresses are of this kind.
        return path.removesuffix("/") if path.startswith(_JSON) else path
    sent = _BYTE.findall(target.partition("?")[0])[-len(path) :]
    if "".join(map(_decoded, sent)) != path:
        sent = list(path)
    if path.startswith(_JSON) and sent[-1] == "/":
        sent.pop()
    if not path.startswith(_OF_OBJECTS):
        return "".join(map(_decoded, sent))
    return "".join(_SLASH_IN_WSGI if byte in ("%2F", "%2f") else _decoded(byte) for byte in sent)


def _decoded(byte: str) -> str:
    return unquote_to_bytes(byte).decode("latin-1") if len(byte) == 3 else byte
