"""Test connection: calls the upstream step by step and reports the failed step and the setting to change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from panel.connector import Caller, Connector, Secret, SourceConfig, Upstream, origin_of
from panel.core.domain import ConnectionTest, Health, Identity, Problem, Step
from panel.core.errors import PanelError, ProviderUnavailable
from panel.core.health import HealthStatus
from panel.core.messages import Message, _
from panel.core.reasons import Cause, Reason
from panel.credentials.vault import Unreadable
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.logs.audit import Actor, AuditAction
from panel.sources.audit_lines import record
from panel.sources.auth_fields import AUTH_SHAPES
from panel.sources.checks import NOBODY, SourceChecks, health_of_identity, health_of_problem, instance_facts
from panel.sources.draft import Draft
from panel.sources.instances import Instances, OtherInstance
from panel.sources.resolver import Credentials, auth_of, secret_origins, source_config, unreadable
from panel.sources.service import Sources, new_source
from panel.storage.engine import db
from panel.storage.models import Source

TEST_DEADLINE_S = 10.0
_CHANGE_STORED = _(
    "The location, if {upstream} is elsewhere. If this one is meant, say so: the links then lead into it."
)
_CHANGE_UNSAVED = _(
    "The location, if {upstream} is elsewhere. If this one is meant, save it, test again and say so: "
    "the links then lead into it."
)
STEPS = ("address", "tls", "http", "product", "identity", "reading")


class ConnectionTests:
    """Runs Test connection for stored sources and for unsaved settings."""

    def __init__(
        self, registry: Registry, sources: Sources, connector: Connector, checks: SourceChecks, instances: Instances
    ) -> None:
        self._registry = registry
        self._sources = sources
        self._resolver = sources.resolver
        self._connector = connector
        self._checks = checks
        self._instances = instances

    def run(self, slug: str, values: Mapping[str, Any] | None = None, *, caller: Caller) -> ConnectionTest:
        """Run Test connection for a stored source, or with ``values`` merged into it without saving.

        A stored secret is sent only to the origin for which it was entered. Raises InvalidInput and Rejected for
        values that could not be saved.
        """
        leaf = self._registry.find(slug)
        source = self._resolver.find(slug)
        started = time.monotonic()
        try:
            config = self._config_to_test(slug, source, values)
        except ProviderUnavailable as exc:
            self._connector.journal.note(slug, caller, exc.reason)
            return ConnectionTest((_unusable(exc.problem), *_not_tried(1)), exc.problem)
        stored = source is not None and values is None
        result = self._steps(config, leaf, caller, stored=stored)
        result = replace(result, took_ms=int((time.monotonic() - started) * 1000))
        if result.problem is not None:
            self._connector.journal.note(slug, caller, result.problem.reason)
        if source is not None and stored:
            self._checks.note(source.id, _health_of(result), result.took_ms)
        return result

    def _config_to_test(self, slug: str, source: Source | None, values: Mapping[str, Any] | None) -> SourceConfig:
        self._resolver.require_connector()
        if values is None:
            return self._resolver.config(self._sources.get(slug), slug)
        draft = self._resolver.read(self._sources.merged(source, values) if source else {"slug": slug, **values})
        root = self._resolver.root(draft.slug, draft.location)
        self._sources.check_transport(draft, root)
        stored = source or new_source(slug)
        self._sources.require_secrets(stored, draft, root)
        secret, headers = self._secret_to_test(stored, draft), self._headers_to_test(stored, draft)
        origins = secret_origins(root, draft.auth_fields)
        same = source is not None and self._sources.is_same_client(source, draft, root)
        auth = auth_of(draft.auth_kind, draft.auth_fields, secret, origins=origins if same else "")
        credentials = Credentials(auth, headers)
        return source_config(source.id if source else "unsaved", draft, root, credentials, revision=-1)

    def _secret_to_test(self, source: Source, draft: Draft) -> Secret | None:
        if draft.secret is not None:
            return Secret(draft.secret)
        try:
            return self._resolver.stored_secret(source) if AUTH_SHAPES[draft.auth_kind].secret else None
        except Unreadable as exc:
            raise ProviderUnavailable(unreadable(source.slug, source.slug)) from exc

    def _headers_to_test(self, source: Source, draft: Draft) -> Mapping[str, str]:
        values = self._sources.header_values(source, draft)
        try:
            return self._resolver.stored_headers(source) if values is None else values
        except Unreadable as exc:
            raise ProviderUnavailable(unreadable(source.slug, source.slug)) from exc

    def accept_instance(self, slug: str, other_instance: str, *, by: Actor) -> None:
        """Accept the other instance that the last check found as the right one. Raises NotFound and Conflict."""
        source = self._sources.get(slug)
        self._instances.accept(slug, other_instance)
        check = self._checks.last(source)
        if check is not None and check.status == HealthStatus.DEGRADED and check.reason is None:
            check.status = HealthStatus.OK
        record(AuditAction.INSTANCE_ACCEPTED, slug, by)
        db.session.commit()

    def _steps(self, config: SourceConfig, leaf: Integration | None, caller: Caller, *, stored: bool) -> ConnectionTest:
        deadline = max(TEST_DEADLINE_S, config.timeout_s or 0)
        steps: list[Step] = []
        for probe in (self._connector.probe_address, self._connector.probe_tls, self._connector.probe_http):
            step, problem = probe(config, deadline_s=deadline)
            steps.append(step)
            if problem is not None:
                return ConnectionTest((*steps, *_not_tried(len(steps))), problem)
        if leaf is None:
            return ConnectionTest(tuple(steps))
        with self._connector.open(config, caller, classify=leaf.problem_of, deadline_s=deadline, test=True) as upstream:
            result = _run_leaf_steps(steps, leaf, upstream)
            facts = instance_facts(leaf, upstream) if result.ok else {}
        other_instance = self._instances.note(leaf.id, facts) if stored else self._instances.compare(leaf.id, facts)
        if other_instance is None or not result.ok:
            return result
        return replace(result, steps=(*result.steps, _instance_step(other_instance, leaf, config, stored=stored)))


def _health_of(result: ConnectionTest) -> Health:
    if result.problem is not None:
        return health_of_problem(result.problem)
    health = health_of_identity(result.identity or Identity(None, None))
    return replace(health, status=HealthStatus.DEGRADED, message=result.warning) if result.warning else health


def _unusable(problem: Problem) -> Step:
    """The failed first step of a source that cannot be called."""
    return Step("address", False, problem.message, _("Reading the source."), problem.message, problem.setting)


def _not_tried(done: int) -> tuple[Step, ...]:
    return tuple(Step(name, None, _("Not tried: the step before failed.")) for name in STEPS[done:])


def _run_leaf_steps(steps: list[Step], leaf: Integration, upstream: Upstream) -> ConnectionTest:
    """Run the three steps that depend on the leaf: product, identity and reading."""
    identity = Identity(None, None)
    version = ""

    def product() -> str:
        nonlocal version
        version = leaf.probe_product(upstream)
        return _("Yes, version {version}.", version=version) if version else _("Yes; it does not report its version.")

    def identify() -> str:
        nonlocal identity
        result = leaf.probe_identity(upstream)
        identity = Identity(result.user, result.version or version or None)
        if not upstream.source.signs_in:
            return NOBODY
        return (
            _("Signed in as {user}.", user=result.user)
            if result.user
            else _("Signed in; the name of the account is not known.")
        )

    if upstream.source.auth.oauth is not None:
        # Without a token no call is sent, so that the other steps could not show the cause.
        step, problem = _attempt("identity", _signing_in(upstream), leaf, upstream.source)
        if problem is not None:
            skipped = Step("product", None, _("Not tried: there is no token for the call."))
            return ConnectionTest((*steps, skipped, step, *_not_tried(5)), problem)
    for name, act in (("product", product), ("identity", identify), ("reading", lambda: leaf.probe_reading(upstream))):
        step, problem = _attempt(name, act, leaf, upstream.source)
        steps.append(step)
        if problem is not None:
            return ConnectionTest((*steps, *_not_tried(len(steps))), problem)
    return ConnectionTest(tuple(steps), None, identity)


def _instance_step(other_instance: OtherInstance, leaf: Integration, source: SourceConfig, *, stored: bool) -> Step:
    """The step that warns that the source works, but leads to another instance than the links."""
    upstream = leaf.descriptor.upstream
    change = _CHANGE_STORED if stored else _CHANGE_UNSAVED
    tried = _("Comparing {root} with where the links were made.", root=source.root)
    message = other_instance.sentence(upstream)
    return Step(
        "instance",
        True,
        message,
        tried,
        _("Another instance."),
        "location",
        warns=True,
        change=change.filled(upstream=upstream),
    )


def _signing_in(upstream: Upstream) -> Callable[[], str]:
    def sign_in() -> str:
        upstream.obtain_credential()
        return _("A token was issued.")

    return sign_in


def _attempt(name: str, act: Callable[[], str], leaf: Integration, source: SourceConfig) -> tuple[Step, Problem | None]:
    started = time.monotonic()
    try:
        message, problem = act(), None
    except ProviderUnavailable as exc:
        message, problem = exc.problem.message, exc.problem
    except PanelError as exc:
        message, problem = exc.message, Problem(Reason.UNEXPECTED_RESPONSE, exc.message)
    took = int((time.monotonic() - started) * 1000)
    if problem is None:
        return Step(name, True, message, took_ms=took), None
    tried = _attempted(name, problem, leaf, source)
    return Step(name, False, message, tried, problem.message, problem.setting, took), problem


def _attempted(name: str, problem: Problem, leaf: Integration, source: SourceConfig) -> str:
    """What a failed step did, as a sentence."""
    if name == "product":
        return _("Checking whether {root} is {upstream}.", root=source.root, upstream=leaf.descriptor.upstream)
    if problem.cause is not Cause.PROVIDER_AUTH and name == "identity":
        return _("Calling {address}.", address=source.root)
    if source.auth.oauth is not None and name == "identity":
        return _("Signing in with a token of {origin}.", origin=origin_of(source.auth.oauth.token_url))
    return _signing_in_words(source) if name == "identity" else _reading_words(source)


def _signing_in_words(source: SourceConfig) -> Message:
    if not source.signs_in:
        return _("Signing in without signing in.")
    if not source.auth.username:
        return _("Signing in with the stored secret.")
    return _("Signing in as {user} with the stored secret.", user=source.auth.username)


def _reading_words(source: SourceConfig) -> Message:
    if not source.signs_in:
        return _("Reading without signing in.")
    if not source.auth.username:
        return _("Reading with the stored secret.")
    return _("Reading as {user} with the stored secret.", user=source.auth.username)
