"""The form of the tab that changes a linked item, built from the descriptor of a leaf."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from panel.core.domain import Choice, Row
from panel.core.messages import Message, _
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field
from panel.web.tab.form_errors import FormErrors
from panel.web.tab.inputs import Input, inputs, joined, typed
from panel.web.tab.visit import Visit


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

    def offers(self, chosen: Mapping[str, str]) -> bool:
        """Whether each chosen value of a field with a list of choices is still among them."""
        lists = {
            one.name: {choice.value for choice in one.choices} for one in self.inputs if one.field.kind == "select"
        }
        return all(not value or value in lists[name] for name, value in chosen.items() if name in lists)

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
