"""Views of the tab: list, search, link, unlink, and the new place of an item that moved."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, request

from panel.accounts.principal import Action
from panel.core.domain import Problem, Row
from panel.core.errors import InvalidInput, NotFound, NotRecorded, PanelError, ProviderUnavailable
from panel.core.messages import _, _n
from panel.core.reasons import Reason
from panel.core.text import trimmed
from panel.integrations.contract import Integration
from panel.links.service import LinkedAll
from panel.storage.engine import STORAGE_FAILURES
from panel.web.context import leaves_for, panel
from panel.web.error_bodies import status_of
from panel.web.formatting import key as row_key
from panel.web.htmx import wants_fragment
from panel.web.parsing import PICKER_LENGTH, positive, search_text
from panel.web.storage_words import storage_text
from panel.web.tab.render import show, show_list, show_part
from panel.web.tab.routing import LEAF, Views, back, redirects
from panel.web.tab.surfaces import Surface, asked_surface, show_surface
from panel.web.tab.view_models import REFRESH, Banner, ListView, first_connected, list_view, problem_view, row_view
from panel.web.tab.visit import Visit, visit

views = Views()

SHORTEST_LIST_S = 0.5
"""With less time than this left, a request that linked something lists references only."""
PICKER_SIZE = 10
"""Maximum number of results in the picker."""
MOST_REFERENCES = 50
"""How many items one request links or unlinks."""


@views.get("")
@views.post("")
def page() -> Response:
    """The list of the first leaf that has a source; without any source, a notice for each leaf."""
    here = visit()
    leaves = leaves_for(here.principal)
    if not leaves:
        raise NotFound(_("No integration is installed."))
    if (surface := asked_surface()) is not Surface.DETAIL_PAGE:
        return show_surface(here, surface)
    leaf = first_connected(leaves)
    if leaf is not None or not panel().switches.connector_on():
        return show_list(here, leaf or leaves[0])
    return show(here, "unconnected", status=503, list_views=[list_view(here, leaf) for leaf in leaves])


@views.get(LEAF)
@views.post(LEAF)
def listing(integration: str) -> Response:
    """POST is for an iframe without scripts, whose forms submit its token."""
    here, leaf = visit(), panel().registry.get(integration)
    fresh = tuple(request.args.getlist("linked")[:200])
    refresh, sort = REFRESH in request.args, request.args.get("sort")
    shown = list_view(here, leaf, page=_page_number(), sort=sort, fresh=fresh, refresh=refresh)
    return show_list(here, leaf, shown, banner=_banner_after_redirect(here, shown))


def _banner_after_redirect(here: Visit, shown: ListView) -> Banner | None:
    """The banner after a redirect, for linked references that the list really contains."""
    rows = [row for row in shown.rows if row.fresh]
    if not rows:
        done = {"unlinked": _("Unlinked."), "followed": _("Link updated.")}.get(request.args.get("done", ""))
        return Banner(done) if done else None
    return _linked_banner(here, shown.leaf, [Row(row.pointer, row.item) for row in rows])


def _linked_banner(here: Visit, leaf: Integration, rows: list[Row]) -> Banner:
    undo = tuple(row.pointer.reference for row in rows) if here.may(Action.UNLINK) else ()
    linked = tuple(row_view(here, leaf, row) for row in rows)
    noun, nouns = leaf.descriptor.noun, leaf.descriptor.noun_plural
    many = _n("{n} {noun}", "{n} {nouns}", len(rows), noun=noun, nouns=nouns)
    return Banner(_("Linked {title}"), linked[0].title if len(rows) == 1 else many, undo, linked=linked)


def _page_number() -> int:
    text = request.args.get("page", "1")
    number = positive("page", text, 1)
    if number >= 10**6:
        raise InvalidInput("page", _("“{name}” must be a whole number from 1.", name="page"))
    return number


@views.get(f"{LEAF}/items/<id:reference>/excerpt")
def excerpt(integration: str, reference: str) -> Response:
    """The beginning of the text of an item; empty after any failure, because the row is complete without it."""
    here, leaf = visit(), panel().registry.get(integration)
    try:
        item = panel().links.item(here.visitor, leaf.id, here.object, reference).item
    except PanelError:
        item = None
    text = item.excerpt if item is not None else None
    return show_part(here, "tab/_excerpt.html", leaf, key=row_key(reference), text=text or "")


@views.get(f"{LEAF}/search")
@views.post(f"{LEAF}/search")
def search(integration: str) -> Response:
    """Search in the upstream. POST is for the form of an iframe, which submits its token: a token stays out of URLs."""
    here, leaf = visit(), panel().registry.get(integration)
    query = request.values.get("q", "").strip()
    fragment, found, problem, status = wants_fragment(), [], None, 200
    try:
        text = search_text("search", query, PICKER_LENGTH)
        found = panel().links.available(here.visitor, leaf.id, text, limit=PICKER_SIZE, obj=here.object, brief=True)
    except PanelError as exc:
        problem, status = problem_view(here, leaf, exc), status_of(exc)
    exact = len(found) == 1 and _is_reference(leaf, query)
    full = len(found) == PICKER_SIZE
    shown: dict[str, Any] = {"found": found, "query": query, "problem_view": problem, "full": full, "exact": exact}
    if fragment:
        return show_part(here, "tab/_results.html", leaf, status=status, **shown)
    return show(here, "found", leaf=leaf, status=status, **shown)


def _is_reference(leaf: Integration, text: str) -> bool:
    config, words = panel().resolver.shown_config(leaf), trimmed(text)
    return config is not None and bool(words) and leaf.looks_like_reference(config, words)


@views.post(f"{LEAF}/links")
def link(integration: str) -> Any:
    """Link one or several items. After a failure the page shows the reason, and the search box keeps its text."""
    here, leaf = visit(), panel().registry.get(integration)
    texts = [text for text in request.form.getlist("reference") if text.strip()]
    done = _link_all(here, leaf, texts)
    references = tuple(row.pointer.reference for row in done.rows)
    if redirects(here) and done.refused is None:
        return back(here, leaf, linked=list(references))
    problem = _met_problem(leaf, done)
    shown = list_view(
        here, leaf, fresh=references, sort=request.args.get("sort"), problem=problem, deadline_s=done.seconds_left
    )
    more: dict[str, Any] = {"left": done.left}
    if done.refused is not None:
        more["problem_view"] = problem_view(here, leaf, _with_reason(done.refused))
    if not done.rows:
        more["query"] = request.form.get("q", "") or (texts[0] if texts else "")
        return show_list(here, leaf, shown, status=status_of(done.refused) if done.refused else 200, **more)
    return show_list(here, leaf, shown, banner=_linked_banner(here, leaf, done.rows), **more)


def _with_reason(refused: PanelError) -> PanelError:
    """The failure, which names the reason of a failure of our storage."""
    cause = refused.__cause__
    return NotRecorded(storage_text(cause)) if isinstance(cause, STORAGE_FAILURES) else refused


def _link_all(here: Visit, leaf: Integration, texts: list[str]) -> LinkedAll:
    if not texts:
        return LinkedAll(refused=InvalidInput("reference", _("Choose a {noun} first.", noun=leaf.descriptor.noun)))
    if len(texts) > MOST_REFERENCES:
        return LinkedAll(refused=_too_many())
    try:
        return panel().links.link_all(here.visitor, leaf.id, here.object, texts)
    except PanelError as exc:
        return LinkedAll(refused=exc)


def _met_problem(leaf: Integration, done: LinkedAll) -> Problem | None:
    """Why the list of this request does not ask the source again: it has just failed, or took nearly all the time."""
    if isinstance(done.refused, ProviderUnavailable):
        return done.refused.problem
    if done.seconds_left is not None and done.seconds_left < SHORTEST_LIST_S:
        upstream = leaf.descriptor.upstream
        return Problem(Reason.TIMEOUT, _("{upstream} took nearly all the time of this request.", upstream=upstream))
    return None


def _too_many() -> InvalidInput:
    return InvalidInput(
        "reference", _("“{name}” may be given at most {most} times.", name="reference", most=MOST_REFERENCES)
    )


@views.post(f"{LEAF}/unlink")
def unlink(integration: str) -> Any:
    """Delete links. A link that does not exist is no error."""
    here, leaf = visit(), panel().registry.get(integration)
    references = request.form.getlist("reference")
    if not references:
        raise InvalidInput("reference", _("“{name}” is missing.", name="reference"))
    if len(references) > MOST_REFERENCES:
        raise _too_many()
    for reference in references:
        try:
            panel().links.unlink(here.visitor, leaf.id, here.object, reference)
        except NotFound:
            continue
    if redirects(here):
        return back(here, leaf, done="unlinked")
    title = request.form.get("title", "")[:300]
    return show_list(here, leaf, banner=Banner(_("Unlinked {title}") if title else _("Unlinked"), title))


@views.post(f"{LEAF}/items/<id:reference>/follow")
def follow(integration: str, reference: str) -> Any:
    """Point the link of a moved item to its new place. After a failure the list shows the reason."""
    here, leaf = visit(), panel().registry.get(integration)
    text = request.form.get("to", "")
    try:
        row = panel().moves.follow(here.visitor, leaf.id, here.object, reference, text)
    except PanelError as exc:
        problem = exc.problem if isinstance(exc, ProviderUnavailable) else None
        shown = list_view(here, leaf, sort=request.args.get("sort"), problem=problem)
        return show_list(here, leaf, shown, status=status_of(exc), problem_view=problem_view(here, leaf, exc))
    reference = row.pointer.reference
    if redirects(here):
        return redirect(f"{here.url('listing', integration=leaf.id, done='followed')}#row-{row_key(reference)}", 303)
    banner = Banner(_("Link updated {title}"), row_view(here, leaf, row).title)
    return show_list(here, leaf, banner=banner, focus=f"title-{row_key(reference)}")
