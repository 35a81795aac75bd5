"""The tab as a widget: cards of all leaves of an object, or one linked item as a chip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from flask import Response, request
from markupsafe import Markup

from panel.core.domain import Problem, Row
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.links.reading import MAX_LIMIT
from panel.web.context import leaves_for, panel
from panel.web.formatting import overdue
from panel.web.notices import Notice, notice
from panel.web.tab.render import part, show
from panel.web.tab.view_models import RowView, row_view
from panel.web.tab.visit import Visit

SURFACE, INTEGRATION, REFERENCE = "surface", "integration", "reference"


class Surface(StrEnum):
    """How an object's links are shown."""

    DETAIL_PAGE = "detail-page"
    """The whole tab."""
    APP_DASHBOARD = "app-dashboard"
    """How many links each leaf has, and the newest of them."""
    USER_DASHBOARD = "user-dashboard"
    """What is due first. The source has one account, so what is assigned to the reader is not known."""
    SINGLE_ENTITY = "single-entity"
    """One linked item."""


NEWEST, FIRST_DUE = 3, 5
"""How many rows a card of each dashboard has."""


@dataclass(frozen=True, slots=True)
class Card:
    """One leaf on a dashboard. ``rows`` are the shown ones, the counts are those of ``counted`` links, else None."""

    rows: list[RowView]
    total: int
    refreshed_at: datetime
    notice: Notice | None
    open: int | None = None
    closed: int | None = None
    late: int = 0
    gone: int = 0


def asked_surface() -> Surface:
    """The surface that the address names. Raises InvalidInput."""
    try:
        return Surface(request.args.get(SURFACE) or Surface.DETAIL_PAGE)
    except ValueError:
        names = ", ".join(Surface)
        raise InvalidInput(SURFACE, _("“{name}” must be one of {names}.", name=SURFACE, names=names)) from None


def show_surface(here: Visit, surface: Surface) -> Response:
    """Raises InvalidInput, and NotFound for an item that is not linked or a leaf that is not there."""
    if surface is Surface.SINGLE_ENTITY:
        return show(here, "surface", tabs=[], parts=[_chip(here)])
    leaves = _shown_leaves(here)
    return show(here, "surface", tabs=[], parts=[_card(here, leaf, surface) for leaf in leaves])


def _shown_leaves(here: Visit) -> list[Integration]:
    """The named leaf, else those with a source or links; the others concern administrators only."""
    if named := request.args.get(INTEGRATION):
        here.principal.check_scope(here.object, named)
        return [panel().registry.get(named)]
    leaves, counts = leaves_for(here.principal), panel().links.counts(here.object)
    shown = [leaf for leaf in leaves if counts.get(leaf.id) or panel().sources.find(leaf.id) is not None]
    return leaves if here.is_admin else shown or leaves


def _card(here: Visit, leaf: Integration, surface: Surface) -> Markup:
    by_due = surface is Surface.USER_DASHBOARD
    listing = panel().links.listing(here.visitor, leaf.id, here.object, limit=MAX_LIMIT if by_due else NEWEST)
    rows = [row_view(here, leaf, row) for row in listing.rows]
    shown = sorted(rows, key=_urgency)[:FIRST_DUE] if by_due and listing.problem is None else rows[:FIRST_DUE]
    told = notice(listing.problem, leaf, admin=here.is_admin, links=listing.total) if listing.problem else None
    # Counts of a part of the links would be taken for those of all.
    known = rows if told is None and len(rows) == listing.total else []
    counted = [row for row in known if row.live]
    decided = bool(counted) and all(row.open or row.closed for row in counted)
    card_view = Card(
        shown,
        listing.total,
        listing.refreshed_at,
        told,
        sum(row.open for row in counted) if decided else None,
        sum(row.closed for row in counted) if decided else None,
        sum(bool(overdue(row.must_be_done_by)) for row in counted),
        sum(row.gone for row in known),
    )
    return part(here, "tab/_card.html", leaf, card_view=card_view, retry_url=_this_url(here))


def _urgency(row: RowView) -> tuple[bool, date, float]:
    """Items that are due come first, the earliest before the others; then those that were changed last."""
    due = row.must_be_done_by
    return due is None, due or date.max, -row.updated.timestamp() if row.updated else 0.0


def _chip(here: Visit) -> Markup:
    named = {name: request.args.get(name, "") for name in (INTEGRATION, REFERENCE)}
    for name, value in named.items():
        if not value.strip():
            raise InvalidInput(name, _("“{name}” is missing.", name=name))
    leaf = panel().registry.get(named[INTEGRATION])
    row, problem = _row(here, leaf, named[REFERENCE])
    return part(here, "tab/_chip.html", leaf, row_view=row_view(here, leaf, row), problem=problem)


def _row(here: Visit, leaf: Integration, reference: str) -> tuple[Row, Problem | None]:
    """The linked item; its pointer and the problem while the upstream cannot be read. Raises NotFound."""
    try:
        return panel().links.item(here.visitor, leaf.id, here.object, reference), None
    except ProviderUnavailable as exc:
        return Row(exc.pointers[0], None), exc.problem


def _this_url(here: Visit) -> str:
    return here.url("page", **{name: request.args.get(name) for name in (SURFACE, INTEGRATION)})
