"""Fetches many pages in few requests: from the search index, then from the database, then one by one.

The index returns dozens of pages per request. It omits hidden pages and is late with new ones, so a page that it does
not return is requested by itself before it counts as gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from panel.connector import Answer, Upstream
from panel.core.domain import Item
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.integrations.xwiki import redirect
from panel.integrations.xwiki.item import bare_item, read_page, reference_of, to_item
from panel.integrations.xwiki.reference import PageReference
from panel.integrations.xwiki.rest import MOST, ask, ask_page, entries, numbers_of, reported_version, wiki_of

_PER_QUERY = 40
_QUERY_LENGTH = 5000
"""Limit of an encoded query. Servers and proxies accept addresses of about 6 KB."""

_DATABASE_CLOSED = (17, 10, 5)
"""From this version on, database queries are refused unless an administrator allows them."""
_ASK_AGAIN_S = 600.0
_WORTH_A_QUERY = 3
"""Fewer pages than this are requested one by one, which saves a query that may be refused."""


def find_pages(upstream: Upstream, references: Iterable[PageReference]) -> dict[PageReference, Item]:
    """The pages of the source's wiki that the account may see. Raises ProviderUnavailable for a failure."""
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
        """Query Solr by the field ``reference``. The path does not restrict it to the wiki, so the query does."""
        references = " OR ".join(_quoted(f"document:{reference}") for reference in chunk)
        return self._ask("solr", f"wiki:{_quoted(self._wiki)} AND hidden:false AND reference:({references})") or []

    def _from_database(self, missing: Sequence[PageReference]) -> None:
        """Query with XWQL, which includes hidden pages and recent changes."""
        numbers = numbers_of(self._version)
        # Databases treat a backslash in a literal differently.
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
        """Hits of ``/query``, or None when this query type is refused or broken.

        https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Query resources".
        """
        parameters = [("type", kind), ("q", query), ("number", str(MOST))]
        if kind != "solr":
            # A database knows hidden pages too, some of which only redirect.
            parameters.append(("className", redirect.CLASS))
        answer = ask(self._upstream, "query", query=parameters, allow={400, 500})
        self._version = reported_version(answer) or self._version
        return entries(answer, "searchResults") if answer.status < 300 else None

    def _take(self, hits: Iterable[Mapping[str, Any]], references: Iterable[PageReference]) -> None:
        """Keep the requested pages; an index may match others. A page wins over its translations."""
        requested = set(references)
        for hit in hits:
            reference = reference_of(hit, self._wiki)
            if reference in requested and (not hit.get("language") or reference not in self._found):
                self._found[reference] = to_item(hit, reference, self._root)

    def _one_by_one(self, missing: Sequence[PageReference]) -> None:
        """Fetch each page. A 500 counts as gone if other pages could be read."""
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
            # No page could be read, so the 500 is a failure of the server and not of one page.
            raise ProviderUnavailable.because(Reason.SERVER_ERROR, f"{broken[0].where} answered 500.")

    def _ask_page(self, reference: PageReference) -> Answer | None:
        """The answer for one page, or None for a page that exists and is too large."""
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
