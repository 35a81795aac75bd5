"""Learns how a wiki builds the addresses of its pages: ``/xwiki/bin/view/…``, or short ones such as ``/wiki/…``.

No setting and no stored state: one page is read, and the result is remembered in this process for some minutes.
https://www.xwiki.org/xwiki/bin/view/Documentation/AdminGuide/ShortURLs/
"""

from __future__ import annotations

from collections.abc import Iterator

from panel.connector import Upstream
from panel.integrations.xwiki.item import reference_of
from panel.integrations.xwiki.pasted import Prefix, prefix_of
from panel.integrations.xwiki.reference import HOME, PageReference
from panel.integrations.xwiki.rest import ask, ask_page, entries, wiki_of

_REMEMBERED_S = 300.0


def view_prefix(upstream: Upstream) -> Prefix | None:
    """The prefix of the addresses of this wiki's pages; None when the account sees none. Raises ProviderUnavailable."""
    return upstream.remember("view prefix", _REMEMBERED_S, lambda: _learn(upstream))


def _learn(upstream: Upstream) -> Prefix | None:
    for page in _samples(upstream):
        answer = ask_page(upstream, page)
        address = answer.object().get("xwikiAbsoluteUrl") if answer.status < 300 else None
        prefix = prefix_of(address, page, upstream.source.root)
        if prefix is not None:
            return prefix
    return None


def _samples(upstream: Upstream) -> Iterator[PageReference]:
    """The home page, and a page of the index for an account that may not see the home page."""
    wiki = wiki_of(upstream.source)
    yield PageReference(wiki, ("Main",), HOME)
    query = [("type", "solr"), ("q", f'type:DOCUMENT AND wiki:"{wiki}"'), ("number", "1")]
    answer = ask(upstream, "query", query=query, allow={400, 500})
    hits = entries(answer, "searchResults") if answer.status < 300 else []
    yield from (page for page in (reference_of(hit, wiki) for hit in hits) if page is not None)
