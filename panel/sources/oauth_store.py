"""Storage of OAuth tokens and of unfinished authorizations: encrypted rows, each changed by a single statement.

It uses the engine and not the session of a request, because threads without a request need tokens too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from panel.connector import SourceConfig
from panel.core.clock import now
from panel.core.health import AuthStatus
from panel.credentials.vault import AssociatedData, Vault
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.sources.oauth_responses import Tokens
from panel.storage.models import AuditEntry, OauthAttempt, OauthGrant

ATTEMPT_LIFE = timedelta(minutes=10)
_RENEW_BEFORE_S = 60.0
_LONGEST_LEASE = timedelta(seconds=122)
"""More than the longest lease: one that ends later was taken before the clock was set back."""
_FREE = {"lease_until": None, "lease_by": ""}


@dataclass(frozen=True, slots=True)
class Grant:
    """The stored tokens of a source. ``life`` is the lifetime of the access token in seconds."""

    state: AuthStatus
    detail: str
    version: int
    expires_at: datetime | None
    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    life: float | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the access token has not expired."""
        return bool(self.access) and (self.expires_at is None or self.expires_at > now())

    @property
    def is_fresh(self) -> bool:
        """Whether no renewal is due: more than a tenth of the lifetime is left, or more than a minute."""
        early = timedelta(seconds=min(_RENEW_BEFORE_S, (self.life or 0) / 10))
        return self.is_alive and (self.expires_at is None or self.expires_at - early > now())


class Grants:
    """The stored grants, one row per source."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def read(self, source: SourceConfig) -> Grant | None:
        """The stored grant, None when there is no row. Raises Unreadable when its tokens cannot be opened."""
        row = self._row(source.id)
        if row is None:
            return None
        known = json.loads(self._vault.open(row.sealed, grant_data(source))) if row.sealed else {}
        return Grant(AuthStatus(row.state), row.detail, row.version, row.expires_at, **known)

    def _row(self, source_id: str) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(select(OauthGrant).where(OauthGrant.source_id == source_id)).one_or_none()

    def prepare(self, source_id: str) -> None:
        """Create the row of a source, on which a lease can be acquired."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(OauthGrant).values(source_id=source_id))
        except IntegrityError:
            """The row exists, or the source was deleted; the next read shows which."""

    def lease(self, source_id: str, holder: str, seconds: float) -> bool:
        """Acquire the right to renew for ``seconds`` or until ``release``. Returns False if another holder has it."""
        moment = now()
        ended = or_(OauthGrant.lease_until < moment, OauthGrant.lease_until > moment + _LONGEST_LEASE)
        free = or_(OauthGrant.lease_until.is_(None), ended)
        return self._changed(
            update(OauthGrant)
            .where(OauthGrant.source_id == source_id, free)
            .values(lease_by=holder, lease_until=moment + timedelta(seconds=seconds))
        )

    def release(self, source_id: str, holder: str) -> None:
        """End the lease of ``holder``, if it still has it."""
        self._changed(_held(source_id, holder).values(_FREE))

    def renew(self, source: SourceConfig, tokens: Tokens, holder: str) -> bool:
        """Store new tokens as holder of the lease. Returns False, without storing, when the lease was lost."""
        return self._changed(_held(source.id, holder).values(self._values(source, tokens)))

    def replace(self, source: SourceConfig, tokens: Tokens, *, by: Actor) -> bool:
        """Store a grant that a person has given. It replaces an older one, even if that is being renewed."""
        self.prepare(source.id)
        statement = update(OauthGrant).where(OauthGrant.source_id == source.id).values(self._values(source, tokens))
        audit_line = audit.line(AuditAction.OAUTH_CONNECTED, by, subject=source.slug, integration=source.slug)
        with self._engine.begin() as connection:
            if not connection.execute(statement).rowcount:
                return False
            connection.execute(insert(AuditEntry).values(audit_line))
        return True

    def _values(self, source: SourceConfig, tokens: Tokens) -> dict[str, Any]:
        known = {"access": tokens.access, "refresh": tokens.refresh, "life": tokens.life}
        return {
            "sealed": self._vault.seal(json.dumps(known), grant_data(source)),
            "state": AuthStatus.CONFIGURED.value,
            "detail": "",
            "expires_at": None if tokens.life is None else now() + timedelta(seconds=tokens.life),
            "changed_at": now(),
            "version": OauthGrant.version + 1,
            **_FREE,
        }

    def expire(self, source_id: str, version: int, detail: str) -> None:
        """Mark the grant as expired, unless it has changed since ``version``."""
        self._changed(
            _at(source_id, version).values(
                state=AuthStatus.EXPIRED.value, detail=detail, sealed=None, expires_at=None, changed_at=now()
            )
        )

    def forget_access(self, source_id: str, version: int) -> None:
        """Mark the access token of ``version`` as expired, because the upstream refused it."""
        self._changed(_at(source_id, version).values(expires_at=now()))

    def _changed(self, statement: Any) -> bool:
        with self._engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)


