"""The tables. They hold pointers and settings; no column holds a title, status or text of an upstream item."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, String, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column

from panel.core.clock import now
from panel.core.text import fold
from panel.storage.engine import Model


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite stores no time zone, so it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


def _uuid() -> str:
    return uuid.uuid4().hex


def _folded_name(context: DefaultExecutionContext) -> str:
    values: dict[str, str] = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return fold(values["name"])


class Source(Model):
    """One configured upstream. The credential is sealed; ``secret_origin`` is the origin that it was entered for."""

    __tablename__ = "source"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=_uuid)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    location: Mapped[str] = mapped_column(String(2000))
    """As entered; the integration derives the instance root from it."""
    enabled: Mapped[bool] = mapped_column(default=True)
    auth_kind: Mapped[str] = mapped_column(String(16), default="none")
    auth_fields: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """The readable part of the auth block: user name, header name, client id, addresses, scope."""
    secret: Mapped[str | None] = mapped_column(Text)
    secret_origin: Mapped[str] = mapped_column(String(2100), default="")
    secret_set_at: Mapped[datetime | None] = mapped_column(Moment)
    secret_set_by: Mapped[str] = mapped_column(String(200), default="")
    headers: Mapped[list[str]] = mapped_column(JSON, default=list)
    """The names of the extra headers. Their values are sealed, and bound to ``headers_origin``."""
    headers_sealed: Mapped[str | None] = mapped_column(Text)
    headers_origin: Mapped[str] = mapped_column(String(2100), default="")
    options: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    rate_limit: Mapped[str] = mapped_column(String(40), default="")
    max_concurrency: Mapped[int] = mapped_column(default=8)
    timeout_s: Mapped[float | None] = mapped_column()
    ca_file: Mapped[str] = mapped_column(String(1000), default="")
    connect_to: Mapped[str] = mapped_column(String(300), default="")
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    updated_at: Mapped[datetime] = mapped_column(Moment, default=now)

    # Optimistic locking: saving a row that another session has changed fails.
    __mapper_args__ = {"version_id_col": revision}  # noqa: RUF012 (SQLAlchemy reads it as declared)


class SourceCheck(Model):
    """The result of the last live check of a source, for the overview, which calls no upstream."""

    __tablename__ = "source_check"

    source_id: Mapped[str] = mapped_column(ForeignKey("source.id", ondelete="CASCADE"), primary_key=True)
    checked_at: Mapped[datetime] = mapped_column(Moment, default=now)
    status: Mapped[str] = mapped_column(String(20))
    auth_status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(40))
    upstream_user: Mapped[str | None] = mapped_column(String(200))
    upstream_version: Mapped[str | None] = mapped_column(String(100))
    took_ms: Mapped[int] = mapped_column(default=0)


class SourceOutcome(Model):
    """When a source last answered a call, and when and why a call to it last failed."""

    __tablename__ = "source_outcome"

    source_id: Mapped[str] = mapped_column(ForeignKey("source.id", ondelete="CASCADE"), primary_key=True)
    answered_at: Mapped[datetime | None] = mapped_column(Moment)
    failed_at: Mapped[datetime | None] = mapped_column(Moment)
    failed_why: Mapped[str | None] = mapped_column(String(40))


class Instance(Model):
    """Fingerprint of the upstream instance in which the links of an integration were made. ``marks`` holds hashes only.

    It belongs to the links and not to the source, so that it survives a source that is deleted and created again.
    """

    __tablename__ = "instance"

    integration: Mapped[str] = mapped_column(String(63), primary_key=True)
    marks: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    known_at: Mapped[datetime] = mapped_column(Moment, default=now)
    other: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    """The fingerprint that the last check found instead, until an administrator accepts it."""


class Link(Model):
    """The stored pointer: an object, an upstream reference, who linked it and when, and a note in a person's own words.

    ``origin`` is the number by which a moved item is recognised (``Item.origin``), once it is known.
    """

    __tablename__ = "link"
    __table_args__ = (
        UniqueConstraint("register", "schema", "object_id", "integration", "reference", name="uq_link_pointer"),
        Index("ix_link_item", "integration", "reference"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    register: Mapped[str] = mapped_column(String(255))
    schema: Mapped[str] = mapped_column(String(255))
    object_id: Mapped[str] = mapped_column(String(255))
    integration: Mapped[str] = mapped_column(String(63))
    reference: Mapped[str] = mapped_column(String(1000))
    linked_by: Mapped[str] = mapped_column(String(200))
    linked_at: Mapped[datetime] = mapped_column(Moment, default=now)
    origin: Mapped[int | None] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(String(200), default="", server_default="")


class CreateIntent(Model):
    """One create under an idempotency key: a hash of the request and, once known, the pointer; no content."""

    __tablename__ = "create_intent"
    __table_args__ = (UniqueConstraint("principal", "key_hash", name="uq_create_intent_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    principal: Mapped[str] = mapped_column(String(200))
    key_hash: Mapped[str] = mapped_column(String(64))
    request_hash: Mapped[str] = mapped_column(String(64))
    reference: Mapped[str | None] = mapped_column(String(1000))
    started_at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)


class OpenCreate(Model):
    """A create that is under way, or whose end is not known; removed once it is."""

    __tablename__ = "open_create"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)
    integration: Mapped[str] = mapped_column(String(63))
    register: Mapped[str] = mapped_column(String(255))
    schema: Mapped[str] = mapped_column(String(255))
    object_id: Mapped[str] = mapped_column(String(255))
    who: Mapped[str] = mapped_column(String(200))
    face: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str] = mapped_column(String(1000), default="")
    """What was created, where only the link is missing; else ""."""
    is_unanswered: Mapped[bool] = mapped_column(default=False)
    """Whether the process noticed that no answer came. Without it, an old row was left by a process that ended."""
    intent_id: Mapped[int | None] = mapped_column(ForeignKey("create_intent.id", ondelete="SET NULL"), index=True)


class OpenUpdate(Model):
    """A change of a linked item that is under way, or that the audit trail lacks; removed once it has a line."""

    __tablename__ = "open_update"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)
    integration: Mapped[str] = mapped_column(String(63))
    register: Mapped[str] = mapped_column(String(255))
    schema: Mapped[str] = mapped_column(String(255))
    object_id: Mapped[str] = mapped_column(String(255))
    reference: Mapped[str] = mapped_column(String(1000))
    fields: Mapped[str] = mapped_column(String(500))
    """The names of the changed fields."""
    who: Mapped[str] = mapped_column(String(200))
    face: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str] = mapped_column(String(20))
    is_made: Mapped[bool] = mapped_column(default=False)
    """Whether the upstream answered that it made the change."""


class User(Model):
    """A person who signs in. ``must_choose`` is set while the password is a one-time password."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    folded_name: Mapped[str] = mapped_column(
        String(700), unique=True, index=True, default=_folded_name, server_default=""
    )
    """The name as it is compared (``fold``), which makes a name unique whatever its case."""
    password_hash: Mapped[str] = mapped_column(String(300))
    role: Mapped[str] = mapped_column(String(20), default="admin")
    must_choose: Mapped[bool] = mapped_column(default=False)
    one_time_until: Mapped[datetime | None] = mapped_column(Moment)
    """When the one-time password expires."""
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    last_seen_at: Mapped[datetime | None] = mapped_column(Moment)


