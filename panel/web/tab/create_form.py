"""The create form of the tab, built from the descriptor of a leaf."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panel.core.domain import Choice
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field
from panel.web.context import panel
from panel.web.tab.form_errors import FormErrors
from panel.web.tab.inputs import Input, inputs, joined
from panel.web.tab.visit import Visit


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
