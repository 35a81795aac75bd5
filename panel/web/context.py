"""What every face needs of a request: the services, who asks, and the request's short reference."""

from __future__ import annotations

import secrets
from typing import cast

from flask import Response, current_app, g, request

from panel.accounts.principal import Principal
from panel.connector import Caller
from panel.integrations.contract import Integration
from panel.links.service import Visitor
from panel.logs.audit import Actor
from panel.services import Panel

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without the letters and digits that people mix up when they read a reference aloud."""


def panel() -> Panel:
    return cast(Panel, current_app.extensions["leafpanel"])


def new_reference() -> str:
    """A short id such as ``LP-9D2M-07``, to be read over the phone and found in the logs."""
    word = "".join(secrets.choice(_ALPHABET) for _ in range(4))
    return f"LP-{word}-{secrets.randbelow(100):02}"


def begin_request() -> None:
    g.request_id = new_reference()


def request_id() -> str:
    return cast(str, g.get("request_id", "-"))


def end_request(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    return response


def visitor(principal: Principal, face: str) -> Visitor:
    """Who asks, through which face, in this request."""
    return Visitor(principal, Caller(face, principal.name, request_id(), key=principal.key))


def admitted() -> Principal:
    """Who was let in by this request; the rule book saw to it."""
    return cast(Principal, g.principal)


def acting(face: str = "admin") -> Actor:
    """The same for the audit trail."""
    return visitor(admitted(), face).actor


def leaves_for(principal: Principal) -> list[Integration]:
    """The integrations that somebody was let in to, in the order of the strip."""
    return [leaf for leaf in panel().registry.all() if principal.sees(leaf.id)]


def wants_json() -> bool:
    return request.path.startswith("/api/") or request.path == "/api"
