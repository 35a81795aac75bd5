"""Finds pages by words for the picker: in the index, else with xWiki's own keyword search, else by their names.

Only what an answer that respects the rights of the account has shown is returned: older servers list the names and
titles of pages that the account may not view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from panel.connector import Answer, Upstream, unexpected
from panel.core.domain import Item
from panel.core.messages import _
from panel.integrations.contract import Hits
from panel.integrations.xwiki.item import reference_of, to_item
from panel.integrations.xwiki.lookup import find_pages
from panel.integrations.xwiki.query import INDEX, all_words, all_words_in_names, ask_query, phrase
from panel.integrations.xwiki.reference import PageReference
from panel.integrations.xwiki.rest import MOST, ask, entries, wiki_of

_LONGEST = 200
_SCOPES = ("title", "name", "content")
_WILD = ("%", "_")
"""Characters that older servers read as a pattern. No escape works on every database."""

Found = Sequence[Mapping[str, Any]]
"""Hits as xWiki sends them."""


def find_pages_by_words(upstream: Upstream, text: str, number: int, *, titles_only: bool = False) -> Hits:
    """The ``number`` best matches, and how many there are; the latest changes for an empty text.

    xWiki gives no total, so up to ``MOST`` hits are read and counted.
    """
    words = " ".join(text.split())[:_LONGEST]
    hits = _index_hits(upstream, words, titles_only)
    if words and not hits:
        hits = _keyword_hits(upstream, words, titles_only)
    if hits is None:
        named = _named(upstream, words, number)
        return Hits(named, len(named), more=len(named) >= number)
    pages = _pages(hits, wiki_of(upstream.source), upstream.source.root)
    return Hits(_items(upstream, pages, number), len(pages), more=len(hits) >= MOST)


def _index_hits(upstream: Upstream, words: str, titles_only: bool) -> Found | None:
    """None when the index does not answer."""
    clauses = f"wiki:{phrase(wiki_of(upstream.source))} AND type:DOCUMENT"
    wanted = all_words_in_names(words) if titles_only else all_words(words)
    query = f"{clauses} AND ({wanted})" if words else clauses
    latest_first = () if words else (("orderField", "date"), ("order", "desc"))

    def ask_index(part: Upstream) -> Found:
        return _hits(ask_query(part, INDEX, query, number=MOST, more=latest_first))

    return upstream.optional("index", ask_index)


def _keyword_hits(upstream: Upstream, words: str, titles_only: bool) -> Found | None:
    """None when the search is refused. Each scope is a parameter of its own; xWiki ignores a list of scopes.

    Older servers look for the whole text as it stands. So of several words the longest is asked for, and the others are
    looked for in the names of the hits.
    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Search resources".
    """
    longest = max(words.split(), key=len)
    is_pattern = any(char in longest for char in _WILD)
    scopes = [("scope", scope) for scope in _SCOPES if scope != "content" or not (is_pattern or titles_only)]
    query = [("q", longest), *scopes, ("number", str(MOST)), ("prettyNames", "true")]
    hits = upstream.optional("search", lambda part: _hits(ask(part, "search", query=query, allow={400, 500})))
    others = [word for word in words.split() if is_pattern or word != longest]
    return [hit for hit in hits if _contains(hit, others)] if hits else hits


def _named(upstream: Upstream, words: str, number: int) -> list[Item]:
    """Pages by their names, each of them fetched: this list has pages that the account may not view.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
    """
    longest = max(words.split(), key=len, default="")
    asked = MOST if " " in words else number
    query = [*([("name", longest)] if longest else []), ("number", str(asked))]
    named = entries(ask(upstream, "pages", query=query), "pageSummaries")
    references = (reference_of(summary, wiki_of(upstream.source)) for summary in named)
    pages = [page for page in references if page is not None and _all_in(words.split(), page.local)][:number]
    found = find_pages(upstream, pages)
    return [found[page] for page in pages if page in found]


def _hits(answer: Answer) -> list[Mapping[str, Any]]:
    if answer.status >= 300:
        raise unexpected(_("{where} answered {status}.", where=answer.where, status=answer.status))
    return entries(answer, "searchResults")


def _contains(hit: Mapping[str, Any], words: Sequence[str]) -> bool:
    """Whether each word is in the title of a hit or in its reference."""
    texts = [hit.get("title"), hit.get("pageFullName")]
    return _all_in(words, " ".join(text for text in texts if isinstance(text, str)))


def _all_in(words: Sequence[str], text: str) -> bool:
    return all(word.casefold() in text.casefold() for word in words)


def _pages(hits: Found, wiki: str, root: str) -> dict[PageReference, Item | None]:
    """Each page once, in the order of the hits. A translation is no proof of its page, so it has no item yet."""
    pages: dict[PageReference, Item | None] = {}
    for hit in hits:
        page = reference_of(hit, wiki) if hit.get("type") in (None, "page") else None
        if page is None or page.wiki != wiki:
            continue
        if not hit.get("language"):
            pages[page] = to_item(hit, page, root)
        else:
            pages.setdefault(page, None)
    return pages


def _items(upstream: Upstream, pages: Mapping[PageReference, Item | None], number: int) -> list[Item]:
    """The first pages. One that only a translation showed is fetched."""
    first = dict(list(pages.items())[:number])
    found = find_pages(upstream, [page for page, item in first.items() if item is None])
    items = (item or found.get(page) for page, item in first.items())
    return [item for item in items if item is not None]
