"""People: who they are, how they sign in, and the sessions that follow. Guessing passwords is slow by design."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from werkzeug.security import check_password_hash, generate_password_hash

from panel.accounts.principal import ROLES, Principal
from panel.core.domain import now
from panel.core.errors import Conflict, InvalidInput, NotFound, PanelError
from panel.core.text import checked_line
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import db
from panel.storage.models import User, UserSession

MIN_PASSWORD = 8
MAX_PASSWORD = 1000
ONE_TIME = timedelta(hours=24)
"""How long a password lasts that its owner did not choose."""
IDLE = timedelta(hours=2)
ABSOLUTE = timedelta(hours=12)
"""A session ends when nobody used it for ``IDLE``, and ``ABSOLUTE`` after signing in whatever happens."""
NOTED = timedelta(minutes=1)
"""Using a session is written down at most this often."""


@dataclass(frozen=True, slots=True)
class Budget:
    """``count`` at once, then one every ``interval_s`` seconds."""

    count: int
    interval_s: float


PER_ACCOUNT_AND_ADDRESS = Budget(10, 180)
PER_ACCOUNT = Budget(20, 180)
PER_ADDRESS = Budget(20, 180)
PER_DEVICE = Budget(10, 180)
ONE_LINE = Budget(1, 3600)
"""At most 40 wrong passwords are looked at in any hour for one account, and as many from one address. A browser in
which the owner signed in before has a budget of its own, so that a stranger who guesses locks nobody out."""


class Meter(Protocol):
    """Budgets that all processes share."""

    def spend(self, wanted: Sequence[tuple[str, Budget]]) -> float:
        """Take one from each budget, or from none; seconds until all have one left, 0 when taken."""
        ...

    def give_back(self, wanted: Sequence[tuple[str, Budget]]) -> None: ...


class Throttled(PanelError):
    """Too many wrong passwords. ``retry_after``: seconds until the next one is looked at."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("Too many wrong passwords. Wait a moment and try again.")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """From where somebody tries to sign in. ``known`` is the person who signed in there before, if anybody."""

    address: str
    device: str = ""
    known: int | None = None


class People:
    """The people who sign in by themselves, with a password."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    # --- keeping them --------------------------------------------------------------------------------------------

    def first_admin_password(self, *, by: Actor) -> str | None:
        """Make sure that somebody can sign in, and return a one-time password where nobody has chosen one yet.

        It stops working as soon as its owner chooses a password; until then each start makes a new one.
        """
        admin = db.session.scalar(select(User).order_by(User.id).limit(1))
        if admin is not None and not admin.must_choose:
            return None
        deed = AuditAction.PASSWORD_RESET if admin is not None else AuditAction.PERSON_ADDED
        if admin is None:
            admin = User(name="admin", role="admin")
            db.session.add(admin)
        password = _give_one_time_password(admin)
        audit.record(deed, by, subject=admin.name, detail="one-time password on the console")
        try:
            db.session.commit()
        except IntegrityError:
            # Another process started at the same moment: the password that it prints is the one that works.
            db.session.rollback()
            return None
        return password

    def all(self) -> list[User]:
        return list(db.session.scalars(select(User).order_by(func.lower(User.name))))

    def get(self, user_id: int) -> User:
        """Raises NotFound."""
        user = db.session.get(User, user_id)
        if user is None:
            raise NotFound("There is no such person.")
        return user

    def named(self, name: str) -> User:
        """Raises NotFound."""
        user = self._find(name)
        if user is None:
            raise NotFound(f"There is no person named {name}.")
        return user

    def create(self, name: str, password: str, *, role: str, by: Actor) -> User:
        """A person who knows their password. Raises InvalidInput naming the field, Conflict when the name is taken."""
        user = User(name=self._free_name(name), role=_role(role), password_hash=_hash(password))
        self._add(user, by)
        return user

    def invite(self, name: str, *, role: str, by: Actor) -> tuple[User, str]:
        """A person with a one-time password, returned this once. Raises InvalidInput, Conflict."""
        user = User(name=self._free_name(name), role=_role(role))
        password = _give_one_time_password(user)
        self._add(user, by)
        return user, password

    def _free_name(self, name: str) -> str:
        name = checked_line("name", name, 200)
        if self._find(name) is not None:
            raise Conflict(f"There is a person named {name} already.")
        return name

    def _add(self, user: User, by: Actor) -> None:
        db.session.add(user)
        audit.record(AuditAction.PERSON_ADDED, by, subject=user.name, detail=user.role)
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            raise Conflict(f"There is a person named {user.name} already.") from None

    def reset(self, user: User, *, by: Actor) -> str:
        """A new one-time password, returned this once; every session of theirs ends."""
        password = _give_one_time_password(user)
        self._end_sessions(user)
        audit.record(AuditAction.PASSWORD_RESET, by, subject=user.name)
        db.session.commit()
        return password

    def set_role(self, user: User, role: str, *, by: Actor) -> None:
        """Raises InvalidInput, and Conflict when nobody would be left who may change this."""
        if _role(role) == user.role:
            return
        if role != "admin":
            self._keep_an_administrator(user)
        user.role = role
        audit.record(AuditAction.ROLE_CHANGED, by, subject=user.name, detail=role)
        db.session.commit()

    def switch(self, user: User, *, on: bool, by: Actor) -> None:
        """Let somebody in or keep them out, at once. Raises Conflict when no administrator would be left."""
        if user.disabled is not on:
            return
        if not on:
            self._keep_an_administrator(user)
            self._end_sessions(user)
        user.disabled = not on
        audit.record(AuditAction.PERSON_ENABLED if on else AuditAction.PERSON_DISABLED, by, subject=user.name)
        db.session.commit()

    def _keep_an_administrator(self, but: User) -> None:
        # Held until this is stored: two who demote each other at once must not both find the other one.
        others = select(User.id).where(User.role == "admin", User.disabled.is_(False), User.id != but.id)
        if but.role == "admin" and db.session.scalar(others.with_for_update()) is None:
            raise Conflict(f"{but.name} is the only administrator. Make somebody else one first.")

    def choose_password(self, user: User, password: str, *, by: Actor) -> None:
        """Set a person's own password and end every session of theirs. Raises InvalidInput."""
        user.password_hash, user.must_choose, user.one_time_until = _hash(password), False, None
        self._end_sessions(user)
        audit.record(AuditAction.PASSWORD_CHANGED, by, subject=user.name)
        db.session.commit()

    # --- signing in ----------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, sign_in_attempt: SignInAttempt, *, by: Actor) -> User | None:
        """The person with this name and password. Takes the same time for an unknown name. Raises Throttled."""
        user = self._find(name)
        budgets = _budgets(name, user, sign_in_attempt)
        wait = self._meter.spend(budgets)
        if wait > 0:
            self._tell_of_guessing(user, by)
            raise Throttled(wait)
        if not _is_right(user, password):
            return None
        self._meter.give_back(budgets)
        return user

    def _tell_of_guessing(self, user: User | None, by: Actor) -> None:
        """One line for each account in an hour, however many are refused."""
        if user is None or self._meter.spend([(_digest(f"told {user.id}"), ONE_LINE)]) > 0:
            return
        audit.record(AuditAction.SIGN_IN_THROTTLED, by, subject=user.name)
        db.session.commit()

    def _find(self, name: str) -> User | None:
        return db.session.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))

    # --- sessions ------------------------------------------------------------------------------------------------

    def begin_session(self, user: User, *, by: Actor) -> str:
        """A new session of this person. What is returned proves it; only its hash is kept."""
        proof, moment = secrets.token_urlsafe(32), now()
        db.session.execute(delete(UserSession).where(UserSession.began_at < moment - ABSOLUTE))
        db.session.add(UserSession(id_hash=_digest(proof), user_id=user.id, began_at=moment, seen_at=moment))
        user.last_seen_at = moment
        audit.record(AuditAction.SIGNED_IN, by)
        db.session.commit()
        return proof

    def person(self, proof: str, *, active: bool = True) -> User | None:
        """The person of a session that is still on. ``active``: somebody did something, so that it goes on."""
        session, moment = db.session.get(UserSession, _digest(proof)), now()
        if session is None or not is_on(session, moment):
            return None
        user = db.session.get(User, session.user_id)
        if user is None or user.disabled:
            return None
        if active and session.seen_at < moment - NOTED:
            seen = update(UserSession).where(UserSession.id_hash == session.id_hash).values(seen_at=moment)
            db.session.execute(seen)
            user.last_seen_at = moment
            db.session.commit()
        return user

    def end_session(self, proof: str, *, by: Actor | None = None) -> None:
        ended = db.session.execute(delete(UserSession).where(UserSession.id_hash == _digest(proof)))
        if by is not None and ended.rowcount:  # type: ignore[attr-defined]
            audit.record(AuditAction.SIGNED_OUT, by)
        db.session.commit()

    def _end_sessions(self, user: User) -> None:
        db.session.execute(delete(UserSession).where(UserSession.user_id == user.id))


