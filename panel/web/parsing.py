"""What programs give: names, numbers and payloads, read the same way through JSON and MCP. All raise InvalidInput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.core.domain import ObjectRef
from panel.core.errors import InvalidInput
from panel.integrations.contract import Integration

KEY_LENGTH = 255
SEARCH_LENGTH = 200
PICKER_LENGTH = 2000
PICKER_LIMIT = 25


def object_ref(register: str, schema: str, object_id: str) -> ObjectRef:
    """Our side of a link from the parts of an address, on pages too. Raises InvalidInput naming the part."""
    for name, value in (("register", register), ("schema", schema), ("objectId", object_id)):
        if not value.strip() or len(value) > 255 or not value.isprintable():
            raise InvalidInput(name, f"“{name}” must be 1 to 255 printable characters.")
    return ObjectRef(register, schema, object_id)


def positive(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:12]) < 10**9:
        raise InvalidInput(name, f"“{name}” must be a whole number from 1.")
    return int(text)


def idempotency_key(name: str, text: str) -> str | None:
    if len(text.strip()) > KEY_LENGTH:
        raise InvalidInput(name, f"“{name}” has at most {KEY_LENGTH} characters.")
    return text.strip() or None


def reference_in(leaf: Integration, payload: Mapping[str, Any]) -> str:
    """The reference under any of its names; numbers are taken as ids."""
    for name in ("reference", *leaf.descriptor.reference_aliases):
        value = payload.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
        if value is not None:
            raise InvalidInput("reference", f"“{name}” must be an address, id or reference.")
    raise InvalidInput("reference", "“reference” is missing: give an address, id or reference.")


def create_values(leaf: Integration, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The create fields with their other names folded into ours."""
    values = dict(payload)
    for field in leaf.descriptor.create:
        for alias in field.aliases:
            if alias in values and field.name not in values:
                values[field.name] = values.pop(alias)
    return values
