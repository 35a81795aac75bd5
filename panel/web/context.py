"""Helpers for the current request: the services, the principal, and the short request id."""

from __future__ import annotations

import random
from typing import cast

from flask import Response, current_app, g, request

from panel.accounts.principal import Principal
from panel.connector import Caller
from panel.integrations.contract import Integration
from panel.links.visitor import Visitor
from panel.logs.audit import Actor
from panel.services import Panel

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without characters that are confused when a reference is read aloud or typed."""


def panel() -> Panel:
    return cast(Panel, current_app.extensions["leafpanel"])


def new_reference() -> str:
    """A short request id such as ``LP-9D2M-07``, which people can read out and search in the logs."""
    # Not a secret, so it needs no random number of the system. Each process has a seed of its own, also after a fork.
    number = random.getrandbits(64)
    word = "".join(_ALPHABET[number >> shift & 31] for shift in (0, 5, 10, 15))
    return f"LP-{word}-{(number >> 20) % 100:02}"


def begin_request() -> None:
    g.request_id = new_reference()


def request_id() -> str:
    return cast(str, g.get("request_id", "-"))


def end_request(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    return response


def revision() -> int | None:
    """The revision of the database at the beginning of this request, read once for all that was kept."""
    if "revision" not in g:
        g.revision = panel().revision.current()
    return cast("int | None", g.revision)


def visitor(principal: Principal, face: str) -> Visitor:
    """The principal, face and id of this request, for the services."""
    return Visitor(principal, Caller(face, principal.shown_name, request_id(), key=principal.key))


def admitted() -> Principal:
    """The principal of this request, set by ``rules.admit``."""
    return cast(Principal, g.principal)


def acting(face: str = "admin") -> Actor:
    """The principal of this request as an actor, for the audit trail."""
    return visitor(admitted(), face).actor


def leaves_for(principal: Principal) -> list[Integration]:
    """The integrations that the principal may access, in the order of the tab strip."""
    return [leaf for leaf in panel().registry.all() if principal.sees(leaf.id)]


def searched_beside(principal: Principal, leaf: Integration) -> list[Integration]:
    """The other leaves that the picker of ``leaf`` searches: those with a source."""
    others = (other for other in leaves_for(principal) if other.id != leaf.id)
    return [other for other in others if panel().resolver.resolve(other).source_id is not None]


def wants_json() -> bool:
    return request.path.startswith("/api/") or request.path == "/api"
