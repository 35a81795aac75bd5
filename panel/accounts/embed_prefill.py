"""What an application signs into an embed token about its object: its name, and values for the create form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.core.text import checked_line, is_plain

LONGEST_TITLE = 255
MOST_FIELDS = 20
LONGEST_NAME = 100
LONGEST_VALUE = 2000


def title_of(claims: Mapping[str, Any]) -> str:
    """The name of the object; "" without the claim. Raises InvalidInput."""
    value = claims.get("title", "")
    if not isinstance(value, str):
        raise InvalidInput("title", _("The claim {name} must be a text.", name="title"))
    return checked_line("title", value, LONGEST_TITLE, what=_("The claim title")) if value.strip() else ""


def prefill_of(claims: Mapping[str, Any]) -> dict[str, str]:
    """The values for fields of the create form; {} without the claim. Raises InvalidInput.

    Names that no form has are kept: a token may be for a newer panel, and the inspector of addresses lists them.
    """
    value = claims.get("prefill", {})
    if not isinstance(value, dict) or len(value) > MOST_FIELDS:
        message = _("The claim prefill must be an object of at most {most} texts.", most=MOST_FIELDS)
        raise InvalidInput("prefill", message)
    return {_name(name): _value(name, text) for name, text in value.items()}


def _name(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME or not is_plain(name):
        raise InvalidInput("prefill", _("The claim prefill has a field whose name is too long or not printable."))
    return name


def _value(name: str, value: object) -> str:
    """The text of a field. A number becomes its digits."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and len(text) <= LONGEST_VALUE and all(map(is_plain, text.splitlines())):
        return text
    template = _("“{name}” in the claim prefill must be a text of at most {longest} printable characters.")
    raise InvalidInput("prefill", template.filled(name=name, longest=LONGEST_VALUE))
