"""REST resources of the xWiki stand-in: route an authenticated request to the code that answers it."""

from __future__ import annotations

from werkzeug.wrappers import Response

from panel.sandbox import xwiki_lists, xwiki_search
from panel.sandbox.xwiki_call import Call, Refused, space_names
from panel.sandbox.xwiki_documents import page_resource
from panel.sandbox.xwiki_page import WIKI, Reference

SYNTAXES = ["plain/1.0", "xwiki/2.0", "xwiki/2.1"]


def answer(call: Call) -> Response:
    """Route the request. Raises Refused."""
    match call.segments:
        case []:
            return call.shown("xwiki", call.views.root())
        case ["syntaxes"]:
            return call.shown("syntaxes", {"links": [], "syntaxes": SYNTAXES})
        case ["client"] if "client" in call.profile.newer_resources:
            return call.shown("client", {"links": [], "ip": call.request.remote_addr})
        case ["wikis"]:
            return call.shown("wikis", {"links": [], "wikis": [call.views.wiki_bean()]})
        case ["wikis", "query"]:
            return call.shown("searchResults", xwiki_search.global_query(call))
        case ["wikis", wiki, *rest] if wiki == WIKI:
            return _in_wiki(call, rest)
        case ["wikis", _, *rest] if rest:
            return _in_unknown_wiki(call, rest)
    raise Refused(404)


def _in_unknown_wiki(call: Call, segments: list[str]) -> Response:
    """Refuse the pages of a wiki that does not exist; some servers answer its lists, and all its index."""
    match segments:
        case ["spaces", *_, "pages", _]:
            raise Refused(call.profile.unknown_wiki_page)
        case ["query"] if call.request.args.get("type") == "solr":
            return _in_wiki(call, segments)
        case _ if call.profile.unknown_wiki_lists == 200:
            return _in_wiki(call, segments)
    raise Refused(call.profile.unknown_wiki_lists)


def _in_wiki(call: Call, segments: list[str]) -> Response:
    newer = call.profile.newer_resources
    match segments:
        case []:
            return call.shown("wiki", call.views.wiki_bean())
        case ["pages"]:
            return call.shown("pages", xwiki_lists.all_pages(call))
        case ["search"]:
            return call.shown("searchResults", xwiki_search.search(call, None))
        case ["query"]:
            return call.shown("searchResults", xwiki_search.query(call))
        case ["modifications"]:
            return call.shown("history", xwiki_lists.modifications(call))
        case ["children"] if "children" in newer:
            return call.shown("pages", xwiki_lists.top_level_pages(call))
        case ["user"] if "user" in newer:
            return call.shown("user", call.views.user(call.user))
        case ["spaces"]:
            return call.shown("spaces", xwiki_lists.spaces_below(call, ()))
        case ["spaces", *inner]:
            return _in_spaces(call, inner)
    raise Refused(404)


def _in_spaces(call: Call, segments: list[str]) -> Response:
    if "" in segments:
        raise Refused(404)
    if (at := _page_name(segments)) is not None:
        reference = Reference(space_names(segments[: at - 1]), segments[at])
        return page_resource(call, reference, segments[at + 1 :])
    match segments:
        case [*spaces, "pages"]:
            return call.shown("pages", xwiki_lists.pages_of(call, space_names(spaces)))
        case [*spaces, "search"]:
            return call.shown("searchResults", xwiki_search.search(call, space_names(spaces)))
        case [*spaces, "spaces"]:
            return call.shown("spaces", xwiki_lists.spaces_below(call, space_names(spaces)))
    return call.shown("space", xwiki_lists.one_space(call, space_names(segments)))


def _page_name(segments: list[str]) -> int | None:
    """The position of the page's name: after the ``pages`` that stands where a ``spaces`` could."""
    for at in range(1, len(segments) - 1, 2):
        if segments[at] == "pages":
            return at + 1
        if segments[at] != "spaces":
            raise Refused(500, "Malformed URL: the spaces section is invalid.")
    return None
