"""Sources: list, save, import, export and test them, and hand out the one that an integration uses.

A credential belongs to (source, kind, origin). It is sealed on saving, opened only to make a call, and never given out.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from panel.connector import (
    Auth,
    AuthKind,
    Caller,
    Connector,
    GrantType,
    OauthClient,
    Secret,
    SourceConfig,
    Traffic,
    Upstream,
    check_root,
    origin_of,
    traffic_of,
)
from panel.core.domain import (
    AuthStatus,
    Cause,
    ConnectionTest,
    Health,
    HealthStatus,
    Identity,
    Problem,
    Reason,
    Step,
    now,
)
from panel.core.errors import Conflict, InvalidInput, NotFound, PanelError, ProviderUnavailable, Rejected
from panel.credentials.vault import AssociatedData, Unreadable, Vault
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.logs.audit import Actor, AuditAction
from panel.sources.audit_lines import tell, tell_saved, tell_turned
from panel.sources.connector_switch import Switches
from panel.sources.draft import AUTH_SHAPES, Draft, auth_kind, read_draft
from panel.sources.instances import Instances, OtherInstance
from panel.sources.yaml_file import read_source_file, write_source_file
from panel.storage.engine import db
from panel.storage.models import Link, OauthAttempt, OauthGrant, Source, SourceCheck

TEST_DEADLINE_S = 10.0


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


def missing(slug: str, integration: str) -> Problem:
    """The one sentence that hosts of OpenRegister know, word for word."""
    return Problem(
        Reason.SOURCE_MISSING,
        f'OpenConnector source "{slug}" for integration "{integration}" is missing or unreadable.',
    )


class Sources:
    def __init__(self, vault: Vault, registry: Registry, connector: Connector, switches: Switches) -> None:
        self._vault = vault
        self._registry = registry
        self._connector = connector
        self._switches = switches
        self.instances = Instances()

    # --- reading -------------------------------------------------------------------------------------------------

    def all(self) -> list[Source]:
        return list(db.session.scalars(select(Source).order_by(Source.slug)))

    def find(self, slug: str) -> Source | None:
        return db.session.scalar(select(Source).where(Source.slug == slug))

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

    def last_check(self, source: Source) -> SourceCheck | None:
        return db.session.get(SourceCheck, source.id)

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
        leaf, root = self._registry.find(slug), self._root(slug, location)
        config = SourceConfig("", slug, slug, root, options=options)
        return root, leaf.api_address(config) if leaf else root

    def _root(self, slug: str, location: str) -> str:
        leaf = self._registry.find(slug)
        root = leaf.instance_root(location) if leaf else location.rstrip("/")
        check_root(root)
        return root

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
        draft = read_draft(self._merged(source, values))
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

    def _merged(self, source: Source, values: Mapping[str, Any]) -> dict[str, Any]:
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
        root = self._root(draft.slug, draft.location)
        warnings = self._check_transport(draft, root)
        self._check_ca_file(draft)
        created = not source.id
        before = None if created else self.values(source)
        source.id = source.id or _new_id()
        if not self._is_same_client(source, draft, root):
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

    def _is_same_client(self, source: Source, draft: Draft, root: str) -> bool:
        """Whether an OAuth provider would see the client that it gave its tokens to."""
        if not source.auth_kind == draft.auth_kind == AuthKind.OAUTH2 or source.secret is None:
            return False
        if (source.secret_origin, _given(source.auth_fields)) != (_binding(root, draft), _given(draft.auth_fields)):
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
        origin = _binding(root, draft)
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

    def _check_transport(self, draft: Draft, root: str) -> tuple[str, ...]:
        """A credential over plain http is for addresses that the deployment opened, and even there it is said."""
        urls = [root] + [url for key in ("tokenUrl", "authorizationUrl") if (url := draft.auth_fields.get(key))]
        for url in urls[1:]:
            check_root(url.partition("?")[0].rstrip("/"))
        plain = [url for url in urls if url.startswith("http://")]
        if not plain or draft.auth_kind == "none":
            return ()
        for url in plain:
            if not self._connector.is_opened(url):
                where = "location" if url == root else "auth.tokenUrl"
                raise InvalidInput(
                    where,
                    f"{origin_of(url)} would send the credential unencrypted: use https, or open the address with "
                    "PANEL_ALLOWED_PRIVATE_HOSTS.",
                )
        return ("The address is plain http: the credential travels unencrypted.",)

    def _check_ca_file(self, draft: Draft) -> None:
        if draft.ca_file and not (os.path.isabs(draft.ca_file) and os.access(draft.ca_file, os.R_OK)):
            raise InvalidInput("ca_file", "“ca_file” names no file that the panel can read.")

    # --- using ---------------------------------------------------------------------------------------------------

    def config_for(self, leaf: Integration) -> SourceConfig:
        """The source of an integration, ready to call. Raises ProviderUnavailable with the cause when there is none."""
        if not self._switches.connector_on():
            raise ProviderUnavailable.because(Reason.CONNECTOR_DISABLED, "OpenConnector is switched off.")
        source = self.find(leaf.id)
        if source is None:
            raise ProviderUnavailable(missing(leaf.id, leaf.id))
        if not source.enabled:
            sentence = f'OpenConnector source "{source.slug}" for integration "{leaf.id}" is disabled.'
            raise ProviderUnavailable.because(Reason.SOURCE_DISABLED, sentence)
        return self._config(source, leaf.id)

    def config_to_connect(self, source: Source) -> SourceConfig:
        """A source for a visit to its provider's consent page. Raises ProviderUnavailable when it cannot be used."""
        if not self._switches.connector_on():
            raise ProviderUnavailable.because(Reason.CONNECTOR_DISABLED, "OpenConnector is switched off.")
        return self._config(source, source.slug)

    def config_of_id(self, source_id: str) -> SourceConfig:
        """Raises NotFound when the source was deleted meanwhile, and ProviderUnavailable."""
        source = db.session.get(Source, source_id)
        if source is None:
            raise NotFound("The source was deleted meanwhile.")
        return self.config_to_connect(source)

    def shown_config(self, leaf: Integration) -> SourceConfig | None:
        """The source without its credential, for making browser addresses while nothing can be asked."""
        source = self.find(leaf.id)
        if source is None:
            return None
        try:
            root = self._root(source.slug, source.location)
        except InvalidInput:
            return None
        return SourceConfig(source.id, source.slug, source.name, root, options=source.options, revision=source.revision)

    def _config(self, source: Source, integration: str) -> SourceConfig:
        try:
            root = self._root(source.slug, source.location)
        except InvalidInput as exc:
            sentence = f'OpenConnector source "{source.slug}" is not valid: {exc}'
            raise ProviderUnavailable.because(Reason.SOURCE_INVALID, sentence) from exc
        auth = self._auth(source, integration)
        return _config(source.id, self._draft_of(source), root, auth, revision=source.revision)

    def _draft_of(self, source: Source) -> Draft:
        """The stored row as a draft: what was checked on saving is not checked again on each call."""
        return Draft(
            slug=source.slug, name=source.name, location=source.location, auth_kind=source.auth_kind,
            auth_fields=source.auth_fields, headers=source.headers, options=source.options,
            rate_limit=source.rate_limit,
            max_concurrency=source.max_concurrency, timeout_s=source.timeout_s, ca_file=source.ca_file,
        )  # fmt: skip

    def _auth(self, source: Source, integration: str) -> Auth:
        secret = None
        if source.secret is not None:
            try:
                associated_data = AssociatedData(source.id, source.auth_kind, source.secret_origin)
                secret = Secret(self._vault.open(source.secret, associated_data))
            except Unreadable as exc:
                problem = missing(source.slug, integration)
                raise ProviderUnavailable(Problem(Reason.SOURCE_UNREADABLE, problem.message)) from exc
        return _auth(source.auth_kind, source.auth_fields, secret, origins=source.secret_origin)

    # --- testing -------------------------------------------------------------------------------------------------

    def test(self, slug: str, values: Mapping[str, Any] | None = None, *, caller: Caller) -> ConnectionTest:
        """Run Test connection for a stored source, or of ``values`` laid over it without saving.

        A stored secret is used at the origin for which it was typed, and nowhere else. Raises InvalidInput and
        Rejected for values that could not be saved either.
        """
        leaf = self._registry.find(slug)
        source = self.find(slug)
        started = time.monotonic()
        try:
            config = self._config_to_test(slug, source, values)
        except ProviderUnavailable as exc:
            self._connector.journal.note(slug, caller, exc.reason)
            return ConnectionTest((_unusable(exc.problem), *_not_tried(1)), exc.problem)
        stored = source is not None and values is None
        result = self._run(config, leaf, caller, stored=stored)
        result = replace(result, took_ms=int((time.monotonic() - started) * 1000))
        if result.problem is not None:
            self._connector.journal.note(slug, caller, result.problem.reason)
        if source is not None and stored:
            self.note_check(source.id, _health_of(result), result.took_ms)
        return result

    def _config_to_test(self, slug: str, source: Source | None, values: Mapping[str, Any] | None) -> SourceConfig:
        if not self._switches.connector_on():
            raise ProviderUnavailable.because(Reason.CONNECTOR_DISABLED, "OpenConnector is switched off.")
        if values is None:
            return self._config(self.get(slug), slug)
        draft = read_draft(self._merged(source, values) if source else {"slug": slug, **values})
        root = self._root(draft.slug, draft.location)
        self._check_transport(draft, root)
        self._check_ca_file(draft)
        secret = Secret(draft.secret) if draft.secret is not None else None
        needs_secret = AUTH_SHAPES[draft.auth_kind].secret
        if secret is None and needs_secret:
            if source is None or source.secret is None:
                raise InvalidInput(f"auth.{needs_secret}", f"“auth.{needs_secret}” is missing.")
            if (source.auth_kind, source.secret_origin) != (draft.auth_kind, _binding(root, draft)):
                sentence = "The address changed. Type the password again."
                raise Rejected(sentence, {"auth": sentence})
            secret = self._auth(source, slug).secret
        same = source is not None and self._is_same_client(source, draft, root)
        auth = _auth(draft.auth_kind, draft.auth_fields, secret, origins=_binding(root, draft) if same else "")
        return _config(source.id if source else "unsaved", draft, root, auth, revision=-1)

    def _run(self, config: SourceConfig, leaf: Integration | None, caller: Caller, *, stored: bool) -> ConnectionTest:
        deadline = max(TEST_DEADLINE_S, config.timeout_s or 0)
        steps: list[Step] = []
        for probe in (self._connector.probe_address, self._connector.probe_tls, self._connector.probe_http):
            step, problem = probe(config, deadline_s=deadline)
            steps.append(step)
            if problem is not None:
                return ConnectionTest((*steps, *_not_tried(len(steps))), problem)
        if leaf is None:
            return ConnectionTest(tuple(steps))
        with self._connector.open(config, caller, classify=leaf.classify, deadline_s=deadline, test=True) as upstream:
            result = _run_leaf_steps(steps, leaf, upstream)
            facts = instance_facts(leaf, upstream) if result.ok else {}
        other_instance = self.instances.note(leaf.id, facts) if stored else self.instances.compare(leaf.id, facts)
        if other_instance is None or not result.ok:
            return result
        return replace(result, steps=(*result.steps, _another(other_instance, leaf, config, stored=stored)))

    def accept_instance(self, slug: str, other_instance: str, *, by: Actor) -> None:
        """Say that the instance which the last check found is the one that is meant. Raises NotFound and Conflict."""
        source = self.get(slug)
        self.instances.accept(slug, other_instance)
        check = self.last_check(source)
        if check is not None and check.status == HealthStatus.DEGRADED and check.reason is None:
            check.status = HealthStatus.OK
        tell(AuditAction.INSTANCE_ACCEPTED, slug, by)
        db.session.commit()

    def note_check(self, source_id: str, health: Health, took_ms: int) -> None:
        """Keep what a live check found, for the overview."""
        check = db.session.get(SourceCheck, source_id) or SourceCheck(source_id=source_id)
        check.checked_at, check.status, check.auth_status = health.checked_at, health.status, health.auth_status
        check.reason, check.upstream_user, check.upstream_version = health.reason, health.user, health.version
        check.took_ms = took_ms
        db.session.add(check)
        try:
            db.session.commit()
        except IntegrityError:
            # The source was deleted, or two checks ended at once: the finding is only a note.
            db.session.rollback()


