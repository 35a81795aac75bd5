"""The picker: searches the leaf of the page, and the other leaves beside it, for words and for what a text names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, request
from markupsafe import Markup

from panel.core.errors import PanelError
from panel.integrations.contract import Integration
from panel.links.finding import MOST_FOUND, LeafFound, Query
from panel.links.naming import Named
from panel.web.context import panel, searched_beside
from panel.web.error_bodies import status_of
from panel.web.htmx import wants_fragment
from panel.web.parsing import PICKER_LENGTH, positive, search_text
from panel.web.tab.found import FoundView, found_view, nowhere_problem, refused_view
from panel.web.tab.render import part, show, show_part
from panel.web.tab.routing import LEAF, Views
from panel.web.tab.visit import Visit, visit

views = Views()

PICKER_SIZE = 10
"""Number of results that the picker shows at first, and on a page of results without script."""
MORE = 20
"""Number of results that the picker adds with each request for more."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What this request searches for."""

    text: str
    size: int
    page: int
    titles_only: bool
    named: Named

    @property
    def query(self) -> Query:
        return Query(self.text, min(self.size * self.page, MOST_FOUND), self.titles_only)


@views.get(f"{LEAF}/search")
@views.post(f"{LEAF}/search")
def search(integration: str) -> Response:
    """Search in the upstream. POST is for the form of an iframe, which submits its token: a token stays out of URLs.

    A fragment has the results of this leaf only, so that a slow leaf delays no other; ``beside`` asks for those that
    the page of another leaf shows. A whole page has the results of all leaves.
    """
    here, leaf = visit(), panel().registry.get(integration)
    typed = request.values.get("q", "").strip()
    shown: dict[str, Any] = {"query": typed, "titles_only": bool(request.values.get("titles"))}
    try:
        asked = _asked(here, typed)
    except PanelError as exc:
        return _answer(here, leaf, refused_view(here, leaf, exc), status_of(exc), shown)
    if wants_fragment():
        found, status = _one(here, leaf, asked)
        return _answer(here, leaf, found, status, {**shown, "named": asked.named.number})
    return _whole(here, leaf, asked, shown)


def _asked(here: Visit, typed: str) -> _Asked:
    text = search_text("search", typed, PICKER_LENGTH)
    size = min(positive("size", request.values.get("size"), PICKER_SIZE), MOST_FOUND)
    page = min(positive("page", request.values.get("page"), 1), MOST_FOUND // PICKER_SIZE)
    return _Asked(text, size, page, bool(request.values.get("titles")), panel().finder.named(here.visitor, text))


def _answer(here: Visit, leaf: Integration, found: FoundView, status: int, shown: dict[str, Any]) -> Response:
    if not wants_fragment():
        return show(here, "found", leaf=leaf, status=status, found=found, others=[], **shown)
    if "beside" in request.args:
        # A failure of another leaf is told in the group of that leaf.
        return show_part(here, "tab/_group.html", leaf, found=found, **shown)
    return show_part(here, "tab/_results.html", leaf, status=status, found=found, **shown)


def _one(here: Visit, leaf: Integration, asked: _Asked) -> tuple[FoundView, int]:
    """What one leaf found, or why it found nothing, with the status of the answer."""
    try:
        found = panel().finder.find(here.visitor, leaf, here.object, asked.query, asked.named)
    except PanelError as exc:
        return refused_view(here, leaf, exc), status_of(exc)
    return _view(here, leaf, found, asked, beside="beside" in request.args), 400 if _is_unknown(asked.named) else 200


def _is_unknown(named: Named) -> bool:
    return bool(named.unknown) and not named.by_leaf


def _view(here: Visit, leaf: Integration, found: LeafFound, asked: _Asked, *, beside: bool = False) -> FoundView:
    """``beside`` is for results on the page of another leaf, which tells what no leaf has."""
    nowhere = nowhere_problem(here, leaf, asked.named) if asked.named.unknown and not beside else None
    return found_view(here, found, asked.named, nowhere, skip=asked.size * (asked.page - 1))


def _whole(here: Visit, leaf: Integration, asked: _Asked, shown: dict[str, Any]) -> Response:
    """The page of results, with those of the other leaves below. All leaves are asked side by side."""
    others = searched_beside(here.principal, leaf) if asked.text else []
    own, *rest = panel().finder.find_in_all(here.visitor, [leaf, *others], here.object, asked.query, asked.named)
    status = status_of(own.refused) if own.refused else 400 if _is_unknown(asked.named) else 200
    found = refused_view(here, leaf, own.refused) if own.refused else _view(here, leaf, own, asked)
    groups = [_group(here, one, asked, shown) for one in rest]
    next_page = asked.page + 1 if found.more_of and asked.page * PICKER_SIZE < MOST_FOUND else 0
    return show(here, "found", leaf=leaf, status=status, found=found, others=groups, next_page=next_page, **shown)


def _group(here: Visit, found: LeafFound, asked: _Asked, shown: dict[str, Any]) -> Markup:
    leaf, refused = found.leaf, found.refused
    view = refused_view(here, leaf, refused) if refused else _view(here, leaf, found, asked, beside=True)
    return part(here, "tab/_found_group.html", found.leaf, found=view, **shown)
