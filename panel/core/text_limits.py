"""How long a text of a request may be. A longer one is refused before anything reads it, naming field and limit."""

from __future__ import annotations

from panel.core.errors import InvalidInput
from panel.core.messages import _n

REFERENCE_LENGTH = 4000
"""The longest address, id or reference of an item."""
FIELD_LENGTH = 64 * 1024
"""The longest text of a field that states no limit of its own."""
NAME_LENGTH = 255
"""The longest name of a field."""
NOTE_LENGTH = 200
"""The longest note of a link."""


def refuse_longer(name: str, text: str, longest: int) -> None:
    """Raises InvalidInput naming the field and the limit in characters."""
    if len(text) > longest:
        raise InvalidInput(
            name, _n("“{name}” has at most {n} character.", "“{name}” has at most {n} characters.", longest, name=name)
        )