def health_of_problem(problem: Problem) -> Health:
    """What a failed check says about sign-in and reachability."""
    auth = problem.auth_status or {
        Reason.SOURCE_MISSING: AuthStatus.MISSING,
        Reason.SOURCE_UNREADABLE: AuthStatus.MISSING,
        Reason.AUTHENTICATION_EXPIRED: AuthStatus.EXPIRED,
        Reason.CREDENTIALS_REJECTED: AuthStatus.CONFIGURED,
        Reason.FORBIDDEN: AuthStatus.CONFIGURED,
    }.get(problem.reason, AuthStatus.UNKNOWN)
    passing = problem.reason in (Reason.RATE_LIMITED, Reason.BUSY)
    status = HealthStatus.DEGRADED if passing else HealthStatus.UNAVAILABLE
    return Health(status, auth, problem.message, problem.reason)


def health_of_identity(identity: Identity) -> Health:
    return Health(HealthStatus.OK, AuthStatus.CONFIGURED, "The source answers.", None, identity.user, identity.version)


def health_of_other_instance(health: Health, other_instance: OtherInstance, leaf: Integration) -> Health:
    """What a check that went well says of an instance that the links were not made in."""
    return replace(health, status=HealthStatus.DEGRADED, message=other_instance.sentence(leaf.descriptor.upstream))


