"""Places for new pages: the spaces of the wiki, searched by their names and titles, and shown by their titles.

Every nested page of xWiki is a space, so a wiki has thousands of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from panel.connector import Answer, Upstream, unexpected
from panel.core.domain import Choice, Choices
from panel.core.messages import _
from panel.integrations.contract import Branch
from panel.integrations.xwiki.item import reference_of
from panel.integrations.xwiki.lookup import titles_of
from panel.integrations.xwiki.query import (
    DATABASE,
    INDEX,
    all_words,
    ask_query,
    database_is_open,
    note_closed_database,
    phrase,
)
from panel.integrations.xwiki.reference import HOME, MAIN_WIKI, BadReference, PageReference, local_space, names_of_space
from panel.integrations.xwiki.rest import MOST, REST, ask, entries, wiki_of

_SHOWN = 50
_PROBED = 10
"""How many spaces after the first page are requested to see whether there are more."""
_LONGEST_SEARCH = 200

_BELOW = " › "

Place = tuple[str, ...]
"""The names of a space, outermost first."""


def find_places(upstream: Upstream, search: str, chosen: str) -> Choices:
    """The places that match the typed words; the top level without words. The chosen one comes first."""
    words = " ".join(search.split())[:_LONGEST_SEARCH]
    places, is_all = _matching(upstream, words) if words else _outermost(upstream)
    own = _places([chosen]) if chosen and not words else []
    shown = list(dict.fromkeys([*own, *places]))
    choices = _labelled(upstream, shown[:_SHOWN])
    return Choices(choices, len(shown) if is_all else max(len(shown), len(choices) + 1), at_least=not is_all)


def find_branch(upstream: Upstream, within: str) -> Branch:
    """A place with the places directly below it; the top level for "", or for what no space can be called.

    Below a place the spaces of every depth are listed by name, so that there may be more than the first page shows.
    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Space resources".
    """
    found = _places([within]) if within else []
    if not found:
        places, is_all = _outermost(upstream)
        top = [place for place in places if len(place) == 1]
        return Branch((), _counted(_labelled(upstream, top[:_SHOWN]), len(top), is_all))
    [place] = found
    below, is_all = _below(upstream, place)
    choices = _labelled(upstream, [place, *below[: _SHOWN - 1]])
    names = choices[0].label.split(_BELOW, maxsplit=len(place) - 1)
    trail = tuple(Choice(local_space(place[: end + 1]), name) for end, name in enumerate(names))
    return Branch(trail, _counted(choices, len(below) + 1, is_all))


def _counted(choices: tuple[Choice, ...], number: int, is_all: bool) -> Choices:
    return Choices(choices, number if is_all else max(number, len(choices) + 1), at_least=not is_all)


def _below(upstream: Upstream, place: Place) -> tuple[list[Place], bool]:
    """The places directly below a place, and whether there are no others."""
    home = PageReference(wiki_of(upstream.source), place, HOME)
    answer = upstream.get(REST, *home.path[:-2], "spaces", query=[("number", str(MOST))], allow={400, 401, 404})
    spaces = _places(space.get("id") for space in entries(answer, "spaces")) if answer.status < 300 else []
    direct = [space for space in spaces if space[:-1] == place]
    if len(spaces) < MOST:
        return direct, True
    newer = upstream.optional("children", lambda part: _nested(part, place)) or []
    return list(dict.fromkeys([*newer, *direct])), False


def _nested(part: Upstream, place: Place) -> list[Place]:
    """The places directly below. Servers before 16.4 have no such list of children, and answer with no pages."""
    space = local_space(place)
    if database_is_open(part) and "\\" not in space:
        inside = space.replace("'", "''")
        below = f"doc.space like '{inside}.%' and doc.space not like '{inside}.%.%'"
        condition = f"where doc.name = '{HOME}' and {below} and doc.hidden = false order by doc.space"
        answer = ask_query(part, DATABASE, condition, number=MOST)
        if answer.status < 300:
            return [found for found in _homes(part, entries(answer, "searchResults")) if found[:-1] == place]
        if answer.status == 400:
            note_closed_database(part)
    home = PageReference(wiki_of(part.source), place, HOME)
    query = [("hierarchy", "nestedpages"), ("number", str(MOST))]
    answer = part.get(REST, *home.path, "children", query=query)
    return _homes(part, entries(answer, "pageSummaries"))


def place_of(reference: str) -> str:
    """The space in which a stored page was made, as ``Outer.Inner``; "" for a page of the top level."""
    try:
        page = PageReference.parse(reference)
    except BadReference:
        return ""
    return local_space(page.outer)


def visible_spaces(upstream: Upstream, *, start: int = 0, number: int = MOST) -> list[Place]:
    """A page of the spaces by name. It is shorter than ``number`` where some are not visible.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Space resources".
    """
    query = [("start", str(start)), ("number", str(number))]
    spaces = entries(ask(upstream, "spaces", query=query), "spaces")
    return _places(space.get("id") for space in spaces)


def _outermost(upstream: Upstream) -> tuple[list[Place], bool]:
    """Places for an empty search, and whether there are no others."""
    first = visible_spaces(upstream)
    if len(first) < MOST and not visible_spaces(upstream, start=MOST, number=_PROBED):
        return sorted(first, key=lambda place: (len(place) > 1, local_space(place).casefold())), True
    top = upstream.optional("places", _top_level)
    return top or [place for place in first if len(place) == 1], False


def _top_level(part: Upstream) -> list[Place]:
    """Spaces that are in no other space. The database leaves out those with a dot in their name.

    The list of children is the one of servers since 16.4.
    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
    """
    if database_is_open(part):
        top = f"where doc.name = '{HOME}' and doc.space not like '%.%' and doc.hidden = false order by doc.space"
        answer = ask_query(part, DATABASE, top, number=MOST)
        if answer.status < 300:
            return _homes(part, entries(answer, "searchResults"))
        if answer.status == 400:
            note_closed_database(part)
    answer = part.get(REST, "wikis", wiki_of(part.source), "children", query=[("number", str(MOST))])
    return _homes(part, entries(answer, "pageSummaries"))


def _matching(upstream: Upstream, words: str) -> tuple[list[Place], bool]:
    """Places whose name has the words, then those whose title has them; and whether there are no others."""
    named = _named(upstream, words)
    titled = upstream.optional("index", lambda part: _titled(part, words)) or [] if len(named) < _SHOWN else []
    return [*named, *titled], len(named) < MOST and len(titled) < MOST


def _named(upstream: Upstream, words: str) -> list[Place]:
    """https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Search resources"."""
    query = [("q", words), ("scope", "spaces"), ("number", str(MOST))]
    hits = _hits(ask(upstream, "search", query=query, allow={400, 500}))
    places = _places(hit.get("id") for hit in hits if hit.get("type") == "space")
    # Older servers read % and _ as a pattern.
    found = (place for place in places if words.casefold() in ".".join(place).casefold())
    return sorted(found, key=lambda place: (not place[-1].casefold().startswith(words.casefold()), len(place)))


