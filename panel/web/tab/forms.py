"""The forms of the tab, drawn from a leaf's descriptor: creating a thing, and changing one that is linked."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from panel.core.domain import Choice, Row
from panel.core.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidInput,
    PanelError,
    ProviderUnavailable,
    Rejected,
    Uncertain,
)
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field
from panel.web.context import panel
from panel.web.notices import Notice
from panel.web.tab.view_models import trouble
from panel.web.tab.visit import Visit


@dataclass(frozen=True, slots=True)
class Input:
    """One field as it is drawn."""

    field: Field
    value: str = ""
    error: str = ""
    choices: tuple[Choice, ...] = ()
    waits_for: str = ""
    """Label of the field that must be chosen before this one has anything to choose from."""
    decides: bool = False
    """Whether another field's choices hang on this one."""

    @property
    def name(self) -> str:
        return self.field.name


@dataclass(frozen=True, slots=True)
class Summary:
    """Why a form was not taken, said above its fields."""

    title: str
    text: str
    wrong: tuple[str, ...] = ()
    """Names of the fields to correct."""
    strange: tuple[str, ...] = ()
    """Sentences about fields that the form does not have."""
    notice: Notice | None = None
    uncertain: bool = False


# --- typed text ------------------------------------------------------------------------------------------------------


def typed(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, str]:
    """What was typed into these fields, as text, nothing left out."""
    return {field.name: form.get(field.name, "").replace("\r\n", "\n") for field in fields}


def missing(fields: Iterable[Field], values: Mapping[str, str]) -> dict[str, str]:
    """A sentence for every field that is empty or too long, so that all are corrected at once."""
    errors = {}
    for field_ in fields:
        value = values.get(field_.name, "")
        if field_.required and not value.strip():
            errors[field_.name] = f"{field_.label} is missing."
        elif field_.max_length and len(value) > field_.max_length:
            errors[field_.name] = f"{field_.label} has at most {field_.max_length} characters."
    return errors


# --- fields ----------------------------------------------------------------------------------------------------------


def inputs(
    visit: Visit, leaf: Integration, fields: Iterable[Field], values: Mapping[str, str], errors: Mapping[str, str],
    *, reference: str | None = None,
) -> list[Input]:  # fmt: skip
    """The fields with what the upstream offers for each. Raises ProviderUnavailable and Forbidden."""
    fields = tuple(fields)
    decisive = {field.depends_on for field in fields}
    labels = {field.name: field.label for field in fields}
    drawn = []
    for one in fields:
        waits = one.depends_on if one.depends_on and not values.get(one.depends_on) else ""
        error = errors.get(one.name, "")
        choices: tuple[Choice, ...] = ()
        if one.kind in ("select", "suggest") and not waits:
            try:
                choices = tuple(panel().links.choices(visit.visitor, leaf.id, one.name, values, reference=reference))
            except (Rejected, InvalidInput) as exc:
                error = error or _first_sentence(exc)
        value = values.get(one.name, "")
        drawn.append(Input(one, value, error, choices, labels.get(waits, ""), one.name in decisive))
    return drawn


def _first_sentence(exc: Rejected | InvalidInput) -> str:
    return next(iter(exc.fields.values()), str(exc)) if isinstance(exc, Rejected) else str(exc)


# --- creating --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateForm:
    """The panel New work package / New page."""

    inputs: list[Input]
    key: str
    """Sent along, so that pressing the button twice makes one thing."""
    summary: Summary | None = None
    account: str = ""
    elsewhere: str = ""
    """The upstream's own form, for fields that ours does not have."""

    @property
    def focus(self) -> str:
        """The first wrong field, else the first one."""
        wrong = [one.name for one in self.inputs if one.error]
        return (wrong or [one.name for one in self.inputs])[0]

    @property
    def labels(self) -> dict[str, str]:
        return {one.name: one.field.label for one in self.inputs}

    @property
    def title(self) -> str:
        """What the new thing is called so far."""
        return next((one.value for one in self.inputs if one.field.kind == "text"), "")

    @property
    def waiting_label(self) -> str:
        """What becomes known once a deciding field is chosen: ``types``."""
        return " and ".join(f"{one.field.label.lower()}s" for one in self.inputs if one.field.depends_on)


