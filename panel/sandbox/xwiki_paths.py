"""Paths of requests to xWiki, as its container and its router read them."""

from __future__ import annotations

from urllib.parse import unquote, unquote_plus

from werkzeug.wrappers import Request

from panel.sandbox.xwiki_profiles import Profile

HEAD_LIMIT = 8192
"""Bytes of the request line and the headers that the container accepts."""


def raw_path(request: Request) -> str:
    """Return the undecoded path below the mount point: decoding it as a whole would lose ``%2F`` and ``+``."""
    path = _raw_uri(request).partition("?")[0]
    if path.startswith(("http://", "https://")):
        path = "/" + path.split("/", 3)[3]
    return path.removeprefix(request.environ.get("SCRIPT_NAME", "")).removeprefix("/")


def _raw_uri(request: Request) -> str:
    environ = request.environ
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or request.full_path
    return raw


def segments(raw: str, profile: Profile) -> list[str]:
    """Split a path and decode each part. A final slash is an empty part at the end."""
    parts = [part.partition(";")[0] for part in raw.split("/")]
    literal_from = parts.index("pages") + 1 if "pages" in parts and not profile.plus_is_blank_in_pages else len(parts)
    return [(unquote if at >= literal_from else unquote_plus)(part) for at, part in enumerate(parts)]


def refused_by_container(request: Request, raw: str, profile: Profile) -> bool:
    """Whether the container answers 400 without asking xWiki."""
    if len(_raw_uri(request)) + sum(len(name) + len(value) + 4 for name, value in request.headers) > HEAD_LIMIT:
        return True
    if profile.serves_slashes:
        return False
    return any(separator in raw.lower() for separator in ("%2f", "%5c")) or any(
        part in (".", "..") for part in segments(raw, profile)
    )
