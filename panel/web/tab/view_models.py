"""View models of the tab, built before rendering: strip, rows, sort order, notices, banners and problems."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from panel.accounts.principal import Action
from panel.core.domain import Item, Listing, Pointer, Problem, Row, State
from panel.core.errors import PanelError, ProviderUnavailable, Uncertain, WrongHost
from panel.core.health import HealthStatus
from panel.core.messages import Message, _, sentences
from panel.core.reasons import Cause
from panel.integrations.contract import Integration
from panel.sources.instances import UNDECIDED
from panel.web.context import leaves_for, panel
from panel.web.error_bodies import problem_of
from panel.web.formatting import key, short_reference, web
from panel.web.notices import Notice, notice
from panel.web.tab.visit import Visit

EXCERPTS = 10
"""Number of rows whose excerpt the browser loads."""

NEWEST_FIRST = ("updated", "linked")
REFRESH = "refresh"
"""The query parameter with which the button Refresh asks the upstream past caches."""


# --- strip -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tab:
    """One leaf in the strip. ``count`` is None without a source and without links."""

    id: str
    label: str
    url: str
    count: int | None
    current: bool
    attention: bool


def strip(visit: Visit, current: str = "", problem: Problem | None = None) -> list[Tab]:
    """The tabs of the leaves, from stored data without a request. Empty while the connector is off."""
    if not panel().switches.connector_on():
        return []
    counts = panel().links.counts(visit.object)
    return [_tab(visit, leaf, counts.get(leaf.id, 0), current, problem) for leaf in leaves_for(visit.principal)]


def _tab(visit: Visit, leaf: Integration, count: int, current: str, problem: Problem | None) -> Tab:
    source = panel().sources.find(leaf.id)
    check = panel().checks.current(source)
    failed = check is not None and check.status != HealthStatus.OK
    is_current = leaf.id == current
    # The result of this request is newer than the last check.
    attention = problem is not None if is_current else failed
    return Tab(
        leaf.id,
        leaf.descriptor.label,
        visit.url("listing", integration=leaf.id, sort=None),
        count if source is not None or count else None,
        is_current,
        attention or source is None or not source.enabled,
    )


def first_connected(leaves: Sequence[Integration]) -> Integration | None:
    """The leaf that an object's page opens with: the first with an enabled source, else the first with a source."""
    sources = [(leaf, panel().sources.find(leaf.id)) for leaf in leaves]
    connected = [(leaf, source.enabled) for leaf, source in sources if source is not None]
    return next((leaf for leaf, enabled in connected if enabled), connected[0][0] if connected else None)


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlaceView:
    """A place where a moved item may be now. ``linked`` is whether the list has a link to it already."""

    item: Item
    url: str
    linked: bool


@dataclass(frozen=True, slots=True)
class RowView:
    """One linked item as its row shows it. ``item`` is None while the upstream is unavailable."""

    pointer: Pointer
    item: Item | None
    key: str
    name: str
    """The name of the item in a question: ``#1512``, or a title in quotation marks."""
    url: str
    shown_reference: str
    fresh: bool = False
    changeable: bool = False
    loads_excerpt: bool = False
    places: tuple[PlaceView, ...] = ()
    """Where a moved item may be now."""

    @property
    def reference(self) -> str:
        return self.pointer.reference

    @property
    def title(self) -> str:
        return self.item.title if self.item is not None and _is_certain(self.item) else self.shown_reference

    @property
    def gone(self) -> bool:
        return self.item is not None and self.item.state is State.GONE

    @property
    def moved(self) -> bool:
        return self.item is not None and self.item.state is State.MOVED

    @property
    def live(self) -> bool:
        return self.item is not None and self.item.state is State.LIVE

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.item.facts if self.item is not None else {}

    @property
    def closed(self) -> bool:
        return self.item is not None and bool(self.item.is_closed)

    @property
    def open(self) -> bool:
        return self.item is not None and self.item.is_closed is False

    @property
    def due(self) -> date | None:
        """The day on which the item is due, unless it is closed."""
        return self.item.due if self.item is not None and not self.closed else None

    @property
    def must_be_done_by(self) -> date | None:
        """The day on which an item that is known to be open is due."""
        return self.due if self.open else None

    @property
    def updated(self) -> datetime | None:
        return self.item.updated if self.item is not None else None


