"""Views of the tab: list, link, unlink, and the new place of an item that moved."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flask import Response, redirect, request

from panel.accounts.principal import Action
from panel.core.domain import Problem, Row
from panel.core.errors import InvalidInput, NotFound, NotRecorded, PanelError, ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Reason
from panel.integrations.contract import Integration
from panel.links.service import LinkedAll
from panel.storage.engine import STORAGE_FAILURES
from panel.web.context import leaves_for, panel
from panel.web.error_bodies import status_of
from panel.web.formatting import key as row_key
from panel.web.parsing import positive
from panel.web.storage_words import storage_text
from panel.web.tab import undo
from panel.web.tab.linked import elsewhere, linked_banner, with_other_leaves
from panel.web.tab.list_query import LAST_PAGE, PAGE
from panel.web.tab.list_view import REFRESH, ListView, list_view
from panel.web.tab.render import show, show_list, show_part
from panel.web.tab.routing import LEAF, Views, back, redirects
from panel.web.tab.surfaces import Surface, asked_surface, show_surface
from panel.web.tab.view_models import Banner, first_leaf, problem_view, row_view
from panel.web.tab.visit import Visit, visit

views = Views()

SHORTEST_LIST_S = 0.5
"""With less time than this left, a request that linked something lists references only."""
MOST_REFERENCES = 50
"""How many items one request links or unlinks."""

DONE = {"unlinked": _("Unlinked."), "followed": _("Link updated."), "undone": _("Undone.")}
"""What a redirect says was done."""


@views.get("")
@views.post("")
def page() -> Response:
    """The list of the leaf that has something to show; without any source, a notice for each leaf."""
    here = visit()
    leaves = leaves_for(here.principal)
    if not leaves:
        raise NotFound(_("No integration is installed."))
    if (surface := asked_surface()) is not Surface.DETAIL_PAGE:
        return show_surface(here, surface)
    leaf = first_leaf(here, leaves)
    if leaf is not None or not panel().switches.connector_on():
        return show_list(here, leaf or leaves[0])
    return show(here, "unconnected", status=503, list_views=[list_view(here, leaf) for leaf in leaves])


@views.get(LEAF)
@views.post(LEAF)
def listing(integration: str) -> Response:
    """POST is for an iframe without scripts, whose forms submit its token."""
    here, leaf = visit(), panel().registry.get(integration)
    fresh = tuple(request.args.getlist("linked")[:200])
    _check_page()
    shown = list_view(here, leaf, fresh=fresh, refresh=REFRESH in request.args)
    return show_list(here, leaf, shown, banner=_banner_after_redirect(here, shown))


def _banner_after_redirect(here: Visit, shown: ListView) -> Banner | None:
    """The banner after a redirect, for linked references that the list really contains."""
    rows = [row for row in shown.rows if row.fresh]
    if not rows:
        done = DONE.get(request.args.get("done", ""))
        return Banner(done, ticket=undo.kept()) if done else None
    banner = linked_banner(here, [(shown.leaf, Row(row.pointer, row.item)) for row in rows])
    return with_other_leaves(here, banner, request.args.getlist("elsewhere")[:MOST_REFERENCES])


def _check_page() -> None:
    """Raise InvalidInput for a page that is no number."""
    if positive(PAGE, request.args.get(PAGE, "1"), 1) >= LAST_PAGE:
        raise InvalidInput(PAGE, _("“{name}” must be a whole number from 1.", name=PAGE))


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


@views.post(f"{LEAF}/links")
def link(integration: str) -> Any:
    """Link one or several items. After a failure the page shows the reason, and the search box keeps its text.

    ``elsewhere`` has those of other leaves, each as the id of the leaf, a blank, and the reference.
    """
    here, leaf = visit(), panel().registry.get(integration)
    texts = [text for text in request.form.getlist("reference") if text.strip()]
    others = [(panel().registry.get(one), found) for one, found in elsewhere(request.form).items()]
    done = _link_all(here, leaf, texts) if texts or not others else LinkedAll()
    beside = [(other, _link_all(here, other, found)) for other, found in others]
    linked = [(one, row) for one, result in [(leaf, done), *beside] for row in result.rows]
    failed = next(((one, result.refused) for one, result in [(leaf, done), *beside] if result.refused), None)
    if redirects(here) and failed is None:
        return _back_to_linked(here, leaf, linked)
    references = tuple(row.pointer.reference for row in done.rows)
    problem = _met_problem(leaf, done)
    shown = list_view(here, leaf, fresh=references, problem=problem, deadline_s=done.seconds_left)
    more: dict[str, Any] = {"left": done.left}
    if failed is not None:
        more["problem_view"] = problem_view(here, failed[0], _with_reason(failed[1]))
    if not linked:
        more["query"] = request.form.get("q", "") or (texts[0] if texts else "")
        return show_list(here, leaf, shown, status=status_of(failed[1]) if failed else 200, **more)
    return show_list(here, leaf, shown, banner=linked_banner(here, linked, at=leaf), **more)


def _back_to_linked(here: Visit, leaf: Integration, linked: list[tuple[Integration, Row]]) -> Any:
    """To the list of this leaf, or to that of another one where everything was linked there."""
    leaves = {one.id: one for one, _row in linked}
    there = leaf if leaf.id in leaves or len(leaves) != 1 else next(iter(leaves.values()))
    here_now = [row.pointer.reference for one, row in linked if one is there]
    others = [f"{one.id} {row.pointer.reference}" for one, row in linked if one is not there]
    return back(here, there, linked=here_now, elsewhere=others or None, page=None)


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
    references = [(leaf.id, reference) for reference in request.form.getlist("reference")]
    references += [(other, reference) for other, found in elsewhere(request.form).items() for reference in found]
    if not references:
        raise InvalidInput("reference", _("“{name}” is missing.", name="reference"))
    if len(references) > MOST_REFERENCES:
        raise _too_many()
    removed = []
    for of, reference in references:
        with suppress(NotFound):
            removed.append((of, panel().links.unlink(here.visitor, of, here.object, reference)))
    # An Undo is about one leaf.
    own = [pointer for of, pointer in removed if of == leaf.id]
    ticket = undo.sealed(here, leaf, own) if here.may(Action.LINK) and len(own) == len(removed) else ""
    if redirects(here):
        undo.keep(ticket)
        return back(here, leaf, done="unlinked")
    title = request.form.get("title", "")[:300]
    text = _("Unlinked {title}") if title else _("Unlinked")
    return show_list(here, leaf, banner=Banner(text, title, ticket=ticket))


@views.post(f"{LEAF}/items/<id:reference>/follow")
def follow(integration: str, reference: str) -> Any:
    """Point the link of a moved item to its new place. After a failure the list shows the reason."""
    here, leaf = visit(), panel().registry.get(integration)
    text = request.form.get("to", "")
    try:
        row = panel().moves.follow(here.visitor, leaf.id, here.object, reference, text)
    except PanelError as exc:
        problem = exc.problem if isinstance(exc, ProviderUnavailable) else None
        shown = list_view(here, leaf, problem=problem)
        return show_list(here, leaf, shown, status=status_of(exc), problem_view=problem_view(here, leaf, exc))
    reference = row.pointer.reference
    if redirects(here):
        return redirect(f"{here.url('listing', integration=leaf.id, done='followed')}#row-{row_key(reference)}", 303)
    banner = Banner(_("Link updated {title}"), row_view(here, leaf, row).title)
    return show_list(here, leaf, banner=banner, focus=f"title-{row_key(reference)}")
