"""A made-up language that shows each translated text as ⟦…⟧, and what of a page is not in it.

The values of a text stand outside of the brackets, so that a value in English is found as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from gettext import NullTranslations

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from panel.web import translations

PLACEHOLDER = re.compile(r"(\{\w+\})")
TRANSLATED = re.compile(r"⟦[^⟦⟧]*⟧")
ATTRIBUTES = ("aria-label", "title", "placeholder", "alt", "data-announce", "data-wide")
SCRIPT_TEXTS = "data-text-"
"""What the name of an attribute with a text for a script begins with."""
WITHOUT_TEXT = "script, style, svg, code, datalist"
ENGLISH_ALWAYS = ".lp-technical > p"
"""The message of a failure stays in English below Technical details."""


class Pseudo(NullTranslations):
    """A catalogue that knows every text."""

    def gettext(self, message: str) -> str:
        return "".join(map(_marked, PLACEHOLDER.split(message)))

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def _marked(part: str) -> str:
    return f"⟦{part}⟧" if _letters(part) and not PLACEHOLDER.fullmatch(part) else part


def speak_pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show every page in the made-up language, whatever a request asks for."""
    monkeypatch.setattr(translations, "catalogue", lambda language: Pseudo())


def untranslated(html: str, data: Iterable[str] = ()) -> list[str]:
    """The texts and attributes of a page with letters outside of ⟦⟧. ``data`` are patterns of what is no text of ours."""
    page = LexborHTMLParser(html)
    for node in page.css(f"{WITHOUT_TEXT}, {ENGLISH_ALWAYS}"):
        node.decompose()
    known = re.compile("|".join(sorted(data, key=len, reverse=True)) or "(?!)")
    return [text for text in _shown(page) if _letters(known.sub("", _own(text)))]


def _own(text: str) -> str:
    """What is left of a text without its translated parts."""
    return PLACEHOLDER.sub("", TRANSLATED.sub(" ", text))


def _shown(page: LexborHTMLParser) -> Iterator[str]:
    assert page.root is not None
    for node in page.root.traverse(include_text=True):
        if node.is_text_node:
            yield (node.text_content or "").strip()
        else:
            yield from _attributes(node)


def _attributes(node: LexborNode) -> Iterator[str]:
    for name, value in node.attributes.items():
        if name in ATTRIBUTES or name.startswith(SCRIPT_TEXTS):
            yield value or ""


def _letters(text: str) -> bool:
    return any(character.isalpha() for character in text)
