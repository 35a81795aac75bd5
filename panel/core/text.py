"""What people call things: one line of printable characters."""

from __future__ import annotations

from panel.core.errors import InvalidInput


def one_line(field: str, text: str, longest: int, *, what: str = "A name") -> str:
    """``text`` without blanks around it. Raises InvalidInput naming the field."""
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise InvalidInput(field, f"{what} has 1 to {longest} printable characters.")
    return text