def row_view(visit: Visit, leaf: Integration, row: Row, *, fresh: bool = False) -> RowView:
    item = row.item
    url = item.url if item is not None else row.pointer.url
    shown = short_reference(row.pointer.reference, leaf)
    title = item.title if item is not None and _is_certain(item) else shown
    return RowView(
        row.pointer,
        item,
        key(row.pointer.reference),
        shown if leaf.descriptor.reference_kind == "number" else _("“{title}”", title=title),
        web(url),
        shown,
        fresh,
        _changeable(visit, leaf, item),
    )


def _is_certain(item: Item) -> bool:
    """Whether the item is shown with what the upstream says of it: it is there, or at the one place it moved to."""
    return item.state is State.LIVE or len(item.moved_to) == 1


def with_places(row: RowView, linked: Collection[str]) -> RowView:
    """The row of a moved item with its places; ``linked`` are the references that the list has."""
    found = row.item.moved_to if row.item is not None else ()
    places = tuple(PlaceView(place, web(place.url), place.reference in linked) for place in found)
    return replace(row, places=places)


def _changeable(visit: Visit, leaf: Integration, item: Item | None) -> bool:
    if item is None or item.state is not State.LIVE or not leaf.descriptor.update:
        return False
    return visit.principal.may(Action.UPDATE) and item.can_update is not False


# --- order -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sort:
    key: str
    label: str
    url: str
    current: bool


def sorts(visit: Visit, leaf: Integration, chosen: str, page: int) -> list[Sort]:
    url = {key: visit.url("listing", integration=leaf.id, sort=key, **_page(page)) for key in leaf.descriptor.sorts}
    return [Sort(key, label, url[key], key == chosen) for key, label in leaf.descriptor.sorts.items()]


def chosen_sort(leaf: Integration, requested: str | None) -> str:
    """The requested sort order if the leaf has it, else its default."""
    known = list(leaf.descriptor.sorts)
    return requested if requested in known else (known[0] if known else "")


def sorted_rows(rows: Sequence[RowView], sort: str) -> list[RowView]:
    """The rows in a sort order of the descriptor. Rows that were just linked come first, gone ones last."""
    known = [row for row in rows if _sort_value(row, sort) is not None]
    unknown = [row for row in rows if _sort_value(row, sort) is None]
    known.sort(key=lambda row: _sort_value(row, sort), reverse=sort in NEWEST_FIRST)
    return sorted([*known, *unknown], key=lambda row: (not row.fresh, row.gone))


def _sort_value(row: RowView, sort: str) -> Any:
    """The value to sort a row by: a time, a date, its title, or the text of the fact of this name."""
    if sort == "updated":
        return row.updated
    if sort == "linked":
        return row.pointer.linked_at
    if sort == "title":
        return row.title.casefold()
    if sort == "due":
        return row.item.due if row.item is not None else None
    value = row.facts.get(sort)
    if isinstance(value, str):
        return value.casefold()
    return value if isinstance(value, date) else None


def _page(page: int) -> dict[str, int]:
    return {"page": page} if page > 1 else {}


# --- one leaf --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListView:
    """The list of one leaf as the tab shows it."""

    leaf: Integration
    listing: Listing
    rows: list[RowView]
    sorts: list[Sort]
    notice: Notice | None
    refresh_url: str
    """Address of this page of the list, asked from the upstream past caches."""
    previous_url: str
    next_url: str
    """Addresses of the previous and the next page, "" where there is none."""
    last_answer: datetime | None = None
    other_instance: str = ""
    """A sentence while the source leads to another instance than the one that the links were made in."""

    @property
    def total(self) -> int:
        return self.listing.total

    @property
    def sort_label(self) -> str:
        return next((sort.label for sort in self.sorts if sort.current), "")

    @property
    def off(self) -> bool:
        problem = self.listing.problem
        return problem is not None and problem.cause is Cause.CONNECTOR_DOWN


