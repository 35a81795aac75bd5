"""The inputs of the tab's forms, drawn from the fields of a descriptor, and the values that were submitted for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from panel.core.domain import Choice, Choices
from panel.core.errors import InvalidInput, Rejected
from panel.core.messages import _, _n
from panel.core.text_limits import FIELD_LENGTH
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field
from panel.web.context import panel
from panel.web.parsing import SEARCH_LENGTH
from panel.web.tab.visit import Visit

ASKED = "field-"
"""What precedes the name of a field of the upstream in a form, so that it is none of the panel's own."""


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
    reshapes: bool = False
    """Whether this choice decides which further fields the form has."""
    search: str = ""
    """The words by which the choices were searched."""
    total: int = 0
    """How many choices there are, with those that are not among ``choices``."""
    at_least: bool = False
    """Whether there may be more than ``total``."""
    trail: tuple[Choice, ...] | None = None
    """While nested choices are browsed: those around the one that is shown, and that one. None while they are not."""

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
    def labels(self) -> str:
        """The values and labels of a select, one choice a line. A form submits them: see ``chosen_labels``."""
        return "\n".join(f"{choice.value}\t{choice.label}" for choice in self.choices)

    @property
    def searches(self) -> bool:
        """Whether the choices are searched as the user types, since there are too many to list."""
        return bool(self.search) or self.total > len(self.choices)


def joined(texts: Iterable[str]) -> str:
    """``Tested and Noor V.``; "" without a text."""
    texts = list(texts)
    return reduce(lambda one, other: _("{one} and {other}", one=one, other=other), texts) if texts else ""


# --- submitted values ------------------------------------------------------------------------------------------------


SEARCH = "search-"
"""What precedes the name of a field in the name of the input that searches its choices."""


WITHIN = "within-"
"""What precedes the name of a field in the name of the button that shows the choices below one of them."""
OPEN = "open-"
"""What precedes it in the name of the button that shows those below the chosen one."""


def browsed(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, str]:
    """The choices of nested fields below which a button shows others."""
    nested = [one.name for one in fields if one.nested]
    found = {f"{WITHIN}{name}": form[f"{WITHIN}{name}"] for name in nested if f"{WITHIN}{name}" in form}
    return found | {f"{WITHIN}{name}": form.get(name, "") for name in nested if f"{OPEN}{name}" in form}


def typed(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, str]:
    """The submitted text of these fields; "" for a field that is missing."""
    return {field.name: form.get(field.name, "").replace("\r\n", "\n") for field in fields}


def searched(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, str]:
    """The submitted words that search the choices of these fields, and of those that the upstream asked for."""
    names = [f"{SEARCH}{field.name}" for field in fields] + [name for name in form if name.startswith(SEARCH + ASKED)]
    texts = {name: form.get(name, "").strip() for name in names}
    return {name: text[:SEARCH_LENGTH] for name, text in texts.items() if text}


LABELS = "labels-"
"""What precedes the name of a select in the name of the hidden input with its labels."""


def chosen_labels(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, str]:
    """The labels of the chosen values, for a form that is drawn while the upstream cannot list the choices."""
    return {one.name: label for one in fields if (label := _labels(form, one.name).get(form.get(one.name, "")))}


def _labels(form: Mapping[str, str], name: str) -> dict[str, str]:
    lines = (line.partition("\t") for line in form.get(f"{LABELS}{name}", "").splitlines())
    return {value: label for value, _tab, label in lines}


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
    fields, links = tuple(fields), panel().links
    form = (*leaf.descriptor.create, *fields)
    decisive, labels = {field.depends_on for field in form}, {field.name: field.word for field in form}
    drawn = []
    for one in fields:
        waits = one.depends_on if one.depends_on and not values.get(one.depends_on) else ""
        error = errors.get(one.name, "")
        offer = _Offer(Choices.whole(()))
        if one.kind in ("select", "suggest") and not waits:
            try:
                offer = _offer(visit, leaf, one, values, reference)
            except (Rejected, InvalidInput) as exc:
                error = error or _first_sentence(exc)
        reshapes = reference is None and one.kind == "select" and links.has_further_fields(leaf.id)
        drawn.append(
            Input(
                one,
                values.get(one.name, ""),
                error,
                offer.choices.items,
                labels.get(waits, ""),
                one.name in decisive,
                reshapes,
                offer.search,
                offer.choices.total,
                offer.choices.at_least,
                offer.trail,
            )
        )
    return drawn


@dataclass(frozen=True, slots=True)
class _Offer:
    """What the upstream offers for a field."""

    choices: Choices
    search: str = ""
    trail: tuple[Choice, ...] | None = None


def _offer(visit: Visit, leaf: Integration, one: Field, values: Mapping[str, str], reference: str | None) -> _Offer:
    """The choices that were browsed, else those that match the words of the search."""
    links, within = panel().links, values.get(f"{WITHIN}{one.name}")
    if one.nested and within is not None:
        branch = links.branch(visit.visitor, leaf.id, one.name, within, obj=visit.object)
        return _Offer(branch.choices, trail=branch.trail)
    search = values.get(f"{SEARCH}{one.name}", "")
    obj = visit.object
    found = links.choices(visit.visitor, leaf.id, one.name, values, search=search, obj=obj, reference=reference)
    return _Offer(found, search)


def _first_sentence(exc: Rejected | InvalidInput) -> str:
    return next(iter(exc.fields.values()), exc.message) if isinstance(exc, Rejected) else exc.message
