"""The forms of the tab, built from the descriptor of a leaf: creating an item, and changing a linked one."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from panel.core.domain import Choice, Choices, Row
from panel.core.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidInput,
    NotRecorded,
    PanelError,
    ProviderUnavailable,
    Rejected,
    Uncertain,
    WrongInstance,
)
from panel.core.messages import Message, _, _n, sentences
from panel.core.text_limits import FIELD_LENGTH
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field
from panel.web.context import panel
from panel.web.notices import Notice
from panel.web.parsing import SEARCH_LENGTH
from panel.web.storage_words import storage_text
from panel.web.tab.view_models import problem_view
from panel.web.tab.visit import Visit

_NOTHING_CREATED = _("Nothing was created.")
_NOTHING_CHANGED = _("Nothing was changed.")
_NOT_YET = _("This cannot be created yet")


def joined(texts: Iterable[str]) -> str:
    """``Tested and Noor V.``; "" without a text."""
    texts = list(texts)
    return reduce(lambda one, other: _("{one} and {other}", one=one, other=other), texts) if texts else ""


@dataclass(frozen=True, slots=True)
class Input:
    """One field of a form with its value, error and choices."""

    field: Field
    value: str = ""
    error: str = ""
    choices: tuple[Choice, ...] = ()
    waits_for: str = ""
    """The word for the field that must be set before this one has choices; "" when it depends on none."""
    decides: bool = False
    """Whether the choices of another field depend on this one."""
    search: str = ""
    """The words by which the choices were searched."""
    total: int = 0
    """How many choices there are, with those that are not among ``choices``."""
    at_least: bool = False
    """Whether there may be more than ``total``."""

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def label(self) -> str:
        """The label: a Message, unless it is the upstream's own text."""
        return self.field.label

    @property
    def help(self) -> str:
        return self.field.help

    @property
    def asked(self) -> bool:
        """Whether the upstream asked for the field. It also decides what is required: that depends on other fields."""
        return self.name.startswith(ASKED)

    @property
    def searches(self) -> bool:
        """Whether the choices are searched as the user types, since there are too many to list."""
        return bool(self.search) or self.total > len(self.choices)


@dataclass(frozen=True, slots=True)
class FormErrors:
    """Why a form was refused, shown above its fields."""

    title: str
    text: str
    wrong: tuple[str, ...] = ()
    """Names of the fields to correct."""
    other: tuple[str, ...] = ()
    """Messages of the upstream about fields that the form does not have."""
    notice: Notice | None = None
    uncertain: bool = False


# --- submitted values ------------------------------------------------------------------------------------------------


SEARCH = "search-"
"""What precedes the name of a field in the name of the input that searches its choices."""


def typed(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, str]:
    """The submitted text of these fields; "" for a field that is missing."""
    return {field.name: form.get(field.name, "").replace("\r\n", "\n") for field in fields}


def searched(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, str]:
    """The submitted words that search the choices of these fields."""
    texts = {f"{SEARCH}{field.name}": form.get(f"{SEARCH}{field.name}", "").strip() for field in fields}
    return {name: text[:SEARCH_LENGTH] for name, text in texts.items() if text}


def filled(fields: Iterable[Field], values: Mapping[str, str]) -> dict[str, str]:
    """The values of these fields that are not blank."""
    texts = {field.name: values.get(field.name, "") for field in fields}
    return {name: text for name, text in texts.items() if text.strip()}


def missing(fields: Iterable[Field], values: Mapping[str, str]) -> dict[str, str]:
    """The errors of all fields that are empty or too long, by field name."""
    errors: dict[str, str] = {}
    for field_ in fields:
        value = values.get(field_.name, "")
        if field_.required and not value.strip():
            errors[field_.name] = _("{label} is missing.", label=field_.label)
        elif len(value) > (longest := field_.max_length or FIELD_LENGTH):
            errors[field_.name] = _n(
                "{label} has at most {n} character.", "{label} has at most {n} characters.", longest, label=field_.label
            )
    return errors


# --- fields ----------------------------------------------------------------------------------------------------------


