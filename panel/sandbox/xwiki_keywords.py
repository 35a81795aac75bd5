"""Keyword search of xWiki: words in the index on new servers, a substring in the database on old ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from panel.sandbox.xwiki_database import contains
from panel.sandbox.xwiki_index import Document, words
from panel.sandbox.xwiki_page import HOME, WIKI, Page
from panel.sandbox.xwiki_solr import Hit

SCOPES = ("CONTENT", "NAME", "TITLE", "SPACES", "OBJECTS")


def in_index(documents: Iterable[Document], keywords: str, scopes: Iterable[str]) -> list[Hit]:
    """Find documents by keywords: any word matches, the last one also as a prefix; titles have the highest weight.

    No keywords at all find every document.
    """
    wanted, searched = words(keywords), set(scopes)
    hits = []
    for one in documents:
        if one.page.hidden:
            continue
        score = _score(one, wanted, searched) + _exact_match_score(one.page, keywords, searched)
        if score or not keywords.strip():
            hits.append(Hit(one.page, score or 1.0))
    return sorted(hits, key=lambda hit: (-hit.score, hit.page.reference.full_name))


def _score(document: Document, wanted: list[str], scopes: set[str]) -> float:
    return sum(_scores(document, wanted, scopes)) if wanted else 0.0


def _scores(document: Document, wanted: list[str], scopes: set[str]) -> Iterator[float]:
    names = [] if document.page.reference.name == HOME else document.words["name"]
    weighted = {
        "TITLE": [(4.0, document.words["title"])],
        "NAME": [(1.0, document.words["spaces"]), (2.0, names)],
        "CONTENT": [(1.0, document.words["doccontent"])],
    }
    for scope in scopes & weighted.keys():
        for weight, present in weighted[scope]:
            yield weight * sum(word in present for word in wanted)
            # The content is searched without wildcards, which would be too slow.
            if scope != "CONTENT" and any(word.startswith(wanted[-1]) for word in present):
                yield weight


def _exact_match_score(page: Page, keywords: str, scopes: set[str]) -> float:
    """Boost the page whose reference equals the keywords."""
    return 1000.0 if "NAME" in scopes and page.reference.id == f"{WIKI}:{keywords.removeprefix(f'{WIKI}:')}" else 0.0


def in_database(documents: Iterable[Page], keywords: str, scopes: Iterable[str]) -> list[Page]:
    """Find documents with the keywords as they stand, in capitals or not; ``%`` and ``_`` are wildcards."""
    texts = [_TEXTS[scope] for scope in scopes if scope in _TEXTS]
    return [page for page in documents if not page.hidden and any(contains(keywords, text(page)) for text in texts)]


_TEXTS: dict[str, Callable[[Page], str]] = {
    "CONTENT": lambda page: page.content,
    "NAME": lambda page: page.reference.own_name,
    "TITLE": lambda page: page.title,
}
