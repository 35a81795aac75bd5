"""Stand-in of xWiki: its REST API over in-memory state, with the quirks of the real server, and browser pages.

``mounted(xwiki=XWikiStandIn())`` serves it at ``/xwiki``; served alone it is an instance at the server's root.
``XWikiStandIn("16")`` behaves as the version that this profile of ``xwiki_profiles`` describes, and ``behave_like``
changes it later. Its attributes, and those of ``XWikiContent``, are switches for tests and demonstrations.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from werkzeug.wrappers import Request, Response

from panel.sandbox import xwiki_rest, xwiki_seeds
from panel.sandbox.xwiki_addresses import Addresses
from panel.sandbox.xwiki_call import Call, Refused
from panel.sandbox.xwiki_content import XWikiContent
from panel.sandbox.xwiki_html import browser_page, message
from panel.sandbox.xwiki_login import Authentication, Login
from panel.sandbox.xwiki_page import User
from panel.sandbox.xwiki_paths import raw_path, refused_by_container, segments
from panel.sandbox.xwiki_profiles import PROFILES
from panel.sandbox.xwiki_routes import ROUTES, route_name
from panel.sandbox.xwiki_views import Views


class XWikiStandIn(XWikiContent):
    """The stand-in. Searches find a change after ``solr_lag`` seconds; with ``None`` only after ``index()``."""

    product = "xWiki"

    def __init__(
        self,
        profile: str = "modern",
        seed: Literal["cases", "demo", "empty"] = "cases",
        *,
        solr_lag: float | None = 2.0,
    ) -> None:
        super().__init__(solr_lag)
        self.behave_like(profile)
        self.delays: dict[str, float] = {}
        """Seconds before a request of a kind is answered, by the names of ``xwiki_routes``."""
        self.missing_page_s = 0.0
        """Seconds that the page of a 404 takes in addition."""
        self.public_url: str | None = None
        """What the addresses of pages start with; without it they have the host that the client used."""
        self.view_path = "/bin/view"
        """Between ``public_url`` and the names of a page: ``""`` and ``/bin`` are short URLs."""
        self.hides_version = False
        """Whether the header ``XWiki-Version`` is missing, as behind some proxies."""
        self.fail_put_after_commit = False
        """Whether a PUT is executed and the connection then closed without a response."""
        self.login = Login(self.wiki.users)
        self.bearer_tokens = self.login.bearer_tokens
        if seed == "cases":
            xwiki_seeds.fill_with_cases(self)
        elif seed == "demo":
            xwiki_seeds.fill_with_demo(self)

    # --- switches --------------------------------------------------------------------------------------------

    def behave_like(self, name: str) -> None:
        """Behave as another version from now on. The content stays."""
        self.profile = PROFILES[name]
        self.query_types = set(self.profile.query_types)

    @property
    def xwql_enabled(self) -> bool:
        """Whether ``/query`` accepts database queries, HQL and XWQL; if not, they are 400."""
        return "xwql" in self.query_types

    @xwql_enabled.setter
    def xwql_enabled(self, enabled: bool) -> None:
        database = {"xwql", "hql"}
        self.query_types = self.query_types | database if enabled else self.query_types - database

    def hang_index(self, seconds: float) -> None:
        """Let everything that asks the index wait; 0 ends it."""
        self.delays["index"] = seconds
        if self.profile.keyword_source == "index":
            self.delays["search"] = seconds

    @property
    def calls(self) -> Counter[str]:
        """How many requests of each kind were received, by the names of ``xwiki_routes``."""
        return Counter(route_name(_parts(one.path), dict(one.params).get("type", "")) for one in self.requests)

    # --- one request -----------------------------------------------------------------------------------------

    def failing(self, fault: str, request: Request) -> Response:
        """The response of a fault. Refusals of REST have xWiki's headers."""
        response = super().failing(fault, request)
        if fault in ("unauthorized", "forbidden"):
            response.headers["XWiki-Version"] = self.profile.version
        if fault == "forbidden":
            response.headers["XWiki-User"] = "xwiki:XWiki.alice"
        return response

    def answer(self, request: Request) -> Response:
        raw = raw_path(request)
        if refused_by_container(request, raw, self.profile):
            return message("HTTP Status 400 – Bad Request", 400)
        parts = segments(raw, self.profile)
        route = route_name(parts, request.args.get("type", ""))
        time.sleep(self.delays.get(route, 0))
        with self._state:
            response = self._rest(request, parts[1:], raw) if parts[0] == "rest" else self._browser(request, parts)
        if response.status_code == 404 and route in ROUTES:
            time.sleep(self.missing_page_s)
        return response

    def _rest(self, request: Request, parts: list[str], raw: str) -> Response:
        try:
            authentication = self.login.authenticate(request, self.profile)
        except Refused as refused:
            response = refused.response(self.profile)
            response.headers["WWW-Authenticate"] = 'Basic realm="XWiki"'
            return self._with_headers(request, response, Authentication(None))
        try:
            if self.profile.form_token:
                self.login.require_form_token(request, authentication.user)
            response = xwiki_rest.answer(self._call(request, parts, raw, authentication.user))
        except Refused as refused:
            response = refused.response(self.profile)
        if self.fail_put_after_commit and response.status_code in (201, 202):
            response = DroppedConnection(status=response.status_code)
        return self._with_headers(request, response, authentication)

    def _call(self, request: Request, parts: list[str], raw: str, user: User | None) -> Call:
        views = self._views(request)
        method = request.method
        if method == "POST":
            method = request.args.get("method", method).upper()
        path = parts[:-1] if parts and not parts[-1] else parts
        address = f"{views.addresses.base}/{raw}"
        return Call(request, method, path, address, user, self.wiki, self.profile, self.query_types, views)

    def _views(self, request: Request) -> Views:
        context = request.environ.get("SCRIPT_NAME", "").rstrip("/")
        base = f"{request.scheme}://{request.host}{context}"
        shown = base if self.public_url is None else self.public_url
        addresses = Addresses(base, context, f"{shown}{self.view_path}", self.profile.links_lack_spaces)
        return Views(self.wiki, self.profile, addresses, request.args.get("prettyNames") == "true")

    def _with_headers(self, request: Request, response: Response, authentication: Authentication) -> Response:
        self.login.with_headers(request, response, authentication, self.profile)
        if self.hides_version:
            del response.headers["XWiki-Version"]
        return response

    def _browser(self, request: Request, parts: list[str]) -> Response:
        return browser_page(parts, replace(self._views(request), pretty_names=True), self.view_path)


class DroppedConnection(Response):
    """A response that closes the connection without sending anything."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        connection = environ.get("werkzeug.socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(2)
        raise ConnectionAbortedError("The stand-in dropped the connection.")


def _parts(path: str) -> list[str]:
    """The path of a recorded request below the instance, which is wherever ``rest`` first stands."""
    parts = path.split("/")
    return parts[parts.index("rest") :] if "rest" in parts else parts
