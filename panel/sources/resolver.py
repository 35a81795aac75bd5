"""Resolves the source of an integration into a configuration that calls can be made with.

Opens the stored credential for that purpose only and never returns it elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

from sqlalchemy import select

from panel.connector import Auth, AuthKind, GrantType, OauthClient, Secret, SourceConfig, check_root, origin_of
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, NotFound, ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Reason
from panel.credentials.vault import AssociatedData, Unreadable, Vault
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.sources import fields
from panel.sources.auth_fields import check_stored
from panel.sources.ca_files import check_ca_file
from panel.sources.connector_switch import CONNECTOR_ON, Switches
from panel.sources.draft import Draft, read_draft
from panel.sources.options import check_options
from panel.storage.engine import db
from panel.storage.models import Source
from panel.storage.revision import Kept, Revision

_CONNECTOR_DISABLED = Problem(Reason.CONNECTOR_DISABLED, _("OpenConnector is switched off."))


def missing(slug: str, integration: str) -> Problem:
    """The problem whose sentence OpenRegister has, word for word."""
    return Problem(
        Reason.SOURCE_MISSING,
        _(
            'OpenConnector source "{slug}" for integration "{integration}" is missing or unreadable.',
            slug=slug,
            integration=integration,
        ),
    )


def unreadable(slug: str, integration: str) -> Problem:
    return Problem(Reason.SOURCE_UNREADABLE, missing(slug, integration).message)


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """The source of an integration, read once: for browser addresses and for calls."""

    source_id: str | None
    config: SourceConfig | None
    """None without a source or with an invalid location. It carries the credential only when there is no problem."""
    problem: Problem | None = None
    """Why no call can be made."""

    def ready(self) -> SourceConfig:
        """The configuration for a call. Raises ProviderUnavailable with the cause when no call can be made."""
        if self.problem is not None:
            raise ProviderUnavailable(self.problem)
        assert self.config is not None  # noqa: S101  (what has no configuration has a problem)
        return self.config


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call carries beside its address: the sign-in, and the values of the extra headers."""

    auth: Auth = field(default_factory=Auth)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


_NO_CREDENTIALS = Credentials()


