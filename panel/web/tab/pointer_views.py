"""Views of the tab that change a link itself: another item in its place, its note, and Undo."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, request

from panel.core.domain import LinkedObjects, Row
from panel.core.errors import AlreadyLinked, InvalidInput, PanelError, ProviderUnavailable
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.web.context import panel
from panel.web.error_bodies import status_of
from panel.web.formatting import key as row_key
from panel.web.htmx import wants_fragment
from panel.web.tab import undo
from panel.web.tab.list_view import list_view
from panel.web.tab.render import show, show_list, show_part
from panel.web.tab.routing import LEAF, Views, redirects
from panel.web.tab.view_models import Banner, problem_view, row_view
from panel.web.tab.visit import Visit, visit

views = Views()


@views.post(f"{LEAF}/items/<id:reference>/repoint")
def repoint(integration: str, reference: str) -> Any:
    """Point a link to the one chosen item. After a failure the list shows the reason, still choosing."""
    here, leaf = visit(), panel().registry.get(integration)
    chosen = [text for text in request.form.getlist("reference") if text.strip()]
    try:
        if len(chosen) != 1:
            raise InvalidInput("reference", _("Choose one {noun}.", noun=leaf.descriptor.noun))
        before, row = panel().amendments.repoint(here.visitor, leaf.id, here.object, reference, chosen[0])
    except PanelError as exc:
        return _refused(here, leaf, exc, replacing=reference)
    ticket = undo.sealed(here, leaf, [before], row.pointer.reference)
    return _repointed(here, leaf, row, ticket)


def _repointed(here: Visit, leaf: Integration, row: Row, ticket: str) -> Any:
    key = row_key(row.pointer.reference)
    if redirects(here):
        undo.keep(ticket)
        return redirect(f"{here.url('listing', integration=leaf.id, done='followed')}#row-{key}", 303)
    banner = Banner(_("Link updated {title}"), row_view(here, leaf, row).title, ticket=ticket)
    return show_list(here, leaf, banner=banner, focus=f"title-{key}")


@views.post(f"{LEAF}/undo")
def undo_change(integration: str) -> Any:
    """Restore the links of an Undo. Those that exist again are no error."""
    here, leaf = visit(), panel().registry.get(integration)
    try:
        done = undo.opened(here, leaf, request.form.get("ticket", ""))
        _restore(here, leaf, done)
    except PanelError as exc:
        return _refused(here, leaf, exc)
    references = [pointer.reference for pointer in done.before]
    if redirects(here):
        return redirect(here.url("listing", integration=leaf.id, done="undone"), 303)
    return show_list(here, leaf, banner=Banner(_("Undone.")), focus=f"title-{row_key(references[0])}")


def _restore(here: Visit, leaf: Integration, done: undo.Undo) -> None:
    service = panel().amendments
    for before in done.before:
        if done.reference:
            service.point_back(here.visitor, leaf.id, here.object, done.reference, before)
        else:
            service.relink(here.visitor, leaf.id, here.object, before)


@views.get(f"{LEAF}/items/<id:reference>/about")
def about(integration: str, reference: str) -> Response:
    """The note of a link, and the other objects of its item."""
    here, leaf = visit(), panel().registry.get(integration)
    return _about(here, leaf, reference)


@views.post(f"{LEAF}/items/<id:reference>/note")
def note(integration: str, reference: str) -> Any:
    here, leaf = visit(), panel().registry.get(integration)
    text = request.form.get("note", "")
    try:
        panel().amendments.write_note(here.visitor, leaf.id, here.object, reference, text)
    except InvalidInput as exc:
        return _about(here, leaf, reference, text=text, refused=exc)
    if redirects(here):
        return redirect(f"{here.url('listing', integration=leaf.id)}#row-{row_key(reference)}", 303)
    headers = {"HX-Retarget": "#lp-body", "HX-Reselect": "#lp-body", "HX-Reswap": "outerHTML"}
    banner = Banner(_("Note saved.") if text.strip() else _("Note removed."))
    return show_list(here, leaf, banner=banner, focus=f"more-{row_key(reference)}", headers=headers)


def _about(
    here: Visit, leaf: Integration, reference: str, *, text: str | None = None, refused: PanelError | None = None
) -> Response:
    row = panel().links.pointer(here.visitor, leaf.id, here.object, reference)
    shown: dict[str, Any] = {
        "row_view": row_view(here, leaf, Row(row, None)),
        "note": row.note if text is None else text,
        "refused": refused,
        "elsewhere": _elsewhere(here, leaf, reference),
    }
    status = 422 if refused is not None else 200
    if wants_fragment():
        return show_part(here, "tab/_about.html", leaf, status=status, **shown)
    return show(here, "about_page", leaf=leaf, status=status, **shown)


def _elsewhere(here: Visit, leaf: Integration, reference: str) -> LinkedObjects | None:
    """The other objects of an item. An embed token opens one object only, so nothing is said there."""
    if here.token:
        return None
    found = panel().links.objects_of(here.visitor, leaf.id, reference)
    others = tuple(one for one in found.items if one.object != here.object)
    return LinkedObjects(others, found.total - len(found.items) + len(others))


def _refused(here: Visit, leaf: Integration, exc: PanelError, **more: Any) -> Response:
    problem = exc.problem if isinstance(exc, ProviderUnavailable) else None
    shown = list_view(here, leaf, problem=problem)
    status = 409 if isinstance(exc, AlreadyLinked) else status_of(exc)
    return show_list(here, leaf, shown, status=status, problem_view=problem_view(here, leaf, exc), **more)
