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
from panel.integrations.xwiki.item import reference_of, to_item
from panel.integrations.xwiki.lookup import find_pages
from panel.integrations.xwiki.query import INDEX, all_words, ask_query, phrase
from panel.integrations.xwiki.reference import PageReference
from panel.integrations.xwiki.rest import MOST, ask, entries, wiki_of

_LONGEST = 200
_SCOPES = ("title", "name", "content")
_WILD = ("%", "_")
"""Characters that older servers read as a pattern. No escape works on every database."""

Hits = Sequence[Mapping[str, Any]]


def search_pages(upstream: Upstream, text: str, number: int) -> list[Item]:
    """At most ``number`` pages, best match first; the latest changes for an empty text."""
    words = " ".join(text.split())[:_LONGEST]
    hits = _index_hits(upstream, words, number)
    if words and not hits:
        hits = _keyword_hits(upstream, words, number)
    return _named(upstream, words, number) if hits is None else _items(upstream, hits, number)


def _index_hits(upstream: Upstream, words: str, number: int) -> Hits | None:
    """None when the index does not answer. Rights are checked after paging, so more hits than needed are requested."""
    clauses = f"wiki:{phrase(wiki_of(upstream.source))} AND type:DOCUMENT"
    query = f"{clauses} AND ({all_words(words)})" if words else clauses
    latest_first = () if words else (("orderField", "date"), ("order", "desc"))

    def ask_index(part: Upstream) -> Hits:
        return _hits(ask_query(part, INDEX, query, number=min(MOST, 3 * number), more=latest_first))

    return upstream.optional("index", ask_index)


def _keyword_hits(upstream: Upstream, words: str, number: int) -> Hits | None:
    """None when the search is refused. Each scope is a parameter of its own; xWiki ignores a list of scopes.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Search resources".
    """
    is_pattern = any(char in words for char in _WILD)
    scopes = [("scope", scope) for scope in _SCOPES if scope != "content" or not is_pattern]
    wanted = MOST if is_pattern else number
    query = [("q", words), *scopes, ("number", str(wanted)), ("prettyNames", "true")]
    hits = upstream.optional("search", lambda part: _hits(ask(part, "search", query=query, allow={400, 500})))
    return [hit for hit in hits if _contains(hit, words)] if hits and is_pattern else hits


def _named(upstream: Upstream, words: str, number: int) -> list[Item]:
    """Pages by their names, each of them fetched: this list has pages that the account may not view.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
    """
    query = [*([("name", words)] if words else []), ("number", str(number))]
    named = entries(ask(upstream, "pages", query=query), "pageSummaries")
    references = (reference_of(summary, wiki_of(upstream.source)) for summary in named)
    pages = [page for page in references if page is not None and words.casefold() in page.local.casefold()]
    found = find_pages(upstream, pages)
    return [found[page] for page in pages if page in found]


def _hits(answer: Answer) -> list[Mapping[str, Any]]:
    if answer.status >= 300:
        raise unexpected(_("{where} answered {status}.", where=answer.where, status=answer.status))
    return entries(answer, "searchResults")


def _contains(hit: Mapping[str, Any], words: str) -> bool:
    texts = [hit.get("title"), hit.get("pageFullName")]
    return any(words.casefold() in text.casefold() for text in texts if isinstance(text, str))


def _items(upstream: Upstream, hits: Hits, number: int) -> list[Item]:
    """Each page once, in the order of the hits. A translation is no proof of its page, so that page is fetched."""
    source, wiki = upstream.source, wiki_of(upstream.source)
    pages: dict[PageReference, Item | None] = {}
    for hit in hits:
        page = reference_of(hit, wiki) if hit.get("type") in (None, "page") else None
        if page is None or page.wiki != wiki:
            continue
        if not hit.get("language"):
            pages[page] = to_item(hit, page, source.root)
        else:
            pages.setdefault(page, None)
    first = dict(list(pages.items())[:number])
    found = find_pages(upstream, [page for page, item in first.items() if item is None])
    items = (item or found.get(page) for page, item in first.items())
    return [item for item in items if item is not None]
