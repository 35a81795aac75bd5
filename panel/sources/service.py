"""Sources: list, save, import, export and delete them.

A credential belongs to (source, kind, origin). It is sealed when saved, opened only to make a call, and never returned.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from panel.connector import (
    AuthKind,
    Connector,
    GrantType,
    SourceConfig,
    Traffic,
    check_root,
    origin_of,
    traffic_of,
)
from panel.core.clock import now
from panel.core.errors import Conflict, InvalidInput, NotFound, Rejected
from panel.core.health import AuthStatus
from panel.core.messages import _
from panel.core.reasons import Reason
from panel.credentials.vault import AssociatedData, Unreadable, Vault
from panel.integrations.registry import Registry
from panel.logs.audit import Actor, AuditAction
from panel.sources import fields
from panel.sources.audit_lines import record, record_enabled, record_saved
from panel.sources.auth_fields import AUTH_SHAPES, UNKNOWN_SHAPE, auth_kind, check_stored
from panel.sources.draft import Draft
from panel.sources.field_types import HostPort, missing
from panel.sources.resolver import SourceResolver, secret_origins
from panel.sources.yaml_file import read_source_file, write_source_file
from panel.storage.engine import db
from panel.storage.models import Link, OauthAttempt, OauthGrant, Source

LOOK_UP_S = 1.0
"""How long a name is looked up while an address is typed."""


@dataclass(frozen=True, slots=True)
class Saved:
    source: Source
    warnings: tuple[str, ...] = ()
    created: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """How many links and objects use a source."""

    links: int
    objects: int


class Sources:
    def __init__(self, vault: Vault, registry: Registry, connector: Connector, resolver: SourceResolver) -> None:
        self._vault = vault
        self._registry = registry
        self._connector = connector
        self.resolver = resolver

    def find(self, slug: str) -> Source | None:
        return self.resolver.find(slug)

    # --- reading -------------------------------------------------------------------------------------------------

    def all(self) -> list[Source]:
        return list(db.session.scalars(select(Source).order_by(Source.slug)))

    def get(self, slug: str) -> Source:
        """Raises NotFound."""
        source = self.find(slug)
        if source is None:
            raise NotFound(_("There is no source “{slug}”.", slug=slug))
        return source

    def usage(self, slug: str) -> Usage:
        objects = (
            select(Link.register, Link.schema, Link.object_id).where(Link.integration == slug).distinct().subquery()
        )
        links = select(func.count()).select_from(Link).where(Link.integration == slug)
        return Usage(db.session.scalar(links) or 0, db.session.scalar(select(func.count()).select_from(objects)) or 0)

    def traffic(self, sources: Sequence[Source]) -> list[Traffic]:
        """The limiter's counts for each source. Makes no call."""
        counts = self._connector.limiter.counts()
        return [
            traffic_of(counts.get(source.id), rate_limit=source.rate_limit, revision=source.revision)
            for source in sources
        ]

    def consent(self, source: Source) -> AuthStatus | None:
        """The status of the access that a person gives to this source; None for a source that needs none."""
        if source.auth_fields.get("grantType") != GrantType.AUTHORIZATION_CODE:
            return None
        state = db.session.scalar(select(OauthGrant.state).where(OauthGrant.source_id == source.id))
        return AuthStatus(state or AuthStatus.MISSING)

    def values(self, source: Source) -> dict[str, Any]:
        """A source in its JSON shape: ``secretSet`` stands where a secret would."""
        values = {field.name: copy(getattr(source, field.name)) for field in fields.columns()}
        values |= {"auth": _auth_values(source), "headers": {name: {"secretSet": True} for name in source.headers}}
        return {key: values[key] for key in fields.names()}

    def addresses(self, slug: str, location: str, options: Mapping[str, str]) -> tuple[str, str]:
        """Instance root and API address behind a typed location. Raises InvalidInput("location", …)."""
        leaf, root = self._registry.find(slug), self.resolver.root(slug, location)
        config = SourceConfig("", slug, slug, root, options=options)
        return root, leaf.api_address(config) if leaf else root

    def refusal(self, slug: str, root: str, connect_to: str = "") -> str:
        """Why the panel may not call an address, as a sentence; "" when it may. Looks up the name and calls nobody."""
        try:
            target = HostPort(300).read("connect_to", connect_to)
        except InvalidInput:
            return ""
        source = SourceConfig("", slug, slug, root, connect_to=target)
        _step, problem = self._connector.probe_address(source, deadline_s=LOOK_UP_S)
        refused = problem is not None and problem.reason is Reason.ADDRESS_NOT_ALLOWED
        return problem.message if problem is not None and refused else ""

    def problem(self, source: Source) -> str:
        """Why a stored row cannot be used, as a sentence; empty when it can.

        A row that was edited or restored below the panel can have what saving would refuse.
        """
        try:
            check_stored(source.auth_kind, source.auth_fields)
            self.resolver.check_options_of(source.slug, source.options)
            self.addresses(source.slug, source.location, source.options)
        except InvalidInput as exc:
            return exc.message
        return ""

    # --- saving --------------------------------------------------------------------------------------------------

    def create(self, values: Mapping[str, Any], *, by: Actor) -> Saved:
        """Store a new source. Raises InvalidInput naming the setting, Conflict when the slug is taken."""
        draft = self.resolver.read(values)
        if self.find(draft.slug) is not None:
            raise Conflict(_("There is a source “{slug}” already.", slug=draft.slug))
        return self._store(new_source(draft.slug), draft, by=by, action=AuditAction.SOURCE_CREATED)

    def change(self, slug: str, values: Mapping[str, Any], *, by: Actor, revision: int | None = None) -> Saved:
        """Change the fields in ``values`` and keep the others.

        Raises Rejected naming ``auth`` when the credential's kind or origin changes and no new secret is given, and
        Conflict when the source is no longer at the ``revision`` that the caller saw.
        """
        source = self.get(slug)
        if revision is not None and source.revision != revision:
            raise Conflict(_("Another user saved the source “{slug}” since you opened it.", slug=slug))
        draft = self.resolver.read(self.merged(source, values))
        if draft.slug != slug:
            raise InvalidInput("slug", _("The slug of a source cannot change: its integration and links use it."))
        return self._store(source, draft, by=by, action=AuditAction.SOURCE_CHANGED)

    def set_enabled(self, slug: str, *, on: bool, by: Actor) -> None:
        """Switch a source on or off. Nothing else is checked, so that a source can always be switched off."""
        source = self.get(slug)
        record_enabled(slug, by, before=source.enabled, after=on)
        source.enabled = on
        self._commit(slug)

    def import_file(
        self,
        text: str | bytes,
        *,
        by: Actor,
        sets: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        secret: str | None = None,
    ) -> tuple[Saved, tuple[str, ...]]:
        """Create or replace a source from a YAML file and keep its links. Returns the source and the file's notes.

        ``secret`` replaces the secret of the file.
        """
        environ = os.environ if environ is None else environ
        file = read_source_file(text, sets=sets, environ=environ, secret=secret)
        draft = self.resolver.read(file.values)
        shape = AUTH_SHAPES[draft.auth_kind]
        if shape.secret and not draft.secret:
            path = f"auth.{shape.secret}"
            raise InvalidInput(path, _("“{name}” is missing: the file must contain the secret.", name=path))
        for name, value in draft.headers.items():
            if value is None:
                raise InvalidInput(
                    "headers", _("“{name}” has no value: the file must contain it.", name=f"headers.{name}")
                )
        source = self.find(draft.slug) or new_source(draft.slug)
        return self._store(source, draft, by=by, action=AuditAction.SOURCE_IMPORTED), file.notes

    def export(self, slug: str) -> str:
        """The source as a YAML file with placeholders in place of secrets."""
        return write_source_file(self.values(self.get(slug)))

    def delete(self, slug: str, *, by: Actor) -> None:
        """Delete a source with its credential. The links stay; a new source of that slug serves them again."""
        db.session.delete(self.get(slug))
        record(AuditAction.SOURCE_DELETED, slug, by)
        self._commit(slug)

    def merged(self, source: Source, values: Mapping[str, Any]) -> dict[str, Any]:
        stored = self.values(source)
        merged = {**stored, **{key: value for key, value in values.items() if key != "auth"}}
        before = {key: value for key, value in stored["auth"].items() if key != "secretSet"}
        after = values.get("auth", before)
        if isinstance(after, Mapping):
            after = {key: value for key, value in after.items() if key != "secretSet"}
            kind = auth_kind(after.get("type", source.auth_kind))
            after = {**before, **after} if kind == source.auth_kind else after
        return {**merged, "auth": after}

    def _store(self, source: Source, draft: Draft, *, by: Actor, action: AuditAction) -> Saved:
        root = self.resolver.root(draft.slug, draft.location)
        warnings = self.check_transport(draft, root)
        self.require_secrets(source, draft, root)
        headers = self.header_values(source, draft)
        created = not source.id
        before = None if created else self.values(source)
        source.id = source.id or _new_id()
        if not self.is_same_client(source, draft, root):
            self._forget_grant(source)
        self._store_secret(source, draft, root, by)
        self._store_headers(source, headers, origin_of(root))
        for field in fields.columns():
            setattr(source, field.name, draft.values[field.name])
        source.auth_kind, source.auth_fields, source.updated_at = draft.auth_kind, dict(draft.auth_fields), now()
        db.session.add(source)
        typed_for = source.secret_origin if draft.secret is not None else ""
        typed_headers = any(value is not None for value in draft.headers.values())
        record_saved(action, before, self.values(source), by, typed_for=typed_for, typed_headers=typed_headers)
        self._commit(draft.slug, lambda: self._seal_again(source, draft, headers))
        return Saved(source, warnings, created)

    def _commit(self, slug: str, before: Callable[[], None] = lambda: None) -> None:
        try:
            db.session.flush()
            before()
            db.session.commit()
        except (IntegrityError, StaleDataError):
            db.session.rollback()
            raise Conflict(
                _("Another user saved the source “{slug}” at the same moment. Load it again.", slug=slug)
            ) from None
        self._connector.close_connections()

    def is_same_client(self, source: Source, draft: Draft, root: str) -> bool:
        """Whether the stored OAuth tokens were issued to the client of ``draft``."""
        if not source.auth_kind == draft.auth_kind == AuthKind.OAUTH2 or source.secret is None:
            return False
        stored = (source.secret_origin, _without_empty(source.auth_fields))
        if stored != (secret_origins(root, draft.auth_fields), _without_empty(draft.auth_fields)):
            return False
        return draft.secret is None or draft.secret == self._secret_text(source)

    def _forget_grant(self, source: Source) -> None:
        for model in (OauthGrant, OauthAttempt):
            db.session.execute(delete(model).where(model.source_id == source.id))

    def _secret_text(self, source: Source) -> str | None:
        """The stored secret, None when there is none or it cannot be read."""
        try:
            secret = self.resolver.stored_secret(source)
            return secret.reveal() if secret is not None else None
        except Unreadable:
            return None

    def _seal_again(self, source: Source, draft: Draft, headers: Mapping[str, str] | None) -> None:
        """Seal typed secrets once more if the keys were rotated between sealing and the first write.

        After the first write no key is retired before the commit.
        """
        if source.secret is not None and draft.secret is not None and not self._vault.is_current(source.secret):
            associated_data = AssociatedData(source.id, draft.auth_kind, source.secret_origin)
            source.secret = self._vault.seal(draft.secret, associated_data)
        if headers and source.headers_sealed and not self._vault.is_current(source.headers_sealed):
            self._store_headers(source, headers, source.headers_origin)

    def require_secrets(self, source: Source, draft: Draft, root: str) -> None:
        """Check that each secret of ``draft`` is typed, or stored for the same kind and origin.

        Raises InvalidInput naming one that is missing, and Rejected naming those that must be typed again.
        """
        again: dict[str, str] = {}
        name = AUTH_SHAPES[draft.auth_kind].secret
        if name is not None and draft.secret is None:
            if source.secret is None:
                raise missing(f"auth.{name}")
            again |= _auth_again(source, draft, root)
        kept = [header for header, value in draft.headers.items() if value is None]
        for header in kept:
            if header not in source.headers:
                raise InvalidInput("headers", _("“{name}” has no value.", name=f"headers.{header}"))
        if kept and source.headers_origin != origin_of(root):
            again["headers"] = _("The address changed. Type the values of the extra headers again.")
        if again:
            raise Rejected(next(iter(again.values())), again)

    def header_values(self, source: Source, draft: Draft) -> Mapping[str, str] | None:
        """The extra headers with typed and stored values; None where all are kept as they are stored.

        Raises Rejected where a stored value is kept and cannot be read.
        """
        typed = {name: value for name, value in draft.headers.items() if value is not None}
        if not typed and set(draft.headers) == set(source.headers):
            return None
        if len(typed) == len(draft.headers):
            return typed
        try:
            stored = self.resolver.stored_headers(source)
        except Unreadable:
            sentence = _("The stored values of the extra headers cannot be read. Type them again.")
            raise Rejected(sentence, {"headers": sentence}) from None
        return {name: typed.get(name, stored.get(name, "")) for name in draft.headers}

    def _store_headers(self, source: Source, headers: Mapping[str, str] | None, origin: str) -> None:
        if headers is None:
            return
        source.headers, source.headers_origin = list(headers), origin if headers else ""
        associated_data = AssociatedData(source.id, "headers", origin)
        source.headers_sealed = self._vault.seal(json.dumps(dict(headers)), associated_data) if headers else None

    def _store_secret(self, source: Source, draft: Draft, root: str, by: Actor) -> None:
        origin = secret_origins(root, draft.auth_fields)
        if AUTH_SHAPES[draft.auth_kind].secret is None:
            source.secret, source.secret_origin, source.secret_set_at, source.secret_set_by = None, "", None, ""
        elif draft.secret is not None:
            associated_data = AssociatedData(source.id, draft.auth_kind, origin)
            source.secret, source.secret_origin = self._vault.seal(draft.secret, associated_data), origin
            source.secret_set_at, source.secret_set_by = now(), by.name

    def check_transport(self, draft: Draft, root: str) -> tuple[str, ...]:
        """Allow a credential over plain http only to addresses that the deployment opened. Returns warnings."""
        urls = {f"auth.{key}": url for key in ("tokenUrl", "authorizationUrl") if (url := draft.auth_fields.get(key))}
        for field, url in urls.items():
            _check_endpoint(field, url)
        plain = [(field, url) for field, url in {"location": root, **urls}.items() if url.startswith("http://")]
        if not plain or (draft.auth_kind == "none" and not draft.headers):
            return ()
        source = SourceConfig("", draft.slug, draft.slug, root, connect_to=draft.values["connect_to"])
        for field, url in plain:
            if not self._connector.is_opened(url, source):
                raise InvalidInput(
                    field,
                    _(
                        "{origin} would send the credential unencrypted: use https, or open the address with "
                        "PANEL_ALLOWED_PRIVATE_HOSTS.",
                        origin=origin_of(url),
                    ),
                )
        return (_("The address is plain http: the credential travels unencrypted."),)