def instance_facts(leaf: Integration, upstream: Upstream) -> Mapping[str, str]:
    """What tells the instance. That it cannot be asked is no failure of a check that went well."""
    try:
        return leaf.fingerprint(upstream)
    except PanelError:
        return {}


def _health_of(result: ConnectionTest) -> Health:
    if result.problem is not None:
        return health_of_problem(result.problem)
    health = health_of_identity(result.identity or Identity(None, None))
    return replace(health, status=HealthStatus.DEGRADED, message=result.warning) if result.warning else health


def _unusable(problem: Problem) -> Step:
    """The failed first step of a source that cannot be tried."""
    change, field = {
        Reason.SOURCE_UNREADABLE: ("The secret: type it again.", "auth"),
        Reason.SOURCE_INVALID: ("The location.", "location"),
    }.get(problem.reason, ("Turn the connector on.", ""))
    return Step("address", False, problem.message, "Reading the source.", problem.message, change, field)


STEPS = ("address", "tls", "http", "product", "identity", "reading")


def _not_tried(done: int) -> tuple[Step, ...]:
    return tuple(Step(name, None, "Not tried: the step before failed.") for name in STEPS[done:])


def _run_leaf_steps(steps: list[Step], leaf: Integration, upstream: Upstream) -> ConnectionTest:
    """The three steps that only the leaf can judge: is it the product, who am I, may I read."""
    identity = Identity(None, None)
    version = ""

    def product() -> str:
        nonlocal version
        version = leaf.probe_product(upstream)
        return f"Yes, version {version}." if version else "Yes; it does not tell its version."

    def who() -> str:
        nonlocal identity
        found = leaf.probe_identity(upstream)
        identity = Identity(found.user, found.version or version or None)
        return f"Signed in as {found.user}." if found.user else "Nobody: this source does not sign in."

    if upstream.source.auth.oauth is not None:
        # Without a token no call is made at all, so that none of the steps could tell what is wrong.
        step, problem = _attempt("identity", _signing_in(upstream), leaf, upstream.source)
        if problem is not None:
            skipped = Step("product", None, "Not tried: there is no token to ask with.")
            return ConnectionTest((*steps, skipped, step, *_not_tried(5)), problem)
    for name, act in (("product", product), ("identity", who), ("reading", lambda: leaf.probe_reading(upstream))):
        step, problem = _attempt(name, act, leaf, upstream.source)
        steps.append(step)
        if problem is not None:
            return ConnectionTest((*steps, *_not_tried(len(steps))), problem)
    return ConnectionTest(tuple(steps), None, identity)


