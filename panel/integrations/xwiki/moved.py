"""Finds pages that are not at their references any more: by the redirect that a rename leaves, or by their making.

A rename leaves nothing behind unless a box is ticked, but the page keeps the second in which it was made and its maker
(``Item.origin``), and the search index knows that second. A copy has its own second and is never taken for the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from panel.connector import Upstream, unexpected
from panel.core.domain import Item, State
from panel.core.errors import NotFound
from panel.core.messages import _
from panel.integrations.xwiki.item import bare_item, gone, read_page, reference_of, to_item
from panel.integrations.xwiki.query import INDEX, ask_query, phrase
from panel.integrations.xwiki.redirect import Redirect, redirect_of
from panel.integrations.xwiki.reference import BadReference, PageReference
from panel.integrations.xwiki.rest import ask_page, entries, wiki_of

_REMEMBERED_S = 60.0
"""How long what was found, or not found, is used again by other lists."""
_MOST_SOUGHT = 100
"""Most pages that one search looks for. A query for them stays below the length that servers accept."""
_MOST_READ = 10
"""Most pages that one search reads by themselves, and most places that one page is offered at."""
_MOST_HITS = 200
_LONGEST_CHAIN = 5
_FIRST_VERSION = "1.1"

_NOWHERE = _("This page only redirects, to one that xWiki does not show to our account.")

_INDEX, _PAGES = "index", "pages"
"""Names of optional parts of a source, as ``lookup`` has them."""

Places = Mapping[str, Sequence[Item]]
"""What each sought page may be now, by its old reference."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search found, by the old references, and whether all of it could be asked."""

    items: dict[str, Item]
    is_complete: bool


# --- redirects ----------------------------------------------------------------------------------------------------


def without_redirects(upstream: Upstream, found: Mapping[PageReference, Item]) -> dict[PageReference, Item]:
    """The pages that were read; one that only redirects as moved, and left out when it leads to another wiki."""
    redirects = {page: item.facts["redirect"] for page, item in found.items() if "redirect" in item.facts}
    hidden = [page for page, item in found.items() if item.facts.get("hidden") and page not in redirects]

    def ask(part: Upstream) -> list[Redirect | None]:
        return part.each(lambda page: _remembered(part, page), hidden)

    asked = upstream.optional(_PAGES, ask) if hidden else None
    redirects |= dict(zip(hidden, asked or (), strict=False))
    items = {page: _unless_redirect(upstream, item, redirects.get(page)) for page, item in found.items()}
    return {page: item for page, item in items.items() if item is not None}


def shown(upstream: Upstream, page: PageReference, item: Item) -> Item:
    """A page that was read by itself, as moved when it only redirects. Raises NotFound for another wiki."""
    seen = without_redirects(upstream, {page: item}).get(page)
    if seen is None:
        raise NotFound(_NOWHERE)
    return seen


def at_end(upstream: Upstream, page: PageReference, item: Item) -> Item:
    """A page that was read by itself, or the page that its redirects lead to. Raises NotFound."""
    redirect = _redirect(upstream, page, item)
    end = item if redirect is None else _end(upstream, redirect.target)
    if end is None:
        raise NotFound(_NOWHERE)
    return end


def _end(upstream: Upstream, page: PageReference | None) -> Item | None:
    """The page at the end of a chain of redirects; None when xWiki does not show it to the account."""
    for _step in range(_LONGEST_CHAIN):
        item = _read(upstream, page) if page is not None else None
        if page is None or item is None:
            return None
        redirect = _redirect(upstream, page, item)
        if redirect is None:
            return item
        page = redirect.target
    return None


def _read(upstream: Upstream, page: PageReference) -> Item | None:
    answer = ask_page(upstream, page) if page.is_reachable else None
    return read_page(answer, page.wiki, upstream.source.root) if answer is not None and answer.status < 300 else None


def _redirect(upstream: Upstream, page: PageReference, item: Item) -> Redirect | None:
    return redirect_of(upstream, page) if item.facts.get("hidden") else None


def _remembered(upstream: Upstream, page: PageReference) -> Redirect | None:
    return upstream.remember(
        f"redirect {page}", _REMEMBERED_S, lambda: redirect_of(upstream, page), renew=upstream.fresh
    )


def _unless_redirect(upstream: Upstream, item: Item, redirect: Redirect | None) -> Item | None:
    """The item, as moved when it has a redirect; None when that leads to another wiki."""
    if redirect is None:
        return item
    return item.moved([bare_item(redirect.target, upstream.source.root)]) if redirect.target is not None else None


# --- search -------------------------------------------------------------------------------------------------------


def locate(upstream: Upstream, absent: Sequence[Item], origins: Mapping[str, int]) -> dict[str, Item]:
    """See ``Integration.locate``. The same search is made once a minute; a failed one as soon as the index is back."""
    sought = sorted((item.reference, item.state.value, origins.get(item.reference, 0)) for item in absent)
    found = upstream.remember(
        f"moved {sought}", lambda found: _REMEMBERED_S if found.is_complete else 0.0,
        lambda: _locate(upstream, absent, origins), renew=upstream.fresh,
    )  # fmt: skip
    return found.items


