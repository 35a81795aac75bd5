"""Sign-in to the xWiki stand-in: Basic, Bearer tokens of an extension, sessions, and form tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from werkzeug.wrappers import Request, Response

from panel.sandbox.xwiki_call import FORM, TEXT, Refused
from panel.sandbox.xwiki_page import User
from panel.sandbox.xwiki_profiles import Profile

SIMPLE_TYPES = (FORM, "multipart/form-data", TEXT)
"""Content types that a form of another site can send. A POST with one requires the form token (CSRF)."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """The user of a request; ``None`` is a guest."""

    user: User | None
    session: str | None = None
    """The session cookie to set after a login."""


class Login:
    """Authenticates requests. It keeps sessions and form tokens."""

    def __init__(self, users: dict[str, User]) -> None:
        self._users = users
        self.bearer_tokens: dict[str, str] = {}
        """Token → login. Unknown Bearer tokens are ignored."""
        self._sessions: dict[str, str] = {}
        self._form_tokens: dict[str | None, str] = {}

    def authenticate(self, request: Request, profile: Profile) -> Authentication:
        """Authenticate a request. Wrong credentials make it a guest; old servers reject them. Raises Refused."""
        session_login = self._sessions.get(request.cookies.get("JSESSIONID", ""))
        if session_login is not None:
            return Authentication(self._active(session_login))
        authorization = request.authorization
        if authorization is None:
            return Authentication(None)
        if authorization.type == "bearer":
            return Authentication(self._active(self.bearer_tokens.get(authorization.token or "", "")))
        user = self._by_password(authorization.username or "", authorization.password or "")
        if user is None and profile.rejects_wrong_password:
            raise Refused(401)
        if user is None or not profile.starts_session:
            return Authentication(user)
        return Authentication(user, self._session_of(user))

    def _active(self, login: str) -> User | None:
        user = self._users.get(login)
        return user if user is not None and user.active else None

    def _by_password(self, login: str, password: str) -> User | None:
        # Basic ends the user name at the colon, so an absolute reference (``xwiki:XWiki.alice``) cannot work. Nor can
        # a name with a dot, which is read as the reference of a page in another space.
        name = login.removeprefix("XWiki.")
        user = None if "." in name else self._active(name)
        # The real server also strips whitespace around a password.
        return user if user is not None and user.password == password.strip() else None

    def _session_of(self, user: User) -> str:
        for session, login in self._sessions.items():
            if login == user.login:
                return session
        session = secrets.token_hex(16).upper()
        self._sessions[session] = user.login
        return session

    def form_token(self, user: User | None) -> str:
        return self._form_tokens.setdefault(user.login if user else None, secrets.token_urlsafe(16))

    def require_form_token(self, request: Request, user: User | None) -> None:
        """Refuse a POST that a form of another site could have sent. Raises Refused."""
        content_type = request.headers.get("Content-Type", "").lower()
        if request.method != "POST" or not content_type.startswith(SIMPLE_TYPES):
            return
        if request.headers.get("XWiki-Form-Token") != self.form_token(user):
            raise Refused(403, "Invalid or missing form token.")

    def with_headers(
        self, request: Request, response: Response, authentication: Authentication, profile: Profile
    ) -> Response:
        """Add the headers of xWiki's own responses."""
        response.headers["XWiki-Version"] = profile.version
        if not profile.sends_user:
            response.headers["XWiki-User"] = "XWiki.XWikiGuest"
        elif authentication.user is not None:
            response.headers["XWiki-User"] = authentication.user.reference
        if profile.form_token:
            response.headers["XWiki-Form-Token"] = self.form_token(authentication.user)
        if authentication.session is not None:
            path = request.root_path.rstrip("/") or "/"
            response.set_cookie("JSESSIONID", authentication.session, path=path, httponly=True)
        return response
