"""Resolves the source of an integration into a configuration that calls can be made with.

Opens the stored credential for that purpose only and never returns it elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from typing import Any

from sqlalchemy import select

from panel.connector import Auth, AuthKind, GrantType, OauthClient, Secret, SourceConfig, check_root
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, NotFound, ProviderUnavailable
from panel.core.reasons import Reason
from panel.credentials.vault import AssociatedData, Unreadable, Vault
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.sources import fields
from panel.sources.connector_switch import Switches
from panel.sources.draft import Draft, read_draft
from panel.sources.options import check_options
from panel.storage.engine import db
from panel.storage.models import Source


def missing(slug: str, integration: str) -> Problem:
    """The problem whose sentence OpenRegister has, word for word."""
    return Problem(
        Reason.SOURCE_MISSING,
        f'OpenConnector source "{slug}" for integration "{integration}" is missing or unreadable.',
    )


class SourceResolver:
    """Finds the source of an integration and turns it into a ``SourceConfig``."""

    def __init__(self, vault: Vault, registry: Registry, switches: Switches) -> None:
        self._vault = vault
        self._registry = registry
        self._switches = switches

    def find(self, slug: str) -> Source | None:
        return db.session.scalar(select(Source).where(Source.slug == slug))

    def root(self, slug: str, location: str) -> str:
        """The instance root behind a typed location. Raises InvalidInput("location", …)."""
        leaf = self._registry.find(slug)
        root = leaf.instance_root(location) if leaf else location.rstrip("/")
        check_root(root)
        return root

    def read(self, values: Mapping[str, Any]) -> Draft:
        """Check a source in its JSON shape, with the options of its integration. Raises InvalidInput.

        Options of a source that no integration uses are kept as they are.
        """
        draft = read_draft(values)
        # An unknown option is refused even while it is empty, which reads as "not given".
        self._check_options(draft.slug, {**dict.fromkeys(values.get("options") or {}, ""), **draft.options})
        return draft

    def _check_options(self, slug: str, options: Mapping[str, str]) -> None:
        leaf = self._registry.find(slug)
        if leaf is not None:
            check_options(options, leaf.descriptor)

    def require_connector(self) -> None:
        """Raises ProviderUnavailable while the connector is switched off."""
        if not self._switches.connector_on():
            raise ProviderUnavailable.because(Reason.CONNECTOR_DISABLED, "OpenConnector is switched off.")

    def config_for(self, leaf: Integration) -> SourceConfig:
        """The source of an integration, ready to call. Raises ProviderUnavailable with the cause when there is none."""
        self.require_connector()
        source = self.find(leaf.id)
        if source is None:
            raise ProviderUnavailable(missing(leaf.id, leaf.id))
        if not source.enabled:
            sentence = f'OpenConnector source "{source.slug}" for integration "{leaf.id}" is disabled.'
            raise ProviderUnavailable.because(Reason.SOURCE_DISABLED, sentence)
        return self.config(source, leaf.id)

    def config_to_connect(self, source: Source) -> SourceConfig:
        """The source for a redirect to its provider's consent page. Raises ProviderUnavailable."""
        self.require_connector()
        return self.config(source, source.slug)

    def config_of_id(self, source_id: str) -> SourceConfig:
        """Raises NotFound when the source was deleted meanwhile, and ProviderUnavailable."""
        source = db.session.get(Source, source_id)
        if source is None:
            raise NotFound("The source was deleted meanwhile.")
        return self.config_to_connect(source)

    def shown_config(self, leaf: Integration) -> SourceConfig | None:
        """The source without its credential, for building browser addresses when no call can be made."""
        source = self.find(leaf.id)
        if source is None:
            return None
        try:
            root = self.root(source.slug, source.location)
        except InvalidInput:
            return None
        return SourceConfig(source.id, source.slug, source.name, root, options=source.options, revision=source.revision)

    def config(self, source: Source, integration: str) -> SourceConfig:
        try:
            root = self.root(source.slug, source.location)
            self._check_options(source.slug, source.options)
        except InvalidInput as exc:
            sentence = f'OpenConnector source "{source.slug}" is not valid: {exc}'
            raise ProviderUnavailable.because(Reason.SOURCE_INVALID, sentence, field=exc.field) from exc
        auth = self.auth(source, integration)
        return source_config(source.id, stored_draft(source), root, auth, revision=source.revision)

    def auth(self, source: Source, integration: str) -> Auth:
        secret = None
        if source.secret is not None:
            try:
                associated_data = AssociatedData(source.id, source.auth_kind, source.secret_origin)
                secret = Secret(self._vault.open(source.secret, associated_data))
            except Unreadable as exc:
                problem = missing(source.slug, integration)
                raise ProviderUnavailable(Problem(Reason.SOURCE_UNREADABLE, problem.message)) from exc
        return auth_of(source.auth_kind, source.auth_fields, secret, origins=source.secret_origin)


_CONFIG_FIELDS = frozenset(field.name for field in dataclass_fields(SourceConfig))


def source_config(source_id: str, draft: Draft, root: str, auth: Auth, *, revision: int) -> SourceConfig:
    """What the connector needs to know: each field of the source that ``SourceConfig`` has too."""
    values = {name: value for name, value in draft.values.items() if name in _CONFIG_FIELDS}
    return SourceConfig(id=source_id, root=root, auth=auth, revision=revision, **values)


def auth_of(kind: str, auth_fields: Mapping[str, str], secret: Secret | None, *, origins: str) -> Auth:
    header = auth_fields.get("header") or "Authorization"
    oauth = _oauth_client(auth_fields, origins) if kind == AuthKind.OAUTH2 else None
    return Auth(AuthKind(kind), auth_fields.get("username", ""), header, secret, oauth)


def _oauth_client(auth_fields: Mapping[str, str], origins: str) -> OauthClient:
    return OauthClient(
        GrantType(auth_fields["grantType"]), auth_fields["tokenUrl"], auth_fields["clientId"],
        auth_fields.get("authorizationUrl", ""), auth_fields.get("scope", ""), origins,
    )  # fmt: skip


def stored_draft(source: Source) -> Draft:
    """The stored row as a draft. It was checked when it was saved and is not checked again."""
    values = {field.name: getattr(source, field.name) for field in fields.columns()}
    return Draft(values, source.auth_kind, source.auth_fields)
