"""The browser session of a person who signed in."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import g, request, session

from panel.access import Principal
from panel.errors import PanelError
from panel.faces.context import panel
from panel.models import User


class SignInNeeded(PanelError):
    """Nobody is signed in; pages answer with the sign-in form."""


def current_user() -> User | None:
    """The person of this request's session, looked up once."""
    if "user" not in g:
        known = session.get("uid"), session.get("epoch")
        both = isinstance(known[0], int) and isinstance(known[1], int)
        g.user = panel().access.person(known[0], known[1]) if both else None  # type: ignore[arg-type]
    return g.user  # type: ignore[no-any-return]


def signed_in() -> Principal:
    """The principal of this session. Raises SignInNeeded."""
    user = current_user()
    if user is None:
        raise SignInNeeded("Sign in first.")
    return panel().access.principal_of(user)


def begin_session(user: User) -> None:
    session.clear()
    session["uid"], session["epoch"] = user.id, user.epoch
    g.user = user


def end_session() -> None:
    session.clear()
    g.user = None


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