def inputs(
    visit: Visit, leaf: Integration, fields: Iterable[Field], values: Mapping[str, str], errors: Mapping[str, str],
    *, reference: str | None = None,
) -> list[Input]:  # fmt: skip
    """The fields with the choices that the upstream offers. Raises ProviderUnavailable and Forbidden."""
    fields = tuple(fields)
    form = (*leaf.descriptor.create, *fields)
    decisive, labels = {field.depends_on for field in form}, {field.name: field.word for field in form}
    drawn = []
    for one in fields:
        waits = one.depends_on if one.depends_on and not values.get(one.depends_on) else ""
        error, search = errors.get(one.name, ""), values.get(f"{SEARCH}{one.name}", "")
        choices = Choices.whole(())
        if one.kind in ("select", "suggest") and not waits:
            try:
                choices = _choices(visit, leaf, one.name, values, search, reference)
            except (Rejected, InvalidInput) as exc:
                error = error or _first_sentence(exc)
        waits, decides = labels.get(waits, ""), one.name in decisive
        value = values.get(one.name, "")
        counted = (choices.total, choices.at_least)
        drawn.append(Input(one, value, error, choices.items, waits, decides, search, *counted))
    return drawn


def _choices(
    visit: Visit, leaf: Integration, name: str, values: Mapping[str, str], search: str, reference: str | None
) -> Choices:
    links, obj = panel().links, visit.object
    return links.choices(visit.visitor, leaf.id, name, values, search=search, obj=obj, reference=reference)


def _first_sentence(exc: Rejected | InvalidInput) -> str:
    return next(iter(exc.fields.values()), exc.message) if isinstance(exc, Rejected) else exc.message


# --- fields that the upstream asks for -------------------------------------------------------------------------------

ASKED = "field-"
"""What precedes the name of a field of the upstream in a form, so that it is none of the panel's own."""


def _by_input(fields: Mapping[str, str], asked: Iterable[Input]) -> dict[str, str]:
    """The messages of the upstream by the names of the inputs that show them."""
    names = {one.name.removeprefix(ASKED): one.name for one in asked}
    return {names.get(name, name): text for name, text in fields.items()}


# --- creating --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateForm:
    """The form for a new work package or page."""

    inputs: list[Input]
    key: str
    """Idempotency key, so that submitting twice creates one item."""
    form_errors: FormErrors | None = None
    account: str = ""
    elsewhere: str = ""
    """Address of the upstream's own form, for fields that this form does not have."""

    @property
    def focus(self) -> str:
        """Name of the first field with an error, else of the first field."""
        wrong = [one.name for one in self.inputs if one.error]
        return (wrong or [one.name for one in self.inputs])[0]

    @property
    def labels(self) -> dict[str, str]:
        return {one.name: one.label for one in self.inputs}

    @property
    def title(self) -> str:
        """The title of the new item as submitted so far."""
        return next((one.value for one in self.inputs if one.field.kind == "text"), "")

    @property
    def waiting_label(self) -> str:
        """The fields whose choices depend on another field, in the plural: ``types``."""
        return joined(one.field.plural for one in self.inputs if one.field.depends_on)


def create_form(
    visit: Visit, leaf: Integration, values: Mapping[str, str], *, errors: Mapping[str, str] | None = None,
    form_errors: FormErrors | None = None, key: str = "", ask: bool = True, asked: Sequence[Input] = (),
) -> CreateForm:  # fmt: skip
    """The create form with these values, and the fields that the upstream asked for.

    Without ``ask`` no upstream call is made. Raises as ``inputs``.
    """
    fields, errors = leaf.descriptor.create, errors or {}
    if ask:
        drawn = inputs(visit, leaf, fields, values, errors)
    else:
        drawn = [_as_typed(one, values.get(one.name, ""), errors.get(one.name, "")) for one in fields]
    source = panel().sources.find(leaf.id)
    check = panel().checks.last(source) if source is not None else None
    account = check.upstream_user or "" if check is not None else ""
    drawn = _before_long_text(drawn, asked)
    return CreateForm(drawn, key or secrets.token_urlsafe(16), form_errors, account, elsewhere(leaf, values))


def _before_long_text(inputs: Sequence[Input], asked: Sequence[Input]) -> list[Input]:
    """The inputs with ``asked`` before the first text area, which ends a form."""
    at = next((place for place, one in enumerate(inputs) if one.field.kind == "textarea"), len(inputs))
    return [*inputs[:at], *asked, *inputs[at:]]


def _as_typed(field_: Field, value: str, error: str) -> Input:
    """A field with its submitted value, for when the upstream cannot list the choices."""
    choices = (Choice(value, value),) if field_.kind == "select" and value else ()
    return Input(field_, value, error, choices, total=len(choices))


def prefilled(leaf: Integration, text: str) -> dict[str, str]:
    """Initial values: a search text that is no address becomes the title."""
    titles = [field.name for field in leaf.descriptor.create if field.kind == "text" and field.required]
    return {titles[0]: text.strip()} if titles and text.strip() and "://" not in text else {}


