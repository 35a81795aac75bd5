"""View model of the list of one leaf: its rows, order, filters, counts, pages and notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import request

from panel.core.domain import Listing, Problem
from panel.core.messages import Message, _, _n, sentences
from panel.core.reasons import Cause
from panel.integrations.contract import Integration
from panel.links.arrangement import LINKED, NOBODY, ListQuery, Standing, Tally
from panel.links.whole_lists import MOST_ARRANGED, WholeList
from panel.sources.instances import UNDECIDED
from panel.web.context import panel
from panel.web.notices import Notice, notice
from panel.web.tab.list_query import FIND, LIST_PARAMETERS, PAGE, PERSON, SORT, STATE, asked_of
from panel.web.tab.view_models import RowView, row_view, with_places
from panel.web.tab.visit import Visit
from panel.web.zone import today

EXCERPTS = 10
"""Number of rows whose excerpt the browser loads."""
WORTH_FILTERING = 8
"""A shorter list shows no filters."""
REFRESH = "refresh"
"""The query parameter with which the button Refresh asks the upstream past caches."""

STANDINGS: Mapping[Standing, Message] = {
    Standing.OPEN: _("Only open"),
    Standing.CLOSED: _("Only closed"),
    Standing.OVERDUE: _("Only overdue"),
    Standing.MOVED: _("Only moved"),
    Standing.GONE: _("Only no longer visible"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One order, or one choice of a filter, with the address of the list that it leads to."""

    key: str
    label: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a list and what is chosen in them."""

    text: str
    standings: list[Option]
    people: list[Option]
    person_label: str
    is_active: bool
    clear_url: str
    """Address of the list without filters."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the shown rows stand among those that pass the filters."""

    first: int
    last: int
    of: int
    previous_url: str
    next_url: str
    """Addresses of the previous and the next page, "" where there is none."""

    @property
    def several(self) -> bool:
        return bool(self.previous_url or self.next_url)


@dataclass(frozen=True, slots=True)
class ListView:
    """The list of one leaf as the tab shows it."""

    leaf: Integration
    listing: Listing
    rows: list[RowView]
    sorts: list[Option]
    notice: Notice | None
    refresh_url: str
    """Address of this page of the list, asked from the upstream past caches."""
    pages: Pages
    filters: Filters | None
    """None for a list that cannot be filtered now, or is short."""
    tally: Tally | None
    """None when only one page was read."""
    standing_urls: Mapping[str, str]
    """Addresses of the items of one standing, by its name."""
    remark: str = ""
    """What part of the list was not sorted, filtered and counted."""
    stored_order_url: str = ""
    """Address of the whole list in stored order, if only a part of it was arranged."""
    last_answer: datetime | None = None
    other_instance: str = ""
    """A sentence while the source leads to another instance than the one that the links were made in."""
    url: str = ""
    """Address of this page of the list."""

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
    visit: Visit, leaf: Integration, *, query: ListQuery | None = None, fresh: Sequence[str] = (),
    problem: Problem | None = None, deadline_s: float | None = None, refresh: bool = False,
) -> ListView:  # fmt: skip
    """The linked items of a leaf, with a notice when the upstream is unavailable.

    ``query`` is that of the address unless it is given, with ``fresh`` for what was just linked. Other parameters as
    for ``Links.whole_list``.
    """
    query = query or asked_of(leaf, request.args, fresh)
    whole = panel().links.whole_list(
        visit.visitor, leaf.id, visit.object, query, today(), problem=problem, deadline_s=deadline_s, fresh=refresh
    )
    listing, other = whole.listing, panel().instances.other_instance(leaf.id)
    return ListView(
        leaf,
        listing,
        _rows(visit, leaf, whole, query),
        _sorts(visit, leaf, query),
        notice(listing.problem, leaf, admin=visit.is_admin, links=listing.total) if listing.problem else None,
        _url(visit, leaf, **{PAGE: _page(listing.page), REFRESH: 1}),
        _pages(visit, leaf, whole),
        _filters(visit, leaf, whole, query),
        whole.arranged.tally if whole.arranged else None,
        {standing.value: _url(visit, leaf, **{STATE: standing.value, PAGE: None}) for standing in Standing},
        _remark(leaf, whole, query),
        visit.url("listing", **{**dict.fromkeys(LIST_PARAMETERS), "integration": leaf.id, SORT: LINKED}),
        _last_answer(leaf) if listing.problem else None,
        sentences(other.sentence(leaf.descriptor.upstream), UNDECIDED) if other is not None else "",
        _url(visit, leaf, **{PAGE: _page(listing.page)}),
    )


