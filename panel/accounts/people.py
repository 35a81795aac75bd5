"""People: accounts, sign-in, sessions, and throttling of password guessing."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from panel.accounts import passwords
from panel.accounts.principal import ROLES, Principal
from panel.core.clock import now
from panel.core.errors import Conflict, InvalidInput, NotFound, PanelError
from panel.core.messages import _
from panel.core.text import checked_line, fold, mixes_scripts
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.models import User, UserSession

log = logging.getLogger(__name__)

ONE_TIME = timedelta(hours=24)
"""Lifetime of a one-time password."""
STARTING = timedelta(minutes=2)
"""Machines that share a database and start within this time do not replace each other's one-time password."""
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
NAME_AT_ADDRESS = Budget(1, 3600)
THROTTLE_LINES = Budget(1, 3600)
"""At most 40 wrong passwords per hour are checked for one account, and as many from one address. A browser in which the
account's owner signed in before has its own budget, so that an attacker who guesses does not lock the owner out.

An address that many people may share is charged once an hour for each name, and only after a wrong password: the
account's own budget decides, so that guesses for one account lock nobody else out."""


class BudgetStore(Protocol):
    """Sign-in budgets, shared by all processes."""

    def spend(self, charges: Sequence[tuple[str, Budget]]) -> float:
        """Charge one to every budget, or to none when one is exhausted. Returns 0, or the seconds to wait."""
        ...

    def give_back(self, charges: Sequence[tuple[str, Budget]]) -> None: ...


class Throttled(PanelError):
    """Too many wrong passwords. ``retry_after``: seconds until the next one is checked."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(_("Too many wrong passwords. Wait a moment and try again."))
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """The origin of a sign-in attempt. ``known`` is the id of the person who signed in with this device before."""

    address: str
    device: str = ""
    known: int | None = None
    is_shared: bool = False
    """Whether the address may be that of a proxy, and so of many people."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as its owner sees it."""

    browser: str
    began_at: datetime
    seen_at: datetime
    is_current: bool


_ENABLED_ADMINS = select(User).where(User.role == "admin", User.disabled.is_(False)).order_by(User.id)