def create_form(
    visit: Visit, leaf: Integration, values: Mapping[str, str], *, errors: Mapping[str, str] | None = None,
    summary: Summary | None = None, key: str = "", ask: bool = True,
) -> CreateForm:  # fmt: skip
    """The create form with these values. Without ``ask`` nothing is asked of the upstream. Raises as ``inputs``."""
    fields, errors = leaf.descriptor.create, errors or {}
    if ask:
        drawn = inputs(visit, leaf, fields, values, errors)
    else:
        drawn = [_as_typed(one, values.get(one.name, ""), errors.get(one.name, "")) for one in fields]
    source = panel().sources.find(leaf.id)
    check = panel().checks.last(source) if source is not None else None
    account = check.upstream_user or "" if check is not None else ""
    return CreateForm(drawn, key or secrets.token_urlsafe(16), summary, account, elsewhere(leaf, values))


def _as_typed(field_: Field, value: str, error: str) -> Input:
    """A field that keeps what was chosen while its choices cannot be asked for."""
    choices = (Choice(value, value),) if field_.kind == "select" and value else ()
    return Input(field_, value, error, choices)


def prefilled(leaf: Integration, text: str) -> dict[str, str]:
    """Typed search text becomes the title of a new thing."""
    titles = [field.name for field in leaf.descriptor.create if field.kind == "text" and field.required]
    return {titles[0]: text.strip()} if titles and text.strip() and "://" not in text else {}


def elsewhere(leaf: Integration, values: Mapping[str, str]) -> str:
    config = panel().resolver.shown_config(leaf)
    return (leaf.create_elsewhere_url(config, values) or "") if config is not None else ""


def why_not_created(visit: Visit, leaf: Integration, exc: PanelError) -> tuple[Summary, dict[str, str]]:
    """The summary above a refused create form, and the sentences beside its fields."""
    upstream = leaf.descriptor.upstream
    names = {one.name for one in leaf.descriptor.create}
    if isinstance(exc, Uncertain) or (isinstance(exc, Conflict) and not isinstance(exc, AlreadyExists)):
        title = "We cannot tell whether it was created."
        return Summary(title, "Check before trying again.", uncertain=True), {}
    if isinstance(exc, Rejected):
        return _refused(f"{upstream} did not accept this", exc.fields, names, str(exc))
    if isinstance(exc, InvalidInput):
        return _refused("This cannot be created yet", {exc.field: str(exc)}, names, "")
    if isinstance(exc, ProviderUnavailable):
        found = trouble(visit, leaf, exc)
        return Summary(found.title, f"{found.text} Nothing was created.", notice=found.notice), {}
    if isinstance(exc, Forbidden | AlreadyExists):
        return Summary(f"{upstream} did not accept this", f"{exc} Nothing was created."), {}
    return Summary("This was not created", str(exc)), {}


def incomplete(errors: Mapping[str, str]) -> Summary:
    """The summary for a form whose fields are wrong before anything is sent."""
    return Summary("This cannot be created yet", "Nothing was created.", tuple(errors))


def _refused(title: str, fields: Mapping[str, str], names: set[str], message: str) -> tuple[Summary, dict[str, str]]:
    known = {name: sentence for name, sentence in fields.items() if name in names}
    strange = tuple(sentence for name, sentence in fields.items() if name not in names)
    loose = () if fields or not message else (message,)
    return Summary(title, "Nothing was created.", tuple(known), (*strange, *loose)), known


# --- changing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clash:
    """One field that somebody else changed, or that is still as it was."""

    label: str
    now: str
    before: str
    wanted: str


@dataclass(frozen=True, slots=True)
class EditForm:
    """The row drawer's form. ``before`` is what the fields said when it was drawn."""

    row: Row
    inputs: list[Input]
    before: dict[str, str]
    labels: dict[str, dict[str, str]]
    lock: str
    summary: Summary | None = None
    clashes: list[Clash] = field(default_factory=list)

    @property
    def focus(self) -> str:
        wrong = [one.name for one in self.inputs if one.error]
        return (wrong or [one.name for one in self.inputs])[0]

    @property
    def names(self) -> dict[str, str]:
        return {one.name: one.field.label for one in self.inputs}

    @property
    def labels_json(self) -> str:
        """The words behind the values, sent along: after a conflict the upstream may no longer offer them."""
        return json.dumps(self.labels, separators=(",", ":"))


