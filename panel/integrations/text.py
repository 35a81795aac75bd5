"""Text of an upstream as one line for people, without characters that play tricks on whoever reads it."""

from __future__ import annotations

import unicodedata

_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str) -> str:
    """Blanks run together; control characters, turned writing direction and half characters left out."""
    if not text.isprintable():
        text = "".join(char for char in text if char.isspace() or _is_shown(char))
    # What is printable as a whole, as nearly all text is, has nothing to leave out.
    return " ".join(text.split())


def _is_shown(char: str) -> bool:
    return char not in _DIRECTIONS and unicodedata.category(char) not in ("Cc", "Cs")