def _check_endpoint(field: str, url: str) -> None:
    """Check the address of a sign-in provider, which may have a query. Raises InvalidInput naming ``field``."""
    try:
        check_root(url.partition("?")[0].rstrip("/"))
    except InvalidInput as exc:
        raise InvalidInput(field, exc.message) from None


def _auth_values(source: Source) -> dict[str, Any]:
    signs_in = AUTH_SHAPES.get(source.auth_kind, UNKNOWN_SHAPE).secret is not None
    secret = {"secretSet": source.secret is not None} if signs_in else {}
    return {"type": source.auth_kind, **source.auth_fields, **secret}


def _auth_again(source: Source, draft: Draft, root: str) -> dict[str, str]:
    """Why the stored secret must be typed again; empty when it belongs to the kind and origin of ``draft``."""
    if source.auth_kind != draft.auth_kind:
        return {"auth": _("The way of signing in changed. Type the secret again.")}
    if source.secret_origin != secret_origins(root, draft.auth_fields):
        return {"auth": _("The address changed. Type the password again.")}
    return {}


def _without_empty(auth_fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in auth_fields.items() if value}


def new_source(slug: str) -> Source:
    """A source that is not stored yet, without secrets."""
    return Source(slug=slug, location="", headers=[], headers_origin="", secret_origin="")


def _new_id() -> str:
    return uuid.uuid4().hex