class People:
    """The people who sign in with a password. ``known_words``: what no password may consist of, besides a name."""

    def __init__(self, budget_store: BudgetStore, known_words: Collection[str] = ()) -> None:
        self._budget_store = budget_store
        self._known_words = known_words

    # --- administration ------------------------------------------------------------------------------------------

    def first_admin_password(self, *, by: Actor) -> str | None:
        """Make sure that an administrator can sign in: create one, and return a one-time password for it.

        Each start issues a new one until an administrator has chosen a password. Then the result is None.
        """
        # The rows stay locked until the commit: of two machines that start together, one issues the password.
        admins = db.session.scalars(_ENABLED_ADMINS.with_for_update()).all()
        admin = next(iter(admins), None)
        if any(not other.must_choose for other in admins) or (admin is None and db.session.scalar(select(User.id))):
            return None
        if admin is not None and _is_issued_by_another_machine(admin):
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
            # Another process started at the same time and prints a password, which is valid.
            db.session.rollback()
            return None
        return password

    def first_admin_name(self) -> str:
        """The name that belongs to the password of ``first_admin_password``."""
        return db.session.scalars(_ENABLED_ADMINS.limit(1)).one().name

    def all(self) -> list[User]:
        return list(db.session.scalars(select(User).order_by(User.folded_name)))

    def get(self, user_id: int) -> User:
        """Raises NotFound."""
        user = db.session.get(User, user_id)
        if user is None:
            raise NotFound(_("There is no such person."))
        return user

    def named(self, name: str) -> User:
        """Raises NotFound."""
        user = self._find(name)
        if user is None:
            raise NotFound(_("There is no person named {name}.", name=name))
        return user

    def known_name(self, name: str) -> str | None:
        """The name of the person who is found by ``name``; None for an unknown name."""
        user = self._find(name)
        return user.name if user is not None else None

    def create(self, name: str, password: str, *, role: str, by: Actor) -> User:
        """Create a person with a chosen password.

        Raises InvalidInput naming the field, and Conflict when the name is taken.
        """
        user = User(name=self._free_name(name), role=_role(role))
        user.password_hash = self._accepted(user, password)
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
        if mixes_scripts(name):
            raise InvalidInput("name", _("A name has letters of one script only: Latin, Cyrillic or Greek."))
        if self._find(name) is not None:
            raise Conflict(_("There is a person named {name} already.", name=name))
        return name

    def _add(self, user: User, by: Actor) -> None:
        db.session.add(user)
        audit.record(AuditAction.PERSON_ADDED, by, subject=user.name, detail=user.role)
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            raise Conflict(_("There is a person named {name} already.", name=user.name)) from None

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
            raise Conflict(
                _("{name} is the only administrator. Make another person an administrator first.", name=but.name)
            )

    def choose_password(self, user: User, password: str, *, by: Actor) -> None:
        """Set the person's chosen password and end all their sessions. Raises InvalidInput."""
        user.password_hash, user.must_choose, user.one_time_until = self._accepted(user, password), False, None
        self._end_sessions(user)
        audit.record(AuditAction.PASSWORD_CHANGED, by, subject=user.name)
        db.session.commit()

    def _accepted(self, user: User, password: str) -> str:
        """The hash of a chosen password. Raises InvalidInput."""
        passwords.check(password, words=(user.name, *user.name.split(), *self._known_words))
        return passwords.hashed(password)

    # --- signing in ----------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, attempt: SignInAttempt, *, by: Actor) -> User | None:
        """The person with this name and password, or None. Raises Throttled. A one-time password is used up.

        An unknown name takes the same time as a wrong password, so that timing does not reveal names.
        """
        user = self._find(name)
        budgets = _budgets(name, user, attempt)
        wait = self._budget_store.spend(budgets)
        if wait > 0:
            self._record_throttling(user, by)
            raise Throttled(wait)
        if not _is_right(user, password) or user is None or (user.must_choose and not self._use_up(user)):
            self._charge_shared_address(name, attempt)
            return None
        # Only wrong passwords count against a budget.
        self._budget_store.give_back(budgets)
        if passwords.is_outdated(user.password_hash):
            self._rehash(user, password)
        return user

    def _charge_shared_address(self, name: str, attempt: SignInAttempt) -> None:
        """Count the names with a wrong password at an address that many people may share. Raises Throttled."""
        address = _network(attempt.address)
        if not attempt.is_shared or self._budget_store.spend([_name_at_address(name, address)]) > 0:
            return
        wait = self._budget_store.spend([(_digest(f"shared address {address}"), PER_ADDRESS)])
        if wait > 0:
            raise Throttled(wait)

    def _use_up(self, user: User) -> bool:
        """Expire the one-time password. Of sign-ins at the same moment, one succeeds."""
        moment = now()
        valid = (User.id == user.id, User.password_hash == user.password_hash, User.one_time_until > moment)
        used = db.session.execute(update(User).where(*valid).values(one_time_until=moment))
        db.session.commit()
        return bool(used.rowcount)  # type: ignore[attr-defined]

    def _rehash(self, user: User, password: str) -> None:
        """Store the password at today's cost, unless it was changed meanwhile."""
        same = (User.id == user.id, User.password_hash == user.password_hash)
        db.session.execute(update(User).where(*same).values(password_hash=passwords.hashed(password)))
        db.session.commit()

    def _record_throttling(self, user: User | None, by: Actor) -> None:
        """Add an audit line, at most one per account and hour: an attacker must not be able to flood the trail."""
        if user is None or self._budget_store.spend([(_digest(f"throttled {user.id}"), THROTTLE_LINES)]) > 0:
            return
        audit.record(AuditAction.SIGN_IN_THROTTLED, by, subject=user.name)
        db.session.commit()

    def _find(self, name: str) -> User | None:
        """The person of this name, whatever its case.

        A name with the same spelling comes first: older versions allowed names that differ in case only.
        """
        exact = name.strip()
        same = select(User).where(or_(User.folded_name == fold(name), User.name == exact))
        return db.session.scalar(same.order_by((User.name == exact).desc()).limit(1))

    # --- sessions ------------------------------------------------------------------------------------------------

    def begin_session(self, user: User, *, by: Actor, browser: str = "") -> str:
        """Start a session and return its proof, which the cookie carries. Only its hash is stored."""
        proof, moment = secrets.token_urlsafe(32), now()
        # Expired sessions are deleted here, since there is no scheduled job.
        db.session.execute(delete(UserSession).where(UserSession.began_at < moment - ABSOLUTE))
        session = UserSession(id_hash=_digest(proof), user_id=user.id, began_at=moment, seen_at=moment, browser=browser)
        db.session.add(session)
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

    def sessions(self, user: User, proof: str) -> list[OpenSession]:
        """The valid sessions of a person, the last used one first. ``proof`` is that of the current session."""
        query, moment = select(UserSession).where(UserSession.user_id == user.id), now()
        return [
            OpenSession(row.browser, row.began_at, row.seen_at, row.id_hash == _digest(proof))
            for row in db.session.scalars(query.order_by(UserSession.seen_at.desc()))
            if is_valid(row, moment)
        ]

    def end_all_sessions(self, user: User, *, by: Actor) -> None:
        self._end_sessions(user)
        audit.record(AuditAction.SIGNED_OUT, by, detail="everywhere")
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
    """Whether the password is valid. An unknown name takes the same time."""
    matches = passwords.matches(user.password_hash if user is not None else None, password)
    if user is None or user.disabled or not matches:
        return False
    return user.one_time_until is None or user.one_time_until > now()


def _is_issued_by_another_machine(user: User) -> bool:
    """Whether a machine that starts at about the same time prints a valid one-time password of this person.

    Only machines with PostgreSQL share a database.
    """
    if db.engine.dialect.name != "postgresql" or user.one_time_until is None:
        return False
    return user.one_time_until > now() + ONE_TIME - STARTING


def _set_one_time_password(user: User) -> str:
    password = passwords.one_time()
    user.password_hash, user.must_choose, user.one_time_until = passwords.hashed(password), True, now() + ONE_TIME
    return password


# --- budgets ---------------------------------------------------------------------------------------------------------


def _budgets(name: str, user: User | None, attempt: SignInAttempt) -> list[tuple[str, Budget]]:
    account = fold(name)
    if user is not None and attempt.device and attempt.known == user.id:
        return [(_digest(f"device {attempt.device} {user.id}"), PER_DEVICE)]
    if attempt.is_shared:
        return [(_digest(f"account {account}"), PER_ACCOUNT)]
    address = _network(attempt.address)
    return [
        (_digest(f"account and address {address} {account}"), PER_ACCOUNT_AND_ADDRESS),
        (_digest(f"account {account}"), PER_ACCOUNT),
        (_digest(f"address {address}"), PER_ADDRESS),
    ]


def _name_at_address(name: str, address: str) -> tuple[str, Budget]:
    return _digest(f"name at address {address} {fold(name)}"), NAME_AT_ADDRESS


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
        raise InvalidInput("role", _("The role must be one of {known}.", known=", ".join(ROLES)))
    return role
