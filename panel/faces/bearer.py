"""The bearer token of a request: the one way in that programs have."""

from __future__ import annotations

from flask import Response, request

from panel.access import Principal
from panel.embedding import BadToken, Pass
from panel.errors import PanelError
from panel.faces import json_error
from panel.faces.context import panel


class Unauthorized(PanelError):
    """No valid token, and no session that may do this."""


def presented() -> str:
    """The bearer token of this request, or ""."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def token_owner(*, embedded: bool = False) -> Principal | None:
    """Who the presented bearer token belongs to; None without one. Raises Unauthorized when it is not valid.

    ``embedded``: the token of an embedding application does as well.
    """
    token = presented()
    if not token:
        return None
    found = panel().access.by_token(token)
    if found is None and embedded:
        return embed_pass(token).principal
    if found is None:
        raise Unauthorized("This token is not valid.")
    return found


def embed_pass(token: str) -> Pass:
    """What the token of an embedding application lets in. Which rule refuses one is not told. Raises Unauthorized."""
    try:
        return panel().embed_apps.verify(token)
    except BadToken:
        raise Unauthorized("This token is not valid.") from None


def unauthorized(exc: Unauthorized) -> Response:
    body = {"message": str(exc), "error": str(exc), "code": 401}
    return json_error(body, headers={"WWW-Authenticate": 'Bearer realm="Leafpanel"'})