def elsewhere(leaf: Integration, values: Mapping[str, str]) -> str:
    """The address of the upstream's own create form, "" without one."""
    config = panel().resolver.shown_config(leaf)
    return (leaf.create_elsewhere_url(config, values) or "") if config is not None else ""


def why_not_created(
    visit: Visit, leaf: Integration, exc: PanelError, asked: Sequence[Input] = ()
) -> tuple[FormErrors, dict[str, str]]:
    """The summary of a refused create form, and the messages for its fields."""
    not_accepted = _("{upstream} did not accept this", upstream=leaf.descriptor.upstream)
    names = {one.name for one in leaf.descriptor.create} | {one.name for one in asked}
    if isinstance(exc, Uncertain) or (isinstance(exc, Conflict) and not isinstance(exc, AlreadyExists | WrongInstance)):
        title = _("We cannot tell whether it was created.")
        return FormErrors(title, _("Check before trying again."), uncertain=True), {}
    if isinstance(exc, Rejected):
        return _refused(not_accepted, _by_input(exc.fields, asked), names, exc.message)
    if isinstance(exc, InvalidInput):
        return _refused(_NOT_YET, {exc.field: exc.message}, names, "")
    if isinstance(exc, ProviderUnavailable):
        found = problem_view(visit, leaf, exc)
        return FormErrors(found.title, sentences(found.text, _NOTHING_CREATED), notice=found.notice), {}
    if isinstance(exc, NotRecorded):
        return FormErrors(_("This was created, but not linked"), exc.message), {}
    if isinstance(exc, Forbidden | AlreadyExists):
        return FormErrors(not_accepted, sentences(exc.message, _NOTHING_CREATED)), {}
    return FormErrors(_("This was not created"), exc.message), {}


def not_created_for_storage(exc: Exception) -> FormErrors:
    """The summary of a create form that was not sent, because our own storage failed before."""
    return FormErrors(_("This was not created"), sentences(storage_text(exc), _NOTHING_CREATED))


def not_changed_for_storage(exc: Exception) -> FormErrors:
    """The summary of an edit form that was not sent, because our own storage failed before."""
    return FormErrors(_("This was not changed"), sentences(storage_text(exc), _NOTHING_CHANGED))


def incomplete(errors: Mapping[str, str]) -> FormErrors:
    """The summary of a form whose fields are wrong before anything is sent."""
    return FormErrors(_NOT_YET, _NOTHING_CREATED, tuple(errors))


def _refused(title: str, fields: Mapping[str, str], names: set[str], message: str) -> tuple[FormErrors, dict[str, str]]:
    known = {name: text for name, text in fields.items() if name in names}
    other = tuple(text for name, text in fields.items() if name not in names)
    general = () if fields or not message else (message,)
    return FormErrors(title, _NOTHING_CREATED, tuple(known), (*other, *general)), known


# --- changing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EditConflict:
    """A field of a refused change: its value upstream, its value when the form was loaded, and the chosen value."""

    label: str
    now: str
    before: str
    chosen: str


@dataclass(frozen=True, slots=True)
class EditForm:
    """The form in the drawer of a row. ``before`` has the values of the fields when the form was loaded."""

    row: Row
    inputs: list[Input]
    before: dict[str, str]
    labels: dict[str, dict[str, str]]
    lock: str
    form_errors: FormErrors | None = None
    conflicts: list[EditConflict] = field(default_factory=list)

    @property
    def focus(self) -> str:
        wrong = [one.name for one in self.inputs if one.error]
        return (wrong or [one.name for one in self.inputs])[0]

    @property
    def names(self) -> dict[str, str]:
        return {one.name: one.label for one in self.inputs}

    @property
    def chosen_values(self) -> str:
        """What the user chose in the fields with a conflict."""
        return joined(one.chosen for one in self.conflicts)

    @property
    def present_values(self) -> str:
        """What the fields with a conflict are set to now."""
        return joined(one.now for one in self.conflicts)

    @property
    def labels_json(self) -> str:
        """Labels of the values, submitted with the form: after a conflict the upstream may no longer offer them."""
        return json.dumps(self.labels, separators=(",", ":"))


def edit_fields(leaf: Integration) -> list[Field]:
    """The fields that can be changed, selects before text: status and assignee are changed most often."""
    return sorted(leaf.descriptor.update, key=lambda one: one.kind not in ("select", "suggest"))


