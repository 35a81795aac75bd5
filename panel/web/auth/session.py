"""Browser sessions of people: stored on the server, and proved by a value in the signed cookie."""

from __future__ import annotations

import secrets
from dataclasses import replace
from urllib.parse import urlsplit

from flask import Flask, Request, current_app, g, request, session, url_for
from flask import Response as FlaskResponse
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug import Response

from panel.accounts.people import OpenSession, SignInAttempt, Throttled
from panel.core.errors import Forbidden, PanelError
from panel.logs.audit import Actor
from panel.storage.models import User
from panel.web import object_paths
from panel.web.auth import proxies, session_messages
from panel.web.auth.browser_name import browser_name, browser_words
from panel.web.context import panel, request_id
from panel.web.log_lines import note_failed_sign_in

PROOF = "proof"
DEVICE_COOKIE = "leafpanel-device"
DEVICE_S = 180 * 24 * 3600


class CookieSessions(SecureCookieSessionInterface):
    """Opens the session of a request. Programs send no cookie, and then there is no signature to check."""

    serializer = session_messages.serializer()

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        has_cookie = "HTTP_COOKIE" in request.environ and self.get_cookie_name(app) in request.cookies
        return super().open_session(app, request) if has_cookie else self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: FlaskResponse) -> None:
        """Nothing for a session that the request did not look at: it is as the browser has it."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)


class SignInNeeded(PanelError):
    """The request has no valid session. Pages answer with the sign-in form."""


class PasswordNeeded(Forbidden):
    """The session began with a one-time password and may only choose a password. Pages answer with that form."""


def current_user(*, active: bool = True) -> User | None:
    """The person of this request's session, cached for the request. ``active`` extends the session."""
    if "user" not in g:
        proof = session.get(PROOF)
        g.user = panel().people.person(proof, active=active) if isinstance(proof, str) else None
    return g.user  # type: ignore[no-any-return]


def begin_session(user: User) -> None:
    """Start a session with a new id. An existing one is discarded, against session fixation."""
    _forget()
    browser = browser_name(request.headers.get("User-Agent", ""))
    session[PROOF] = panel().people.begin_session(user, by=sign_in_actor(user.name), browser=browser)
    g.user = user


def end_session() -> None:
    user = current_user()
    _forget(by=sign_in_actor(user.name) if user is not None else None)
    g.user = None


def end_all_sessions(user: User) -> None:
    panel().people.end_all_sessions(user, by=sign_in_actor(user.name))
    _forget()
    g.user = None


def open_sessions(user: User) -> list[OpenSession]:
    """The sessions of a person, this one among them."""
    found = panel().people.sessions(user, session.get(PROOF, ""))
    return [replace(one, browser=browser_words(one.browser)) for one in found]


def _forget(by: Actor | None = None) -> None:
    proof = session.get(PROOF)
    session.clear()
    if isinstance(proof, str):
        panel().people.end_session(proof, by=by)


def sign_in_actor(name: str) -> Actor:
    """The actor of signing in or out, for the audit trail: at that moment the request has no principal."""
    return Actor(name, "session", "admin", request_id())


# --- known devices ---------------------------------------------------------------------------------------------------


def sign_in_attempt() -> SignInAttempt:
    """The address of this request, and the device if its cookie is valid."""
    address, shared = request.remote_addr or "", proxies.is_shared_address()
    try:
        known, device = _signer().loads(request.cookies.get(panel().config.cookie(DEVICE_COOKIE), ""))
    except (BadSignature, TypeError, ValueError):
        return SignInAttempt(address, is_shared=shared)
    return SignInAttempt(address, str(device), known if isinstance(known, int) else None, shared)


def check_password(name: str, password: str, *, by: Actor) -> User | None:
    """The person with this name and password, or None. Raises Throttled. The log tells failures."""
    try:
        user = panel().people.sign_in(name, password, sign_in_attempt(), by=by)
    except Throttled:
        note_failed_sign_in(name, "too many wrong passwords")
        raise
    if user is None:
        note_failed_sign_in(name, "wrong password")
    return user


def remember_device(response: Response, user: User) -> None:
    """Set the device cookie, which gives this browser its own budget of wrong passwords for this person."""
    value = _signer().dumps([user.id, secrets.token_hex(8)])
    response.set_cookie(
        panel().config.cookie(DEVICE_COOKIE), value if isinstance(value, str) else value.decode(), max_age=DEVICE_S,
        httponly=True, samesite="Lax", secure=current_app.config["SESSION_COOKIE_SECURE"],
    )  # fmt: skip


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(panel().config.secret_key, salt="leafpanel device")


# --- return addresses ------------------------------------------------------------------------------------------------


def own_path(target: str | None, default: str) -> str:
    """``target`` when it is a path of the panel, else ``default``. Prevents open redirects."""
    if (
        not target
        or not target.startswith("/")
        or target.startswith("//")
        or "\\" in target
        or not target.isprintable()
    ):
        return default
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc else default


def current_path() -> str:
    path = object_paths.encoded(f"{request.script_root}{request.path}")
    query = request.query_string.decode("latin-1")
    return f"{path}?{query}" if query else path


def return_path() -> str | None:
    """The address that shows this page again, or None for the answer to a form.

    The OAuth callback leads to the list: its code works once, and belongs to the session of that moment.
    """
    if request.endpoint == "admin.oauth.callback":
        return url_for("admin.sources.index")
    return current_path() if request.method == "GET" else None