class UserSession(Model):
    """A session of a signed-in browser, stored as a hash of the proof in its cookie."""

    __tablename__ = "user_session"

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    began_at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)
    seen_at: Mapped[datetime] = mapped_column(Moment, default=now)
    browser: Mapped[str] = mapped_column(String(60), default="", server_default="")
    """Browser and system in words, such as "Firefox on Linux"."""


class ApiToken(Model):
    """A bearer token for scripts and agents, stored as a hash."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(20))
    # none_as_null stores SQL NULL and not the JSON text "null".
    registers: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    integrations: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """The registers and integrations that it is limited to; None means no limit."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    created_by: Mapped[str] = mapped_column(String(200), default="")
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)


class RevisionNumber(Model):
    """One row with a number that triggers advance; see ``panel/storage/revision.py``."""

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class Switch(Model):
    """A setting that administrators change at run time (the connector's on/off)."""

    __tablename__ = "switch"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


class OauthGrant(Model):
    """The tokens of a source that signs in with OAuth 2.0, sealed together as one text."""

    __tablename__ = "oauth_grant"

    source_id: Mapped[str] = mapped_column(ForeignKey("source.id", ondelete="CASCADE"), primary_key=True)
    sealed: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20), default="missing")
    """``missing``, ``configured`` or ``expired``: the displayed auth status."""
    detail: Mapped[str] = mapped_column(String(300), default="")
    """One sentence about the last failure, without text of the provider."""
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment, default=now)
    version: Mapped[int] = mapped_column(default=1)
    """Grows with every stored token, so that a waiting process notices a renewal by another one."""
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    lease_by: Mapped[str] = mapped_column(String(64), default="")