def edit_form(
    visit: Visit, leaf: Integration, row: Row, *, values: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None, form_errors: FormErrors | None = None, asked: Sequence[Input] = (),
) -> EditForm:  # fmt: skip
    """The form for an item as it is now, and the fields that the upstream asked for. Raises as ``inputs``."""
    fields, present = edit_fields(leaf), _present(row)
    before = {one.name: present[one.name].value if one.name in present else "" for one in fields}
    shown = {**before, **(values or {})}
    drawn = inputs(visit, leaf, fields, shown, errors or {}, reference=row.pointer.reference)
    drawn = [_with_present(one, present.get(one.name)) for one in drawn]
    labels = {one.name: {choice.value: choice.label for choice in one.choices} for one in drawn if one.choices}
    lock = row.item.lock_version if row.item is not None else None
    return EditForm(row, [*drawn, *asked], before, labels, lock or "", form_errors)


def _present(row: Row) -> Mapping[str, Choice]:
    """What each field of the row's item is set to now."""
    return row.item.field_values if row.item is not None else {}


def _with_present(one: Input, present: Choice | None) -> Input:
    """The choices, with the current value even if the upstream does not offer it for a change."""
    if one.field.kind != "select":
        return one
    choices = list(one.choices)
    if present is not None and present.value not in {choice.value for choice in choices}:
        choices.insert(0, present)
    if not one.field.required:
        choices.insert(0, Choice("", _("No {noun}", noun=one.field.word)))
    return replace(one, choices=tuple(choices), total=max(one.total, len(choices)))


def changes(leaf: Integration, form: Mapping[str, str]) -> dict[str, str | None]:
    """The fields whose value differs from the one at loading; None for a field that was cleared."""
    values = typed(leaf.descriptor.update, form)
    before = {name: form.get(f"before-{name}", "") for name in values}
    return {name: value or None for name, value in values.items() if name in form and value != before[name]}


def submitted_labels(form: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The labels in the form, see ``EditForm.labels_json``; {} for malformed ones."""
    try:
        labels = json.loads(form.get("labels", ""))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(labels, dict):
        return {}
    return {
        str(name): {str(value): str(label) for value, label in choices.items()}
        for name, choices in labels.items()
        if isinstance(choices, dict)
    }


def edit_conflicts(
    leaf: Integration, fresh: EditForm, form: Mapping[str, str], chosen: Mapping[str, str | None]
) -> list[EditConflict]:
    """The conflicts of all fields that the user changed."""
    submitted = submitted_labels(form)

    def label(name: str, value: str) -> str:
        return fresh.labels.get(name, {}).get(value) or submitted.get(name, {}).get(value) or value or _("nothing")

    return [
        EditConflict(
            one.label,
            label(one.name, fresh.before[one.name]),
            label(one.name, form.get(f"before-{one.name}", "")),
            label(one.name, chosen[one.name] or ""),
        )
        for one in edit_fields(leaf)
        if one.name in chosen
    ]


def what_changed(leaf: Integration, row: Row, form: Mapping[str, str], changed: Mapping[str, str | None]) -> Message:
    """``Status changed to Tested``, for the announcement after saving."""
    present, said, done = _present(row), submitted_labels(form), _("Saved.")
    parts = []
    for one in edit_fields(leaf):
        if one.name in changed:
            value = changed[one.name]
            now = said.get(one.name, {}).get(value or "") or (present[one.name].label if one.name in present else value)
            said_of = _("{label} changed to {value}") if value else _("{label} removed")
            parts.append(said_of.filled(label=one.label, value=now))
    return reduce(lambda first, second: _("{first}. {second}", first=first, second=second), parts) if parts else done


def why_not_changed(
    visit: Visit, leaf: Integration, exc: PanelError, asked: Sequence[Input] = ()
) -> tuple[FormErrors, dict[str, str]]:
    """The summary of a refused change, and the messages for its fields."""
    names = {one.name for one in leaf.descriptor.update} | {one.name for one in asked}
    if isinstance(exc, Rejected | InvalidInput):
        fields = _by_input(exc.fields, asked) if isinstance(exc, Rejected) else {exc.field: exc.message}
        title = _("{upstream} did not accept this", upstream=leaf.descriptor.upstream)
        form_errors, known = _refused(title, fields, names, exc.message)
        return FormErrors(form_errors.title, _NOTHING_CHANGED, form_errors.wrong, form_errors.other), known
    if isinstance(exc, ProviderUnavailable):
        found = problem_view(visit, leaf, exc)
        unsure = sentences(_("We cannot tell whether it was changed."), _("Check before trying again."))
        end = unsure if exc.in_doubt else _NOTHING_CHANGED
        return FormErrors(found.title, sentences(found.text, end), notice=found.notice), {}
    if isinstance(exc, NotRecorded):
        return FormErrors(_("This was changed, but not recorded"), exc.message), {}
    return FormErrors(_("This was not changed"), exc.message), {}