def _locate(upstream: Upstream, absent: Sequence[Item], origins: Mapping[str, int]) -> _Found:
    sought = {item.reference: origins[item.reference] for item in absent if item.reference in origins}
    sought = dict(list(sought.items())[:_MOST_SOUGHT])
    seconds = sorted({origin // 1000 for origin in sought.values()})
    made = upstream.optional(_INDEX, lambda part: _made_in(part, seconds)) if seconds else {}
    places = {one: _others((made or {}).get(origin // 1000, ()), one) for one, origin in sought.items()}
    several = any(len(found) > 1 for found in places.values())
    sure = upstream.optional(_PAGES, lambda part: _of_the_maker(part, places, sought)) if several else places
    known: Places = places if sure is None else sure
    redirects = [item for item in absent if item.state is State.MOVED and len(known.get(item.reference, ())) != 1]
    ends = upstream.optional(_PAGES, lambda part: _at_ends(part, redirects[:_MOST_READ], known)) if redirects else {}
    items = {**_at_places(upstream, known), **(ends or {})}
    return _Found(items, is_complete=None not in (made, sure, ends))


def _at_places(upstream: Upstream, places: Places) -> dict[str, Item]:
    root, wiki = upstream.source.root, wiki_of(upstream.source)
    return {reference: gone(reference, root, wiki).moved(found) for reference, found in places.items() if found}


def _at_ends(upstream: Upstream, redirects: Sequence[Item], places: Places) -> dict[str, Item]:
    """What redirects lead to. One that leads nowhere is gone, unless the page was found otherwise."""
    root, wiki = upstream.source.root, wiki_of(upstream.source)
    ends = upstream.each(lambda item: _end(upstream, _parsed(item.moved_to[0].reference, wiki)), redirects)
    found = {item.reference: item.moved([end]) for item, end in zip(redirects, ends, strict=True) if end}
    lost = {item.reference for item in redirects if not places.get(item.reference)} - found.keys()
    return {**found, **{reference: gone(reference, root, wiki) for reference in lost}}


def _others(made: Iterable[Item], reference: str) -> list[Item]:
    """The pages but the sought one, whose old place the index may still have; the likeliest first.

    A rename adds a version, so a page in its first one never was another.
    """
    wiki, _, _ = reference.partition(":")
    old = _parsed(reference, wiki)
    found = [item for item in made if item.reference != reference and item.facts.get("version") != _FIRST_VERSION]
    return sorted(found, key=lambda item: _unlike(old, _parsed(item.reference, wiki)))[:_MOST_READ]


def _unlike(old: PageReference | None, new: PageReference | None) -> tuple[bool, bool]:
    """A sort key: pages that kept their name come first, then those in the same space."""
    if old is None or new is None:
        return True, True
    return old.label != new.label, old.spaces != new.spaces


def _of_the_maker(upstream: Upstream, places: Places, origins: Mapping[str, int]) -> dict[str, list[Item]]:
    """Read the places of pages that have several, and keep those with the origin of the page."""
    several = [(reference, item) for reference, found in places.items() if len(found) > 1 for item in found]
    several = several[:_MOST_READ]
    wiki = wiki_of(upstream.source)
    pages = [_parsed(item.reference, wiki) for _, item in several]
    read = upstream.each(lambda page: _read(upstream, page) if page is not None else None, pages)
    kept: dict[str, list[Item]] = {reference: list(found) for reference, found in places.items()}
    for (reference, item), page in zip(several, read, strict=True):
        if page is None or page.origin != origins[reference]:
            kept[reference].remove(item)
    return kept


def _parsed(reference: str, wiki: str) -> PageReference | None:
    try:
        return PageReference.parse(reference, wiki)
    except BadReference:
        return None


# --- the index ----------------------------------------------------------------------------------------------------


def _made_in(upstream: Upstream, seconds: Sequence[int]) -> dict[int, list[Item]]:
    """The pages that were made in each of the seconds, with one query where there are none.

    A hit does not say when its page was made. With several seconds, each binary digit of their positions is one more
    query, for the seconds whose position has it: the queries that find a page spell the position of its second.
    """
    found = _ask_index(upstream, seconds) if seconds else {}
    if len(seconds) < 2 or not found:
        return {seconds[0]: list(found.values())} if found else {}
    if len(found) >= _MOST_HITS:
        # Pages are missing, so the queries would not agree.
        answers = upstream.each(lambda second: _ask_index(upstream, [second]), seconds[:_MOST_READ])
        return {second: list(pages.values()) for second, pages in zip(seconds, answers, strict=False)}
    digits = range((len(seconds) - 1).bit_length())
    groups = [[second for at, second in enumerate(seconds) if at >> digit & 1] for digit in digits]
    answers = upstream.each(lambda group: _ask_index(upstream, group), groups)
    made: dict[int, list[Item]] = {second: [] for second in seconds}
    for page, item in found.items():
        at = sum(1 << digit for digit in digits if page in answers[digit])
        if at < len(seconds):
            made[seconds[at]].append(item)
    return made


def _ask_index(upstream: Upstream, seconds: Sequence[int]) -> dict[PageReference, Item]:
    """The pages of the wiki that were made in one of the seconds. Raises ProviderUnavailable."""
    wiki, root = wiki_of(upstream.source), upstream.source.root
    times = " OR ".join(f'"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"' for second in seconds)
    query = f"wiki:{phrase(wiki)} AND type:DOCUMENT AND creationdate:({times})"
    answer = ask_query(upstream, INDEX, query, number=_MOST_HITS)
    if answer.status >= 300:
        raise unexpected(_("{where} answered {status}.", where=answer.where, status=answer.status))
    pages = {reference_of(hit, wiki): hit for hit in entries(answer, "searchResults") if _is_page(hit)}
    return {page: to_item(hit, page, root) for page, hit in pages.items() if page is not None and page.wiki == wiki}


def _is_page(hit: Mapping[str, Any]) -> bool:
    """Whether a hit is a page itself: a translation is made at its own time, and can outlive its page."""
    return hit.get("type") in (None, "page") and not hit.get("language")
