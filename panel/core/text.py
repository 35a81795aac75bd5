"""What people call things: one line of printable characters."""

from __future__ import annotations

import unicodedata

from panel.core.errors import InvalidInput


def one_line(field: str, text: str, longest: int, *, what: str = "A name") -> str:
    """``text`` without blanks around it. Raises InvalidInput naming the field."""
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise InvalidInput(field, f"{what} has 1 to {longest} printable characters.")
    return text


def fold(name: str) -> str:
    """The form in which names are compared: without case, and the same for every encoding of an accent.

    Databases do not agree on the case of characters beyond ASCII, so they store and compare this form.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def mixes_scripts(name: str) -> bool:
    """Whether a name has letters of more than one of the scripts whose letters look alike."""
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha()}
    return len(scripts & {"LATIN", "CYRILLIC", "GREEK"}) > 1
