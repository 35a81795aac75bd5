"""Principals: who makes a request, and what they may do. People, API tokens and embed tokens are all principals."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panel.core.domain import ObjectRef
from panel.core.errors import Forbidden, InvalidInput, NotFound
from panel.core.messages import _, any_of


class Action(StrEnum):
    """What a principal may do with the integrations of an object; ``admin`` covers sources, people and tokens."""

    VIEW = "view"
    LINK = "link"
    CREATE = "create"
    UPDATE = "update"
    UNLINK = "unlink"
    ADMIN = "admin"


Right = Action | frozenset[Action]
"""A right, or several rights of which one is enough."""

SEARCHING = frozenset({Action.LINK, Action.CREATE})
"""One of these is needed to search an upstream and to see its choices. ``view`` shows linked items only."""

CHANGING = frozenset({Action.UPDATE, Action.LINK})
"""``update`` changes an item upstream, ``link`` points a link to the new place of an item that moved."""

WRITING = frozenset({Action.VIEW, Action.LINK, Action.CREATE, Action.UPDATE, Action.UNLINK})
SCOPES: dict[str, frozenset[Action]] = {
    "read": frozenset({Action.VIEW}),
    "write": WRITING,
    "admin": WRITING | {Action.ADMIN},
}
ROLES: dict[str, frozenset[Action]] = {
    "viewer": frozenset({Action.VIEW}),
    "editor": WRITING,
    "admin": WRITING | {Action.ADMIN},
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The objects and integrations that a principal may access. ``None`` means no limit."""

    object: ObjectRef | None = None
    registers: frozenset[str] | None = None
    integrations: frozenset[str] | None = None

    def allows(self, obj: ObjectRef) -> bool:
        return self.object in (None, obj) and (self.registers is None or obj.register in self.registers)


LONGEST_SHOWN_NAME = 200
"""The length of the columns that store who linked or changed something."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. ``shown_name`` appears as "linked by" and in the logs."""

    name: str
    kind: str
    """``session``, ``token``, ``local``, or ``embed:`` and the id of an embedding application."""
    can: frozenset[Action]
    limits: Limits | None = None
    application: str = ""
    """Name of the embedding application that chose ``name``; "" for other principals."""
    id: str = ""
    """Distinguishes principals of the same name; empty if the names of the kind are unique."""

    @property
    def key(self) -> str:
        """By which Idempotency-Keys and shares of a rate limit are kept apart."""
        return f"{self.kind}:{self.id or self.name}"

    @property
    def shown_name(self) -> str:
        """The name, followed by the application that chose it.

        An application can sign any name, also that of an administrator.
        """
        if not self.application:
            return self.name
        room = LONGEST_SHOWN_NAME - len(f"{self.name} ()")
        application = self.application if len(self.application) <= room else f"{self.application[: room - 1]}…"
        return f"{self.name} ({application})"

    def may(self, right: Right) -> bool:
        return not self.can.isdisjoint(_one_of(right))

    def sees(self, integration: str) -> bool:
        named = self.limits.integrations if self.limits is not None else None
        return named is None or integration in named

    @property
    def is_admin(self) -> bool:
        return Action.ADMIN in self.can

    def check_scope(self, obj: ObjectRef | None, integration: str = "") -> None:
        """Raise NotFound for an object or integration outside the limits.

        Not Forbidden, so that the answer does not reveal whether the object exists. Without ``obj``, the only object
        of the limits is checked.
        """
        if self.limits is None:
            return
        obj = obj or self.limits.object
        outside = obj is not None and not self.limits.allows(obj)
        if outside or (integration and not self.sees(integration)):
            raise NotFound(_("There is nothing at this address."))

    def require(self, right: Right, obj: ObjectRef | None = None, integration: str = "") -> None:
        """Raise NotFound outside the limits, and Forbidden when the principal does not have ``right``."""
        self.check_scope(obj, integration)
        if not self.may(right):
            raise Forbidden(
                _("This needs the right to {rights}.", rights=any_of(_one_of(right)))
                if right is not Action.ADMIN
                else _("This is for administrators.")
            )

    def require_search(self, obj: ObjectRef | None, integration: str) -> ObjectRef | None:
        """Check the right to search an upstream for an object, and return the object.

        An embed token that names no object searches for its own. Raises NotFound and Forbidden as ``require``, and
        InvalidInput when a principal limited to registers names no object.
        """
        self.require(SEARCHING, obj, integration)
        if self.limits is None:
            return obj
        obj = obj or self.limits.object
        if obj is None and self.limits.registers is not None:
            raise InvalidInput("register", _("This token is limited to registers: name register, schema and objectId."))
        return obj


def _one_of(right: Right) -> list[Action]:
    """The rights of which one is enough, in the order of ``Action``."""
    return [action for action in Action if action == right or (isinstance(right, frozenset) and action in right)]
