"""The views of the tab of one object: list, search, link, unlink, create and change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from flask import Blueprint, Response, redirect, request

from panel.accounts.principal import Action
from panel.core.domain import Problem, Row
from panel.core.errors import ChangedUpstream, InvalidInput, NotFound, NotRecorded, PanelError, ProviderUnavailable
from panel.core.reasons import Reason
from panel.core.text import trimmed
from panel.integrations.contract import Integration
from panel.links.service import LinkedAll
from panel.storage.engine import STORAGE_FAILURES, db
from panel.web.context import leaves_for, panel
from panel.web.error_bodies import status_of
from panel.web.failure_log import log_storage_failure
from panel.web.formatting import key as row_key
from panel.web.htmx import wants_fragment
from panel.web.parsing import PICKER_LENGTH, SEARCH_LENGTH, field_texts, positive, search_text
from panel.web.storage_words import retry_header, storage_text
from panel.web.tab.asked_fields import asked_inputs, submitted_asked, with_asked
from panel.web.tab.forms import (
    ASKED,
    SEARCH,
    CreateForm,
    EditForm,
    FormErrors,
    Input,
    changes,
    create_form,
    edit_conflicts,
    edit_form,
    filled,
    incomplete,
    inputs,
    missing,
    prefilled,
    searched,
    storage_failed,
    typed,
    what_changed,
    why_not_changed,
    why_not_created,
)
from panel.web.tab.render import show, show_list, show_part
from panel.web.tab.view_models import REFRESH, Banner, ListView, first_connected, list_view, problem_view, row_view
from panel.web.tab.visit import Visit, take_object_reference, visit

_VIEWS: list[tuple[str, str, Callable[..., Any]]] = []
"""Method, rule and function of every view. Two blueprints register them: ``objects`` and ``embed``."""

View = TypeVar("View", bound=Callable[..., Any])

LEAF = "/integrations/<integration>"
_NO_LIST = "The panel's own storage does not answer now, so the list cannot be shown."
SHORTEST_LIST_S = 0.5
"""With less time than this left, a request that linked something lists references only."""
PICKER_SIZE = 10
"""Maximum number of results in the picker."""
MOST_REFERENCES = 50
"""How many items one request links or unlinks."""


def _get(rule: str) -> Callable[[View], View]:
    return _on("GET", rule)


def _post(rule: str) -> Callable[[View], View]:
    return _on("POST", rule)


def _on(method: str, rule: str) -> Callable[[View], View]:
    def register(view: View) -> View:
        _VIEWS.append((method, rule, view))
        return view

    return register


def blueprint(name: str, url_prefix: str) -> Blueprint:
    """A blueprint with all views of the tab, below an address that identifies the object."""
    tab = Blueprint(name, __name__, url_prefix=f"{url_prefix}/<part:register>/<part:schema>/<part:object_id>")
    tab.url_value_preprocessor(take_object_reference)
    for method, rule, view in _VIEWS:
        tab.add_url_rule(rule, view_func=view, methods=[method])
    return tab


def _redirects(here: Visit) -> bool:
    """Whether an action ends with a redirect to the list. Not with an embed token, which stays out of URLs."""
    return here.keeps_history and not wants_fragment()


def _roll_back(exc: Exception) -> None:
    """Log a storage failure and make the session usable, so that a form can be drawn with what was typed."""
    log_storage_failure(exc)
    db.session.rollback()


def _with_wait(response: Response, exc: Exception) -> Response:
    response.headers.update(retry_header(exc))
    return response


@contextmanager
def _told_anyway(exc: PanelError) -> Iterator[None]:
    """Raise ``exc`` itself where our storage cannot even be read: what is known of a write counts for more."""
    try:
        yield
    except STORAGE_FAILURES as storage:
        _roll_back(storage)
        raise exc from None


def _back(here: Visit, leaf: Integration, **values: Any) -> Any:
    return redirect(here.url("listing", integration=leaf.id, **values), 303)


# --- reading ---------------------------------------------------------------------------------------------------------


@_get("")
def page() -> Response:
    """The list of the first leaf that has a source; without any source, a notice for each leaf."""
    here = visit()
    leaves = leaves_for(here.principal)
    if not leaves:
        raise NotFound("No integration is installed.")
    leaf = first_connected(leaves)
    if leaf is not None or not panel().switches.connector_on():
        return show_list(here, leaf or leaves[0])
    return show(here, "unconnected", status=503, list_views=[list_view(here, leaf) for leaf in leaves])


@_get(LEAF)
def listing(integration: str) -> Response:
    here, leaf = visit(), panel().registry.get(integration)
    fresh = tuple(request.args.getlist("linked")[:200])
    refresh, sort = REFRESH in request.args, request.args.get("sort")
    shown = list_view(here, leaf, page=_page_number(), sort=sort, fresh=fresh, refresh=refresh)
    return show_list(here, leaf, shown, banner=_banner_after_redirect(here, shown))


def _banner_after_redirect(here: Visit, shown: ListView) -> Banner | None:
    """The banner after a redirect, for linked references that the list really contains."""
    rows = [row for row in shown.rows if row.fresh]
    if not rows:
        done = {"unlinked": "Unlinked.", "followed": "Link updated."}.get(request.args.get("done", ""))
        return Banner(done) if done else None
    return _linked_banner(here, shown.leaf, [Row(row.pointer, row.item) for row in rows])


def _linked_banner(here: Visit, leaf: Integration, rows: list[Row]) -> Banner:
    undo = tuple(row.pointer.reference for row in rows) if here.may(Action.UNLINK) else ()
    if len(rows) == 1:
        return Banner("Linked", row_view(here, leaf, rows[0]).title, undo)
    return Banner("Linked", f"{len(rows)} {leaf.descriptor.noun_plural}", undo)


def _page_number() -> int:
    text = request.args.get("page", "1")
    number = positive("page", text, 1)
    if number >= 10**6:
        raise InvalidInput("page", "“page” must be a whole number from 1.")
    return number


@_get(f"{LEAF}/items/<id:reference>/excerpt")
def excerpt(integration: str, reference: str) -> Response:
    """The beginning of the text of an item; empty after any failure, because the row is complete without it."""
    here, leaf = visit(), panel().registry.get(integration)
    try:
        item = panel().links.item(here.visitor, leaf.id, here.object, reference).item
    except PanelError:
        item = None
    text = item.excerpt if item is not None else None
    return show_part(here, "tab/_excerpt.html", leaf, key=row_key(reference), text=text or "")


# --- linking ---------------------------------------------------------------------------------------------------------


@_get(f"{LEAF}/search")
@_post(f"{LEAF}/search")
def search(integration: str) -> Response:
    """Search in the upstream. POST is for the form of an iframe, which submits its token: a token stays out of URLs."""
    here, leaf = visit(), panel().registry.get(integration)
    query = request.values.get("q", "").strip()
    fragment, found, problem, status = wants_fragment(), [], None, 200
    try:
        text = search_text("search", query, PICKER_LENGTH)
        found = panel().links.available(here.visitor, leaf.id, text, limit=PICKER_SIZE, obj=here.object)
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


@_post(f"{LEAF}/links")
def link(integration: str) -> Any:
    """Link one or several items. After a failure the page shows the reason, and the search box keeps its text."""
    here, leaf = visit(), panel().registry.get(integration)
    texts = [text for text in request.form.getlist("reference") if text.strip()]
    done = _link_all(here, leaf, texts)
    references = tuple(row.pointer.reference for row in done.rows)
    if _redirects(here) and done.refused is None:
        return _back(here, leaf, linked=list(references))
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
        return LinkedAll(refused=InvalidInput("reference", f"Choose a {leaf.descriptor.noun} first."))
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
        return Problem(Reason.TIMEOUT, f"{leaf.descriptor.upstream} took nearly all the time of this request.")
    return None


def _too_many() -> InvalidInput:
    return InvalidInput("reference", f"“reference” may be given at most {MOST_REFERENCES} times.")


@_post(f"{LEAF}/unlink")
def unlink(integration: str) -> Any:
    """Delete links. A link that does not exist is no error."""
    here, leaf = visit(), panel().registry.get(integration)
    references = request.form.getlist("reference")
    if not references:
        raise InvalidInput("reference", "“reference” is missing.")
    if len(references) > MOST_REFERENCES:
        raise _too_many()
    for reference in references:
        try:
            panel().links.unlink(here.visitor, leaf.id, here.object, reference)
        except NotFound:
            continue
    if _redirects(here):
        return _back(here, leaf, done="unlinked")
    return show_list(here, leaf, banner=Banner("Unlinked", request.form.get("title", "")[:300]))


# --- creating --------------------------------------------------------------------------------------------------------


@_get(f"{LEAF}/new")
def new(integration: str) -> Response:
    here, leaf = _creator(integration)
    values = prefilled(leaf, request.args.get("text", "")[:1000])
    try:
        return _create_page(here, leaf, create_form(here, leaf, values))
    except ProviderUnavailable as exc:
        return show_list(here, leaf, status=status_of(exc))
    except PanelError as exc:
        text = request.args.get("text", "")
        return show_list(here, leaf, status=status_of(exc), problem_view=problem_view(here, leaf, exc), query=text)


@_get(f"{LEAF}/new/fields")
def new_fields(integration: str) -> Response:
    """The fields whose choices depend on the field that was changed."""
    here, leaf = _creator(integration)
    values = typed(leaf.descriptor.create, request.args)
    dependent = [one for one in leaf.descriptor.create if one.depends_on and one.depends_on in request.args]
    known = {name: value for name, value in values.items() if name not in {one.name for one in dependent}}
    try:
        drawn = inputs(here, leaf, dependent, known, {})
    except PanelError as exc:
        unasked = create_form(here, leaf, known, ask=False).inputs
        drawn = [replace(one, error=str(exc)) for one in unasked if one.field in dependent]
    return show_part(here, "tab/_fields.html", leaf, inputs=drawn)


@_get(f"{LEAF}/new/choices")
def new_choices(integration: str) -> Response:
    """The choices of one field that match what was typed."""
    here, leaf = _creator(integration)
    name = request.args.get("field", "")
    field = next((one for one in leaf.descriptor.create if one.name == name), None)
    if field is None:
        raise NotFound("This form has no such field.")
    values = {**typed(leaf.descriptor.create, request.args), **searched(leaf.descriptor.create, request.args)}
    if field.kind == "suggest":
        values[f"{SEARCH}{name}"] = search_text(name, values[name], SEARCH_LENGTH)
    try:
        drawn = inputs(here, leaf, [field], values, {})
    except PanelError as exc:
        drawn = [Input(field, error=problem_view(here, leaf, exc).title, search=values.get(f"{SEARCH}{name}", ""))]
    return show_part(here, "tab/_choices.html", leaf, one=drawn[0])


@_post(f"{LEAF}/new")
def create(integration: str) -> Any:
    here, leaf = _creator(integration)
    values, key = typed(leaf.descriptor.create, request.form), request.form.get("key", "")[:200]
    values |= searched(leaf.descriptor.create, request.form)
    if "show" in request.form:
        return _create_page(here, leaf, _form_again(here, leaf, values, {}, None, key))
    errors = missing(leaf.descriptor.create, values)
    if errors:
        return _create_page(here, leaf, _form_again(here, leaf, values, errors, incomplete(errors), key), status=422)
    try:
        given = with_asked(filled(leaf.descriptor.create, values), request.form, blank=False)
        row = panel().links.create(here.visitor, leaf.id, here.object, given, key=key or None)
    except STORAGE_FAILURES as exc:
        _roll_back(exc)
        form = _form_again(here, leaf, values, {}, storage_failed("created", exc), key)
        return _with_wait(_create_page(here, leaf, form, status=503), exc)
    except PanelError as exc:
        with _told_anyway(exc):
            return _not_created(here, leaf, values, key, exc)
    with _told_anyway(NotRecorded(f"The {leaf.descriptor.noun} was created and linked. {_NO_LIST}")):
        return _created(here, leaf, row)


def _creator(integration: str) -> tuple[Visit, Integration]:
    """The visit and the leaf. Raises NotFound for a leaf without create."""
    here, leaf = visit(), panel().registry.get(integration)
    if not leaf.descriptor.create:
        raise NotFound(f"Nothing can be created in {leaf.descriptor.upstream} from here.")
    return here, leaf


def _created(here: Visit, leaf: Integration, row: Row) -> Any:
    reference, remarks = row.pointer.reference, row.item.remarks if row.item is not None else ()
    # A redirect would lose the remarks, so the list is the answer then.
    if _redirects(here) and not remarks:
        return redirect(f"{here.url('listing', integration=leaf.id, linked=reference)}#row-{row_key(reference)}", 303)
    title = row_view(here, leaf, row).title
    headers = {"HX-Push-Url": here.url("listing", integration=leaf.id)} if here.keeps_history else {}
    banner = Banner("Created and linked", title, remarks=remarks)
    return show_list(
        here, leaf, fresh=(reference,), banner=banner, focus=f"title-{row_key(reference)}", headers=headers
    )


def _not_created(here: Visit, leaf: Integration, values: dict[str, str], key: str, exc: PanelError) -> Response:
    asked = asked_inputs(here, leaf, exc, values, submitted_asked(request.form), known=leaf.descriptor.create)
    form_errors, errors = why_not_created(here, leaf, exc, asked)
    # A retry after an uncertain create is intended, so it gets a new key. Otherwise the key stays: a second submit by
    # accident then creates nothing.
    form = _form_again(here, leaf, values, errors, form_errors, "" if form_errors.uncertain else key, asked)
    return _create_page(here, leaf, form, status=422 if isinstance(exc, InvalidInput) else status_of(exc))


def _form_again(
    here: Visit,
    leaf: Integration,
    values: dict[str, str],
    errors: Mapping[str, str],
    form_errors: FormErrors | None,
    key: str,
    asked: Sequence[Input] | None = None,
) -> CreateForm:
    """The form with the submitted values; without choices while the upstream is unavailable."""
    if asked is None:
        asked = asked_inputs(here, leaf, None, values, submitted_asked(request.form), known=leaf.descriptor.create)
    unavailable = form_errors is not None and (form_errors.notice is not None or form_errors.uncertain)
    again: dict[str, Any] = {"errors": errors, "key": key, "asked": asked}
    try:
        return create_form(here, leaf, values, form_errors=form_errors, ask=not unavailable, **again)
    except PanelError as exc:
        form_errors = form_errors or why_not_created(here, leaf, exc)[0]
        return create_form(here, leaf, values, form_errors=form_errors, ask=False, **again)


def _create_page(here: Visit, leaf: Integration, form: CreateForm, *, status: int = 200) -> Response:
    return show(here, "create", leaf=leaf, form=form, status=status)


# --- changing --------------------------------------------------------------------------------------------------------


@_get(f"{LEAF}/items/<id:reference>/edit")
def edit(integration: str, reference: str) -> Response:
    here, leaf = _editor(integration)
    try:
        form = edit_form(here, leaf, panel().links.item(here.visitor, leaf.id, here.object, reference))
    except PanelError as exc:
        return _edit_refused(here, leaf, reference, exc)
    return _edit_page(here, leaf, reference, form)


@_post(f"{LEAF}/items/<id:reference>/update")
def update(integration: str, reference: str) -> Any:
    here, leaf = _editor(integration)
    changed, asked = dict(changes(leaf, request.form)), submitted_asked(request.form)
    if not changed and not asked:
        return _updated(here, leaf, reference, Banner("Nothing was changed."))
    lock = request.form.get("lockVersion", "")
    sent = {**changed, **({"lockVersion": lock} if lock else {})}
    try:
        sent = with_asked(field_texts(sent), request.form)
        row = panel().links.update(here.visitor, leaf.id, here.object, reference, sent)
    except ChangedUpstream:
        return _edit_conflict(here, leaf, reference, changed, asked)
    except STORAGE_FAILURES as exc:
        _roll_back(exc)
        return _with_wait(_edit_again(here, leaf, reference, storage_failed("changed", exc), {}, 503), exc)
    except PanelError as exc:
        with _told_anyway(exc):
            return _not_updated(here, leaf, reference, exc)
    with _told_anyway(NotRecorded(f"The change was made in {leaf.descriptor.upstream}. {_NO_LIST}")):
        return _updated(here, leaf, reference, Banner(what_changed(leaf, row, request.form, changed)))


@_post(f"{LEAF}/items/<id:reference>/follow")
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
    if _redirects(here):
        return redirect(f"{here.url('listing', integration=leaf.id, done='followed')}#row-{row_key(reference)}", 303)
    banner = Banner("Link updated", row_view(here, leaf, row).title)
    return show_list(here, leaf, banner=banner, focus=f"title-{row_key(reference)}")


def _editor(integration: str) -> tuple[Visit, Integration]:
    """The visit and the leaf. Raises NotFound for a leaf without update."""
    here, leaf = visit(), panel().registry.get(integration)
    if not leaf.descriptor.update:
        raise NotFound(f"{leaf.descriptor.upstream} cannot be changed from here.")
    return here, leaf


def _updated(here: Visit, leaf: Integration, reference: str, banner: Banner) -> Any:
    if _redirects(here):
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
    form_errors, _ = why_not_changed(here, leaf, exc)
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


bp = blueprint("objects", "/objects")