def _url(visit: Visit, leaf: Integration, **changes: Any) -> str:
    return visit.url("listing", integration=leaf.id, **changes)


def _page(page: int) -> int | None:
    return page if page > 1 else None


def _rows(visit: Visit, leaf: Integration, whole: WholeList, query: ListQuery) -> list[RowView]:
    rows = [
        with_places(row_view(visit, leaf, row, fresh=row.pointer.reference in query.fresh), whole.references)
        for row in whole.listing.rows
    ]
    if not leaf.descriptor.excerpts or whole.listing.problem is not None:
        return rows
    live = [row.key for row in rows if row.live][:EXCERPTS]
    return [replace(row, loads_excerpt=row.key in live) for row in rows]


def _sorts(visit: Visit, leaf: Integration, query: ListQuery) -> list[Option]:
    return [
        Option(key, label, _url(visit, leaf, **{SORT: key, PAGE: None}), key == query.sort)
        for key, label in leaf.descriptor.sorts.items()
    ]


def _pages(visit: Visit, leaf: Integration, whole: WholeList) -> Pages:
    listing = whole.listing
    page, start = listing.page, (listing.page - 1) * listing.limit
    last = start + len(listing.rows)
    return Pages(
        min(start + 1, last),
        last,
        whole.matching,
        _url(visit, leaf, **{PAGE: _page(page - 1)}) if page > 1 else "",
        _url(visit, leaf, **{PAGE: page + 1}) if last < whole.matching else "",
    )


def _filters(visit: Visit, leaf: Integration, whole: WholeList, query: ListQuery) -> Filters | None:
    if whole.arranged is None or (whole.listing.total < WORTH_FILTERING and not query.filters):
        return None
    tally, label = whole.arranged.tally, leaf.descriptor.person
    standings = [one for one in Standing if tally.of(one) or one is query.standing]
    people = [(name, name) for name in whole.arranged.people]
    if people:
        people.append((NOBODY, _column(leaf, label, "empty") or _("Nobody")))
    return Filters(
        query.text,
        _options(visit, leaf, STATE, [(one.value, STANDINGS[one]) for one in standings], query.standing or ""),
        _options(visit, leaf, PERSON, people, query.person),
        _column(leaf, label, "label"),
        query.filters,
        _url(visit, leaf, **dict.fromkeys((FIND, STATE, PERSON, PAGE))),
    )


def _options(
    visit: Visit, leaf: Integration, name: str, choices: Sequence[tuple[str, str]], chosen: str
) -> list[Option]:
    return [Option(key, text, _url(visit, leaf, **{name: key, PAGE: None}), key == chosen) for key, text in choices]


def _column(leaf: Integration, name: str, part: str) -> str:
    """A text of the column that shows a fact."""
    return next((getattr(column, part) for column in leaf.descriptor.columns if column.name == name), "")


def _remark(leaf: Integration, whole: WholeList, query: ListQuery) -> str:
    card = leaf.descriptor
    if whole.is_cut:
        return _n(
            "Only the newest {n} {noun} is sorted, filtered and counted.",
            "Only the newest {n} {nouns} are sorted, filtered and counted.",
            MOST_ARRANGED, noun=card.noun, nouns=card.noun_plural,
        )  # fmt: skip
    if whole.arranged is None and whole.listing.problem is None and not query.is_stored_order:
        return _(
            "{upstream} did not send all {nouns} in time: the last linked ones come first, without filters and counts.",
            upstream=card.upstream, nouns=card.noun_plural,
        )  # fmt: skip
    return ""


def _last_answer(leaf: Integration) -> datetime | None:
    return panel().standings.of(panel().sources.find(leaf.id)).answered_at