class OauthAttempt(Model):
    """One authorization request: single use, bound to a person and a source, valid for ten minutes."""

    __tablename__ = "oauth_attempt"

    state_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    source_id: Mapped[str] = mapped_column(ForeignKey("source.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    sealed_verifier: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)


class Call(Model):
    """One line of the call log: a call to a source and its outcome, without body, credential or query values."""

    __tablename__ = "call"
    __table_args__ = (Index("ix_call_source_at", "source", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)
    source: Mapped[str] = mapped_column(String(63))
    face: Mapped[str] = mapped_column(String(20))
    principal: Mapped[str] = mapped_column(String(200))
    request_id: Mapped[str] = mapped_column(String(20), index=True)
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(String(500))
    status: Mapped[int | None] = mapped_column()
    reason: Mapped[str | None] = mapped_column(String(40))
    ms: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(default=0)
    """Size of the answer's body in bytes."""
    served: Mapped[int] = mapped_column(default=1)
    """How many callers this call answered."""


class AuditEntry(Model):
    """One line of the audit trail: who did what to what. Triggers in the database refuse UPDATE and DELETE."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_object", "register", "schema", "object_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)
    deed: Mapped[str] = mapped_column(String(40), index=True)
    who: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(60))
    face: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str] = mapped_column(String(20), index=True)
    subject: Mapped[str] = mapped_column(String(1000))
    """An item reference, the slug of a source, the name of a person, token or application."""
    register: Mapped[str] = mapped_column(String(255))
    schema: Mapped[str] = mapped_column(String(255))
    object_id: Mapped[str] = mapped_column(String(255))
    integration: Mapped[str] = mapped_column(String(63))
    detail: Mapped[str] = mapped_column(String(500))
    """Names of fields, scopes, origins; no value of a setting that may be secret."""


class EmbedApp(Model):
    """An application that may show the tab in a frame: its name, the origins of its pages, and its limits."""

    __tablename__ = "embed_app"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=_uuid)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    folded_name: Mapped[str] = mapped_column(
        String(700), unique=True, index=True, default=_folded_name, server_default=""
    )
    """The name as it is compared."""
    origins: Mapped[list[str]] = mapped_column(JSON, default=list)
    registers: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    integrations: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """The registers and integrations that its tokens are limited to; None means no limit."""
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    created_by: Mapped[str] = mapped_column(String(200), default="", server_default="")


class EmbedKey(Model):
    """One secret with which an embedding application signs tokens. During a rotation it has two."""

    __tablename__ = "embed_key"

    kid: Mapped[str] = mapped_column(String(32), primary_key=True)
    app_id: Mapped[str] = mapped_column(ForeignKey("embed_app.id", ondelete="CASCADE"), index=True)
    sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    created_by: Mapped[str] = mapped_column(String(200), default="", server_default="")
