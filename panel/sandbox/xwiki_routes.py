"""Names of the kinds of requests that xWiki answers, by which delays are set and calls are counted."""

from __future__ import annotations

from collections.abc import Sequence

ROUTES = ("root", "wiki", "page", "translation", "object", "children", "pages", "spaces", "search", "index", "database")
"""All names; whatever is none of them, or no REST resource at all, is ``other``."""

_LISTS = frozenset({"pages", "spaces", "search", "children"})
_BELOW_PAGE = {"translations": "translation", "objects": "object", "children": "children"}


def route_name(segments: Sequence[str], query_type: str) -> str:
    """Return the name for the path below the instance, split at its slashes."""
    match [segment for segment in segments if segment]:
        case ["rest"]:
            return "root"
        case ["rest", "wikis", "query"]:
            return "index"
        case ["rest", "wikis"] | ["rest", "wikis", _]:
            return "wiki"
        case ["rest", "wikis", _, "query"]:
            return "index" if query_type == "solr" else "database"
        case ["rest", "wikis", _, *below]:
            return _in_wiki(below)
    return "other"


def _in_wiki(segments: list[str]) -> str:
    page = segments[segments.index("pages") + 1 :] if "pages" in segments[1:] else []
    match page:
        case [_]:
            return "page"
        case [_, below, *_]:
            return _BELOW_PAGE.get(below, "other")
    if segments[-1] in _LISTS:
        return segments[-1]
    return "spaces" if segments[0] == "spaces" else "other"
