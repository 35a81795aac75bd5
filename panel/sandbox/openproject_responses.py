"""HTTP responses of the OpenProject stand-in: what the server's middleware adds to a document or an error."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from panel.sandbox.openproject_errors import ApiError

HAL_JSON = "application/hal+json; charset=utf-8"


def json_response(document: dict[str, Any] | None, status: int) -> Response:
    """Return a response with a document; ``None`` is an empty body."""
    if document is None:
        return Response(status=status)
    return Response(json.dumps(document, ensure_ascii=False), status, content_type=HAL_JSON)


@dataclass(frozen=True, slots=True)
class Middleware:
    """Adds caching headers, a weak ETag with 304, the service description, and compression."""

    service_desc_link: bool

    def error(self, error: ApiError, language: str, request: Request) -> Response:
        response = json_response(error.body(language), error.status)
        response.headers.extend(error.headers)
        response.headers["Cache-Control"] = "no-cache"
        if error.key != "wrong-credentials":
            self._add_link(response, request)
        return _compressed(response, request)

    def document(self, document: dict[str, Any] | None, status: int, request: Request) -> Response:
        response = json_response(document, status)
        response.headers["Cache-Control"] = "max-age=0, private, must-revalidate"
        self._add_link(response, request)
        if status in (200, 201):
            response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32], weak=True)
        if status == 200 and request.method in ("GET", "HEAD"):
            response.make_conditional(request)
        return _compressed(response, request)

    def _add_link(self, response: Response, request: Request) -> None:
        if self.service_desc_link:
            spec = f"{request.root_path.rstrip('/')}/api/v3/openapi.json"
            response.headers["Link"] = f'<{spec}>; rel="service-desc"'


def _compressed(response: Response, request: Request) -> Response:
    response.headers["Vary"] = "Accept-Encoding"
    if response.status_code not in (204, 304) and request.accept_encodings["gzip"] > 0:
        response.set_data(gzip.compress(response.get_data(), 1))
        response.headers["Content-Encoding"] = "gzip"
    return response
