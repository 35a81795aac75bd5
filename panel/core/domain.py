"""The nouns of Leafpanel as frozen values. This module knows no framework, no database and no HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from panel.core.clock import now
from panel.core.health import AuthStatus, HealthStatus
from panel.core.reasons import Cause, Reason


class State(StrEnum):
    """Whether the upstream still shows us the target of a pointer."""

    LIVE = "live"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Our side of a link: the host application's own name for its object."""

    register: str
    schema: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Item:
    """One upstream thing in our shape.

    ``reference`` is the upstream's stable id and the only part that is ever stored. Everything else lives as long
    as the answer. All text is plain text (never markup), ``url`` opens the thing in a browser.
    """

    reference: str
    title: str
    url: str
    state: State = State.LIVE
    updated: datetime | None = None
    """When it last changed upstream, aware."""
    is_closed: bool | None = None
    """Whether work on it has ended; None for a kind of thing that cannot be closed."""
    due: date | None = None
    """The day on which it is due."""
    can_update: bool | None = None
    """Whether the source's account may change it; None when the upstream does not say."""
    lock_version: str | None = None
    """Opaque token of this version. An update that carries it fails when the item has changed since."""
    field_values: Mapping[str, Choice] = field(default_factory=dict)
    """Present value and label of each field of ``descriptor.update`` that is set, by the field's name."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What only this kind of thing has, by the keys of its JSON row (``space``, ``status`` …). The columns of the
    descriptor show it, and a search in the linked items looks through its text. Nothing else reads it."""
    excerpt: str | None = None
    """Preview as plain text, only where it was asked for."""

    @classmethod
    def gone(cls, reference: str, url: str, *, title: str = "", facts: Mapping[str, Any] | None = None) -> Item:
        """A pointer whose target the upstream no longer shows us."""
        return cls(reference, title or reference, url, State.GONE, facts=facts or {})

    def with_excerpt(self, excerpt: str | None) -> Item:
        return replace(self, excerpt=excerpt)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A stored link as the faces see it: what is ours to know without asking anybody."""

    reference: str
    url: str
    linked_by: str
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a source cannot be used now: the one value behind notice, 503 body and agent envelope."""

    reason: Reason
    message: str
    """One technical sentence for logs and API clients; never carries a secret or an upstream's own words."""
    retry_after: float | None = None
    """Seconds until a new try makes sense."""
    auth_status: AuthStatus | None = None
    """What is known of the sign-in where the reason alone does not tell it: a grant that was never given."""
    field: str | None = None
    """The setting of the source that is wrong, where it is known better than the reason tells it."""

    @property
    def cause(self) -> Cause:
        return self.reason.cause

    @property
    def setting(self) -> str:
        """The setting of the source that is wrong (``location``, ``options.wiki``), or ""."""
        return self.reason.facts.field if self.field is None else self.field


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a listing: the pointer and, when the upstream answered, the item behind it."""

    pointer: Pointer
    item: Item | None


@dataclass(frozen=True, slots=True)
class Listing:
    """An answer: rows, total and page, or a problem with the pointers still listed."""

    rows: tuple[Row, ...]
    total: int
    page: int
    limit: int
    problem: Problem | None = None
    refreshed_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the upstream says we are, and what it says it is."""

    user: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """What a live check of one integration found."""

    status: HealthStatus
    auth_status: AuthStatus
    message: str
    reason: Reason | None = None
    user: str | None = None
    version: str | None = None
    checked_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of Test connection. ``ok`` is None when it was not tried."""

    name: str
    ok: bool | None
    message: str
    tried: str = ""
    came_back: str = ""
    field: str = ""
    """The setting of the source to change."""
    took_ms: int | None = None
    warns: bool = False
    """A step that passed and still has something to say; ``change`` tells what."""
    change: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The whole answer of Test connection, step by step."""

    steps: tuple[Step, ...]
    problem: Problem | None = None
    identity: Identity | None = None
    took_ms: int = 0

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    @property
    def warning(self) -> str:
        """What a passed test still has to say, or nothing."""
        return next((step.message for step in self.steps if step.warns), "")


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a form field that the upstream offers (a project, a type, a status, a space …)."""

    value: str
    label: str
    color: str | None = None
    """``#RRGGBB`` or nothing."""
