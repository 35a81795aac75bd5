"""People: accounts, passwords (hashed with scrypt), sign-in, sessions, and throttling of password guessing."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from werkzeug.security import check_password_hash, generate_password_hash

from panel.accounts.principal import ROLES, Principal
from panel.core.clock import now
from panel.core.errors import Conflict, InvalidInput, NotFound, PanelError
from panel.core.text import checked_line
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.models import User, UserSession

log = logging.getLogger(__name__)

MIN_PASSWORD = 8
MAX_PASSWORD = 1000
ONE_TIME = timedelta(hours=24)
"""Lifetime of a one-time password."""
IDLE = timedelta(hours=2)
ABSOLUTE = timedelta(hours=12)
"""A session expires when it was not used for ``IDLE``, and at the latest ``ABSOLUTE`` after signing in."""
LAST_SEEN_EVERY = timedelta(minutes=1)
"""The last use of a session is stored at most this often."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A burst of ``count``, then one every ``interval_s`` seconds."""

    count: int
    interval_s: float


PER_ACCOUNT_AND_ADDRESS = Budget(10, 180)
PER_ACCOUNT = Budget(20, 180)
PER_ADDRESS = Budget(20, 180)
PER_DEVICE = Budget(10, 180)
THROTTLE_LINES = Budget(1, 3600)
"""At most 40 wrong passwords per hour are checked for one account, and as many from one address. A browser in which the
account's owner signed in before has its own budget, so that an attacker who guesses does not lock the owner out."""


class BudgetStore(Protocol):
    """Sign-in budgets, shared by all processes."""

    def spend(self, charges: Sequence[tuple[str, Budget]]) -> float:
        """Charge one to every budget, or to none when one is exhausted. Returns 0, or the seconds to wait."""
        ...

    def give_back(self, charges: Sequence[tuple[str, Budget]]) -> None: ...


class Throttled(PanelError):
    """Too many wrong passwords. ``retry_after``: seconds until the next one is checked."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("Too many wrong passwords. Wait a moment and try again.")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """The origin of a sign-in attempt. ``known`` is the id of the person who signed in with this device before."""

    address: str
    device: str = ""
    known: int | None = None


class People:
    """The people who sign in with a password."""

    def __init__(self, budget_store: BudgetStore) -> None:
        self._budget_store = budget_store

    # --- administration ------------------------------------------------------------------------------------------

    def first_admin_password(self, *, by: Actor) -> str | None:
        """Make sure that an administrator can sign in: create one, and return a one-time password for it.

        Each start issues a new one until the administrator has chosen a password. Then the result is None.
        """
        admin = db.session.scalar(select(User).order_by(User.id).limit(1))
        if admin is not None and not admin.must_choose:
            return None
        action = AuditAction.PASSWORD_RESET if admin is not None else AuditAction.PERSON_ADDED
        if admin is None:
            admin = User(name="admin", role="admin")
            db.session.add(admin)
        password = _set_one_time_password(admin)
        audit.record(action, by, subject=admin.name, detail="one-time password on the console")
        try:
            db.session.commit()
        except IntegrityError:
            # Another process started at the same time and prints a password; that one is valid.
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
        """Create a person with a chosen password.

        Raises InvalidInput naming the field, and Conflict when the name is taken.
        """
        user = User(name=self._free_name(name), role=_role(role), password_hash=_hash(password))
        self._add(user, by)
        return user

    def invite(self, name: str, *, role: str, by: Actor) -> tuple[User, str]:
        """Create a person with a one-time password, which is returned. Raises as ``create``."""
        user = User(name=self._free_name(name), role=_role(role))
        password = _set_one_time_password(user)
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
        """Set and return a new one-time password, and end all sessions of the person."""
        password = _set_one_time_password(user)
        self._end_sessions(user)
        audit.record(AuditAction.PASSWORD_RESET, by, subject=user.name)
        db.session.commit()
        return password

    def set_role(self, user: User, role: str, *, by: Actor) -> None:
        """Raises InvalidInput, and Conflict when no administrator would be left."""
        if _role(role) == user.role:
            return
        if role != "admin":
            self._require_another_administrator(user)
        user.role = role
        audit.record(AuditAction.ROLE_CHANGED, by, subject=user.name, detail=role)
        db.session.commit()

    def switch(self, user: User, *, on: bool, by: Actor) -> None:
        """Enable or disable a person, at once. Raises Conflict when no administrator would be left."""
        if user.disabled is not on:
            return
        if not on:
            self._require_another_administrator(user)
            self._end_sessions(user)
        user.disabled = not on
        audit.record(AuditAction.PERSON_ENABLED if on else AuditAction.PERSON_DISABLED, by, subject=user.name)
        db.session.commit()

    def _require_another_administrator(self, but: User) -> None:
        # The rows stay locked until the commit: two administrators who demote each other must not both succeed.
        others = select(User.id).where(User.role == "admin", User.disabled.is_(False), User.id != but.id)
        if but.role == "admin" and db.session.scalar(others.with_for_update()) is None:
            raise Conflict(f"{but.name} is the only administrator. Make another person an administrator first.")

    def choose_password(self, user: User, password: str, *, by: Actor) -> None:
        """Set the person's chosen password and end all their sessions. Raises InvalidInput."""
        user.password_hash, user.must_choose, user.one_time_until = _hash(password), False, None
        self._end_sessions(user)
        audit.record(AuditAction.PASSWORD_CHANGED, by, subject=user.name)
        db.session.commit()

    # --- signing in ----------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, attempt: SignInAttempt, *, by: Actor) -> User | None:
        """The person with this name and password, or None. Raises Throttled.

        An unknown name takes the same time as a wrong password, so that timing does not reveal names.
        """
        user = self._find(name)
        budgets = _budgets(name, user, attempt)
        wait = self._budget_store.spend(budgets)
        if wait > 0:
            self._record_throttling(user, by)
            raise Throttled(wait)
        if not _is_right(user, password):
            return None
        # Only wrong passwords count against a budget.
        self._budget_store.give_back(budgets)
        return user

    def _record_throttling(self, user: User | None, by: Actor) -> None:
        """Add an audit line, at most one per account and hour: an attacker must not be able to flood the trail."""
        if user is None or self._budget_store.spend([(_digest(f"throttled {user.id}"), THROTTLE_LINES)]) > 0:
            return
        audit.record(AuditAction.SIGN_IN_THROTTLED, by, subject=user.name)
        db.session.commit()

    def _find(self, name: str) -> User | None:
        return db.session.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))

    # --- sessions ------------------------------------------------------------------------------------------------

    def begin_session(self, user: User, *, by: Actor) -> str:
        """Start a session and return its proof, which the cookie carries. Only its hash is stored."""
        proof, moment = secrets.token_urlsafe(32), now()
        # Expired sessions are deleted here, since there is no scheduled job.
        db.session.execute(delete(UserSession).where(UserSession.began_at < moment - ABSOLUTE))
        db.session.add(UserSession(id_hash=_digest(proof), user_id=user.id, began_at=moment, seen_at=moment))
        user.last_seen_at = moment
        audit.record(AuditAction.SIGNED_IN, by)
        db.session.commit()
        return proof

    def person(self, proof: str, *, active: bool = True) -> User | None:
        """The person of a valid session, or None. ``active`` extends the session; background requests do not."""
        session, moment = db.session.get(UserSession, _digest(proof)), now()
        if session is None or not is_valid(session, moment):
            return None
        user = db.session.get(User, session.user_id)
        if user is None or user.disabled:
            return None
        if active and session.seen_at < moment - LAST_SEEN_EVERY:
            _record_use(session, user, moment)
        return user

    def end_session(self, proof: str, *, by: Actor | None = None) -> None:
        ended = db.session.execute(delete(UserSession).where(UserSession.id_hash == _digest(proof)))
        if by is not None and ended.rowcount:  # type: ignore[attr-defined]
            audit.record(AuditAction.SIGNED_OUT, by)
        db.session.commit()

    def _end_sessions(self, user: User) -> None:
        db.session.execute(delete(UserSession).where(UserSession.user_id == user.id))


