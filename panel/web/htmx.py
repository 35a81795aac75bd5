"""Page or fragment: decided here alone."""

from __future__ import annotations

from flask import Response, request


def wants_fragment() -> bool:
    """Whether htmx asks for a part of a page, and not for a whole one: from its history, or in place of the browser."""
    whole = request.headers.get("HX-History-Restore-Request") or request.headers.get("HX-Boosted")
    return request.headers.get("HX-Request") == "true" and not whole


def vary_on_fragment(response: Response) -> Response:
    response.vary.add("HX-Request")
    return response
