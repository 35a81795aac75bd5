"""The choices of a field for JSON and MCP: parses the request, and serializes what the upstream offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.core.domain import Choices, ObjectRef
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.links.visitor import Visitor
from panel.web.context import panel
from panel.web.parsing import SEARCH_LENGTH, create_values, field_named, search_text

OWN_PARAMETERS = frozenset({"field", "search", "register", "schema", "objectId", "entityId"})
"""The parameters that are no values of the form."""


def find_choices(
    who: Visitor, leaf: Integration, given: Mapping[str, Any], *, obj: ObjectRef | None, entity_id: str | None
) -> Choices:
    """What the upstream offers for the field that ``given`` names. Raises as ``Links.choices``, and InvalidInput."""
    texts = {name: _text(name, value) for name, value in given.items()}
    field = texts.get("field", "").strip()
    if not field:
        raise InvalidInput("field", _("“{name}” is missing.", name="field"))
    values = create_values(leaf, {name: text for name, text in texts.items() if name not in OWN_PARAMETERS})
    search = search_text("search", texts.get("search", ""), SEARCH_LENGTH)
    return panel().links.choices(
        who, leaf.id, field_named(leaf, field), values, search=search, obj=obj, reference=entity_id or None
    )


def _text(name: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InvalidInput(name[:100], _("“{name}” must be text.", name=name[:100]))
    return value


def choices_json(found: Choices) -> dict[str, Any]:
    items = [{"value": choice.value, "label": choice.label} for choice in found.items]
    return {"items": items, "total": found.total, "more": found.more}