def _another(other_instance: OtherInstance, leaf: Integration, source: SourceConfig, *, stored: bool) -> Step:
    """The step that warns: everything works, but not where the links were made."""
    upstream = leaf.descriptor.upstream
    meant = "say so" if stored else "save it, test again and say so"
    change = f"The location, if {upstream} is elsewhere. If this one is meant, {meant}: the links then lead into it."
    tried = f"Comparing {source.root} with where the links were made."
    found = other_instance.sentence(upstream)
    return Step("instance", True, found, tried, "Another instance.", change, "location", warns=True)


def _signing_in(upstream: Upstream) -> Callable[[], str]:
    def sign_in() -> str:
        upstream.obtain_credential()
        return "There is a token."

    return sign_in


def _attempt(name: str, act: Callable[[], str], leaf: Integration, source: SourceConfig) -> tuple[Step, Problem | None]:
    started = time.monotonic()
    try:
        message, problem = act(), None
    except ProviderUnavailable as exc:
        message, problem = exc.problem.message, exc.problem
    except PanelError as exc:
        message, problem = str(exc), Problem(Reason.UNEXPECTED_RESPONSE, str(exc))
    took = int((time.monotonic() - started) * 1000)
    if problem is None:
        return Step(name, True, message, took_ms=took), None
    tried, change, field = _remedy(name, problem, leaf, source)
    return Step(name, False, message, tried, problem.message, change, field, took), problem


