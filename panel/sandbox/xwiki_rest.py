"""REST resources of the stand-in: route an authenticated request and build its response."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header
from werkzeug.wrappers import Request, Response

from panel.sandbox.xwiki_database import PROPERTIES, BadFragment, Row, contains, select
from panel.sandbox.xwiki_profiles import Profile
from panel.sandbox.xwiki_solr import BadQuery, Hit, keyword_search, solr_search
from panel.sandbox.xwiki_state import WIKI, Change, Page, Reference, User, Wiki
from panel.sandbox.xwiki_views import PAGE_KEYS, Bean, Views, milliseconds
from panel.sandbox.xwiki_xml import BadPage, change_from, read_page, to_xml

T = TypeVar("T")

SCOPES = ("CONTENT", "NAME", "TITLE", "SPACES", "OBJECTS")
SYNTAXES = ["plain/1.0", "xwiki/2.0", "xwiki/2.1"]
JSON, XML, TEXT, FORM = "application/json", "application/xml", "text/plain", "application/x-www-form-urlencoded"
_SHORT_MEDIA = {"json": JSON, "xml": XML, "txt": TEXT, "html": "text/html", "form": FORM}
_SEARCH_TEMPLATE = (
    "q={keywords}(&scope={content|name|title|spaces|objects})*(&number={number})(&start={start})"
    "(&orderField={fieldname}(&order={asc|desc}))(&prettyNames={false|true})"
)
_QUERY_TEMPLATE = (
    "q={query}(&type={type})(&number={number})(&start={start})(&orderField={fieldname}(&order={asc|desc}))"
    "(&distinct=1)(&prettyNames={false|true})(&wikis={wikis})(&className={classname})"
)


class Refused(Exception):
    """An error response: a status and at most plain text. xWiki's errors are never JSON."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text

    def response(self) -> Response:
        response = Response(self.text, self.status, content_type=TEXT)
        if not self.text:
            del response.headers["Content-Type"]
        return response


