"""View models of the tab, built before rendering: strip, rows, banners and problems."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from panel.accounts.principal import Action
from panel.core.domain import Item, Pointer, Problem, Row, State
from panel.core.errors import PanelError, ProviderUnavailable, Uncertain, WrongHost
from panel.core.messages import Message, _, sentences
from panel.integrations.contract import Integration
from panel.storage.models import Source
from panel.web.context import leaves_for, panel
from panel.web.error_bodies import problem_of
from panel.web.formatting import key, short_reference, web
from panel.web.notices import Notice, notice
from panel.web.tab.freshness import row_tag
from panel.web.tab.visit import Visit

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
    """The tabs of the leaves, from stored data without a request. Empty while the connector is off.

    A leaf without a source and without links is for administrators only, who can give it a source.
    """
    if not panel().switches.connector_on():
        return []
    counts = panel().links.counts(visit.object)
    return [
        _tab(visit, leaf, counts.get(leaf.id, 0), current, problem)
        for leaf in leaves_for(visit.principal)
        if visit.is_admin or leaf.id == current or counts.get(leaf.id) or panel().sources.find(leaf.id) is not None
    ]


def _tab(visit: Visit, leaf: Integration, count: int, current: str, problem: Problem | None) -> Tab:
    source = panel().sources.find(leaf.id)
    is_current = leaf.id == current
    lacking = source is None or not source.enabled
    # The result of this request is newer than what earlier calls met.
    attention = problem is not None if is_current else not _is_healthy(source)
    return Tab(
        leaf.id,
        leaf.descriptor.label,
        visit.tab_url(leaf.id),
        count if source is not None or count else None,
        is_current,
        visit.is_admin if lacking else attention,
    )


def _is_healthy(source: Source | None) -> bool:
    """Whether the last call to an enabled source, if there was one lately, succeeded."""
    return source is not None and source.enabled and not panel().standings.of(source).failed


def first_leaf(visit: Visit, leaves: Sequence[Integration]) -> Integration | None:
    """The leaf that an object's page opens with: one with links, else one with a source; None without any source.

    A healthy leaf comes before one whose last call failed, and an enabled source before a disabled one.
    """
    counts, sources = panel().links.counts(visit.object), {leaf.id: panel().sources.find(leaf.id) for leaf in leaves}
    connected = [leaf for leaf in leaves if sources[leaf.id] is not None]

    def rank(leaf: Integration) -> tuple[bool, bool, bool]:
        source, has_links = sources[leaf.id], bool(counts.get(leaf.id))
        return not has_links, has_links and not _is_healthy(source), source is None or not source.enabled

    return min(connected, key=rank, default=None)


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
    def tag(self) -> str:
        return row_tag(self)

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
    ticket: str = ""
    """What Undo sends back to restore links that were removed or replaced."""
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
