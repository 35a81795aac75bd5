"""Principals: who makes a request, and what they may do. People, API tokens and embed tokens are all principals."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from panel.core.domain import ObjectRef
from panel.core.errors import Forbidden, NotFound


class Action(StrEnum):
    """What a principal may do with the integrations of an object; ``admin`` covers sources, people and tokens."""

    VIEW = "view"
    LINK = "link"
    CREATE = "create"
    UPDATE = "update"
    UNLINK = "unlink"
    ADMIN = "admin"


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


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. ``name`` appears as "linked by" and in the logs."""

    name: str
    kind: str
    """``session``, ``token``, ``local``, or ``embed:`` and the id of an embedding application."""
    can: frozenset[Action]
    limits: Limits | None = None
    id: str = ""
    """Distinguishes principals of the same name; empty if the names of the kind are unique."""

    @property
    def key(self) -> str:
        """By which Idempotency-Keys and shares of a rate limit are kept apart."""
        return f"{self.kind}:{self.id or self.name}"

    def may(self, action: Action) -> bool:
        return action in self.can

    def sees(self, integration: str) -> bool:
        named = self.limits.integrations if self.limits is not None else None
        return named is None or integration in named

    @property
    def is_admin(self) -> bool:
        return Action.ADMIN in self.can

    def check_scope(self, obj: ObjectRef | None, integration: str = "") -> None:
        """Raise NotFound for an object or integration outside the limits.

        Not Forbidden, so that the answer does not reveal whether the object exists.
        """
        if self.limits is None:
            return
        outside = obj is not None and not self.limits.allows(obj)
        if outside or (integration and not self.sees(integration)):
            raise NotFound("There is nothing at this address.")

    def require(self, action: Action, obj: ObjectRef | None = None, integration: str = "") -> None:
        """Raise NotFound outside the limits, and Forbidden when the principal may not do ``action``."""
        self.check_scope(obj, integration)
        if not self.may(action):
            raise Forbidden(
                f"This needs the right to {action.value}."
                if action is not Action.ADMIN
                else "This is for administrators."
            )