@dataclass(slots=True)
class RestCall:
    """A request to ``/rest`` with the state that its response depends on."""

    request: Request
    method: str
    segments: list[str]
    """The path below ``/rest``, split and decoded segment by segment."""
    address: str
    """The absolute URL of the request, without its query."""
    user: User | None
    wiki: Wiki
    profile: Profile
    query_types: set[str]
    views: Views

    def answer(self) -> Response:
        """Route the request. Raises Refused."""
        match self.segments:
            case [] | [""]:
                return self._shown("xwiki", self.views.root())
            case ["syntaxes"]:
                return self._shown("syntaxes", {"links": [], "syntaxes": SYNTAXES})
            case ["client"] if "client" in self.profile.newer_resources:
                return self._shown("client", {"links": [], "ip": self.request.remote_addr})
            case ["wikis"]:
                return self._shown("wikis", {"links": [], "wikis": [self.views.wiki_bean()]})
            case ["wikis", "query"]:
                return self._shown("searchResults", self._global_query())
            case ["wikis", wiki, *rest] if wiki == WIKI:
                return self._in_wiki(rest)
        raise Refused(404)

    def _in_wiki(self, segments: list[str]) -> Response:
        newer = self.profile.newer_resources
        match segments:
            case []:
                return self._shown("wiki", self.views.wiki_bean())
            case ["pages"]:
                return self._shown("pages", self._all_pages())
            case ["search"]:
                return self._shown("searchResults", self._search(None))
            case ["query"]:
                return self._shown("searchResults", self._query())
            case ["modifications"]:
                return self._shown("history", self._modifications())
            case ["children"] if "children" in newer:
                return self._shown("pages", self._top_level_pages())
            case ["user"] if "user" in newer:
                return self._shown("user", self.views.user(self.user))
            case ["spaces"]:
                return self._shown("spaces", self._spaces(()))
            case ["spaces", *inner]:
                return self._in_spaces(inner)
        raise Refused(404)

    def _in_spaces(self, segments: list[str]) -> Response:
        match segments:
            case [*_, ""]:
                raise Refused(404)
            case [*spaces, "pages", name]:
                return self._page_resource(Reference(_space_names(spaces), name))
            case [*spaces, "pages", name, tail]:
                return self._page_subresource(Reference(_space_names(spaces), name), tail)
            case [*spaces, "pages", name, tail, item]:
                return self._page_subresource_item(Reference(_space_names(spaces), name), tail, item)
            case [*spaces, "pages"]:
                return self._shown("pages", self._pages_of(_space_names(spaces)))
            case [*spaces, "search"]:
                return self._shown("searchResults", self._search(_space_names(spaces)))
            case [*spaces, "spaces"]:
                return self._shown("spaces", self._spaces(_space_names(spaces)))
        return self._shown("space", self._space(_space_names(segments)))

    # --- one page --------------------------------------------------------------------------------------------

    def _page_resource(self, reference: Reference) -> Response:
        if self.method == "PUT":
            return self._put(reference)
        if self.method == "DELETE":
            return self._delete(reference)
        return self._shown("page", self.views.page(self._page(reference)))

    def _page(self, reference: Reference) -> Page:
        """Return a page. The view right is checked first, so a denied space does not reveal whether a page exists."""
        self._require_view(reference)
        page = self.wiki.pages.get(reference)
        if page is None:
            raise Refused(404)
        return page

    def _require_view(self, reference: Reference) -> None:
        if not self.wiki.may_view(self.user, reference):
            raise Refused(401)

    def _require_edit(self, reference: Reference, right: str) -> User:
        if self.user is None or not self.wiki.may_edit(self.user, reference):
            name = self.user.reference if self.user else f"{WIKI}:XWiki.XWikiGuest"
            raise Refused(401, f"Access denied when checking [{right}] on [{reference.id}] for user [{name}]")
        return self.user

    def _put(self, reference: Reference) -> Response:
        change = self._body()
        self._require_view(reference)
        if reference in self.wiki.locked:
            raise Refused(412)
        user = self._require_edit(reference, "edit")
        exists = reference in self.wiki.pages
        if exists and not change.saves:
            return Response(status=304)
        minor = self.request.args.get("minorRevision") == "true"
        page = self.wiki.save(reference, change, user, minor=minor)
        if exists:
            return self._represented("page", self.views.page(page), 202)
        return self._represented("page", self.views.page(page), 201, {"Location": self.address})

    def _delete(self, reference: Reference) -> Response:
        self._page(reference)
        if reference in self.wiki.locked:
            raise Refused(412)
        self._require_edit(reference, "delete")
        self.wiki.remove(reference)
        return Response(status=204)

    def _body(self) -> Change:
        content_type, _ = parse_options_header(self.request.headers.get("Content-Type"))
        try:
            if content_type in (XML, "text/xml"):
                return read_page(self.request.get_data())
            if content_type == JSON:
                return _change_from_json(self.request.get_data())
        except BadPage as exc:
            raise Refused(400, str(exc)) from exc
        if content_type == TEXT:
            return Change(content=self.request.get_data(as_text=True))
        if content_type == FORM:
            return change_from(self.request.form)
        raise Refused(415)

    def _page_subresource(self, reference: Reference, tail: str) -> Response:
        page = self._page(reference)
        match tail:
            case "children":
                return self._shown("pages", self._children(reference))
            case "translations":
                return self._shown("translations", self.views.translations(page))
            case "tags":
                return self._shown("tags", {"links": [], "tags": []})
            case "history":
                return self._shown("history", self._history(reference))
        raise Refused(404)

    def _page_subresource_item(self, reference: Reference, tail: str, item: str) -> Response:
        page = self._page(reference)
        if tail == "translations" and item in page.translations:
            return self._shown("page", self.views.page(page.translated(item), language=item))
        if tail == "history":
            for version in self.wiki.history[reference]:
                if version.version == item:
                    return self._shown("page", self.views.page(version))
        raise Refused(404)

    # --- lists -----------------------------------------------------------------------------------------------

    def _all_pages(self) -> Bean:
        name, space, author = (self.request.args.get(key, "") for key in ("name", "space", "author"))
        space_id = Reference(_space_names(space.split("/")), "-").space if space else ""
        found = [
            page
            for page in self.wiki.in_order()
            if contains(name, page.reference.full_name)
            and contains(space_id, page.reference.space)
            and contains(author, page.author)
        ]
        return _pages(self.views.reduced_summary(page) for page in self._visible_window(found, default=25))

    def _pages_of(self, spaces: tuple[str, ...]) -> Bean:
        found = [page for page in self.wiki.in_order() if page.reference.spaces == spaces]
        if self.request.args.get("order") == "date":
            found.sort(key=lambda page: page.date, reverse=True)
        return _pages(self.views.summary(page) for page in self._visible_window(found))

    def _children(self, reference: Reference) -> Bean:
        nested = self.request.args.get("hierarchy") == "nestedpages" and "children" in self.profile.newer_resources
        if nested:
            found = [page for page in self.wiki.in_order() if page.reference.parent == reference]
        else:
            found = [page for page in self.wiki.in_order() if page.parent_name == reference.full_name]
        return _pages(self.views.summary(page) for page in self._visible_window(self._matching(found)))

    def _top_level_pages(self) -> Bean:
        found = [page for page in self.wiki.in_order() if page.reference.parent is None]
        return _pages(self.views.summary(page) for page in self._visible_window(self._matching(found)))

    def _matching(self, pages: Iterable[Page]) -> list[Page]:
        wanted = self.request.args.get("search", "")
        return [
            page for page in pages if contains(wanted, page.plain_title) or contains(wanted, page.reference.own_name)
        ]

    def _spaces(self, outer: tuple[str, ...]) -> Bean:
        found = [spaces for spaces in self.wiki.spaces() if spaces[: len(outer)] == outer and spaces != outer]
        visible = [spaces for spaces in self._window(found) if self._may_view_space(spaces)]
        return {"links": [], "spaces": [self.views.space(spaces) for spaces in visible]}

    def _space(self, spaces: tuple[str, ...]) -> Bean:
        if not self._may_view_space(spaces):
            raise Refused(401)
        if spaces not in self.wiki.spaces():
            raise Refused(404)
        return self.views.space(spaces)

    def _may_view_space(self, spaces: tuple[str, ...]) -> bool:
        return self.wiki.may_view(self.user, Reference(spaces, "WebHome"))

    def _history(self, reference: Reference) -> Bean:
        versions = self._window(list(reversed(self.wiki.history[reference])))
        return {"links": [], "historySummaries": [self.views.history_summary(page) for page in versions]}

    def _modifications(self) -> Bean:
        since = self._number("date") or 0
        versions = [page for versions in self.wiki.history.values() for page in versions]
        found = [page for page in versions if page.reference in self.wiki.pages and milliseconds(page.date) >= since]
        found.sort(key=lambda page: page.date, reverse=self.request.args.get("order") != "asc")
        visible = self._visible_window(found, default=25)
        return {"links": [], "historySummaries": [self.views.history_summary(page) for page in visible]}

    # --- search ----------------------------------------------------------------------------------------------

    def _search(self, spaces: tuple[str, ...] | None) -> Bean:
        keywords = self.request.args.get("q", "")
        requested = [scope.upper() for scope in self.request.args.getlist("scope")]
        scopes = [scope for scope in SCOPES if scope in requested] or ["CONTENT"]
        hits: list[Bean] = []
        self._limit(None)
        if keywords.strip():
            source = self._keywords_in_solr if self.profile.keyword_source == "solr" else self._keywords_in_database
            hits = [self.views.keyword_hit(page) for page in source(keywords, scopes, spaces)]
            if "SPACES" in scopes:
                hits += [self.views.space_hit(found) for found in self._spaces_named(keywords)]
        return self.views.results(hits, f"/wikis/{WIKI}/search", _SEARCH_TEMPLATE)

    def _keywords_in_solr(self, keywords: str, scopes: list[str], spaces: tuple[str, ...] | None) -> list[Page]:
        hits = keyword_search(self.wiki.indexed(), keywords, scopes)
        return self._visible_window([hit.page for hit in hits if spaces in (None, hit.page.reference.spaces)])

    def _keywords_in_database(self, keywords: str, scopes: list[str], spaces: tuple[str, ...] | None) -> list[Page]:
        found = [
            page
            for page in self._ordered(self.wiki.in_order())
            if not page.hidden
            and spaces in (None, page.reference.spaces)
            and any(contains(keywords, text) for text in _scope_texts(page, scopes))
        ]
        # The server reads twice the requested rows before it checks rights, which replaces some of the denied ones.
        start, number = self._limit(None)
        read = found[start : None if number is None else start + 2 * number]
        return [page for page in read if self.wiki.may_view(self.user, page.reference)][:number]

    def _ordered(self, pages: list[Page]) -> list[Page]:
        field = self.request.args.get("orderField", "")
        if not field:
            return pages
        if field not in PROPERTIES:
            raise _query_failed(f"could not resolve property: {field}")
        descending = self.request.args.get("order") == "desc"
        return sorted(pages, key=lambda page: PROPERTIES[field](Row(page, "")), reverse=descending)

    def _spaces_named(self, keywords: str) -> list[tuple[str, ...]]:
        found = [
            spaces
            for spaces in self.wiki.spaces()
            if keywords.lower() in spaces[-1].lower()
            or Reference(spaces, "-").space.lower().startswith(keywords.lower())
        ]
        return [spaces for spaces in self._window(found) if self._may_view_space(spaces)]

    def _query(self) -> Bean:
        kind = self.request.args.get("type", "").lower()
        self._limit(None)
        hits: list[Bean] = []
        if kind:
            self._require_query_type(kind)
            hits = self._solr_hits() if kind == "solr" else self._database_hits()
        return self.views.results(hits, f"/wikis/{WIKI}/query", _QUERY_TEMPLATE)

    def _global_query(self) -> Bean:
        self._limit(None)
        hits = self._solr_hits() if WIKI in self.request.args.get("wikis", "").split(",") else []
        return self.views.results(hits, "/wikis/query", _QUERY_TEMPLATE)

    def _require_query_type(self, kind: str) -> None:
        if kind in self.query_types:
            return
        if self.profile.refuses_unknown_query_type or kind in self.profile.query_types:
            raise Refused(400, f"The query type [{kind}] is not allowed.")
        raise Refused(500, f"Can't find descriptor for the component with type [SearchSource] and hint [{kind}]")

    def _solr_hits(self) -> list[Bean]:
        query = self.request.args.get("q")
        if query is None:
            return []
        order = self.request.args.get("orderField", "").strip() or "score"
        direction = self.request.args.get("order", "desc" if order == "score" else "asc")
        try:
            found = solr_search(
                self.wiki.indexed(),
                query,
                with_hidden=self.user is not None and self.user.programming,
                order=f"{order} {direction}",
            )
        except BadQuery as exc:
            raise _query_failed(str(exc)) from exc
        visible = self._window(found)
        return [self._solr_hit(hit) for hit in visible if self.wiki.may_view(self.user, hit.page.reference)]

    def _solr_hit(self, hit: Hit) -> Bean:
        return self.views.solr_hit(hit.page, hit.score, language=hit.language)

    def _database_hits(self) -> list[Bean]:
        query = self.request.args.get("q")
        if query is None or query.lower().startswith("select"):
            return []
        try:
            rows = select(self.wiki.in_order(), query)
        except BadFragment as exc:
            raise _query_failed(str(exc)) from exc
        visible = [row for row in self._window(rows) if self.wiki.may_view(self.user, row.page.reference)]
        return [self.views.database_hit(row.page, language=row.language) for row in visible]

    # --- paging ----------------------------------------------------------------------------------------------

    def _visible_window(self, pages: Sequence[Page], *, default: int | None = None) -> list[Page]:
        """Return the visible rows of a page. Rights are checked after paging, so any page can be short or empty."""
        return [page for page in self._window(pages, default=default) if self.wiki.may_view(self.user, page.reference)]

    def _window(self, rows: Sequence[T], *, default: int | None = None) -> Sequence[T]:
        start, number = self._limit(default)
        return rows[start : None if number is None else start + number]

    def _limit(self, default: int | None) -> tuple[int, int | None]:
        """Return ``start`` and ``number``; ``None`` means no limit. Raises Refused."""
        start, number = self._number("start") or 0, self._number("number")
        limit = self.profile.number_limit
        if limit is None:
            number = default if number is None else number
            return start, None if number is None or number < 0 else number
        if number is not None and not 0 <= number <= limit:
            message = f"Invalid limit value: {number}. The limit must be a positive integer and less than or equal to"
            raise Refused(400, f"{message} {limit}.")
        return start, (default or limit) if number is None else number

    def _number(self, name: str) -> int | None:
        value = self.request.args.get(name, "")
        try:
            return int(value) if value else None
        except ValueError as exc:
            # JAX-RS finds no resource if a query parameter cannot be converted.
            raise Refused(404) from exc

    # --- representation --------------------------------------------------------------------------------------

    def _shown(self, name: str, bean: Bean) -> Response:
        if self.method not in ("GET", "HEAD"):
            raise Refused(405)
        return self._represented(name, bean, 200)

    def _represented(self, name: str, bean: Bean, status: int, headers: dict[str, str] | None = None) -> Response:
        media = self._media()
        body: Any = json.dumps(bean) if media == JSON else to_xml(name, bean)
        return Response(body, status, headers, content_type=media)

    def _media(self) -> str:
        """Negotiate the media type. XML is the default; ``?media=`` replaces the Accept header. Raises Refused."""
        media = self.request.args.get("media", "")
        accept = _SHORT_MEDIA.get(media, media if "/" in media else self.request.headers.get("Accept", ""))
        best = parse_accept_header(accept or "*/*", MIMEAccept).best_match([XML, JSON])
        if best is None:
            raise Refused(406)
        return best