def list_view(
    visit: Visit, leaf: Integration, *, page: int = 1, sort: str | None = None, fresh: Sequence[str] = (),
    problem: Problem | None = None, deadline_s: float | None = None, refresh: bool = False,
) -> ListView:  # fmt: skip
    """The linked items of a leaf, with a notice when the upstream is unavailable. Parameters as for ``listing``."""
    listing = panel().links.listing(
        visit.visitor, leaf.id, visit.object, page=page, problem=problem, deadline_s=deadline_s, fresh=refresh
    )
    other = panel().instances.other_instance(leaf.id)
    linked = {row.pointer.reference for row in listing.rows}
    rows = [
        with_places(row_view(visit, leaf, row, fresh=row.pointer.reference in fresh), linked) for row in listing.rows
    ]
    chosen = chosen_sort(leaf, sort)
    if listing.problem is None:
        rows = _with_excerpts(leaf, sorted_rows(rows, chosen))
    pages = -(-listing.total // listing.limit)
    return ListView(
        leaf,
        listing,
        rows,
        sorts(visit, leaf, chosen, page),
        notice(listing.problem, leaf, admin=visit.is_admin, links=listing.total) if listing.problem else None,
        visit.url("listing", integration=leaf.id, **_page(page), **{REFRESH: 1}),
        visit.url("listing", integration=leaf.id, **_page(page - 1)) if page > 1 else "",
        visit.url("listing", integration=leaf.id, page=page + 1) if page < pages else "",
        _last_answer(leaf) if listing.problem else None,
        sentences(other.sentence(leaf.descriptor.upstream), UNDECIDED) if other is not None else "",
    )


def _with_excerpts(leaf: Integration, rows: list[RowView]) -> list[RowView]:
    if not leaf.descriptor.excerpts:
        return rows
    live = [row.key for row in rows if row.live][:EXCERPTS]
    return [replace(row, loads_excerpt=row.key in live) for row in rows]


def _last_answer(leaf: Integration) -> datetime | None:
    check = panel().checks.current(panel().sources.find(leaf.id))
    return check.checked_at if check is not None and check.status == HealthStatus.OK else None


# --- banner and problems ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Banner:
    """The confirmation of an action: what was done, to which item, and what Undo unlinks."""

    text: Message
    """What was done, with ``{title}`` for the item."""
    title: str = ""
    undo: tuple[tuple[str, str], ...] = ()
    """Leaf and reference of each item."""
    remarks: tuple[str, ...] = ()
    """How the result differs from what was asked for."""
    linked: tuple[tuple[str, RowView], ...] = ()
    """Leaf and row of what the action linked, for the host application."""

    @property
    def announcement(self) -> str:
        return sentences(self.text.filled(title=self.title), *self.remarks)


@dataclass(frozen=True, slots=True)
class ProblemView:
    """Why an action failed, shown where it was tried. ``notice`` is set when the upstream is unavailable."""

    title: str
    text: str = ""
    notice: Notice | None = None
    add_source: str = ""
    """The leaf that an administrator may add a source for, and the ``location`` of that source."""
    location: str = ""


def problem_view(visit: Visit, leaf: Integration, exc: PanelError) -> ProblemView:
    """The text for an expected error."""
    if isinstance(exc, ProviderUnavailable | Uncertain):
        shown = notice(problem_of(exc), leaf, admin=visit.is_admin, links=len(exc.pointers))
        return ProblemView(shown.title, shown.text, shown)
    if isinstance(exc, WrongHost):
        title = _("This is a {noun} of {host}.", noun=leaf.descriptor.noun, host=exc.host)
        return ProblemView(title, _("There is no source for it yet."))
    return ProblemView(exc.message)