def principal_of(user: User) -> Principal:
    return Principal(user.name, "session", ROLES.get(user.role, frozenset()))


def is_on(session: UserSession, moment: datetime) -> bool:
    return session.began_at > moment - ABSOLUTE and session.seen_at > moment - IDLE


# --- passwords -------------------------------------------------------------------------------------------------------


def _is_right(user: User | None, password: str) -> bool:
    """Whether the password is that of the person, who may also be nobody: the work is the same."""
    fits = check_password_hash(user.password_hash if user is not None else _nobody(), password)
    if user is None or user.disabled or not fits:
        return False
    return user.one_time_until is None or user.one_time_until > now()


def _hash(password: str) -> str:
    if len(password) < MIN_PASSWORD:
        raise InvalidInput("password", f"A password has at least {MIN_PASSWORD} characters.")
    if len(password) > MAX_PASSWORD:
        raise InvalidInput("password", f"A password has at most {MAX_PASSWORD} characters.")
    return generate_password_hash(password)


def _give_one_time_password(user: User) -> str:
    password = "-".join(secrets.token_hex(2) for _ in range(4))
    user.password_hash, user.must_choose, user.one_time_until = generate_password_hash(password), True, now() + ONE_TIME
    return password


_nobody_hash = ""


def _nobody() -> str:
    """The hash of a password that nobody has."""
    global _nobody_hash
    if not _nobody_hash:
        _nobody_hash = generate_password_hash(secrets.token_hex(16))
    return _nobody_hash


# --- budgets ---------------------------------------------------------------------------------------------------------


def _budgets(name: str, user: User | None, sign_in_attempt: SignInAttempt) -> list[tuple[str, Budget]]:
    account = name.strip().lower()
    if user is not None and sign_in_attempt.device and sign_in_attempt.known == user.id:
        return [(_digest(f"device {sign_in_attempt.device} {user.id}"), PER_DEVICE)]
    address = _network(sign_in_attempt.address)
    return [
        (_digest(f"account and address {address} {account}"), PER_ACCOUNT_AND_ADDRESS),
        (_digest(f"account {account}"), PER_ACCOUNT),
        (_digest(f"address {address}"), PER_ADDRESS),
    ]


def _network(address: str) -> str:
    """What one household has: an IPv4 address, or a /64 of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# --- roles -----------------------------------------------------------------------------------------------------------


def _role(role: str) -> str:
    if role not in ROLES:
        raise InvalidInput("role", f"The role must be one of {', '.join(ROLES)}.")
    return role
