"""Inputs for fields that the descriptor does not have: those that the upstream requires, or named in its refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from panel.core.domain import Choices
from panel.core.errors import PanelError, ProviderUnavailable, Rejected, Uncertain
from panel.integrations.contract import AskedField, Integration
from panel.integrations.descriptor import Field
from panel.web.context import panel
from panel.web.parsing import field_texts
from panel.web.tab.inputs import ASKED, SEARCH, Input
from panel.web.tab.visit import Visit

MOST_ASKED = 30
"""How many of these fields one form shows."""


@dataclass(frozen=True, slots=True)
class Further:
    """The inputs of a create form beside those of the descriptor."""

    inputs: Sequence[Input] = ()
    undrawn: Sequence[str] = ()
    """Labels of required fields that the form cannot show."""
    elsewhere: str = ""
    """Address of the upstream's own form, which can."""


def elsewhere(leaf: Integration, values: Mapping[str, str]) -> str:
    """The address of the upstream's own create form, "" without one."""
    config = panel().resolver.shown_config(leaf)
    return (leaf.create_elsewhere_url(config, values) or "") if config is not None else ""


def further(
    visit: Visit, leaf: Integration, values: Mapping[str, str], submitted: Mapping[str, str],
    asked: Sequence[Input] = (),
) -> Further:  # fmt: skip
    """What the upstream requires for these values, with ``submitted`` values, and the fields that a refusal named.

    While the upstream does not say, what was submitted stays in plain inputs.
    """
    try:
        found = panel().links.further_fields(visit.visitor, leaf.id, values, obj=visit.object)
    except PanelError:
        found = None
    if found is None:
        return Further(asked or plain_inputs(submitted))
    refused = {one.name: one for one in asked}
    required = [_input(one, submitted.get(one.field.name), "") for one in found.fields[:MOST_ASKED]]
    required = [_searched(visit, leaf, one, values) for one in required]
    shown = {**{one.name: one for one in required}, **refused}
    return Further(tuple(shown.values()), found.undrawn, elsewhere(leaf, values))


def plain_inputs(submitted: Mapping[str, str]) -> list[Input]:
    """Inputs for values whose fields the upstream does not describe now."""
    return [_input(AskedField(Field(name, name), Choices.whole(())), text, "") for name, text in submitted.items()]


def submitted_asked(form: Mapping[str, str]) -> dict[str, str]:
    """The submitted values of fields that the upstream asked for, by the upstream's names."""
    names = [name for name in form if name.startswith(ASKED)][:MOST_ASKED]
    return {name.removeprefix(ASKED): form[name].replace("\r\n", "\n") for name in names}


def with_asked(values: Mapping[str, Any], form: Mapping[str, str], *, blank: bool = True) -> dict[str, Any]:
    """The values of a create or a change, with the fields that the upstream asked for. Raises InvalidInput.

    ``blank`` values clear a field; a create leaves them out.
    """
    asked = {name: text for name, text in submitted_asked(form).items() if blank or text.strip()}
    return {**values, "fields": field_texts(asked)} if asked else dict(values)


def _searched(visit: Visit, leaf: Integration, one: Input, values: Mapping[str, str]) -> Input:
    """The input with the choices that match the words of its search, if there are any."""
    words = values.get(f"{SEARCH}{one.name}", "")
    return searched_input(visit, leaf, one, values, words) if words and one.searches else one


def searched_input(visit: Visit, leaf: Integration, one: Input, values: Mapping[str, str], words: str) -> Input:
    """The input with the choices that match ``words``. Raises PanelError."""
    name, links = one.name.removeprefix(ASKED), panel().links
    found = links.choices(visit.visitor, leaf.id, name, values, search=words, obj=visit.object)
    return replace(one, search=words, choices=found.items, total=found.total, at_least=found.at_least)


def asked_inputs(
    visit: Visit, leaf: Integration, exc: PanelError | None, values: Mapping[str, str], submitted: Mapping[str, str],
    *, known: Iterable[Field], reference: str | None = None,
) -> list[Input]:  # fmt: skip
    """Inputs for the fields that the upstream named in its refusal, and for those that were submitted.

    A field that the leaf cannot describe now is left out, but what was submitted stays in a plain input.
    """
    own = {field.name for field in known}
    refused = exc.fields if isinstance(exc, Rejected) else {}
    names = list(dict.fromkeys([*(name for name in refused if name not in own), *submitted]))[:MOST_ASKED]
    is_away = isinstance(exc, ProviderUnavailable | Uncertain)
    found = () if is_away else _described(visit, leaf, names, values, reference)
    described = {one.field.name: one for one in found}
    plain = {name: AskedField(Field(name, name), Choices.whole(())) for name in submitted}
    shown = {**plain, **described}
    return [_input(shown[name], submitted.get(name), refused.get(name, "")) for name in names if name in shown]


def _described(
    visit: Visit, leaf: Integration, names: Sequence[str], values: Mapping[str, str], reference: str | None
) -> Sequence[AskedField]:
    """The fields as the upstream describes them; none while it does not answer."""
    if not names:
        return ()
    links, obj = panel().links, visit.object
    try:
        return links.asked_fields(visit.visitor, leaf.id, names, values, obj=obj, reference=reference)
    except PanelError:
        return ()


def _input(one: AskedField, value: str | None, error: str) -> Input:
    field = replace(one.field, name=f"{ASKED}{one.field.name}")
    return Input(field, one.value if value is None else value, error, one.choices.items, total=one.choices.total)
