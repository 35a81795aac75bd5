"""JSON answers with an ETag, which are 304 for a client that has them already."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import Response, request


def json_text(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def etag_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:32]


def tagged(body: bytes, etag: str) -> Response:
    """The body, or 304 if the request names its ``etag``."""
    quoted, known = f'"{etag}"', request.headers.get("If-None-Match", "")
    if quoted in known or known.strip() == "*":
        response = Response(status=304)
        del response.headers["Content-Type"]
    else:
        response = Response(body, content_type="application/json")
    response.headers["ETag"] = quoted
    return response
