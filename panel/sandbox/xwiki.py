"""Stand-in of xWiki: its REST API over in-memory state, with the quirks of the real server, and browser pages.

``mounted(xwiki=XWikiStandIn())`` serves it at ``/xwiki``; served alone it is an instance at the server's root.
The members below ``__init__`` are switches for tests and demonstrations.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote_plus

from werkzeug.wrappers import Request, Response

from panel.sandbox import xwiki_seeds
from panel.sandbox.standin import StandIn
from panel.sandbox.xwiki_html import index_document, message, page_document
from panel.sandbox.xwiki_profiles import PROFILES
from panel.sandbox.xwiki_rest import FORM, TEXT, Refused, RestCall
from panel.sandbox.xwiki_state import HOME, Page, Reference, Translation, User, Wiki, moment
from panel.sandbox.xwiki_views import Views

SIMPLE_TYPES = (FORM, "multipart/form-data", TEXT)
"""Content types that a form of another site can send. A POST with one requires the form token (CSRF)."""

VIEW_ACTIONS = ("view", "edit", "inline", "get", "viewrev")


@dataclass(frozen=True, slots=True)
class Authentication:
    """The user of a request; ``None`` is a guest."""

    user: User | None
    session: str | None = None
    """The session cookie to set after a login."""


class XWikiStandIn(StandIn):
    """The stand-in. Searches find a change after ``solr_lag`` seconds; with ``None`` only after ``index()``."""

    product = "xWiki"

    def __init__(
        self,
        profile: str = "modern",
        seed: Literal["cases", "demo", "empty"] = "cases",
        *,
        solr_lag: float | None = 2.0,
    ) -> None:
        super().__init__()
        self.profile = PROFILES[profile]
        self.wiki = Wiki(solr_lag)
        self.query_types = set(self.profile.query_types)
        self.bearer_tokens: dict[str, str] = {}
        """Token → login, as in the OpenID Connect provider extension. Unknown Bearer tokens are ignored."""
        self.fail_put_after_commit = False
        """Whether a PUT is executed and the connection then closed without a response."""
        self._state = threading.RLock()
        self._sessions: dict[str, str] = {}
        self._form_tokens: dict[str | None, str] = {}
        if seed == "cases":
            xwiki_seeds.fill_with_cases(self)
        elif seed == "demo":
            self.seed_demo()

    # --- switches --------------------------------------------------------------------------------------------

    def seed_demo(self) -> None:
        """Add the wiki of a fictional municipality, with the accounts ``leafpanel`` and ``alice``."""
        xwiki_seeds.fill_with_demo(self)

    def add_user(
        self, login: str, password: str, *, name: str = "", edits: Iterable[str] = (), programming: bool = False
    ) -> User:
        with self._state:
            user = self.wiki.users[login] = User(login, password, name or login, frozenset(edits), programming)
        return user

    def grant_programming(self, login: str, *, granted: bool = True) -> None:
        """Grant or revoke the programming right, which gives access to every space and to hidden pages in Solr."""
        with self._state:
            self.wiki.users[login] = replace(self.wiki.users[login], programming=granted)

    def add_page(
        self,
        reference: str,
        *,
        title: str = "",
        content: str = "",
        hidden: bool = False,
        version: str = "1.1",
        author: str = "XWiki.alice",
        modified: datetime | None = None,
        created: datetime | None = None,
        syntax: str = "xwiki/2.1",
        parent: str = "",
        indexed: bool = True,
    ) -> Page:
        """Store or replace a page without checking rights."""
        when = modified or moment()
        major, _, minor = version.partition(".")
        page = Page(
            Reference.parse(reference),
            title,
            content,
            creator=author,
            created=created or when,
            author=author,
            date=when,
            content_date=when,
            syntax=syntax,
            parent=parent,
            hidden=hidden,
            major=int(major),
            minor=int(minor),
        )
        with self._state:
            self.wiki.store(page)
            if indexed:
                self.wiki.index_now(page.reference)
        return page

    def add_translation(self, reference: str, language: str, *, title: str, content: str = "") -> None:
        with self._state:
            page = self.page(reference)
            translations = {**page.translations, language: Translation(title, content)}
            self.wiki.store(replace(page, translations=translations))
            self.wiki.index_now(page.reference)

    def page(self, reference: str) -> Page:
        """Return the current version of a page. Raises KeyError."""
        with self._state:
            return self.wiki.pages[Reference.parse(reference)]

    def has_page(self, reference: str) -> bool:
        with self._state:
            return Reference.parse(reference) in self.wiki.pages

    def remove_page(self, reference: str) -> None:
        with self._state:
            self.wiki.remove(Reference.parse(reference))

    def rename_page(self, old: str, new: str) -> None:
        with self._state:
            self.wiki.rename(Reference.parse(old), Reference.parse(new))

    def lock_page(self, reference: str, *, locked: bool = True) -> None:
        """Lock a page, as an open editor does, or unlock it."""
        with self._state:
            (self.wiki.locked.add if locked else self.wiki.locked.discard)(Reference.parse(reference))

    def deny_view(self, prefix: str, *, except_for: Iterable[str] = ()) -> None:
        """Deny view on a page, or on a space with everything below it, except for the given logins."""
        with self._state:
            self.wiki.private[prefix] = frozenset(except_for)

    def allow_view(self, prefix: str) -> None:
        with self._state:
            self.wiki.private.pop(prefix, None)

    def index(self) -> None:
        """Index all pending changes."""
        with self._state:
            self.wiki.index()

    @property
    def guests_may_view(self) -> bool:
        return self.wiki.guests_may_view

    @guests_may_view.setter
    def guests_may_view(self, allowed: bool) -> None:
        self.wiki.guests_may_view = allowed

    @property
    def xwql_enabled(self) -> bool:
        """Whether ``/query`` accepts database queries; if not, they are 400."""
        return "xwql" in self.query_types

    @xwql_enabled.setter
    def xwql_enabled(self, enabled: bool) -> None:
        database = {"xwql", "hql"}
        self.query_types = self.query_types | database if enabled else self.query_types - database

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
        raw = _raw_path(request)
        if any(separator in raw.lower() for separator in ("%2f", "%5c")):
            # https://tomcat.apache.org/tomcat-10.1-doc/config/http.html (encodedSolidusHandling)
            return message("HTTP Status 400 – Bad Request", 400)
        names = [part.partition(";")[0] for part in raw.split("/")]
        segments = [unquote_plus(name) for index, name in enumerate(names) if name or index == len(names) - 1]
        if any(segment in (".", "..") for segment in segments):
            return message("HTTP Status 400 – Bad Request", 400)
        with self._state:
            if segments and segments[0] == "rest":
                return self._rest(request, segments[1:], raw)
            return self._browser_page(request, segments)

    def _rest(self, request: Request, segments: list[str], raw: str) -> Response:
        try:
            authentication = self._authenticate(request)
        except Refused as refused:
            response = refused.response()
            response.headers["WWW-Authenticate"] = 'Basic realm="XWiki"'
            return self._with_headers(request, response, Authentication(None))
        try:
            self._require_form_token(request, authentication.user)
            response = self._call(request, segments, raw, authentication.user).answer()
        except Refused as refused:
            response = refused.response()
        if self.fail_put_after_commit and response.status_code in (201, 202):
            response = DroppedConnection(status=response.status_code)
        return self._with_headers(request, response, authentication)

    def _call(self, request: Request, segments: list[str], raw: str, user: User | None) -> RestCall:
        views = self._views(request)
        method = request.method
        if method == "POST":
            method = request.args.get("method", method).upper()
        address = f"{views.base}/{raw.lstrip('/')}"
        return RestCall(request, method, segments, address, user, self.wiki, self.profile, self.query_types, views)

    def _views(self, request: Request) -> Views:
        context = request.environ.get("SCRIPT_NAME", "").rstrip("/")
        base = f"{request.scheme}://{request.host}{context}"
        return Views(self.wiki, self.profile, base, context, request.args.get("prettyNames") == "true")

    # --- authentication --------------------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> Authentication:
        """Authenticate a request. Wrong credentials make it a guest; old servers reject them. Raises Refused."""
        session_login = self._sessions.get(request.cookies.get("JSESSIONID", ""))
        if session_login is not None:
            return Authentication(self.wiki.users.get(session_login))
        authorization = request.authorization
        if authorization is None:
            return Authentication(None)
        if authorization.type == "bearer":
            return Authentication(self.wiki.users.get(self.bearer_tokens.get(authorization.token or "", "")))
        user = self._by_password(authorization.username or "", authorization.password or "")
        if user is None and self.profile.rejects_wrong_password:
            raise Refused(401)
        if user is None or not self.profile.starts_session:
            return Authentication(user)
        return Authentication(user, self._session_of(user))

    def _by_password(self, login: str, password: str) -> User | None:
        # Basic ends the user name at the colon, so an absolute reference (``xwiki:XWiki.alice``) cannot work.
        user = self.wiki.users.get(login.removeprefix("XWiki."))
        # The real server also strips whitespace around a password.
        return user if user is not None and user.password == password.strip() else None

    def _session_of(self, user: User) -> str:
        for session, login in self._sessions.items():
            if login == user.login:
                return session
        session = secrets.token_hex(16).upper()
        self._sessions[session] = user.login
        return session

    def _form_token(self, user: User | None) -> str:
        return self._form_tokens.setdefault(user.login if user else None, secrets.token_urlsafe(16))

    def _require_form_token(self, request: Request, user: User | None) -> None:
        content_type = request.headers.get("Content-Type", "").lower()
        if not self.profile.form_token or request.method != "POST" or not content_type.startswith(SIMPLE_TYPES):
            return
        if request.headers.get("XWiki-Form-Token") != self._form_token(user):
            raise Refused(403, "Invalid or missing form token.")

    def _with_headers(self, request: Request, response: Response, authentication: Authentication) -> Response:
        response.headers["XWiki-Version"] = self.profile.version
        if not self.profile.sends_user:
            response.headers["XWiki-User"] = "XWiki.XWikiGuest"
        elif authentication.user is not None:
            response.headers["XWiki-User"] = authentication.user.reference
        if self.profile.form_token:
            response.headers["XWiki-Form-Token"] = self._form_token(authentication.user)
        if authentication.session is not None:
            response.set_cookie(
                "JSESSIONID", authentication.session, path=request.root_path.rstrip("/") or "/", httponly=True
            )
        return response

    # --- browser pages ---------------------------------------------------------------------------------------

    def _browser_page(self, request: Request, segments: list[str]) -> Response:
        views = self._views(request)
        views = replace(views, pretty_names=True)
        if segments in ([], [""]):
            visible = [page for page in self.wiki.in_order() if self.wiki.may_view(None, page.reference)]
            return index_document((page for page in visible if not page.hidden), views)
        if len(segments) < 2 or segments[0] != "bin" or segments[1] not in VIEW_ACTIONS:
            return message("Not in this sandbox", 404)
        page = self._page_at(segments[2:])
        if page is None:
            return message("The requested page could not be found", 404)
        if not self.wiki.may_view(None, page.reference):
            return message("You are not allowed to view this page", 401)
        return page_document(page, views)

    def _page_at(self, names: list[str]) -> Page | None:
        """Find the terminal page, otherwise the home page of the space with that name."""
        if names and names[-1] != "":
            terminal = Reference(tuple(names[:-1]), names[-1])
            if terminal in self.wiki.pages:
                return self.wiki.pages[terminal]
        spaces = tuple(name for name in names if name) or ("Main",)
        return self.wiki.pages.get(Reference(spaces, HOME))


class DroppedConnection(Response):
    """A response that closes the connection without sending anything."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        connection = environ.get("werkzeug.socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(2)
        raise ConnectionAbortedError("The stand-in dropped the connection.")


def _raw_path(request: Request) -> str:
    """Return the undecoded path below the mount point: decoding it as a whole would lose ``%2F`` and ``+``."""
    environ = request.environ
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or request.full_path
    path = raw.partition("?")[0]
    if path.startswith(("http://", "https://")):
        path = "/" + path.split("/", 3)[3]
    path = path.removeprefix(environ.get("SCRIPT_NAME", ""))
    return path.lstrip("/")
