"""The create form of the tab, built from the descriptor of a leaf."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panel.core.domain import Choice
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field
from panel.links.reading import Found
from panel.web.context import panel
from panel.web.tab.asked_fields import Further, elsewhere, further, plain_inputs
from panel.web.tab.form_errors import FormErrors
from panel.web.tab.inputs import Input, inputs, joined
from panel.web.tab.visit import Visit

NOTHING_FURTHER = Further()


@dataclass(frozen=True, slots=True)
class CreateForm:
    """The form for a new work package or page."""

    inputs: list[Input]
    key: str
    """Idempotency key, so that submitting twice creates one item."""
    further: Further = NOTHING_FURTHER
    """The fields that the upstream requires beside them. They stand before the first text area, which ends a form."""
    existing: Found | None = None
    """The item that stands already where the form would make one. It is offered for linking."""
    form_errors: FormErrors | None = None
    account: str = ""
    elsewhere: str = ""
    """Address of the upstream's own form, for fields that this form does not have."""

    @property
    def all_inputs(self) -> list[Input]:
        """The inputs as they stand in the form."""
        at = self.further_at
        return [*self.inputs[:at], *self.further.inputs, *self.inputs[at:]]

    @property
    def further_at(self) -> int:
        """How many inputs stand before the further ones."""
        return next((at for at, one in enumerate(self.inputs) if one.field.kind == "textarea"), len(self.inputs))

    @property
    def focus(self) -> str:
        """Name of the first field with an error, else of the first field; "" when an existing item is offered."""
        if self.existing is not None:
            return ""
        wrong = [one.name for one in self.all_inputs if one.error]
        return (wrong or [one.name for one in self.inputs])[0]

    @property
    def labels(self) -> dict[str, str]:
        return {one.name: one.label for one in self.all_inputs}

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
    submitted: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None, existing: Found | None = None,
) -> CreateForm:  # fmt: skip
    """The create form with these values, and with the fields that the upstream requires or ``asked`` for.

    ``submitted`` has the values of these. Without ``ask`` no upstream call is made, and ``labels`` has the labels of
    the chosen values. Raises as ``inputs``.
    """
    fields, errors, submitted, labels = leaf.descriptor.create, errors or {}, submitted or {}, labels or {}
    if ask:
        drawn = inputs(visit, leaf, fields, values, errors)
        beside = further(visit, leaf, values, submitted, asked)
    else:
        drawn = [_as_typed(one, values, errors, labels) for one in fields]
        beside = Further(asked or plain_inputs(submitted))
    source = panel().sources.find(leaf.id)
    check = panel().checks.last(source) if source is not None else None
    account = check.upstream_user or "" if check is not None else ""
    key = key or secrets.token_urlsafe(16)
    return CreateForm(drawn, key, beside, existing, form_errors, account, elsewhere(leaf, values))


def _as_typed(
    one: Field, values: Mapping[str, str], errors: Mapping[str, str], labels: Mapping[str, str]
) -> Input:  # fmt: skip
    """A field with its submitted value, for when the upstream cannot list the choices."""
    value = values.get(one.name, "")
    choices = (Choice(value, labels.get(one.name, value)),) if one.kind == "select" and value else ()
    return Input(one, value, errors.get(one.name, ""), choices, total=len(choices))


def prefilled(visit: Visit, leaf: Integration, text: str) -> dict[str, str]:
    """Initial values: those that the application signed, and a search text that is no address as the title."""
    fields, signed = leaf.descriptor.create, visit.prefill
    values = {one.name: signed[name] for one in fields for name in (*one.aliases, one.name) if name in signed}
    titles = [one.name for one in fields if one.kind == "text" and one.required]
    return values | ({titles[0]: text.strip()} if titles and text.strip() and "://" not in text else {})