def _space_names(segments: Sequence[str]) -> tuple[str, ...]:
    """Return the space names in ``A/spaces/B``. Raises Refused."""
    if any(keyword != "spaces" for keyword in segments[1::2]):
        raise Refused(500, "Malformed URL: the spaces section is invalid.")
    names = tuple(segments[::2])
    if not names or not all(names):
        raise Refused(500, "Malformed URL: the spaces section is empty.")
    return names


def _pages(summaries: Iterable[Bean]) -> Bean:
    return {"links": [], "pageSummaries": list(summaries)}


def _scope_texts(page: Page, scopes: Iterable[str]) -> list[str]:
    texts: dict[str, Callable[[], str]] = {
        "CONTENT": lambda: page.content,
        "NAME": lambda: page.reference.own_name,
        "TITLE": lambda: page.title,
    }
    return [texts[scope]() for scope in scopes if scope in texts]


def _query_failed(message: str) -> Refused:
    return Refused(500, f"org.xwiki.query.QueryException: Exception while executing query\n{message}\n")


def _change_from_json(body: bytes) -> Change:
    try:
        fields = json.loads(body)
    except ValueError as exc:
        raise BadPage(str(exc)) from exc
    if not isinstance(fields, dict):
        raise BadPage("Cannot deserialize a page from this value.")
    if unknown := sorted(fields.keys() - set(PAGE_KEYS)):
        raise BadPage(f'Unrecognized field "{unknown[0]}" (class org.xwiki.rest.model.jaxb.Page)')
    return change_from(fields)