class SourceResolver:
    """Finds the source of an integration and turns it into a ``SourceConfig``."""

    def __init__(
        self, vault: Vault, registry: Registry, switches: Switches, ca_folders: Sequence[Path], revision: Revision
    ) -> None:
        self._ca_folders = ca_folders
        self._vault = vault
        self._registry = registry
        self._switches = switches
        self._kept: Kept[ResolvedSource] = Kept(revision, most=1000)

    def find(self, slug: str) -> Source | None:
        return db.session.scalar(select(Source).where(Source.slug == slug))

    def root(self, slug: str, location: str) -> str:
        """The instance root behind a typed location. Raises InvalidInput("location", …)."""
        root = self._root(slug, location)
        check_root(root)
        return root

    def read(self, values: Mapping[str, Any]) -> Draft:
        """Check a source in its JSON shape, with the options of its integration. Raises InvalidInput.

        Options of a source that no integration uses are kept as they are.
        """
        draft = read_draft(values)
        check_ca_file(draft.values["ca_file"], self._ca_folders)
        # An unknown option is refused even while it is empty, which reads as "not given".
        self.check_options_of(draft.slug, {**dict.fromkeys(values.get("options") or {}, ""), **draft.options})
        return draft

    def check_options_of(self, slug: str, options: Mapping[str, str]) -> None:
        """Raises InvalidInput for an option that the integration does not have."""
        leaf = self._registry.find(slug)
        if leaf is not None:
            check_options(options, leaf.descriptor)

    def _root(self, slug: str, location: str) -> str:
        leaf = self._registry.find(slug)
        return leaf.instance_root(location) if leaf else location.rstrip("/")

    def require_connector(self) -> None:
        """Raises ProviderUnavailable while the connector is switched off."""
        if not self._switches.connector_on():
            raise ProviderUnavailable(_CONNECTOR_DISABLED)

    def resolve(self, leaf: Integration) -> ResolvedSource:
        """The source of an integration, read together with the connector's switch in one statement.

        It is not read again while nothing in the database has changed.
        """
        kept = self._kept.find(leaf.id)
        if kept is None:
            at = self._kept.begin()
            kept = self._read(leaf)
            self._kept.keep(leaf.id, kept, at)
        return kept

    def _read(self, leaf: Integration) -> ResolvedSource:
        row = db.session.execute(select(Source, CONNECTOR_ON).where(Source.slug == leaf.id)).one_or_none()
        if row is None:
            is_on = self._switches.connector_on()
            return ResolvedSource(None, None, missing(leaf.id, leaf.id) if is_on else _CONNECTOR_DISABLED)
        source, is_on = row
        if self._switches.locked_off or not is_on:
            return self._resolved(source, leaf.id, _CONNECTOR_DISABLED)
        if not source.enabled:
            sentence = _(
                'OpenConnector source "{slug}" for integration "{integration}" is disabled.',
                slug=source.slug,
                integration=leaf.id,
            )
            return self._resolved(source, leaf.id, Problem(Reason.SOURCE_DISABLED, sentence))
        return self._resolved(source, leaf.id)

    def config_to_connect(self, source: Source) -> SourceConfig:
        """The source for a redirect to its provider's consent page. Raises ProviderUnavailable."""
        self.require_connector()
        return self.config(source, source.slug)

    def config_of_id(self, source_id: str) -> SourceConfig:
        """Raises NotFound when the source was deleted meanwhile, and ProviderUnavailable."""
        source = db.session.get(Source, source_id)
        if source is None:
            raise NotFound(_("The source was deleted meanwhile."))
        return self.config_to_connect(source)

    def shown_config(self, leaf: Integration) -> SourceConfig | None:
        """The source without its credential, for browser addresses; None when there is none, or it is not valid."""
        source = self.find(leaf.id)
        try:
            return (
                _config(source, self._root(source.slug, source.location), _NO_CREDENTIALS)
                if source is not None
                else None
            )
        except InvalidInput:
            return None

    def config(self, source: Source, integration: str) -> SourceConfig:
        """A source with its credential, ready to call. Raises ProviderUnavailable."""
        return self._resolved(source, integration).ready()

    def _resolved(self, source: Source, integration: str, refusal: Problem | None = None) -> ResolvedSource:
        """``refusal`` is why no call may be made; the credential is opened only when there is none."""
        opened: Credentials = _NO_CREDENTIALS
        unreadable = None
        try:
            root = self._root(source.slug, source.location)
            if refusal is None:
                opened, unreadable = self._opened(source, root, integration)
            config = _config(source, root, opened)
        except InvalidInput as exc:
            return ResolvedSource(source.id, None, refusal or _invalid(source, exc))
        # An option that is not valid does not hide where the pointers lead.
        return ResolvedSource(source.id, config, refusal or unreadable or self._option_problem(source))

    def _option_problem(self, source: Source) -> Problem | None:
        try:
            self.check_options_of(source.slug, source.options)
        except InvalidInput as exc:
            return _invalid(source, exc)
        return None

    def _opened(self, source: Source, root: str, integration: str) -> tuple[Credentials, Problem | None]:
        """The credentials of a source, or why there are none: unreadable, or of a kind that is not known here."""
        try:
            check_stored(source.auth_kind, source.auth_fields)
            _require_own_origins(source, root)
            secret, headers = self.stored_secret(source), self.stored_headers(source)
        except Unreadable:
            return _NO_CREDENTIALS, unreadable(source.slug, integration)
        except InvalidInput as exc:
            return _NO_CREDENTIALS, _invalid(source, exc)
        auth = auth_of(source.auth_kind, source.auth_fields, secret, origins=source.secret_origin)
        return Credentials(auth, headers), None

    def stored_secret(self, source: Source) -> Secret | None:
        """The secret, which belongs to ``source.secret_origin`` only. Raises Unreadable."""
        if source.secret is None:
            return None
        associated_data = AssociatedData(source.id, source.auth_kind, source.secret_origin)
        return Secret(self._vault.open(source.secret, associated_data))

    def stored_headers(self, source: Source) -> Mapping[str, str]:
        """The extra headers, which belong to ``source.headers_origin`` only. Raises Unreadable."""
        if not source.headers:
            return {}
        associated_data = AssociatedData(source.id, "headers", source.headers_origin)
        opened: dict[str, str] = json.loads(self._vault.open(source.headers_sealed or "", associated_data))
        if set(opened) != set(source.headers):
            raise Unreadable("the stored names are not those of the sealed headers")
        return opened


def _require_own_origins(source: Source, root: str) -> None:
    """Raise Unreadable if the row has another address than the one that its secrets were typed for.

    That happens when a row is edited or restored below the panel. OAuth tokens are bound to the same origins.
    """
    try:
        origins, origin = secret_origins(root, source.auth_fields), origin_of(root)
    except ValueError:
        origins = origin = ""
    if (source.secret is not None or source.secret_origin) and source.secret_origin != origins:
        raise Unreadable("the secret belongs to another origin")
    if source.headers and source.headers_origin != origin:
        raise Unreadable("the extra headers belong to another origin")


def _config(source: Source, root: str, credentials: Credentials) -> SourceConfig:
    """Raises InvalidInput for an address. The location is parsed here, and the configuration keeps the result."""
    config = source_config(source.id, stored_draft(source), root, credentials, revision=source.revision)
    config.connection_endpoint(config.endpoint)
    return config


def secret_origins(root: str, auth_fields: Mapping[str, str]) -> str:
    """The origin (for OAuth: both origins) to which the secret belongs."""
    token_url = auth_fields.get("tokenUrl")
    return f"{origin_of(root)} {origin_of(token_url)}" if token_url else origin_of(root)


_CONFIG_FIELDS = frozenset(field.name for field in dataclass_fields(SourceConfig))


def source_config(source_id: str, draft: Draft, root: str, credentials: Credentials, *, revision: int) -> SourceConfig:
    """What the connector needs to know: each field of the source that ``SourceConfig`` has too."""
    values = {name: value for name, value in draft.values.items() if name in _CONFIG_FIELDS}
    auth, headers = credentials.auth, credentials.headers
    return SourceConfig(id=source_id, root=root, auth=auth, headers=headers, revision=revision, **values)


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
    return Draft(values, auth_kind=source.auth_kind, auth_fields=source.auth_fields)


def _invalid(source: Source, exc: InvalidInput) -> Problem:
    sentence = _('OpenConnector source "{slug}" is not valid: {message}', slug=source.slug, message=exc.message)
    return Problem(Reason.SOURCE_INVALID, sentence, field=exc.field)
