"""The browser session of a person who signed in: kept on the server, proved by what the signed cookie holds."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from flask import current_app, g, request, session
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug import Response

from panel.accounts.people import SignInAttempt
from panel.core.errors import PanelError
from panel.logs.audit import Actor
from panel.storage.models import User
from panel.web.context import panel, request_id

PROOF = "proof"
DEVICE_COOKIE = "leafpanel-device"
DEVICE_S = 180 * 24 * 3600


class SignInNeeded(PanelError):
    """Nobody is signed in; pages answer with the sign-in form."""


def current_user(*, active: bool = True) -> User | None:
    """The person of this request's session, looked up once. ``active``: the session goes on because of it."""
    if "user" not in g:
        proof = session.get(PROOF)
        g.user = panel().people.person(proof, active=active) if isinstance(proof, str) else None
    return g.user  # type: ignore[no-any-return]


def begin_session(user: User) -> None:
    """A session with a new id, whatever the browser held before."""
    _forget()
    session[PROOF] = panel().people.begin_session(user, by=arriving(user.name))
    g.user = user


def end_session() -> None:
    user = current_user()
    _forget(by=arriving(user.name) if user is not None else None)
    g.user = None


def _forget(by: Actor | None = None) -> None:
    proof = session.get(PROOF)
    session.clear()
    if isinstance(proof, str):
        panel().people.end_session(proof, by=by)


def arriving(name: str) -> Actor:
    """A person who signs in or out: for the audit trail, before and after there is a principal."""
    return Actor(name, "session", "admin", request_id())


# --- browsers in which somebody signed in before ---------------------------------------------------------------------


def sign_in_attempt() -> SignInAttempt:
    """From where somebody tries to sign in."""
    try:
        known, device = _signer().loads(request.cookies.get(panel().config.cookie(DEVICE_COOKIE), ""))
    except (BadSignature, TypeError, ValueError):
        return SignInAttempt(request.remote_addr or "")
    return SignInAttempt(request.remote_addr or "", str(device), known if isinstance(known, int) else None)


def remember_device(response: Response, user: User) -> None:
    """Let this browser keep a budget of its own for wrong passwords of this person."""
    value = _signer().dumps([user.id, secrets.token_hex(8)])
    response.set_cookie(
        panel().config.cookie(DEVICE_COOKIE), value if isinstance(value, str) else value.decode(), max_age=DEVICE_S,
        httponly=True, samesite="Lax", secure=current_app.config["SESSION_COOKIE_SECURE"],
    )  # fmt: skip


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(panel().config.secret_key, salt="leafpanel device")


# --- ways back -------------------------------------------------------------------------------------------------------


def own_path(target: str | None, default: str) -> str:
    """``target`` when it is a plain path of ours, else ``default``: nobody is sent to another host."""
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


def here() -> str:
    return request.full_path.rstrip("?")
