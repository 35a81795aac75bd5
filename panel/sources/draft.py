"""A source as it is checked before it is stored: one shape behind the form, the JSON body and the YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.sources import fields
from panel.sources.auth_fields import AuthValues
from panel.sources.placeholders import check_placeholders


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked source that is not stored yet. ``secret`` is None where none was typed."""

    values: Mapping[str, Any]
    """The fields that have a column, by name."""
    headers: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    """The extra headers; None is a value that is kept as it is stored."""
    auth_kind: str = "none"
    auth_fields: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)

    @property
    def slug(self) -> str:
        return str(self.values["slug"])

    @property
    def location(self) -> str:
        return str(self.values["location"])

    @property
    def options(self) -> Mapping[str, str]:
        options: Mapping[str, str] = self.values["options"]
        return options


def read_draft(raw: Mapping[str, Any]) -> Draft:
    """Check a source in its JSON shape. Raises InvalidInput naming the setting."""
    for key in raw:
        if key not in fields.names():
            raise InvalidInput(str(key), _("“{name}” is not a setting of a source.", name=str(key)))
    check_placeholders(raw)
    values = {field.name: field.read(raw) for field in fields.FIELDS}
    auth: AuthValues = values.pop("auth")
    headers = values.pop("headers")
    named = {**values, "name": values["name"] or values["slug"]}
    return Draft(named, headers, auth.kind, auth.fields, auth.secret)
