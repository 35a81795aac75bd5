"""The domain model of Leafpanel as frozen dataclasses, without framework, database or HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from panel.core.clock import now
from panel.core.health import AuthStatus, HealthStatus
from panel.core.reasons import Cause, Reason


class State(StrEnum):
    """Whether the upstream shows the target of a pointer to the source's account."""

    LIVE = "live"
    GONE = "gone"
    MOVED = "moved"
    """It is shown under another reference than that of the pointer."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """The panel's side of a link: an object as the host application identifies it."""

    register: str
    schema: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Item:
    """One upstream item in the panel's model.

    ``reference`` is the upstream's stable id and the only part that is stored. Everything else is read from the
    upstream for each response. All text is plain text and never markup. ``url`` opens the item in a browser.
    """

    reference: str
    title: str
    url: str
    state: State = State.LIVE
    updated: datetime | None = None
    """The time of the last change upstream, timezone-aware."""
    is_closed: bool | None = None
    """Whether it is closed; None when that is not known, or for a kind of item that cannot be closed. Only an item that
    is known to be open is called overdue."""
    due: date | None = None
    """The due date."""
    can_update: bool | None = None
    """Whether the source's account may change it; None when the upstream does not report it."""
    lock_version: str | None = None
    """Opaque version. An update with this version fails when the item has changed since."""
    field_values: Mapping[str, Choice] = field(default_factory=dict)
    """Current value and label of each field of ``descriptor.update`` that is set, by the field's name."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Values that only this kind of item has, by the keys of its JSON row (``space``, ``status`` …). The columns of the
    descriptor show them and a search in the linked items includes their text. Nothing else reads them."""
    excerpt: str | None = None
    """Preview as plain text; None where it was not requested."""
    origin: int | None = None
    """Opaque number that the item keeps when its reference changes, and that is stored with the pointer. None where
    the answer does not show it, and for a kind of item that keeps its reference."""
    moved_to: tuple[Item, ...] = ()
    """The items that a moved one may be now, each under its own reference; a single one where that is certain."""
    remarks: tuple[str, ...] = ()
    """Sentences on how a new item differs from what was asked for."""

    @classmethod
    def gone(cls, reference: str, url: str, *, title: str = "", facts: Mapping[str, Any] | None = None) -> Item:
        """The item of a pointer whose target the upstream does not show."""
        return cls(reference, title or reference, url, State.GONE, facts=facts or {})

    def moved(self, places: Sequence[Item]) -> Item:
        """This item as moved to ``places``. With a single place, everything but the reference is as it is there."""
        shown = places[0] if len(places) == 1 else self
        return replace(shown, reference=self.reference, state=State.MOVED, moved_to=tuple(places), origin=None)

    def with_excerpt(self, excerpt: str | None) -> Item:
        return replace(self, excerpt=excerpt)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A stored link: everything that the panel knows about it without a request to the upstream."""

    reference: str
    url: str
    linked_by: str
    linked_at: datetime
    origin: int | None = None
    """``Item.origin`` of the target, once an answer has shown it."""
    note: str = ""
    """One line in a person's own words on why it is linked."""


@dataclass(frozen=True, slots=True)
class LinkedObject:
    """An object that points to an item, with its pointer."""

    object: ObjectRef
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class LinkedObjects:
    """The objects that point to one item, the newest pointer first: the first of ``total``."""

    items: tuple[LinkedObject, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a source cannot be used. Notice, 503 body and MCP envelope are built from this value."""

    reason: Reason
    message: str
    """One technical sentence for logs and API clients, without a secret and without text of the upstream."""
    retry_after: float | None = None
    """Seconds until a retry is useful."""
    auth_status: AuthStatus | None = None
    """The sign-in status if it differs from that of the reason: ``missing`` for a source that was never connected."""
    field: str | None = None
    """The setting of the source that is wrong, if it is not the usual one of the reason."""

    @property
    def cause(self) -> Cause:
        return self.reason.cause

    @property
    def setting(self) -> str:
        """The setting of the source that is wrong (``location``, ``options.wiki``), or ""."""
        return self.reason.facts.field if self.field is None else self.field


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a listing: the pointer and, when the upstream answered, its item."""

    pointer: Pointer
    item: Item | None


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of linked items. With a problem, the rows have pointers and no items."""

    rows: tuple[Row, ...]
    total: int
    page: int
    limit: int
    problem: Problem | None = None
    holds_until: float = 0.0
    """Until when the same question has the same answer while the database does not change, on the monotonic clock."""
    refreshed_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Identity:
    """The account and the version that the upstream reports."""

    user: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """The result of a live check of one integration."""

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
    """Whether the step passed with a warning; ``change`` says what to do."""
    change: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The result of Test connection, step by step."""

    steps: tuple[Step, ...]
    problem: Problem | None = None
    identity: Identity | None = None
    took_ms: int = 0

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    @property
    def warning(self) -> str:
        """The warning of a passed test, or ""."""
        return next((step.message for step in self.steps if step.warns), "")


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a form field that the upstream offers (a project, a type, a status, a space …)."""

    value: str
    label: str
    color: str | None = None
    """``#RRGGBB`` or None."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of a field, all of them or those that the upstream gave first."""

    items: tuple[Choice, ...]
    total: int
    """How many there are, with those that are not among ``items``."""
    at_least: bool = False
    """Whether the upstream does not count them, and there may be more than ``total``."""

    @classmethod
    def whole(cls, choices: Iterable[Choice]) -> Choices:
        items = tuple(choices)
        return cls(items, len(items))

    @property
    def more(self) -> bool:
        return self.total > len(self.items)
