"""The bearer token of a request: the one way in that programs have."""

from __future__ import annotations

from flask import Response, request

from panel.access import Principal
from panel.errors import PanelError
from panel.faces import json_error
from panel.faces.context import panel


class Unauthorized(PanelError):
    """No valid token, and no session that may do this."""


def token_owner() -> Principal | None:
    """Who the presented bearer token belongs to; None without one. Raises Unauthorized when it is not valid."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        return None
    found = panel().access.by_token(token.strip())
    if found is None:
        raise Unauthorized("This token is not valid.")
    return found


def unauthorized(exc: Unauthorized) -> Response:
    body = {"message": str(exc), "error": str(exc), "code": 401}
    return json_error(body, headers={"WWW-Authenticate": 'Bearer realm="Leafpanel"'})
