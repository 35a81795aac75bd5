"""Request parsing that several faces share: references, numbers, payloads and lists. Most raise InvalidInput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.core.domain import ObjectRef
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.core.text_limits import FIELD_LENGTH, NAME_LENGTH, refuse_longer
from panel.integrations.contract import Integration

KEY_LENGTH = 255
SEARCH_LENGTH = 200
PICKER_LENGTH = 2000
PICKER_LIMIT = 25


def object_ref(register: str, schema: str, object_id: str) -> ObjectRef:
    """The object reference from the parts of a path. Raises InvalidInput for the part that is wrong."""
    for name, value in (("register", register), ("schema", schema), ("objectId", object_id)):
        if not value.strip() or len(value) > 255 or not value.isprintable():
            raise InvalidInput(name, _("“{name}” must be 1 to 255 printable characters.", name=name))
    return ObjectRef(register, schema, object_id)


def lines(text: str) -> tuple[str, ...]:
    """The lines of a text area that are not blank."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def positive(name: str, text: str | None, default: int) -> int:
    """A whole number from 1 to 999,999,999; ``default`` when the parameter is missing."""
    if text is None:
        return default
    if len(text) > 12 or not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise InvalidInput(name, _("“{name}” must be a whole number from 1.", name=name))
    return int(text)


def idempotency_key(name: str, text: str) -> str | None:
    """The key without surrounding spaces; None for an empty one."""
    refuse_longer(name, text.strip(), KEY_LENGTH)
    return text.strip() or None


def search_text(name: str, text: str, longest: int) -> str:
    """The text without surrounding spaces."""
    refuse_longer(name, text.strip(), longest)
    return text.strip()


def reference_in(leaf: Integration, payload: Mapping[str, Any]) -> str:
    """The value of ``reference`` or of an alias of the leaf; an integer is an id."""
    for name in ("reference", *leaf.descriptor.reference_aliases):
        value = payload.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
        if value is not None:
            raise InvalidInput("reference", _("“{name}” must be an address, id or reference.", name=name))
    raise InvalidInput("reference", _("“reference” is missing: give an address, id or reference."))


def create_values(leaf: Integration, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload with the aliases of the create fields replaced by their names."""
    values = field_texts(payload)
    for field in leaf.descriptor.create:
        for alias in field.aliases:
            if alias in values and field.name not in values:
                values[field.name] = values.pop(alias)
    return values


def field_named(leaf: Integration, name: str) -> str:
    """The name of the create field that has this alias; other names unchanged."""
    return next((field.name for field in leaf.descriptor.create if name in field.aliases), name)


def field_texts(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a create or update, when none of its names and texts is too long."""
    for name, value in payload.items():
        if len(name) > NAME_LENGTH:
            raise InvalidInput("body", _("The name of a field has at most {longest} characters.", longest=NAME_LENGTH))
        if isinstance(value, str):
            refuse_longer(name, value, FIELD_LENGTH)
    return dict(payload)