def _titled(part: Upstream, words: str) -> list[Place]:
    query = (
        f'wiki:{phrase(wiki_of(part.source))} AND type:DOCUMENT AND name_exact:"{HOME}" AND title:({all_words(words)})'
    )
    return _homes(part, _hits(ask_query(part, INDEX, query, number=MOST)))


def _homes(part: Upstream, payloads: Iterable[Mapping[str, Any]]) -> list[Place]:
    references = (reference_of(payload, wiki_of(part.source)) for payload in payloads)
    return [reference.spaces for reference in references if reference is not None and reference.is_home]


def _hits(answer: Answer) -> Sequence[Mapping[str, Any]]:
    if answer.status >= 300:
        raise unexpected(_("{where} answered {status}.", where=answer.where, status=answer.status))
    return entries(answer, "searchResults")


def _places(ids: Iterable[object]) -> list[Place]:
    names = (names_of_space(identifier) for identifier in ids if isinstance(identifier, str))
    return list(dict.fromkeys(place for place in names if _is_place(place)))


def _is_place(names: Place) -> bool:
    """Whether a space can have these names: what was typed or received may hold an empty one or a control character."""
    try:
        PageReference(MAIN_WIKI, names, HOME)
    except BadReference:
        return False
    return True


def _labelled(upstream: Upstream, places: Sequence[Place]) -> tuple[Choice, ...]:
    """The places with the titles of their spaces: ``Policy › Housing``."""
    wiki = wiki_of(upstream.source)
    homes = {
        place[:end]: PageReference(wiki, place[:end], HOME) for place in places for end in range(1, len(place) + 1)
    }
    titles = titles_of(upstream, homes.values())

    def label(place: Place) -> str:
        return _BELOW.join(titles.get(homes[place[:end]]) or place[end - 1] for end in range(1, len(place) + 1))

    return tuple(Choice(local_space(place), label(place)) for place in places)