def _remedy(name: str, problem: Problem, leaf: Integration, source: SourceConfig) -> tuple[str, str, str]:
    """What was tried, what to change, and which field of the form that is."""
    upstream = leaf.descriptor.upstream
    user = f"as {source.auth.username} with the stored secret" if source.auth.username else "with the stored secret"
    if not source.signs_in:
        user = "without signing in"
    if source.auth.oauth is not None and problem.cause is Cause.PROVIDER_AUTH and name == "identity":
        return _oauth_remedy(problem, source.auth.oauth)
    if name == "identity" and problem.reason in (Reason.CREDENTIALS_REJECTED, Reason.AUTHENTICATION_EXPIRED):
        return (
            f"Signing in {user}.",
            f"The secret. If it is right, check that the account is active in {upstream}.",
            "auth",
        )
    if name == "identity" and problem.reason is Reason.FORBIDDEN:
        return f"Signing in {user}.", f"The account's rights in {upstream}, or the way of signing in.", "auth"
    if name == "product":
        return (
            f"Asking {source.root} whether it is {upstream}.",
            f"The location: it must lead to {upstream} itself.",
            "location",
        )
    if name == "reading":
        return f"Reading {user}.", f"The rights of the account in {upstream}.", "auth"
    return f"Asking {source.root}.", "The location, or try again later.", "location"


def _oauth_remedy(problem: Problem, client: OauthClient) -> tuple[str, str, str]:
    tried = f"Signing in with a token of {origin_of(client.token_url)}."
    if problem.reason is Reason.AUTHENTICATION_EXPIRED and client.grant is GrantType.AUTHORIZATION_CODE:
        return tried, "The authorisation: connect this source again.", "connect"
    if problem.reason is Reason.FORBIDDEN:
        return tried, "The scope, or the rights of the client at the provider.", "auth"
    return tried, "Client id and client secret.", "auth"


def _auth(kind: str, fields: Mapping[str, str], secret: Secret | None, *, origins: str) -> Auth:
    header = fields.get("header") or "Authorization"
    oauth = _oauth_client(fields, origins) if kind == AuthKind.OAUTH2 else None
    return Auth(AuthKind(kind), fields.get("username", ""), header, secret, oauth)


def _oauth_client(fields: Mapping[str, str], origins: str) -> OauthClient:
    return OauthClient(
        GrantType(fields["grantType"]), fields["tokenUrl"], fields["clientId"], fields.get("authorizationUrl", ""),
        fields.get("scope", ""), origins,
    )  # fmt: skip


def _given(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _config(source_id: str, draft: Draft, root: str, auth: Auth, *, revision: int) -> SourceConfig:
    return SourceConfig(
        id=source_id,
        slug=draft.slug,
        name=draft.name,
        root=root,
        auth=auth,
        headers=draft.headers,
        options=draft.options,
        rate_limit=draft.rate_limit,
        max_concurrency=draft.max_concurrency,
        timeout_s=draft.timeout_s,
        ca_file=draft.ca_file,
        revision=revision,
    )


def _binding(root: str, draft: Draft) -> str:
    """The origin (for OAuth: both origins) to which the secret belongs."""
    token_url = draft.auth_fields.get("tokenUrl")
    return f"{origin_of(root)} {origin_of(token_url)}" if token_url else origin_of(root)


def _new(slug: str) -> Source:
    return Source(slug=slug, location="")


def _new_id() -> str:
    return uuid.uuid4().hex
