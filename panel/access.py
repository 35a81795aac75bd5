"""Who may do what: people who sign in and API tokens, each turned into one Principal."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from werkzeug.security import check_password_hash, generate_password_hash

from panel.db import db
from panel.domain import ObjectRef, now
from panel.errors import Conflict, Forbidden, InvalidInput, NotFound
from panel.models import ApiToken, User

TOKEN_PREFIX = "lpt_"  # noqa: S105 (a public marker, so that leaked tokens are recognised)
MIN_PASSWORD = 8


class Action(StrEnum):
    """What a principal may do to an object's leaves; ``admin`` is for sources, people and tokens."""

    VIEW = "view"
    LINK = "link"
    CREATE = "create"
    UPDATE = "update"
    UNLINK = "unlink"
    ADMIN = "admin"


WRITING = frozenset({Action.VIEW, Action.LINK, Action.CREATE, Action.UPDATE, Action.UNLINK})
SCOPES: dict[str, frozenset[Action]] = {
    "read": frozenset({Action.VIEW}),
    "write": WRITING,
    "admin": WRITING | {Action.ADMIN},
}
ROLES: dict[str, frozenset[Action]] = {
    "viewer": frozenset({Action.VIEW}),
    "editor": WRITING,
    "admin": WRITING | {Action.ADMIN},
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The one object that somebody was let in for, and, where only some are named, its integrations."""

    object: ObjectRef
    integrations: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in. ``name`` is what the pointer's "linked by" and the logs say."""

    name: str
    kind: str
    """``session``, ``token``, ``local``, or ``embed:`` and the id of an embedding application."""
    can: frozenset[Action]
    limits: Limits | None = None

    def may(self, action: Action) -> bool:
        return action in self.can

    def sees(self, integration: str) -> bool:
        named = self.limits.integrations if self.limits is not None else None
        return named is None or integration in named

    @property
    def is_admin(self) -> bool:
        return Action.ADMIN in self.can

    def stay(self, obj: ObjectRef | None, integration: str = "") -> None:
        """Raises NotFound for an object or integration outside of the limits, whatever is or is not there."""
        if self.limits is None:
            return
        if obj not in (None, self.limits.object) or (integration and not self.sees(integration)):
            raise NotFound("There is nothing at this address.")

    def require(self, action: Action, obj: ObjectRef | None = None, integration: str = "") -> None:
        """Raises NotFound outside of the limits, and Forbidden."""
        self.stay(obj, integration)
        if not self.may(action):
            raise Forbidden(
                f"This needs the right to {action.value}."
                if action is not Action.ADMIN
                else "This is for administrators."
            )


class Access:
    """People and API tokens."""

    def first_admin_password(self) -> str | None:
        """Make sure that somebody can sign in, and return a one-time password where nobody has chosen one yet.

        It stops working as soon as its owner chooses a password; until then each start makes a new one.
        """
        admin = db.session.scalar(select(User).order_by(User.id).limit(1))
        if admin is not None and not admin.must_choose:
            return None
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        if admin is None:
            admin = User(name="admin", role="admin")
            db.session.add(admin)
        admin.password_hash, admin.must_choose = generate_password_hash(password), True
        try:
            db.session.commit()
        except IntegrityError:
            # Another process started at the same moment: the password that it prints is the one that works.
            db.session.rollback()
            return None
        return password

    def create_user(self, name: str, password: str, *, role: str) -> User:
        """Raises InvalidInput naming the field, Conflict when the name is taken."""
        name = name.strip()
        if not name or len(name) > 200 or not name.isprintable():
            raise InvalidInput("name", "A name has 1 to 200 printable characters.")
        if db.session.scalar(select(User.id).where(func.lower(User.name) == name.lower())):
            raise Conflict(f"There is a person named {name} already.")
        user = User(name=name, role=role, password_hash=self._hash(password))
        db.session.add(user)
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            raise Conflict(f"There is a person named {name} already.") from None
        return user

    def choose_password(self, user: User, password: str) -> None:
        """Set a person's own password and end all other sessions of theirs. Raises InvalidInput."""
        user.password_hash, user.must_choose = self._hash(password), False
        user.epoch += 1
        db.session.commit()

    def sign_in(self, name: str, password: str) -> User | None:
        """The person with this name and password. Takes the same time for an unknown name."""
        user = db.session.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))
        stored = user.password_hash if user is not None else _nobody()
        if not check_password_hash(stored, password) or user is None or user.disabled:
            return None
        user.last_seen_at = now()
        db.session.commit()
        return user

    def person(self, user_id: int, epoch: int) -> User | None:
        """The person of a session, unless that session was ended."""
        user = db.session.get(User, user_id)
        return user if user is not None and user.epoch == epoch and not user.disabled else None

    def principal_of(self, user: User) -> Principal:
        return Principal(user.name, "session", ROLES.get(user.role, frozenset()))

    def create_token(self, name: str, scope: str, *, by: str = "") -> str:
        """A new API token, returned this once. Raises InvalidInput."""
        if scope not in SCOPES:
            raise InvalidInput("scope", f"The scope must be one of {', '.join(SCOPES)}.")
        if not name.strip() or len(name) > 200:
            raise InvalidInput("name", "A name has 1 to 200 characters.")
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        db.session.add(ApiToken(name=name.strip(), scope=scope, token_hash=_token_hash(token), created_by=by))
        db.session.commit()
        return token

    def tokens(self) -> list[ApiToken]:
        return list(db.session.scalars(select(ApiToken).order_by(ApiToken.name, ApiToken.id)))

    def revoke_token(self, token_id: int) -> None:
        token = db.session.get(ApiToken, token_id)
        if token is None:
            raise NotFound("There is no such API token.")
        db.session.delete(token)
        db.session.commit()

    def by_token(self, token: str) -> Principal | None:
        """The principal of a presented bearer token; looked up by hash, so that nothing is compared in the clear."""
        row = db.session.scalar(select(ApiToken).where(ApiToken.token_hash == _token_hash(token)))
        return Principal(row.name, "token", SCOPES[row.scope]) if row is not None else None

    def _hash(self, password: str) -> str:
        if len(password) < MIN_PASSWORD or len(password) > 1000:
            raise InvalidInput("password", f"A password has at least {MIN_PASSWORD} characters.")
        return generate_password_hash(password)


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


_nobody_hash = ""


def _nobody() -> str:
    """The hash of a password that nobody has."""
    global _nobody_hash
    if not _nobody_hash:
        _nobody_hash = generate_password_hash(secrets.token_hex(16))
    return _nobody_hash
