"""One REST request to the xWiki stand-in: its user and state, paging, media types, and error responses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Request, Response

from panel.sandbox.xwiki_addresses import Bean
from panel.sandbox.xwiki_page import HOME, Page, Reference, User
from panel.sandbox.xwiki_profiles import Profile
from panel.sandbox.xwiki_state import Wiki
from panel.sandbox.xwiki_views import Views
from panel.sandbox.xwiki_xml import to_xml

T = TypeVar("T")

JSON, XML, TEXT, FORM = "application/json", "application/xml", "text/plain", "application/x-www-form-urlencoded"
_SHORT_MEDIA = {"json": JSON, "xml": XML, "txt": TEXT, "html": "text/html", "form": FORM}


class Refused(Exception):
    """An error response, which is never JSON: plain text, or an HTML page where there is no text."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text

    def response(self, profile: Profile) -> Response:
        if self.text:
            return Response(self.text, self.status, content_type="text/plain;charset=UTF-8")
        size = profile.missing_page_bytes if self.status == 404 else 0
        return error_page(self.status, size)


def error_page(status: int, size: int = 0) -> Response:
    """The HTML page of an error, at least ``size`` bytes long."""
    name = f"{status} {HTTPStatus(status).phrase}"
    body = f"<!doctype html><html><head><title>{name}</title></head><body><h1>{name}</h1></body></html>\n"
    return Response(body.ljust(size), status, content_type="text/html;charset=utf-8")


@dataclass(slots=True)
class Call:
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

    def has(self, flag: str) -> bool:
        return self.request.args.get(flag) == "true"

    # --- rights ----------------------------------------------------------------------------------------------

    def may_view(self, reference: Reference) -> bool:
        return self.wiki.may_view(self.user, reference)

    def may_view_space(self, spaces: tuple[str, ...]) -> bool:
        return self.may_view(Reference(spaces, HOME))

    def require_view(self, reference: Reference) -> None:
        if not self.may_view(reference):
            raise Refused(401)

    def require_edit(self, reference: Reference, right: str) -> User:
        """Return the user. Raises Refused; a guest gets an HTML page."""
        if self.user is None:
            raise Refused(401)
        if not self.wiki.may_edit(self.user, reference):
            checked = f"Access denied when checking [{right}] on [{reference.id}]"
            raise Refused(401, f"{checked} for user [{self.user.reference}]")
        return self.user

    def existing(self, reference: Reference) -> Page:
        """Return a page. The view right is checked first, so a denied space does not reveal whether a page exists."""
        self.require_view(reference)
        page = self.wiki.pages.get(reference)
        if page is None:
            raise Refused(404)
        return page

    # --- paging ----------------------------------------------------------------------------------------------

    def visible_window(self, pages: Sequence[Page], *, default: int | None = None) -> list[Page]:
        """Return the visible rows of a page. Rights are checked after paging, so any page can be short or empty."""
        return [page for page in self.window(pages, default=default) if self.may_view(page.reference)]

    def window(self, rows: Sequence[T], *, default: int | None = None) -> Sequence[T]:
        start, number = self.limit(default)
        return rows[start : None if number is None else start + number]

    def limit(self, default: int | None) -> tuple[int, int | None]:
        """Return ``start`` and ``number``; ``None`` means no limit. Raises Refused."""
        start, number = self.number("start") or 0, self.number("number")
        limit = self.profile.number_limit
        if limit is None:
            number = default if number is None else number
            return start, None if number is None or number <= 0 else number
        if number is not None and not 0 <= number <= limit:
            message = f"Invalid limit value: {number}. The limit must be a positive integer and less than or equal to"
            raise Refused(400, f"{message} {limit}.")
        return start, (default or limit) if number is None else number or limit

    def number(self, name: str) -> int | None:
        value = self.request.args.get(name, "")
        try:
            return int(value) if value else None
        except ValueError as exc:
            # JAX-RS finds no resource if a query parameter cannot be converted.
            raise Refused(404) from exc

    # --- representation --------------------------------------------------------------------------------------

    def shown(self, name: str, bean: Bean) -> Response:
        if self.method not in ("GET", "HEAD"):
            raise Refused(405)
        return self.represented(name, bean, 200)

    def represented(self, name: str, bean: Bean, status: int, headers: dict[str, str] | None = None) -> Response:
        media = self._media()
        body: Any = json.dumps(bean) if media == JSON else to_xml(name, bean)
        return Response(body, status, headers, content_type=f"{media};charset=UTF-8")

    def _media(self) -> str:
        """Negotiate the media type. XML is the default; ``?media=`` replaces the Accept header. Raises Refused."""
        media = self.request.args.get("media", "")
        accept = _SHORT_MEDIA.get(media, media if "/" in media else self.request.headers.get("Accept", ""))
        best = parse_accept_header(accept or "*/*", MIMEAccept).best_match([XML, JSON])
        if best is None:
            raise Refused(406)
        return best


def space_names(segments: Sequence[str]) -> tuple[str, ...]:
    """Return the space names in ``A/spaces/B``. Raises Refused."""
    if any(keyword != "spaces" for keyword in segments[1::2]):
        raise Refused(500, "Malformed URL: the spaces section is invalid.")
    names = tuple(segments[::2])
    if not names or not all(names):
        raise Refused(500, "Malformed URL: the spaces section is empty.")
    return names
