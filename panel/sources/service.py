"""Sources: list, save, import, export and delete them.

A credential belongs to (source, kind, origin). It is sealed on saving, opened only to make a call, and never given out.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
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
from panel.core.domain import (
    AuthStatus,
    now,
)
from panel.core.errors import Conflict, InvalidInput, NotFound, Rejected
from panel.credentials.vault import AssociatedData, Unreadable, Vault
from panel.integrations.registry import Registry
from panel.logs.audit import Actor, AuditAction
from panel.sources.audit_lines import tell, tell_saved, tell_turned
from panel.sources.draft import AUTH_SHAPES, Draft, auth_kind, read_draft
from panel.sources.resolver import SourceResolver
from panel.sources.yaml_file import read_source_file, write_source_file
from panel.storage.engine import db
from panel.storage.models import Link, OauthAttempt, OauthGrant, Source


@dataclass(frozen=True, slots=True)
class Saved:
    source: Source
    warnings: tuple[str, ...] = ()
    created: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Where a source is used: shown before it is deleted."""

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
            raise NotFound(f"There is no source “{slug}”.")
        return source

    def usage(self, slug: str) -> Usage:
        objects = (
            select(Link.register, Link.schema, Link.object_id).where(Link.integration == slug).distinct().subquery()
        )
        links = select(func.count()).select_from(Link).where(Link.integration == slug)
        return Usage(db.session.scalar(links) or 0, db.session.scalar(select(func.count()).select_from(objects)) or 0)

    def traffic(self, sources: Sequence[Source]) -> list[Traffic]:
        """How calls to each of the sources stand now. Nothing is asked of any upstream."""
        counts = self._connector.limiter.counts()
        return [
            traffic_of(counts.get(source.id), rate_limit=source.rate_limit, revision=source.revision)
            for source in sources
        ]

    def consent(self, source: Source) -> AuthStatus | None:
        """How the access stands that a person gives to this source; None when it needs nobody."""
        if source.auth_fields.get("grantType") != GrantType.AUTHORIZATION_CODE:
            return None
        state = db.session.scalar(select(OauthGrant.state).where(OauthGrant.source_id == source.id))
        return AuthStatus(state or AuthStatus.MISSING)

    def values(self, source: Source) -> dict[str, Any]:
        """A source in its JSON shape: ``secretSet`` stands where the secret would."""
        auth: dict[str, Any] = {"type": source.auth_kind, **source.auth_fields}
        if AUTH_SHAPES[source.auth_kind].secret:
            auth["secretSet"] = source.secret is not None
        return {
            "slug": source.slug,
            "name": source.name,
            "description": source.description,
            "location": source.location,
            "enabled": source.enabled,
            "auth": auth,
            "headers": dict(source.headers),
            "rate_limit": source.rate_limit,
            "max_concurrency": source.max_concurrency,
            "timeout_s": source.timeout_s,
            "ca_file": source.ca_file,
            "options": dict(source.options),
        }

    def addresses(self, slug: str, location: str, options: Mapping[str, str]) -> tuple[str, str]:
        """Instance root and API address behind a typed location. Raises InvalidInput("location", …)."""
        leaf, root = self._registry.find(slug), self.resolver.root(slug, location)
        config = SourceConfig("", slug, slug, root, options=options)
        return root, leaf.api_address(config) if leaf else root

    # --- saving --------------------------------------------------------------------------------------------------

    def create(self, values: Mapping[str, Any], *, by: Actor) -> Saved:
        """Store a new source. Raises InvalidInput naming the setting, Conflict when the slug is taken."""
        draft = read_draft(values)
        if self.find(draft.slug) is not None:
            raise Conflict(f"There is a source “{draft.slug}” already.")
        return self._store(_new(draft.slug), draft, by=by, deed=AuditAction.SOURCE_CREATED)

    def change(self, slug: str, values: Mapping[str, Any], *, by: Actor, revision: int | None = None) -> Saved:
        """Change what ``values`` names and keep the rest.

        Raises Rejected naming ``auth`` when the credential's kind or origin changes and no new secret is given, and
        Conflict when the source is no longer at the ``revision`` that the caller saw.
        """
        source = self.get(slug)
        if revision is not None and source.revision != revision:
            raise Conflict(f"Somebody saved the source “{slug}” since you opened it.")
        draft = read_draft(self.merged(source, values))
        if draft.slug != slug:
            raise InvalidInput("slug", "The slug of a source cannot change: its integration and links use it.")
        return self._store(source, draft, by=by, deed=AuditAction.SOURCE_CHANGED)

    def turn(self, slug: str, *, on: bool, by: Actor) -> None:
        """Switch a source on or off. Nothing else is checked, so that a source can always be switched off."""
        source = self.get(slug)
        tell_turned(slug, by, was=source.enabled, on=on)
        source.enabled = on
        self._commit(slug)

    def import_file(
        self,
        text: str | bytes,
        *,
        by: Actor,
        sets: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> tuple[Saved, tuple[str, ...]]:
        """Create or replace a source from a YAML file; its links stay. Returns what was saved and the file's notes."""
        file = read_source_file(text, sets=sets, environ=os.environ if environ is None else environ)
        draft = read_draft(file.values)
        shape = AUTH_SHAPES[draft.auth_kind]
        if shape.secret and not draft.secret:
            raise InvalidInput(
                f"auth.{shape.secret}", f"“auth.{shape.secret}” is missing: the file must bring the secret along."
            )
        source = self.find(draft.slug) or _new(draft.slug)
        return self._store(source, draft, by=by, deed=AuditAction.SOURCE_IMPORTED), file.notes

    def export(self, slug: str) -> str:
        """The source as a YAML file with placeholders in place of secrets."""
        return write_source_file(self.values(self.get(slug)))

    def delete(self, slug: str, *, by: Actor) -> None:
        """Forget a source and its credential. The pointers stay and can be unlinked or served again."""
        db.session.delete(self.get(slug))
        tell(AuditAction.SOURCE_DELETED, slug, by)
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

    def _store(self, source: Source, draft: Draft, *, by: Actor, deed: AuditAction) -> Saved:
        root = self.resolver.root(draft.slug, draft.location)
        warnings = self.check_transport(draft, root)
        self.check_ca_file(draft)
        created = not source.id
        before = None if created else self.values(source)
        source.id = source.id or _new_id()
        if not self.is_same_client(source, draft, root):
            self._forget_grant(source)
        self._store_secret(source, draft, root, by)
        source.name, source.description, source.location = draft.name, draft.description, draft.location
        source.enabled, source.headers, source.options = draft.enabled, dict(draft.headers), dict(draft.options)
        source.auth_kind, source.auth_fields = draft.auth_kind, dict(draft.auth_fields)
        source.rate_limit, source.max_concurrency = draft.rate_limit, draft.max_concurrency
        source.timeout_s, source.ca_file, source.updated_at = draft.timeout_s, draft.ca_file, now()
        db.session.add(source)
        typed_for = source.secret_origin if draft.secret is not None else ""
        tell_saved(deed, before, self.values(source), by, typed_for=typed_for)
        self._commit(draft.slug, lambda: self._seal_again(source, draft))
        return Saved(source, warnings, created)

    def _commit(self, slug: str, before: Callable[[], None] = lambda: None) -> None:
        try:
            db.session.flush()
            before()
            db.session.commit()
        except (IntegrityError, StaleDataError):
            db.session.rollback()
            raise Conflict(f"Somebody saved the source “{slug}” at the same moment; look at it again.") from None

    def is_same_client(self, source: Source, draft: Draft, root: str) -> bool:
        """Whether an OAuth provider would see the client that it gave its tokens to."""
        if not source.auth_kind == draft.auth_kind == AuthKind.OAUTH2 or source.secret is None:
            return False
        if (source.secret_origin, _given(source.auth_fields)) != (
            secret_origins(root, draft),
            _given(draft.auth_fields),
        ):
            return False
        return draft.secret is None or draft.secret == self._secret_text(source)

    def _forget_grant(self, source: Source) -> None:
        for kept in (OauthGrant, OauthAttempt):
            db.session.execute(delete(kept).where(kept.source_id == source.id))

    def _secret_text(self, source: Source) -> str | None:
        """The stored secret, None when there is none or it cannot be read."""
        try:
            associated_data = AssociatedData(source.id, source.auth_kind, source.secret_origin)
            return self._vault.open(source.secret, associated_data) if source.secret is not None else None
        except Unreadable:
            return None

    def _seal_again(self, source: Source, draft: Draft) -> None:
        """Keys may be rotated between sealing and the first write; after that none is retired before we commit."""
        if source.secret is None or draft.secret is None or self._vault.is_current(source.secret):
            return
        associated_data = AssociatedData(source.id, draft.auth_kind, source.secret_origin)
        source.secret = self._vault.seal(draft.secret, associated_data)

    def _store_secret(self, source: Source, draft: Draft, root: str, by: Actor) -> None:
        secret_key = AUTH_SHAPES[draft.auth_kind].secret
        origin = secret_origins(root, draft)
        if secret_key is None:
            source.secret, source.secret_origin, source.secret_set_at, source.secret_set_by = None, "", None, ""
        elif draft.secret is not None:
            associated_data = AssociatedData(source.id, draft.auth_kind, origin)
            source.secret, source.secret_origin = self._vault.seal(draft.secret, associated_data), origin
            source.secret_set_at, source.secret_set_by = now(), by.name
        elif source.secret is None:
            raise InvalidInput(f"auth.{secret_key}", f"“auth.{secret_key}” is missing.")
        elif (source.auth_kind, source.secret_origin) != (draft.auth_kind, origin):
            sentence = (
                "The address changed. Type the password again."
                if source.auth_kind == draft.auth_kind
                else ("The way of signing in changed. Type the secret again.")
            )
            raise Rejected(sentence, {"auth": sentence})

    def check_transport(self, draft: Draft, root: str) -> tuple[str, ...]:
        """A credential over plain http is for addresses that the deployment opened, and even there it is said."""
        urls = {f"auth.{key}": url for key in ("tokenUrl", "authorizationUrl") if (url := draft.auth_fields.get(key))}
        for field, url in urls.items():
            _check_endpoint(field, url)
        plain = [(field, url) for field, url in {"location": root, **urls}.items() if url.startswith("http://")]
        if not plain or draft.auth_kind == "none":
            return ()
        for field, url in plain:
            if not self._connector.is_opened(url):
                raise InvalidInput(
                    field,
                    f"{origin_of(url)} would send the credential unencrypted: use https, or open the address with "
                    "PANEL_ALLOWED_PRIVATE_HOSTS.",
                )
        return ("The address is plain http: the credential travels unencrypted.",)

    def check_ca_file(self, draft: Draft) -> None:
        if draft.ca_file and not (os.path.isabs(draft.ca_file) and os.access(draft.ca_file, os.R_OK)):
            raise InvalidInput("ca_file", "“ca_file” names no file that the panel can read.")


def _check_endpoint(field: str, url: str) -> None:
    """An address of a sign-in provider, which may have a query. Raises InvalidInput naming ``field``."""
    try:
        check_root(url.partition("?")[0].rstrip("/"))
    except InvalidInput as exc:
        raise InvalidInput(field, str(exc)) from None


def _given(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def secret_origins(root: str, draft: Draft) -> str:
    """The origin (for OAuth: both origins) to which the secret belongs."""
    token_url = draft.auth_fields.get("tokenUrl")
    return f"{origin_of(root)} {origin_of(token_url)}" if token_url else origin_of(root)


def _new(slug: str) -> Source:
    return Source(slug=slug, location="")


def _new_id() -> str:
    return uuid.uuid4().hex
