"""Custom fields of work packages: described for the panel's forms, and converted for a write.

A form describes them (``form.py``). The key of a custom field is ``customField`` and a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from panel.core.domain import Choice, Choices
from panel.core.errors import InvalidInput, Rejected
from panel.core.messages import _
from panel.integrations.contract import AskedField
from panel.integrations.descriptor import Field
from panel.integrations.openproject.form import Form, allowed_values
from panel.integrations.openproject.item import link, plain
from panel.integrations.openproject.reference import target_of

_KEY = re.compile(r"customField[1-9][0-9]{0,9}")
_KINDS = {
    "String": "text",
    "Link": "text",
    "Integer": "text",
    "Float": "text",
    "Date": "date",
    "Formattable": "textarea",
}
_BOOLEANS = {"true": True, "false": False}
_MOST_CHOICES = 500
"""A list with more options is filled on OpenProject's own page."""


def is_custom_field(name: str) -> bool:
    return _KEY.fullmatch(name) is not None


def custom_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``fields`` and of the custom fields beside it. Raises InvalidInput for other names."""
    fields = values.get("fields") or {}
    if not isinstance(fields, Mapping):
        raise InvalidInput("fields", _("“fields” must be an object with a value for each custom field."))
    wrong = next((name for name in fields if not is_custom_field(str(name))), None)
    if wrong is not None:
        raise InvalidInput(
            "fields", _("“{name}” is no custom field, such as customField1.", name=plain(str(wrong), limit=100))
        )
    beside = {name: value for name, value in values.items() if is_custom_field(name) and value not in (None, "")}
    return {**beside, **fields}


# --- describing ------------------------------------------------------------------------------------------------------


def described(form: Form, names: Iterable[str]) -> list[AskedField]:
    """The custom fields of these names that the panel's forms can show."""
    found = (_described(form, name) for name in names if is_custom_field(name))
    return [one for one in found if one is not None]


def _described(form: Form, name: str) -> AskedField | None:
    schema = form.schema.get(name)
    if not isinstance(schema, Mapping) or schema.get("writable") is False:
        return None
    label, required = plain(schema.get("name")) or name, schema.get("required") is True
    if _is_link(schema):
        choices = _choices(schema)
        if not choices or len(choices) > _MOST_CHOICES:
            return None
        current = target_of(link(form.payload, name).get("href"))
        field = Field(name, label, "select", required)
        return AskedField(field, Choices.whole(choices), current[1] if current else "")
    if schema.get("type") == "Boolean":
        return AskedField(Field(name, label, "select", required), Choices.whole(_YES_NO), _text(form.payload.get(name)))
    kind = _KINDS.get(str(schema.get("type")))
    return (
        AskedField(Field(name, label, kind, required), Choices.whole(()), _text(form.payload.get(name)))
        if kind
        else None
    )


_YES_NO = (Choice("true", "Yes"), Choice("false", "No"))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("raw") or "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _is_link(schema: Mapping[str, Any]) -> bool:
    return schema.get("location") == "_links" or "CustomOption" in str(schema.get("type"))


def _choices(schema: Mapping[str, Any]) -> list[Choice]:
    targets = _targets(schema)
    return [Choice(number, name) for number, (name, _) in targets.items()]


def _targets(schema: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Name and link of each allowed value, by number."""
    targets = {}
    for value in allowed_values(schema):
        own = link(value, "self") if isinstance(value, Mapping) else {}
        target = target_of(own.get("href"))
        if target is not None:
            name = plain(own.get("title")) or plain(value.get("value")) or plain(value.get("name")) or f"#{target[1]}"
            targets[target[1]] = (name, f"/api/v3/{target[0]}/{target[1]}")
    return targets


# --- converting ------------------------------------------------------------------------------------------------------


def add_to(body: dict[str, Any], fields: Mapping[str, Any], form: Form | None) -> None:
    """Put the values into the body of a write: a link below ``_links``, and a text as the type that the form names.

    Without a form, texts are sent as they are. Raises Rejected for a text that is no allowed value.
    """
    for name, value in fields.items():
        schema = form.schema.get(name) if form is not None else None
        if isinstance(value, str) and isinstance(schema, Mapping):
            value = _converted(name, value, schema)
        target = body.setdefault("_links", {}) if _is_link_value(value) else body
        target[name] = value


def need_form(fields: Mapping[str, Any]) -> bool:
    """Whether a value is a text, whose type only the form knows."""
    return any(isinstance(value, str) for value in fields.values())


def _converted(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    kind = str(schema.get("type"))
    if _is_link(schema):
        value = {"href": _href(name, text, schema)}
        return [value] if kind.startswith("[]") else value
    if kind == "Formattable":
        return {"raw": text}
    if kind == "Boolean":
        return _BOOLEANS.get(text.strip().casefold(), text)
    if kind == "Integer" and re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
        return int(text)
    return text.strip() or None


def _href(name: str, text: str, schema: Mapping[str, Any]) -> str | None:
    wanted, targets = plain(text), _targets(schema)
    if not wanted:
        return None
    found = targets.get(wanted) or next(
        (target for target in targets.values() if target[0].casefold() == wanted.casefold()), None
    )
    if found is None:
        label = plain(schema.get("name")) or name
        raise Rejected(
            _("Nothing was saved."),
            {name: _("“{wanted}” is none of the values of {label}.", wanted=wanted, label=label)},
        )
    return found[1]


def _is_link_value(value: Any) -> bool:
    entries = value if isinstance(value, list) else [value]
    return bool(entries) and all(isinstance(entry, dict) and "href" in entry for entry in entries)
