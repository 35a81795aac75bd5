"""Fetches many pages in few requests: from the database, else from the search index, else one by one.

The database is up to date and knows hidden pages, so a page that it does not return is gone. Many servers do not allow
queries of the database. The index omits hidden pages and is late with every change: a page that it does not return is
requested by itself before it counts as gone, and a page that it returns is requested by itself from time to time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from panel.connector import Answer, Upstream, unexpected
from panel.core.domain import Item
from panel.core.errors import ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Reason
from panel.integrations.xwiki import redirect
from panel.integrations.xwiki.item import bare_item, read_page, reference_of, to_item
from panel.integrations.xwiki.query import (
    DATABASE,
    INDEX,
    ask_query,
    database_is_open,
    note_closed_database,
    phrase,
)
from panel.integrations.xwiki.reference import HOME, PageReference
from panel.integrations.xwiki.rest import ask_page, entries, wiki_of

GONE_S = 60.0
"""How long a page that was gone is not requested by itself again."""
INDEX_TRUSTED_S = 300.0
"""How long a page that the index returns is not requested by itself."""

_PER_QUERY = 70
_QUERY_LENGTH = 5000
"""Limit of an encoded query. Servers accept request lines with headers of 8 KB."""
_HITS = 1000
"""Hits to request: translations are hits of their own. Newer servers refuse more."""
_WORTH_A_QUERY = 3
"""Fewer pages than this are requested one by one, which is exact and as quick."""
_AGAIN = 8
"""How many pages of the index a list requests by themselves, unless one of them shows that the index is late."""
_GONE_AGAIN = 2
"""How many pages that were gone more than ``GONE_S`` ago a list requests. The index shows them when they return."""

_GONE, _LIVE = "gone", "live"
"""Names of notes: pages that were gone or live when they were last requested by themselves."""


def find_pages(upstream: Upstream, references: Iterable[PageReference]) -> dict[PageReference, Item]:
    """The pages of the source's wiki that the account may see. Raises ProviderUnavailable for a failure."""
    return _Lookup(upstream).run(list(dict.fromkeys(references)))


def titles_of(upstream: Upstream, references: Iterable[PageReference]) -> dict[PageReference, str]:
    """The titles of those pages that the database or the index shows. No page is requested by itself."""
    found = _Lookup(upstream).in_bulk(list(dict.fromkeys(references)))
    return {reference: item.title for reference, item in found.items()}


def note_live(upstream: Upstream, reference: PageReference) -> None:
    """Note that a request for this page has just shown it."""
    upstream.notes(_GONE).discard([str(reference)])
    upstream.notes(_LIVE).add([str(reference)])


