"""Cross-origin requests with an embed token (CORS): which pages of other origins may read an answer.

The pages of an application may read the JSON that its embed tokens open. An answer to a session or to an API token is
never shared. The tab in a frame that is sandboxed without ``allow-same-origin`` has the origin ``null`` and reads its
own parts in this way: those routes accept no cookie, and a token is the only proof.
"""

from __future__ import annotations

from flask import Flask, Response, g, request

from panel.web.auth.rules import RULES, Proof
from panel.web.context import panel

SANDBOXED = "null"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match"
RESPONSE_HEADERS = "ETag, Retry-After, X-Request-Id"
METHODS = "GET, POST, PATCH, DELETE"
PREFLIGHT_LIFETIME_S = 600

_OPENED = {name.partition(" ")[2]: rule.proofs for name, rule in RULES.items() if Proof.EMBED in rule.proofs}
_FRAME = frozenset(endpoint for endpoint, proofs in _OPENED.items() if proofs == {Proof.EMBED})
"""The endpoints of the tab in a frame."""
_JSON = frozenset(_OPENED) - _FRAME
"""The endpoints that an embed token opens as JSON."""


def install(app: Flask) -> None:
    """Register the hooks. They must run after the check of the host name and before the access rules."""
    app.before_request(_recognise)
    app.before_request(_preflight)
    app.after_request(_share)


def _recognise() -> None:
    """Set ``g.known_origin`` to the origin of the request, if one of its pages may use this route."""
    origin = request.headers.get("Origin", "")
    if request.endpoint in _FRAME:
        is_known = origin == SANDBOXED
    else:
        is_known = bool(origin) and request.endpoint in _JSON and panel().embed_apps.serves(origin)
    g.known_origin = origin if is_known else ""


def _preflight() -> Response | None:
    """Answer the question that a browser asks before it sends a request with a token. It carries none itself."""
    if request.method != "OPTIONS" or not g.known_origin or "Access-Control-Request-Method" not in request.headers:
        return None
    # htmx sends headers of its own.
    asked = request.headers.get("Access-Control-Request-Headers", "")
    allowed = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": asked if request.endpoint in _FRAME else REQUEST_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_LIFETIME_S),
    }
    return Response(status=204, headers=allowed)


def _share(response: Response) -> Response:
    if request.endpoint in _OPENED:
        response.vary.add("Origin")
        if _may_read():
            response.headers["Access-Control-Allow-Origin"] = g.known_origin
            response.headers["Access-Control-Expose-Headers"] = RESPONSE_HEADERS
    return response


def _may_read() -> bool:
    """Whether the origin of the request may read the answer: one to its own token, or one to nobody, as a 401 is."""
    if not g.get("known_origin"):
        return False
    grant = g.get("embed_grant")
    if grant is None:
        return "principal" not in g
    return request.endpoint in _FRAME or g.known_origin in grant.origins