def edit_fields(leaf: Integration) -> list[Field]:
    """What can be changed, choices before text: they are why people open the drawer."""
    return sorted(leaf.descriptor.update, key=lambda one: one.kind not in ("select", "suggest"))


def edit_form(
    visit: Visit, leaf: Integration, row: Row, *, values: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None, summary: Summary | None = None,
) -> EditForm:  # fmt: skip
    """The form for an item as it is now. Raises as ``inputs``."""
    fields, facts = edit_fields(leaf), row.item.facts if row.item is not None else {}
    before = {one.name: _present(facts, one.name) for one in fields}
    shown = {**before, **(values or {})}
    drawn = inputs(visit, leaf, fields, shown, errors or {}, reference=row.pointer.reference)
    drawn = [_with_present(one, before[one.name], facts) for one in drawn]
    labels = {one.name: {choice.value: choice.label for choice in one.choices} for one in drawn if one.choices}
    lock = facts.get("lockVersion")
    return EditForm(row, drawn, before, labels, "" if lock is None else str(lock), summary)


def _present(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(f"{name}Id", facts.get(name))
    return "" if value is None else str(value)


def _with_present(one: Input, present: str, facts: Mapping[str, Any]) -> Input:
    """What is set now can always be kept, also where the upstream would not offer it for a change."""
    if one.field.kind != "select":
        return one
    choices = list(one.choices)
    if present and present not in {choice.value for choice in choices}:
        choices.insert(0, Choice(present, str(facts.get(one.name) or present)))
    if not one.field.required:
        choices.insert(0, Choice("", f"No {one.field.label.lower()}"))
    return Input(one.field, one.value, one.error, tuple(choices))


def changes(leaf: Integration, form: Mapping[str, str]) -> dict[str, str | None]:
    """The fields whose value differs from what the form said when it was drawn; an emptied one is None."""
    values = typed(leaf.descriptor.update, form)
    before = {name: form.get(f"before-{name}", "") for name in values}
    return {name: value or None for name, value in values.items() if name in form and value != before[name]}


def said_labels(form: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The words that the form sent along; {} for anything else than what we drew."""
    try:
        labels = json.loads(form.get("labels", ""))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(labels, dict):
        return {}
    return {
        str(name): {str(value): str(label) for value, label in words.items()}
        for name, words in labels.items()
        if isinstance(words, dict)
    }


def clashes(
    leaf: Integration, fresh: EditForm, form: Mapping[str, str], wanted: Mapping[str, str | None]
) -> list[Clash]:
    """For every field that the person changed: what it is now, what it was, what they chose."""
    said = said_labels(form)

    def word(name: str, value: str) -> str:
        return fresh.labels.get(name, {}).get(value) or said.get(name, {}).get(value) or value or "nothing"

    return [
        Clash(one.label, word(one.name, fresh.before[one.name]), word(one.name, form.get(f"before-{one.name}", "")),
              word(one.name, wanted[one.name] or ""))
        for one in edit_fields(leaf)
        if one.name in wanted
    ]  # fmt: skip


def what_changed(leaf: Integration, row: Row, form: Mapping[str, str], changed: Mapping[str, str | None]) -> str:
    """``Status changed to Tested``, for the announcement after saving."""
    facts, said = row.item.facts if row.item is not None else {}, said_labels(form)
    sentences = []
    for one in edit_fields(leaf):
        if one.name in changed:
            value = changed[one.name]
            now = said.get(one.name, {}).get(value or "") or facts.get(one.name) or value
            sentences.append(f"{one.label} changed to {now}" if value else f"{one.label} removed")
    return ". ".join(sentences)


def why_not_changed(visit: Visit, leaf: Integration, exc: PanelError) -> tuple[Summary, dict[str, str]]:
    """The summary in a drawer whose change was refused, and the sentences beside its fields."""
    names = {one.name for one in leaf.descriptor.update}
    if isinstance(exc, Rejected | InvalidInput):
        fields = exc.fields if isinstance(exc, Rejected) else {exc.field: str(exc)}
        summary, known = _refused(f"{leaf.descriptor.upstream} did not accept this", fields, names, str(exc))
        return Summary(summary.title, "Nothing was changed.", summary.wrong, summary.strange), known
    if isinstance(exc, ProviderUnavailable):
        found = trouble(visit, leaf, exc)
        return Summary(found.title, f"{found.text} Nothing was changed.", notice=found.notice), {}
    return Summary("This was not changed", str(exc)), {}
