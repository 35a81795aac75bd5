"""Text of an upstream as one line, without characters that change how it is displayed."""

from __future__ import annotations

import unicodedata

_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str) -> str:
    """Collapse whitespace; drop control characters, marks of writing direction and lone surrogates."""
    if not text.isprintable():
        text = "".join(char for char in text if char.isspace() or _is_shown(char))
    # Nearly all text is printable as a whole and needs no filter.
    return " ".join(text.split())


def _is_shown(char: str) -> bool:
    return char not in _DIRECTIONS and unicodedata.category(char) not in ("Cc", "Cs")
