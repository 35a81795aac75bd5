"""Bearer tokens of requests, with which programs authenticate."""

from __future__ import annotations

from flask import Response, request

from panel.accounts.embed_tokens import BadToken, EmbedGrant
from panel.core.errors import PanelError
from panel.core.messages import _
from panel.web.context import panel, revision
from panel.web.error_bodies import json_error, plain_body


class Unauthorized(PanelError):
    """The request has no valid token, and no session that would suffice."""


def presented() -> str:
    """The bearer token of this request, or ""."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def verify_embed_token(token: str) -> EmbedGrant:
    """Verify the token of an embedding application. Raises Unauthorized, without the violated rule in its message."""
    try:
        return panel().embed_apps.verify(token, revision=revision())
    except BadToken:
        raise Unauthorized(_("This token is not valid.")) from None


def unauthorized(exc: Unauthorized) -> Response:
    return json_error(plain_body(exc.message, 401), headers={"WWW-Authenticate": 'Bearer realm="Leafpanel"'})
