"""Search of the xWiki stand-in: ``/search`` for keywords, and ``/query`` of the index or the database."""

from __future__ import annotations

from collections.abc import Sequence

from panel.sandbox import xwiki_hits, xwiki_keywords, xwiki_objects
from panel.sandbox.xwiki_addresses import Bean, joined_spaces
from panel.sandbox.xwiki_call import Call, Refused
from panel.sandbox.xwiki_database import PROPERTIES, BadFragment, contains, has_doubled_quote, select
from panel.sandbox.xwiki_page import WIKI, Page, Reference
from panel.sandbox.xwiki_solr import UnknownOrder, solr_search

Spaces = tuple[str, ...] | None
"""The space that a search is limited to; ``None`` is the whole wiki."""

_INDEX_ROWS = 10
"""Rows of the index when ``number`` is absent, 0 or negative."""


# --- keywords --------------------------------------------------------------------------------------------------


def search(call: Call, spaces: Spaces) -> Bean:
    """Answer ``/search``. Unknown scopes are ignored, and without a known one the content is searched."""
    requested = [scope.upper() for scope in call.request.args.getlist("scope")]
    scopes = [scope for scope in xwiki_keywords.SCOPES if scope in requested] or ["CONTENT"]
    keywords = call.request.args.get("q", "")
    call.limit(None)
    if len(scopes) > 1 and "SPACES" in scopes and not call.profile.combines_space_scope:
        raise _query_failed("Exception while executing query. Query statement = [select distinct doc.fullName]")
    hits = _keyword_hits(call, keywords, scopes, spaces) if scopes != ["SPACES"] else []
    if "SPACES" in scopes:
        hits += [xwiki_hits.space(call.views, found) for found in _spaces_named(call, keywords, spaces or ())]
    below = joined_spaces(spaces) if spaces else ""
    return xwiki_hits.results(
        hits, call.views.addresses.rest(f"/wikis/{WIKI}{below}/search"), xwiki_hits.SEARCH_TEMPLATE
    )


def _keyword_hits(call: Call, keywords: str, scopes: list[str], spaces: Spaces) -> list[Bean]:
    if call.profile.keyword_source == "index":
        found = xwiki_keywords.in_index(call.wiki.index.documents(), keywords, scopes)
        rows = call.window([hit for hit in found if spaces in (None, hit.page.reference.spaces)])
        return [xwiki_hits.keyword_from_index(call.views, hit) for hit in rows if call.may_view(hit.page.reference)]
    pages = xwiki_keywords.in_database(_ordered(call, call.wiki.documents()), keywords, scopes)
    found_pages = [page for page in pages if spaces in (None, page.reference.spaces)]
    return [xwiki_hits.keyword_from_database(call.views, page) for page in _database_window(call, found_pages)]


def _database_window(call: Call, found: Sequence[Page]) -> list[Page]:
    """The server reads twice the requested rows before it checks rights, which replaces some of the denied ones."""
    start, number = call.limit(None)
    read = found[start : None if number is None else start + 2 * number]
    return [page for page in read if call.may_view(page.reference)][:number]


def _ordered(call: Call, pages: list[Page]) -> list[Page]:
    field = call.request.args.get("orderField", "")
    if not field:
        return pages
    if field not in PROPERTIES:
        raise _query_failed(f"could not resolve property: {field}")
    return sorted(pages, key=PROPERTIES[field], reverse=call.request.args.get("order") == "desc")


def _spaces_named(call: Call, keywords: str, outer: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The spaces whose own name contains the keywords, or whose reference starts with them."""
    found = [
        spaces
        for spaces in call.wiki.spaces()
        if spaces[: len(outer)] == outer and (contains(keywords, spaces[-1]) or _starts_with(spaces, keywords))
    ]
    return [spaces for spaces in call.window(found) if call.may_view_space(spaces)]


def _starts_with(spaces: tuple[str, ...], keywords: str) -> bool:
    return Reference(spaces, "-").space.lower().startswith(keywords.lower())


# --- queries ---------------------------------------------------------------------------------------------------


def query(call: Call) -> Bean:
    """Answer ``/wikis/{wiki}/query``. Without a type it is empty."""
    kind = call.request.args.get("type", "").lower()
    call.limit(None)
    hits: list[Bean] = []
    if kind:
        _require_query_type(call, kind)
        hits = _index_hits(call) if kind == "solr" else _database_hits(call, kind)
    address = call.views.addresses.rest(f"/wikis/{WIKI}/query")
    return xwiki_hits.results(hits, address, xwiki_hits.QUERY_TEMPLATE)


def global_query(call: Call) -> Bean:
    """Answer ``/wikis/query``, which always asks the index."""
    call.limit(None)
    hits = _index_hits(call) if WIKI in call.request.args.get("wikis", "").split(",") else []
    return xwiki_hits.results(hits, call.views.addresses.rest("/wikis/query"), xwiki_hits.QUERY_TEMPLATE)


def _require_query_type(call: Call, kind: str) -> None:
    if kind in call.query_types:
        return
    if kind in ("hql", "xwql") or call.profile.unknown_query_type == 400:
        allowed = ", ".join(sorted(call.query_types))
        raise Refused(400, f"Query type [{kind}] is not allowed. Allowed query types are: [{allowed}].")
    missing = "Can't find descriptor for the component with type"
    source = "interface org.xwiki.rest.internal.resources.search.SearchSource"
    raise Refused(500, f"org.xwiki.component.manager.ComponentLookupException: {missing} [{source}] and hint [{kind}]")


def _index_hits(call: Call) -> list[Bean]:
    text = call.request.args.get("q")
    if text is None:
        return []
    order = call.request.args.get("orderField", "").strip() or "score"
    direction = call.request.args.get("order", "desc" if order == "score" else "asc")
    try:
        found = solr_search(
            call.wiki.index.documents(),
            text,
            with_hidden=call.user is not None and call.user.programming,
            marks_new=call.profile.marks_new_references,
            order=f"{order} {direction}",
        )
    except UnknownOrder as exc:
        message = "com.xpn.xwiki.XWikiException: Error number 0 in 0: Error performing solr search"
        raise Refused(500, message) from exc
    start, number = call.number("start") or 0, call.number("number") or 0
    rows = found[start : start + (number if number > 0 else _INDEX_ROWS)]
    return [xwiki_hits.from_index(call.views, hit) for hit in rows if call.may_view(hit.page.reference)]


def _database_hits(call: Call, kind: str) -> list[Bean]:
    fragment = call.request.args.get("q")
    if fragment is None or fragment.lower().startswith("select"):
        return []
    try:
        if kind == "xwql" and not call.profile.xwql_reads_quotes and has_doubled_quote(fragment):
            raise BadFragment("Exception while translating")
        rows = select(call.wiki.documents(), fragment)
    except BadFragment as exc:
        raise _query_failed(str(exc)) from exc
    visible = [page for page in call.window(rows) if call.may_view(page.reference)]
    return [{**xwiki_hits.from_database(call.views, page), "object": _object(call, page)} for page in visible]


def _object(call: Call, page: Page) -> Bean | None:
    """The first object of the class in ``className``. Guests see none."""
    name = call.request.args.get("className")
    if not name or call.user is None:
        return None
    found = (one for one in xwiki_objects.numbered(page) if one[1].class_name == name)
    return next((xwiki_objects.wiki_object(call.views, page, *one) for one in found), None)


def _query_failed(message: str) -> Refused:
    return Refused(500, f"org.xwiki.query.QueryException: {message}\n")
