"""The Undo of an unlinked or replaced link: the pointer as it was, in a signed text that the page sends back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import session
from itsdangerous import BadData, URLSafeTimedSerializer

from panel.core.clock import now
from panel.core.domain import Pointer
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.web.context import panel
from panel.web.tab.visit import Visit

VALID_S = 3600
_SESSION_KEY = "undo"
_LONGEST_IN_SESSION = 1500
"""A session is a cookie, and browsers refuse large ones."""


@dataclass(frozen=True, slots=True)
class Undo:
    """What an Undo restores. ``reference`` is what a replaced link points to now; "" for unlinked ones."""

    before: tuple[Pointer, ...]
    reference: str = ""


def sealed(visit: Visit, leaf: Integration, before: Sequence[Pointer], reference: str = "") -> str:
    """The signed text for an Undo of this object's pointers; "" if there is nothing to restore."""
    kept = [[pointer.reference, pointer.note, pointer.origin] for pointer in before]
    return str(_signer().dumps([*_place(visit, leaf), reference, kept])) if before else ""


def opened(visit: Visit, leaf: Integration, text: str) -> Undo:
    """Raises InvalidInput for a text that is not ours, of another object, or too old."""
    try:
        *place, reference, kept = _signer().loads(text, max_age=VALID_S)
    except BadData:
        place, reference, kept = [], "", []
    if place != _place(visit, leaf):
        raise InvalidInput("undo", _("This cannot be undone any more."))
    before = tuple(Pointer(old, "", "", now(), origin, note) for old, note, origin in kept)
    return Undo(before, reference)


def keep(text: str) -> None:
    """Keep it over a redirect, in the session."""
    if text and len(text) <= _LONGEST_IN_SESSION:
        session[_SESSION_KEY] = text


def kept() -> str:
    """What ``keep`` kept, once."""
    return str(session.pop(_SESSION_KEY, ""))


def _place(visit: Visit, leaf: Integration) -> list[str]:
    here = visit.object
    return [here.register, here.schema, here.object_id, leaf.id]


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(panel().config.secret_key, salt="leafpanel undo")
