"""Decides whether a request gets a whole page or a fragment."""

from __future__ import annotations

from flask import Response, request


def wants_fragment() -> bool:
    """Whether htmx requests a fragment. Boosted links and history restores get the whole page."""
    whole = request.headers.get("HX-History-Restore-Request") or request.headers.get("HX-Boosted")
    return request.headers.get("HX-Request") == "true" and not whole


def vary_on_fragment(response: Response) -> Response:
    response.vary.add("HX-Request")
    return response
