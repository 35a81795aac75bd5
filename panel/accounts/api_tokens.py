"""API tokens: create, list and revoke them, and authenticate a presented one."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update

from panel.accounts.limits import as_limit, clean_integrations, clean_registers
from panel.accounts.principal import SCOPES, Limits, Principal
from panel.core.clock import now
from panel.core.errors import InvalidInput, NotFound
from panel.core.messages import _
from panel.core.text import checked_line
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.models import ApiToken, CreateIntent
from panel.storage.revision import ASK, Kept, Revision

log = logging.getLogger(__name__)

TOKEN_PREFIX = "lpt_"  # noqa: S105 (a public prefix, by which scanners recognise leaked tokens)
LONGEST_DAYS = 3660
MOST_KNOWN = 5000
"""How many tokens one process keeps in memory with their rights."""
LAST_USE_EVERY = timedelta(minutes=1)
"""The last use of a token is stored at most this often."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Settings of a new API token. Empty lists mean unrestricted; ``days=None`` means no expiry."""

    name: str
    scope: str
    days: int | None = None
    registers: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """A stored token as it is used: its principal and its end."""

    principal: Principal
    token_id: int
    expires_at: datetime | None


class ApiTokens:
    """The API tokens. ``integrations`` returns the ids of all integrations."""

    def __init__(self, integrations: Callable[[], Collection[str]], revision: Revision) -> None:
        self._integrations = integrations
        self._kept: Kept[_Known] = Kept(revision, most=MOST_KNOWN)
        self._used_at: dict[int, datetime] = {}

    def create_token(self, request: TokenRequest, *, by: Actor) -> str:
        """Create a token and return it; only its hash is stored. Raises InvalidInput naming the field."""
        registers, leaves = self._limits(request)
        name = checked_line("name", request.name, 200)
        if request.scope not in SCOPES:
            raise InvalidInput("scope", _("The scope must be one of {known}.", known=", ".join(SCOPES)))
        if request.days is not None and not 0 < request.days <= LONGEST_DAYS:
            raise InvalidInput(
                "days", _("A token lasts from 1 to {days} days, or for ever when left empty.", days=LONGEST_DAYS)
            )
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        row = ApiToken(
            name=name, scope=request.scope, token_hash=_token_hash(token), created_by=by.name,
            registers=registers, integrations=leaves,
            expires_at=now() + timedelta(days=request.days) if request.days is not None else None,
        )  # fmt: skip
        db.session.add(row)
        audit.record(AuditAction.TOKEN_ISSUED, by, subject=row.name, detail=row.scope)
        db.session.commit()
        return token

    def _limits(self, request: TokenRequest) -> tuple[list[str] | None, list[str] | None]:
        """Raises InvalidInput."""
        if request.scope == "admin" and (request.registers or request.integrations):
            raise InvalidInput("scope", _("An admin token cannot be limited: it can change every source."))
        return clean_registers(request.registers), clean_integrations(request.integrations, self._integrations())

    def tokens(self) -> list[ApiToken]:
        return list(db.session.scalars(select(ApiToken).order_by(ApiToken.name, ApiToken.id)))

    def created_by(self, name: str) -> list[ApiToken]:
        """The valid tokens that a person created."""
        valid = or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now())
        return list(
            db.session.scalars(select(ApiToken).where(ApiToken.created_by == name, valid).order_by(ApiToken.name))
        )

    def token(self, token_id: int) -> ApiToken:
        """Raises NotFound."""
        token = db.session.get(ApiToken, token_id)
        if token is None:
            raise NotFound(_("There is no such API token."))
        return token

    def revoke_token(self, token: ApiToken, *, by: Actor) -> None:
        # SQLite reuses the number of the last row, and a later token must not inherit what this one created.
        db.session.execute(delete(CreateIntent).where(CreateIntent.principal == f"token:{token.id}"))
        db.session.delete(token)
        audit.record(AuditAction.TOKEN_REVOKED, by, subject=token.name, detail=token.scope)
        db.session.commit()

    def by_token(self, token: str, *, revision: int | None = ASK) -> Principal | None:
        """The principal of a presented bearer token; None for an unknown or expired one.

        ``revision`` is that of the database, if it was read during this request.

        The lookup is by hash, so that its timing reveals nothing about stored tokens.
        """
        if not token.startswith(TOKEN_PREFIX):
            return None
        token_hash = _token_hash(token)
        known = self._kept.get(("token", token_hash), lambda: self._read(token_hash), at=revision)
        if known is None or (known.expires_at is not None and known.expires_at <= now()):
            return None
        self._record_use(known.token_id)
        return known.principal

    def _read(self, token_hash: str) -> _Known | None:
        row = db.session.scalar(select(ApiToken).where(ApiToken.token_hash == token_hash))
        if row is None:
            return None
        self._used_at.pop(row.id, None)
        if row.last_used_at is not None:
            self._used_at[row.id] = row.last_used_at
        principal = Principal(row.name, "token", SCOPES[row.scope], _limits_of(row), id=str(row.id))
        return _Known(principal, row.id, row.expires_at)

    def _record_use(self, token_id: int) -> None:
        """Store about once a minute when a token was last used.

        A failure is only logged, so that a read-only database still serves reads.
        """
        moment, last = now(), self._used_at.get(token_id)
        if last is not None and moment - LAST_USE_EVERY < last <= moment:
            return
        self._used_at[token_id] = moment
        try:
            db.session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=moment))
            db.session.commit()
        except STORAGE_FAILURES as exc:
            db.session.rollback()
            log.warning("the last use of a token was not stored: %s", type(exc).__name__)


def _limits_of(row: ApiToken) -> Limits | None:
    if row.registers is None and row.integrations is None:
        return None
    return Limits(registers=as_limit(row.registers), integrations=as_limit(row.integrations))


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
