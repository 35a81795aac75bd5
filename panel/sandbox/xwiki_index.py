"""The Solr index of the xWiki stand-in: copies of the documents that are older than the stored ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from panel.sandbox.xwiki_page import WIKI, Page, Reference

Key = tuple[Reference, str]
"""Reference and language of a document."""

_WORD = re.compile(r"\w+(?:(?:(?<=[^\W\d])['’.:](?=[^\W\d])|(?<=\d)[.,](?=\d))\w+)*")


def words(text: str) -> list[str]:
    """Split a text as the index does: ``it's``, ``node.js`` and ``1.2`` are one word each."""
    return _WORD.findall(text.lower())


def timestamp(value: datetime) -> str:
    """Return a time as the index has it: UTC in whole seconds, ``2026-11-30T14:19:55Z``."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the index: its exact fields, and the words of its text fields."""

    page: Page
    exact: dict[str, str]
    words: dict[str, list[str]]
    text: str
    """All words with a blank before each, in which most documents without a word are told apart at once."""

    def value(self, field: str, *, marks_new: bool) -> str:
        """The value of an exact field. With ``marks_new`` the reference of a page saved once ends in ``;``."""
        value = self.exact[field]
        if field == "reference" and marks_new and not (self.page.saved_again or self.page.language):
            return f"{value};"
        return value


def document(page: Page) -> Document:
    reference = page.reference
    fields = _text_fields(page, reference)
    text = "".join(f" {word}" for present in fields.values() for word in present)
    return Document(page, _exact_fields(page), fields, text)


def _exact_fields(page: Page) -> dict[str, str]:
    reference = page.reference
    return {
        "reference": f"document:{reference.id}" + (f";{page.language}" if page.language else ""),
        "fullname": reference.full_name,
        "name_exact": reference.name,
        "space_exact": reference.space,
        "wiki": WIKI,
        "hidden": str(page.hidden).lower(),
        "type": "DOCUMENT",
        "version": page.version,
        "locale": page.language,
        "doclocale": page.language,
        "language": page.language,
        "creationdate": timestamp(page.created),
        "creator": f"{WIKI}:{page.creator}",
        "date": timestamp(page.date),
        "author": f"{WIKI}:{page.author}",
    }


def _text_fields(page: Page, reference: Reference) -> dict[str, list[str]]:
    # Queries search the text fields of the wiki's own language only, which a translation's content is not in.
    content = words(page.content) if not page.language else []
    return {
        "title": words(page.plain_title),
        "name": words(reference.name),
        "doccontent": content,
        "doccontentraw": content,
        "space": words(reference.space),
        "spaces": words(" ".join(reference.spaces)),
    }


class Index:
    """Documents as they were when they were last indexed. A change is seen after ``lag`` seconds, or by ``run``."""

    def __init__(self, lag: float | None, current: Callable[[Key], Page | None]) -> None:
        self.lag = lag
        """``None`` means that changes are only seen after ``run``."""
        self._current = current
        self._documents: dict[Key, Document] = {}
        self._pending: list[tuple[float, Key]] = []
        self._ordered: list[Document] | None = None

    def schedule(self, key: Key) -> None:
        due = float("inf") if self.lag is None else time.monotonic() + self.lag
        self._pending.append((due, key))

    def documents(self) -> list[Document]:
        """Return the documents by full name."""
        now = time.monotonic()
        self._update(key for due, key in self._pending if due <= now)
        self._pending = [entry for entry in self._pending if entry[0] > now]
        if self._ordered is None:
            self._ordered = sorted(self._documents.values(), key=lambda one: one.exact["fullname"])
        return self._ordered

    def run(self) -> None:
        """Index all pending changes now."""
        self._update(key for _, key in self._pending)
        self._pending.clear()

    def run_for(self, key: Key) -> None:
        """Index one document now."""
        self._pending = [entry for entry in self._pending if entry[1] != key]
        self._update([key])

    def _update(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            page = self._current(key)
            if page is None:
                self._documents.pop(key, None)
            else:
                self._documents[key] = document(page)
            self._ordered = None
