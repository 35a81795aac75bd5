"""Views of the tab that change an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Response, redirect, request

from panel.core.errors import ChangedUpstream, InvalidInput, NotFound, NotRecorded, PanelError
from panel.core.messages import _, sentences
from panel.integrations.contract import Integration
from panel.storage.engine import STORAGE_FAILURES
from panel.web.context import panel
from panel.web.error_bodies import status_of
from panel.web.formatting import key as row_key
from panel.web.htmx import wants_fragment
from panel.web.parsing import field_texts
from panel.web.tab.asked_fields import asked_inputs, submitted_asked, with_asked
from panel.web.tab.edit_form import EditForm, changes, edit_conflicts, edit_form, what_changed
from panel.web.tab.form_errors import FormErrors, not_changed_for_storage, why_not_changed
from panel.web.tab.inputs import ASKED, Input, typed
from panel.web.tab.render import show, show_list, show_part
from panel.web.tab.routing import LEAF, NO_LIST, Views, redirects, roll_back, told_anyway, with_wait
from panel.web.tab.view_models import Banner, row_view
from panel.web.tab.visit import Visit, visit

views = Views()


@views.get(f"{LEAF}/items/<id:reference>/edit")
@views.post(f"{LEAF}/items/<id:reference>/edit")
def edit(integration: str, reference: str) -> Response:
    here, leaf = _editor(integration)
    try:
        form = edit_form(here, leaf, panel().links.item(here.visitor, leaf.id, here.object, reference))
    except PanelError as exc:
        return _edit_refused(here, leaf, reference, exc)
    return _edit_page(here, leaf, reference, form)


@views.post(f"{LEAF}/items/<id:reference>/update")
def update(integration: str, reference: str) -> Any:
    here, leaf = _editor(integration)
    changed, asked = dict(changes(leaf, request.form)), submitted_asked(request.form)
    if not changed and not asked:
        return _updated(here, leaf, reference, Banner(_("Nothing was changed.")))
    lock = request.form.get("lockVersion", "")
    sent = {**changed, **({"lockVersion": lock} if lock else {})}
    try:
        sent = with_asked(field_texts(sent), request.form)
        row = panel().links.update(here.visitor, leaf.id, here.object, reference, sent)
    except ChangedUpstream:
        return _edit_conflict(here, leaf, reference, changed, asked)
    except STORAGE_FAILURES as exc:
        roll_back(exc)
        return with_wait(_edit_again(here, leaf, reference, not_changed_for_storage(exc), {}, 503), exc)
    except PanelError as exc:
        with told_anyway(exc):
            return _not_updated(here, leaf, reference, exc)
    with told_anyway(
        NotRecorded(sentences(_("The change was made in {upstream}.", upstream=leaf.descriptor.upstream), NO_LIST))
    ):
        return _updated(here, leaf, reference, Banner(what_changed(leaf, row, request.form, changed)))


def _editor(integration: str) -> tuple[Visit, Integration]:
    """The visit and the leaf. Raises NotFound for a leaf without update."""
    here, leaf = visit(), panel().registry.get(integration)
    if not leaf.descriptor.update:
        raise NotFound(_("{upstream} cannot be changed from here.", upstream=leaf.descriptor.upstream))
    return here, leaf


def _updated(here: Visit, leaf: Integration, reference: str, banner: Banner) -> Any:
    if redirects(here):
        return redirect(f"{here.url('listing', integration=leaf.id)}#row-{row_key(reference)}", 303)
    # The form targets itself; after saving, the response replaces the whole list instead.
    headers = {"HX-Retarget": "#lp-body", "HX-Reselect": "#lp-body", "HX-Reswap": "outerHTML"}
    return show_list(here, leaf, banner=banner, focus=f"more-{row_key(reference)}", headers=headers)


def _edit_conflict(
    here: Visit, leaf: Integration, reference: str, changed: Mapping[str, Any], asked: Mapping[str, str]
) -> Response:
    """The item changed after the form was loaded: show the current values and let the user decide."""
    try:
        fresh = edit_form(here, leaf, panel().links.item(here.visitor, leaf.id, here.object, reference))
    except PanelError as exc:
        return _edit_refused(here, leaf, reference, exc)
    chosen = {name: value or "" for name, value in changed.items()}
    chosen |= {f"{ASKED}{name}": value for name, value in asked.items()}
    form = replace(fresh, conflicts=edit_conflicts(leaf, fresh, request.form, changed))
    return _edit_page(here, leaf, reference, form, chosen=chosen, status=409)


def _not_updated(here: Visit, leaf: Integration, reference: str, exc: PanelError) -> Response:
    submitted = submitted_asked(request.form)
    asked = asked_inputs(here, leaf, exc, {}, submitted, known=leaf.descriptor.update, reference=reference)
    form_errors, errors = why_not_changed(here, leaf, exc, asked)
    status = 422 if isinstance(exc, InvalidInput) else status_of(exc)
    return _edit_again(here, leaf, reference, form_errors, errors, status, asked)


def _edit_again(
    here: Visit, leaf: Integration, reference: str, form_errors: FormErrors, errors: Mapping[str, str], status: int,
    asked: Sequence[Input] | None = None,
) -> Response:  # fmt: skip
    """The form with the submitted values; without it while the item cannot be read."""
    if asked is None:
        submitted, known = submitted_asked(request.form), leaf.descriptor.update
        asked = asked_inputs(here, leaf, None, {}, submitted, known=known, reference=reference)
    try:
        row = panel().links.item(here.visitor, leaf.id, here.object, reference)
        values = typed(leaf.descriptor.update, request.form)
        form = edit_form(here, leaf, row, values=values, errors=errors, form_errors=form_errors, asked=asked)
    except PanelError:
        return _edit_page(here, leaf, reference, None, form_errors=form_errors, status=status)
    return _edit_page(here, leaf, reference, form, status=status)


def _edit_refused(here: Visit, leaf: Integration, reference: str, exc: PanelError) -> Response:
    form_errors = why_not_changed(here, leaf, exc)[0]
    return _edit_page(here, leaf, reference, None, form_errors=form_errors, status=status_of(exc))


def _edit_page(
    here: Visit, leaf: Integration, reference: str, form: EditForm | None, *, form_errors: FormErrors | None = None,
    chosen: dict[str, str] | None = None, status: int = 200,
) -> Response:  # fmt: skip
    view = row_view(here, leaf, form.row) if form is not None else None
    form_errors = form_errors or (form.form_errors if form is not None else None)
    shown: dict[str, Any] = {"form": form, "row_view": view, "form_errors": form_errors, "chosen": chosen or {}}
    shown |= {"reference_of": reference, "key": row_key(reference)}
    if wants_fragment():
        return show_part(here, "tab/_edit.html", leaf, status=status, **shown)
    return show(here, "change", leaf=leaf, status=status, **shown)
