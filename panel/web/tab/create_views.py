"""Views of the tab that create an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Response, redirect, request

from panel.core.domain import Row
from panel.core.errors import AlreadyExists, InvalidInput, NotFound, NotRecorded, PanelError, ProviderUnavailable
from panel.core.messages import _, sentences
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field
from panel.links.reading import Found
from panel.storage.engine import STORAGE_FAILURES
from panel.web.context import panel
from panel.web.error_bodies import status_of
from panel.web.formatting import key as row_key
from panel.web.parsing import SEARCH_LENGTH, search_text
from panel.web.tab.asked_fields import asked_inputs, further, searched_input, submitted_asked, with_asked
from panel.web.tab.create_form import CreateForm, create_form, prefilled
from panel.web.tab.form_errors import FormErrors, incomplete, not_created_for_storage, why_not_created
from panel.web.tab.inputs import (
    ASKED,
    SEARCH,
    WITHIN,
    Input,
    browsed,
    chosen_labels,
    filled,
    inputs,
    missing,
    searched,
    typed,
)
from panel.web.tab.render import show, show_list, show_part
from panel.web.tab.routing import LEAF, NO_LIST, Views, redirects, roll_back, told_anyway, with_wait
from panel.web.tab.view_models import Banner, problem_view, row_view
from panel.web.tab.visit import Visit, visit

views = Views()


@views.get(f"{LEAF}/new")
def new(integration: str) -> Response:
    here, leaf = _creator(integration)
    values = prefilled(here, leaf, request.args.get("text", "")[:1000])
    try:
        return _create_page(here, leaf, create_form(here, leaf, values))
    except ProviderUnavailable as exc:
        return show_list(here, leaf, status=status_of(exc))
    except PanelError as exc:
        text = request.args.get("text", "")
        return show_list(here, leaf, status=status_of(exc), problem_view=problem_view(here, leaf, exc), query=text)


@views.post(f"{LEAF}/new/fields")
def new_fields(integration: str) -> Response:
    """The fields that depend on the one that was changed, and those that the upstream requires now."""
    here, leaf = _creator(integration)
    values = typed(leaf.descriptor.create, request.form)
    changed = request.args.get("changed", "")
    dependent = [one for one in leaf.descriptor.create if one.depends_on and one.depends_on == changed]
    known = {name: value for name, value in values.items() if name not in {one.name for one in dependent}}
    try:
        drawn = inputs(here, leaf, dependent, known, {})
    except PanelError as exc:
        unasked = create_form(here, leaf, known, ask=False).inputs
        drawn = [replace(one, error=exc.message) for one in unasked if one.field in dependent]
    beside = further(here, leaf, known, submitted_asked(request.form))
    return show_part(here, "tab/_fields.html", leaf, inputs=drawn, further=beside)


@views.get(f"{LEAF}/new/choices")
def new_choices(integration: str) -> Response:
    """The choices of one field that match what was typed."""
    here, leaf = _creator(integration)
    name = request.args.get("field", "")
    if name.startswith(ASKED):
        return _asked_choices(here, leaf, name)
    field = next((one for one in leaf.descriptor.create if one.name == name), None)
    if field is None:
        raise NotFound(_("This form has no such field."))
    values = {**typed(leaf.descriptor.create, request.args), **searched(leaf.descriptor.create, request.args)}
    values |= (below := browsed(leaf.descriptor.create, request.args))
    values |= {name.removeprefix(WITHIN): text for name, text in below.items()}
    if field.kind == "suggest":
        values[f"{SEARCH}{name}"] = search_text(name, values[name], SEARCH_LENGTH)
    try:
        drawn = inputs(here, leaf, [field], values, {})
    except PanelError as exc:
        drawn = [Input(field, error=problem_view(here, leaf, exc).title, search=values.get(f"{SEARCH}{name}", ""))]
    return show_part(here, "tab/_choices.html", leaf, one=drawn[0])


@views.get(f"{LEAF}/new/existing")
def new_existing(integration: str) -> Response:
    """The item that stands already where the form would make one, while its fields are filled."""
    here, leaf = _creator(integration)
    existing = _existing(here, leaf, typed(leaf.descriptor.create, request.args))
    return show_part(here, "tab/_existing.html", leaf, existing=existing)


def _existing(here: Visit, leaf: Integration, values: Mapping[str, str]) -> Found | None:
    """What the form would meet; None while the upstream does not say."""
    try:
        return panel().links.existing(here.visitor, leaf.id, values, obj=here.object)
    except PanelError:
        return None


def _asked_choices(here: Visit, leaf: Integration, name: str) -> Response:
    """The choices of a field that the upstream asked for."""
    one, words = Input(Field(name, "", "select")), request.args.get(f"{SEARCH}{name}", "").strip()[:SEARCH_LENGTH]
    values = typed(leaf.descriptor.create, request.args)
    try:
        one = searched_input(here, leaf, one, values, words)
    except PanelError as exc:
        one = replace(one, error=problem_view(here, leaf, exc).title, search=words)
    return show_part(here, "tab/_choices.html", leaf, one=one)


@views.post(f"{LEAF}/new")
def create(integration: str) -> Any:
    here, leaf = _creator(integration)
    values, key = typed(leaf.descriptor.create, request.form), request.form.get("key", "")[:200]
    values |= searched(leaf.descriptor.create, request.form)
    below = browsed(leaf.descriptor.create, request.form)
    if "show" in request.form or below:
        values |= below | {name.removeprefix(WITHIN): text for name, text in below.items()}
        return _create_page(here, leaf, _form_again(here, leaf, values, {}, None, key))
    errors = missing(leaf.descriptor.create, values)
    if errors:
        return _create_page(here, leaf, _form_again(here, leaf, values, errors, incomplete(errors), key), status=422)
    try:
        given = with_asked(filled(leaf.descriptor.create, values), request.form, blank=False)
        row = panel().links.create(here.visitor, leaf.id, here.object, given, key=key or None)
    except STORAGE_FAILURES as exc:
        roll_back(exc)
        form = _form_again(here, leaf, values, {}, not_created_for_storage(exc), key)
        return with_wait(_create_page(here, leaf, form, status=503), exc)
    except PanelError as exc:
        with told_anyway(exc):
            return _not_created(here, leaf, values, key, exc)
    with told_anyway(
        NotRecorded(sentences(_("The {noun} was created and linked.", noun=leaf.descriptor.noun), NO_LIST))
    ):
        return _created(here, leaf, row)


def _creator(integration: str) -> tuple[Visit, Integration]:
    """The visit and the leaf. Raises NotFound for a leaf without create."""
    here, leaf = visit(), panel().registry.get(integration)
    if not leaf.descriptor.create:
        raise NotFound(_("Nothing can be created in {upstream} from here.", upstream=leaf.descriptor.upstream))
    return here, leaf


def _created(here: Visit, leaf: Integration, row: Row) -> Any:
    reference, remarks = row.pointer.reference, row.item.remarks if row.item is not None else ()
    # A redirect would lose the remarks, so the list is the answer then.
    if redirects(here) and not remarks:
        there = here.url("listing", integration=leaf.id, linked=reference, page=None)
        return redirect(f"{there}#row-{row_key(reference)}", 303)
    shown = row_view(here, leaf, row)
    headers = {"HX-Push-Url": here.url("listing", integration=leaf.id, page=None)} if here.keeps_history else {}
    banner = Banner(_("Created and linked {title}"), shown.title, remarks=remarks, linked=((leaf.id, shown),))
    return show_list(
        here, leaf, fresh=(reference,), banner=banner, focus=f"title-{row_key(reference)}", headers=headers
    )


def _not_created(here: Visit, leaf: Integration, values: dict[str, str], key: str, exc: PanelError) -> Response:
    asked = asked_inputs(here, leaf, exc, values, submitted_asked(request.form), known=leaf.descriptor.create)
    form_errors, errors = why_not_created(here, leaf, exc, asked)
    # A retry after an uncertain create is intended, so it gets a new key. Otherwise the key stays: a second submit by
    # accident then creates nothing.
    existing = _existing(here, leaf, values) if isinstance(exc, AlreadyExists) else None
    again = "" if form_errors.uncertain else key
    form = _form_again(here, leaf, values, errors, form_errors, again, asked, existing)
    return _create_page(here, leaf, form, status=422 if isinstance(exc, InvalidInput) else status_of(exc))


def _form_again(
    here: Visit,
    leaf: Integration,
    values: dict[str, str],
    errors: Mapping[str, str],
    form_errors: FormErrors | None,
    key: str,
    asked: Sequence[Input] = (),
    existing: Found | None = None,
) -> CreateForm:
    """The form with the submitted values; without choices while the upstream is unavailable."""
    unavailable = form_errors is not None and (form_errors.notice is not None or form_errors.uncertain)
    again: dict[str, Any] = {"errors": errors, "key": key, "asked": asked, "submitted": submitted_asked(request.form)}
    again |= {"existing": existing, "labels": chosen_labels(leaf.descriptor.create, request.form)}
    try:
        return create_form(here, leaf, values, form_errors=form_errors, ask=not unavailable, **again)
    except PanelError as exc:
        form_errors = form_errors or why_not_created(here, leaf, exc)[0]
        return create_form(here, leaf, values, form_errors=form_errors, ask=False, **again)


def _create_page(here: Visit, leaf: Integration, form: CreateForm, *, status: int = 200) -> Response:
    return show(here, "create", leaf=leaf, form=form, status=status)
