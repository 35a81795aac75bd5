"""Custom fields of work packages: described for the panel's forms, and converted for a write.

A form describes them (``form.py``). The key of a custom field is ``customField`` and a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from panel.connector import Upstream
from panel.core.domain import Choice, Choices
from panel.core.errors import InvalidInput, Rejected
from panel.core.messages import _
from panel.integrations.contract import AskedField, FurtherFields
from panel.integrations.descriptor import Field
from panel.integrations.openproject.form import Form, allowed_values, inside
from panel.integrations.openproject.item import link, plain
from panel.integrations.openproject.linked_values import address_of_values, find_values, href_of
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


def required(upstream: Upstream, form: Form) -> FurtherFields:
    """The fields without which OpenProject makes no work package of this form, beside those of the panel's own form."""
    names = [name for name, schema in form.schema.items() if is_custom_field(name) and _is_wanting(form, name, schema)]
    found = described(upstream, form, names)
    missing = {*names, *(name for name in form.errors if not is_custom_field(name) and name not in _OWN)}
    labels = [_label(form.schema.get(name), name) for name in missing - {one.field.name for one in found}]
    return FurtherFields(tuple(found), tuple(sorted(labels)))


_OWN = frozenset({"subject", "project", "type", "description"})


def _is_wanting(form: Form, name: str, schema: Any) -> bool:
    """Whether a required field is empty, so that OpenProject has no default for it."""
    if not isinstance(schema, Mapping) or schema.get("required") is not True or schema.get("writable") is False:
        return False
    return not _present(form, name)


def _present(form: Form, name: str) -> str:
    """What the form has for a field: its text, or the value of its link."""
    links = inside(form.payload, "_links").get(name)
    first = links[0] if isinstance(links, list) and links else links
    target = target_of(first.get("href")) if isinstance(first, Mapping) else None
    return target[1] if target else _text(form.payload.get(name))


def described(upstream: Upstream, form: Form, names: Iterable[str], *, search: str = "") -> list[AskedField]:
    """The custom fields of these names that the panel's forms can show; people and versions that match ``search``."""
    found = (_described(upstream, form, name, search) for name in names if is_custom_field(name))
    return [one for one in found if one is not None]


def _described(upstream: Upstream, form: Form, name: str, search: str) -> AskedField | None:
    schema = form.schema.get(name)
    if not isinstance(schema, Mapping) or schema.get("writable") is False:
        return None
    kind = "select" if _is_link(schema) or schema.get("type") == "Boolean" else _KINDS.get(str(schema.get("type")))
    choices = _choices(upstream, schema, search) if kind == "select" else Choices.whole(())
    if kind is None or (kind == "select" and not choices.total and not search) or len(choices.items) > _MOST_CHOICES:
        return None
    is_required = schema.get("required") is True
    field = Field(name, _label(schema, name), kind, is_required, _REQUIRED if is_required else "")
    return AskedField(field, choices, _present(form, name))


def _label(schema: Any, name: str) -> str:
    return plain(schema.get("name")) if isinstance(schema, Mapping) and plain(schema.get("name")) else name


_REQUIRED = _("Required by this project.")
_YES_NO = (Choice("true", _("Yes")), Choice("false", _("No")))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("raw") or "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _is_link(schema: Mapping[str, Any]) -> bool:
    return schema.get("location") == "_links" or "CustomOption" in str(schema.get("type"))


def _choices(upstream: Upstream, schema: Mapping[str, Any], search: str) -> Choices:
    if not _is_link(schema):
        return Choices.whole(_YES_NO)
    if address_of_values(schema):
        found = upstream.optional("values", lambda part: find_values(part, schema, search))
        return found or Choices.whole(())
    words = search.casefold()
    named = ((number, name) for number, (name, _target) in _targets(schema).items())
    return Choices.whole(Choice(number, name) for number, name in named if words in name.casefold())


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
    if kind == "Float" and re.fullmatch(r"[+-]?[0-9]{1,15}([.,][0-9]{1,15})?", text.strip()):
        return float(text.strip().replace(",", "."))
    return text.strip() or None


def _href(name: str, text: str, schema: Mapping[str, Any]) -> str | None:
    wanted, targets = plain(text), _targets(schema)
    if not wanted:
        return None
    elsewhere = href_of(wanted, schema) if address_of_values(schema) else None
    if elsewhere is not None:
        return elsewhere
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