def _held(source_id: str, holder: str) -> Any:
    return update(OauthGrant).where(OauthGrant.source_id == source_id, OauthGrant.lease_by == holder)


def _at(source_id: str, version: int) -> Any:
    return update(OauthGrant).where(OauthGrant.source_id == source_id, OauthGrant.version == version)


def grant_data(source: SourceConfig) -> AssociatedData:
    """The associated data of tokens: they can be decrypted only for their source and its OAuth origins."""
    return AssociatedData(source.id, "oauth2-grant", source.auth.oauth.origins if source.auth.oauth else "")


@dataclass(frozen=True, slots=True)
class Attempt:
    """An authorization that was begun at the consent page and is no longer stored."""

    source_id: str
    user_id: int
    started_at: datetime
    sealed_verifier: str = field(repr=False)

    @property
    def is_late(self) -> bool:
        return now() - self.started_at > ATTEMPT_LIFE


class Attempts:
    """Unfinished authorizations. Only a hash of ``state`` and of the session's secret ``browser`` is stored."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def begin(self, source: SourceConfig, user_id: int, state: str, browser: str, verifier: str) -> None:
        """Store an authorization and delete those that are too old."""
        sealed = self._vault.seal(verifier, _attempt_data(source))
        with self._engine.begin() as connection:
            connection.execute(delete(OauthAttempt).where(OauthAttempt.started_at < now() - ATTEMPT_LIFE))
            connection.execute(
                insert(OauthAttempt).values(
                    state_hash=_hash(state, browser), source_id=source.id, user_id=user_id, sealed_verifier=sealed
                )
            )

    def take(self, state: str, browser: str) -> Attempt | None:
        """Delete the authorization and return it; None when there is none. Of concurrent callers one gets it."""
        is_attempt = OauthAttempt.state_hash == _hash(state, browser)
        with self._engine.connect() as connection:
            row = connection.execute(select(OauthAttempt).where(is_attempt)).one_or_none()
        if row is None:
            return None
        with self._engine.begin() as connection:
            if not connection.execute(delete(OauthAttempt).where(is_attempt)).rowcount:
                return None
        return Attempt(row.source_id, row.user_id, row.started_at, row.sealed_verifier)

    def verifier(self, attempt: Attempt, source: SourceConfig) -> str:
        """Decrypt the PKCE verifier. Raises Unreadable when the OAuth origins of the source have changed."""
        return self._vault.open(attempt.sealed_verifier, _attempt_data(source))


def _attempt_data(source: SourceConfig) -> AssociatedData:
    return AssociatedData(source.id, "oauth2-attempt", source.auth.oauth.origins if source.auth.oauth else "")


def _hash(state: str, browser: str) -> str:
    return hashlib.sha256(f"{browser}\x1f{state}".encode()).hexdigest()
