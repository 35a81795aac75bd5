"""Inputs for fields that the panel's form does not have, and that the upstream named in its refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from panel.core.errors import PanelError, Rejected
from panel.integrations.contract import AskedField, Integration
from panel.integrations.descriptor import Field
from panel.web.context import panel
from panel.web.tab.forms import ASKED, Input
from panel.web.tab.visit import Visit

MOST_ASKED = 30
"""How many of these fields one form shows."""


def submitted_asked(form: Mapping[str, str]) -> dict[str, str]:
    """The submitted values of fields that the upstream asked for, by the upstream's names."""
    names = [name for name in form if name.startswith(ASKED)][:MOST_ASKED]
    return {name.removeprefix(ASKED): form[name].replace("\r\n", "\n") for name in names}


def asked_inputs(
    visit: Visit, leaf: Integration, exc: PanelError | None, values: Mapping[str, str], submitted: Mapping[str, str],
    *, known: Iterable[Field], reference: str | None = None,
) -> list[Input]:  # fmt: skip
    """Inputs for the fields that the upstream named in its refusal, and for those that were submitted.

    Without the fields that the leaf cannot describe. Empty when the upstream does not answer now.
    """
    own = {field.name for field in known}
    refused = exc.fields if isinstance(exc, Rejected) else {}
    names = list(dict.fromkeys([*(name for name in refused if name not in own), *submitted]))[:MOST_ASKED]
    if not names:
        return []
    try:
        found = panel().links.asked_fields(
            visit.visitor, leaf.id, names, values, obj=visit.object, reference=reference
        )  # fmt: skip
    except PanelError:
        return []
    return [_asked_input(one, submitted.get(one.field.name), refused.get(one.field.name, "")) for one in found]


def _asked_input(one: AskedField, value: str | None, error: str) -> Input:
    field_ = replace(one.field, name=f"{ASKED}{one.field.name}")
    return Input(field_, one.value if value is None else value, error, one.choices.items, total=one.choices.total)