class _Lookup:
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._wiki = wiki_of(upstream.source)
        self._root = upstream.source.root
        self._found: dict[PageReference, Item] = {}
        self._absent: set[PageReference] = set()
        self._indexed: set[PageReference] = set()
        self._too_large: dict[PageReference, ProviderUnavailable] = {}

    def run(self, references: Sequence[PageReference]) -> dict[PageReference, Item]:
        self.in_bulk(references, least=_WORTH_A_QUERY)
        self._check([one for one in references if one in self._indexed])
        self._read(self._upstream, self._worth_reading(self._unknown(references)))
        if self._too_large:
            self._settle_too_large()
        return self._found

    def in_bulk(self, references: Sequence[PageReference], *, least: int = 1) -> dict[PageReference, Item]:
        """Query for the pages, as long as there are ``least`` of them, or one whose address a server may refuse."""
        for step in (self._from_database, self._from_index):
            unknown = self._unknown(references)
            if len(unknown) >= least or any(one.has_separator or not one.is_reachable for one in unknown):
                step(unknown)
        return self._found

    def _unknown(self, references: Iterable[PageReference]) -> list[PageReference]:
        """The pages of which it is not known yet whether they are there."""
        return [one for one in references if one not in self._found and one not in self._absent]

    # --- database ------------------------------------------------------------------------------------------------

    def _from_database(self, unknown: Sequence[PageReference]) -> None:
        if database_is_open(self._upstream):
            # Databases treat a backslash in a literal differently.
            chunks = list(_chunks(one for one in unknown if "\\" not in one.local))
            self._upstream.optional("database", lambda part: self._ask_database(part, chunks))

    def _ask_database(self, part: Upstream, chunks: Sequence[Sequence[PageReference]]) -> None:
        """Query all chunks. One that fails leaves its pages to the index; a database that refuses queries, all."""

        def ask(chunk: Sequence[PageReference]) -> bool:
            names = ",".join("'" + reference.local.replace("'", "''") + "'" for reference in chunk)
            more = [("className", redirect.CLASS)]
            answer = ask_query(part, DATABASE, f"where doc.fullName in ({names})", number=_HITS, more=more)
            if answer.status < 300:
                self._take(entries(answer, "searchResults"), chunk)
                self._absent.update(self._unknown(chunk))
            return answer.status < 300 or (answer.status != 400 and _database_answers(part))

        # The first shows whether queries are allowed.
        if not all(part.each(ask, chunks[:1])):
            note_closed_database(self._upstream)
        else:
            part.each(ask, chunks[1:])

    # --- index ---------------------------------------------------------------------------------------------------

    def _from_index(self, unknown: Sequence[PageReference]) -> None:
        chunks = list(_chunks(unknown))
        self._upstream.optional("index", lambda part: self._ask_index(part, chunks))
        self._indexed.update(one for one in unknown if one in self._found)

    def _ask_index(self, part: Upstream, chunks: Sequence[Sequence[PageReference]]) -> None:
        """Query by the field ``fullname``, which is exact. The path does not restrict a query to the wiki.

        Hidden pages are left to single requests, which show whether they only redirect.
        """

        def ask(chunk: Sequence[PageReference]) -> Answer:
            names = " OR ".join(phrase(reference.local) for reference in chunk)
            query = f"wiki:{phrase(self._wiki)} AND hidden:false AND fullname:({names})"
            answer = ask_query(part, INDEX, query, number=_HITS)
            if answer.status < 300:
                self._take(entries(answer, "searchResults"), chunk)
            return answer

        answers = part.each(ask, chunks)
        if all(answer.status >= 300 for answer in answers):
            raise unexpected(_("{where} answered {status}.", where=answers[0].where, status=answers[0].status))

    def _check(self, indexed: Sequence[PageReference]) -> None:
        """Request pages by themselves that the index alone has shown for long; all pages once it proves to be late."""
        again = list(indexed) if self._upstream.fresh else self._due(indexed)
        self._read_if_possible(again)
        if any(one in self._absent for one in again):
            self._read_if_possible([one for one in indexed if one not in again])

    def _read_if_possible(self, references: Sequence[PageReference]) -> None:
        """Fetch pages of the index. A page that cannot be fetched now stays as the index shows it."""
        if references:
            self._upstream.optional("pages", lambda part: self._read(part, references))

    def _due(self, indexed: Sequence[PageReference]) -> list[PageReference]:
        notes, pages = self._upstream.notes(_LIVE), {str(one): one for one in indexed}
        ages = notes.ages(pages)
        notes.add(key for key in pages if key not in ages)
        return [pages[key] for key, age in ages.items() if age >= INDEX_TRUSTED_S][:_AGAIN]

    # --- single pages --------------------------------------------------------------------------------------------

    def _take(self, hits: Iterable[Mapping[str, Any]], references: Iterable[PageReference]) -> None:
        """Keep the requested pages. A translation is no proof of its page: deleting a page leaves translations."""
        requested = set(references)
        for hit in hits:
            reference = reference_of(hit, self._wiki)
            if reference in requested and not hit.get("language"):
                self._found[reference] = to_item(hit, reference, self._root)

    def _worth_reading(self, unknown: Sequence[PageReference]) -> list[PageReference]:
        """All pages but those that were gone a moment ago, and most of those that were gone before."""
        if self._upstream.fresh:
            return list(unknown)
        ages = self._upstream.notes(_GONE).ages(map(str, unknown))
        again = [key for key, age in ages.items() if age >= GONE_S][:_GONE_AGAIN]
        return [one for one in unknown if str(one) not in ages or str(one) in again]

    def _read(self, upstream: Upstream, references: Sequence[PageReference]) -> None:
        """Fetch each page. A 500 counts as gone if other pages could be read."""
        reachable = [reference for reference in references if reference.is_reachable]
        known_before = bool(self._found or self._absent)
        answers = upstream.each(lambda reference: self._ask_page(upstream, reference), reachable)
        for reference, answer in zip(reachable, answers, strict=True):
            if answer is not None:
                self._judge(reference, answer)
        broken = [answer for answer in answers if answer is not None and answer.status == 500]
        if broken and not known_before and len(broken) == len(answers):
            # No page could be read, so the 500 is a failure of the server and not of one page.
            raise ProviderUnavailable.because(
                Reason.SERVER_ERROR, _("{where} answered {status}.", where=broken[0].where, status=500)
            )

    def _ask_page(self, upstream: Upstream, reference: PageReference) -> Answer | None:
        """The answer for one page, or None for an answer that is too large."""
        try:
            return ask_page(upstream, reference, allow={500})
        except ProviderUnavailable as exc:
            if exc.reason is not Reason.TOO_LARGE:
                raise
            self._too_large[reference] = exc
            return None

    def _judge(self, reference: PageReference, answer: Answer) -> None:
        """Decide from the answer for one page whether it is there."""
        if answer.status < 300:
            self._found[reference] = read_page(answer, self._wiki, self._root)
            note_live(self._upstream, reference)
        elif answer.status != 500 and not (answer.status == 400 and reference in self._found):
            self._found.pop(reference, None)
            self._absent.add(reference)
            self._upstream.notes(_GONE).add([str(reference)])

    def _settle_too_large(self) -> None:
        """Query for pages that are too large to be fetched. Raises unless xWiki showed some page of the list."""
        large = self._unknown(self._too_large)
        self.in_bulk(large)
        if large and not self._found:
            raise self._too_large[large[0]]
        for reference in self._unknown(large):
            self._found[reference] = bare_item(reference, self._root)


def _database_answers(part: Upstream) -> bool:
    """Whether it answers a query that no name can break."""
    return ask_query(part, DATABASE, f"where doc.fullName = 'Main.{HOME}'", number=1).status < 300


def _chunks(references: Iterable[PageReference]) -> Iterator[list[PageReference]]:
    chunk: list[PageReference] = []
    length = 0
    for reference in references:
        size = len(quote(f"{phrase(reference.local)} OR ", safe=""))
        if chunk and (len(chunk) == _PER_QUERY or length + size > _QUERY_LENGTH):
            yield chunk
            chunk, length = [], 0
        chunk.append(reference)
        length += size
    if chunk:
        yield chunk