def _record_use(session: UserSession, user: User, moment: datetime) -> None:
    """Store the last use of a session. A failure is only logged, so that a read-only database still serves reads."""
    try:
        seen = update(UserSession).where(UserSession.id_hash == session.id_hash).values(seen_at=moment)
        db.session.execute(seen)
        user.last_seen_at = moment
        db.session.commit()
    except STORAGE_FAILURES as exc:
        db.session.rollback()
        log.warning("the last use of a session was not stored: %s", type(exc).__name__)


def principal_of(user: User) -> Principal:
    # An unknown role, which another version may have stored, grants nothing.
    return Principal(user.name, "session", ROLES.get(user.role, frozenset()))


def is_valid(session: UserSession, moment: datetime) -> bool:
    return session.began_at > moment - ABSOLUTE and session.seen_at > moment - IDLE


# --- passwords -------------------------------------------------------------------------------------------------------


def _is_right(user: User | None, password: str) -> bool:
    """Whether the password is valid. Without a user, a dummy hash is checked, which takes the same time."""
    matches = check_password_hash(user.password_hash if user is not None else _dummy_hash(), password)
    if user is None or user.disabled or not matches:
        return False
    return user.one_time_until is None or user.one_time_until > now()


def _hash(password: str) -> str:
    if len(password) < MIN_PASSWORD:
        raise InvalidInput("password", f"A password has at least {MIN_PASSWORD} characters.")
    if len(password) > MAX_PASSWORD:
        raise InvalidInput("password", f"A password has at most {MAX_PASSWORD} characters.")
    # scrypt, the default of werkzeug. The length limit bounds its work.
    return generate_password_hash(password)


def _set_one_time_password(user: User) -> str:
    password = "-".join(secrets.token_hex(2) for _ in range(4))
    user.password_hash, user.must_choose, user.one_time_until = generate_password_hash(password), True, now() + ONE_TIME
    return password


_cached_dummy_hash = ""


def _dummy_hash() -> str:
    """The hash of a random password, computed once per process."""
    global _cached_dummy_hash
    if not _cached_dummy_hash:
        _cached_dummy_hash = generate_password_hash(secrets.token_hex(16))
    return _cached_dummy_hash


# --- budgets ---------------------------------------------------------------------------------------------------------


def _budgets(name: str, user: User | None, attempt: SignInAttempt) -> list[tuple[str, Budget]]:
    account = name.strip().lower()
    if user is not None and attempt.device and attempt.known == user.id:
        return [(_digest(f"device {attempt.device} {user.id}"), PER_DEVICE)]
    address = _network(attempt.address)
    return [
        (_digest(f"account and address {address} {account}"), PER_ACCOUNT_AND_ADDRESS),
        (_digest(f"account {account}"), PER_ACCOUNT),
        (_digest(f"address {address}"), PER_ADDRESS),
    ]


def _network(address: str) -> str:
    """The unit that counts as one address: an IPv4 address, or a /64 of IPv6, which one household controls."""
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
