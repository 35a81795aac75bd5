"""Many pages in few requests: the search index first, then the database, then one by one.

The index answers for dozens of pages at once, but hidden pages are not in its answers and new ones come late, so that a
page which it does not show is asked for again before it is called gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from panel.connector import Answer, Upstream
from panel.core.domain import Item
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.integrations.xwiki.item import bare_item, read_page, reference_of, to_item
from panel.integrations.xwiki.reference import PageReference
from panel.integrations.xwiki.rest import MOST, ask, ask_page, entries, numbers_of, told_version, wiki_of

_PER_QUERY = 40
_QUERY_LENGTH = 5000
"""Characters of a query in its address, which servers and proxies take up to about 6 KB of."""

_DATABASE_CLOSED = (17, 10, 5)
"""From this version on only the index may be queried, unless an administrator opens the database."""
_ASK_AGAIN_S = 600.0
_WORTH_A_QUERY = 3
"""Fewer pages than this are asked for one by one at once: the answer is final, and no query can be refused first."""


def find_pages(upstream: Upstream, references: Iterable[PageReference]) -> dict[PageReference, Item]:
    """The pages that xWiki shows us. All lie in the source's wiki. Raises ProviderUnavailable, never leaves out."""
    return _Lookup(upstream).run(list(dict.fromkeys(references)))


class _Lookup:
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._wiki = wiki_of(upstream.source)
        self._root = upstream.source.root
        self._found: dict[PageReference, Item] = {}
        self._version = ""

    def run(self, references: Sequence[PageReference]) -> dict[PageReference, Item]:
        for step in (self._from_index, self._from_database, self._one_by_one):
            missing = [reference for reference in references if reference not in self._found]
            if missing:
                step(missing)
        return self._found

    def _from_index(self, missing: Sequence[PageReference]) -> None:
        for hits in self._upstream.each(self._ask_index, _chunks(missing)):
            self._take(hits, missing)

    def _ask_index(self, chunk: Sequence[PageReference]) -> list[Mapping[str, Any]]:
        """Solr, with the field that xWiki itself looks up references by. Its path does not limit it to the wiki."""
        wanted = " OR ".join(_quoted(f"document:{reference}") for reference in chunk)
        return self._ask("solr", f"wiki:{_quoted(self._wiki)} AND reference:({wanted})") or []

    def _from_database(self, missing: Sequence[PageReference]) -> None:
        """XWQL, which knows what was saved a moment ago, and hidden pages too."""
        numbers = numbers_of(self._version)
        # Databases disagree about a backslash in a literal.
        plain = [reference for reference in missing if "\\" not in reference.local]
        if len(plain) < _WORTH_A_QUERY or not numbers or numbers >= _DATABASE_CLOSED:
            return
        for chunk in _chunks(plain):
            self._take(self._ask_database(chunk), chunk)

    def _ask_database(self, chunk: Sequence[PageReference]) -> list[Mapping[str, Any]]:
        names = ",".join("'" + reference.local.replace("'", "''") + "'" for reference in chunk)
        hits: list[Mapping[str, Any]] | None = None

        def is_open() -> bool:
            nonlocal hits
            hits = self._ask("xwql", f"where doc.fullName in ({names})")
            return hits is not None

        if self._upstream.remember("xwql", _ASK_AGAIN_S, is_open) and hits is None:
            is_open()
        return hits or []

    def _ask(self, kind: str, query: str) -> list[Mapping[str, Any]] | None:
        """Hits of ``/query``, or None where this way of asking is refused or broken.

        https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Query resources".
        """
        asked = [("type", kind), ("q", query), ("number", str(MOST))]
        answer = ask(self._upstream, "query", query=asked, allow={400, 500})
        self._version = told_version(answer) or self._version
        return entries(answer, "searchResults") if answer.status < 300 else None

    def _take(self, hits: Iterable[Mapping[str, Any]], wanted: Iterable[PageReference]) -> None:
        """Keep what was asked for: an index may match more. Translations are hits of their own and come second."""
        asked = set(wanted)
        for hit in hits:
            reference = reference_of(hit, self._wiki)
            if reference in asked and (not hit.get("language") or reference not in self._found):
                self._found[reference] = to_item(hit, reference, self._root)

    def _one_by_one(self, missing: Sequence[PageReference]) -> None:
        """The final word on each page. One that makes the server stumble while others are read is not shown to us."""
        reachable = [reference for reference in missing if reference.is_reachable]
        read_before = bool(self._found)
        answers = self._upstream.each(self._ask_page, reachable)
        for reference, answer in zip(reachable, answers, strict=True):
            if answer is None:
                self._found[reference] = bare_item(reference, self._root)
            elif answer.status < 300:
                self._found[reference] = read_page(answer, self._wiki, self._root)
        broken = [answer for answer in answers if answer is not None and answer.status == 500]
        if broken and not read_before and len(broken) == len(answers):
            # Nothing at all could be read: that is the server's failure and says nothing about its pages.
            raise ProviderUnavailable.because(Reason.SERVER_ERROR, f"{broken[0].where} answered 500.")

    def _ask_page(self, reference: PageReference) -> Answer | None:
        """One page's answer, or None where it is there and too long to be read."""
        try:
            return ask_page(self._upstream, reference, allow={500})
        except ProviderUnavailable as exc:
            if exc.reason is Reason.TOO_LARGE:
                return None
            raise


def _chunks(references: Sequence[PageReference]) -> Iterator[list[PageReference]]:
    chunk: list[PageReference] = []
    length = 0
    for reference in references:
        size = len(quote(f'"document:{reference}" OR ', safe=""))
        if chunk and (len(chunk) == _PER_QUERY or length + size > _QUERY_LENGTH):
            yield chunk
            chunk, length = [], 0
        chunk.append(reference)
        length += size
    if chunk:
        yield chunk


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
