"""The status of each integration on the admin pages: badges, notice and order.

Reads the results of the last checks and calls no upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from panel.core.domain import Problem
from panel.core.health import AuthStatus, HealthStatus
from panel.core.messages import _
from panel.core.reasons import Cause, Reason
from panel.integrations.contract import Integration
from panel.services import Panel
from panel.sources.checks import reason_of
from panel.sources.instances import OtherInstance
from panel.sources.service import Usage
from panel.storage.models import Source, SourceCheck
from panel.web.notices import Notice, notice
from panel.web.reason_words import WORDS


@dataclass(frozen=True, slots=True)
class Badge:
    """One state: a word, its severity (``ok``, ``warn``, ``bad`` or ``none``), and a line below it."""

    word: str
    severity: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class IntegrationStatus:
    """A row of the overview. ``notice`` is set when an administrator has to act."""

    leaf: Integration
    source: Source | None
    check: SourceCheck | None
    usage: Usage
    origin: str
    storage: str
    auth: Badge
    health: Badge
    notice: Notice | None = None
    other_instance: OtherInstance | None = None
    """Set when the source works, but leads to another instance than the links."""

    @property
    def needs_action(self) -> bool:
        return self.notice is not None or self.other_instance is not None

    @property
    def rank(self) -> int:
        """Rows with a problem first, then the other sources, then integrations without a source."""
        if self.needs_action:
            return 0
        if self.source is None:
            return 3
        return 1 if self.health.severity in ("warn", "bad") else 2


AUTH_BADGES = {
    AuthStatus.CONFIGURED: (_("Configured"), "ok"),
    AuthStatus.MISSING: (_("Missing"), "warn"),
    AuthStatus.EXPIRED: (_("Expired"), "warn"),
    AuthStatus.UNKNOWN: (_("Unknown"), "none"),
}

STORAGE = {"external": _("External")}

HEALTH_BADGES = {
    HealthStatus.OK: (_("OK"), "ok"),
    HealthStatus.DEGRADED: (_("Degraded"), "warn"),
    HealthStatus.UNAVAILABLE: (_("Unavailable"), "bad"),
}


def integration_statuses(panel: Panel) -> list[IntegrationStatus]:
    """Every integration, those that need action first."""
    rows = [integration_status(panel, leaf) for leaf in panel.registry.all()]
    return sorted(rows, key=lambda row: row.rank)


def integration_status(panel: Panel, leaf: Integration) -> IntegrationStatus:
    source = panel.sources.find(leaf.id)
    usage = panel.sources.usage(leaf.id)
    check = panel.checks.current(source)
    consent = panel.sources.consent(source) if source is not None else None
    failure = _notice(leaf, source, check, usage, consent)
    is_hidden = source is None or not source.enabled or failure is not None
    return IntegrationStatus(
        leaf,
        source,
        check,
        usage,
        origin=_origin(leaf),
        storage=STORAGE.get(leaf.descriptor.storage_strategy, leaf.descriptor.storage_strategy.capitalize()),
        auth=auth_badge(source, check, consent),
        health=health_badge(source, check, connector_on=panel.switches.connector_on()),
        notice=failure,
        other_instance=None if is_hidden else panel.instances.other_instance(leaf.id),
    )


def _origin(leaf: Integration) -> str:
    """Where the leaf is from: this tree, or an installed package."""
    package = type(leaf).__module__.partition(".")[0]
    return _("built in") if package == "panel" else package


def last_checked(rows: Sequence[IntegrationStatus]) -> datetime | None:
    return max((row.check.checked_at for row in rows if row.check is not None), default=None)


NO_CONSENT = {AuthStatus.MISSING: _("not connected yet"), AuthStatus.EXPIRED: _("connect again")}


def auth_badge(source: Source | None, check: SourceCheck | None, consent: AuthStatus | None) -> Badge:
    """``consent`` is the stored status of the authorization code grant. It takes precedence over the checks."""
    if source is None:
        return Badge(_("Missing"), "none", _("no source"))
    if consent in NO_CONSENT:
        return Badge(*AUTH_BADGES[consent], NO_CONSENT[consent])
    if check is None:
        return Badge(_("Unknown"), "none", _("not checked yet"))
    word, severity = AUTH_BADGES[AuthStatus(check.auth_status)]
    reason = reason_of(check)
    refused = reason is not None and reason.cause is Cause.PROVIDER_AUTH
    return Badge(word, "warn" if refused else severity, _auth_detail(source, check))


def _auth_detail(source: Source, check: SourceCheck) -> str:
    if check.upstream_user:
        return _("as {name}", name=check.upstream_user)
    if source.auth_kind == "none":
        return _("without an account")
    reason = reason_of(check)
    return WORDS[reason].sign_in if reason is not None else ""


def health_badge(source: Source | None, check: SourceCheck | None, *, connector_on: bool) -> Badge:
    if source is None:
        return Badge(_("Not checked"), "none")
    if not connector_on:
        return Badge(_("Not checked"), "none", _("the connector is off"))
    if not source.enabled:
        return Badge(_("Not checked"), "none", _("the source is switched off"))
    if check is None:
        return Badge(_("Not checked"), "none")
    word, severity = HEALTH_BADGES[HealthStatus(check.status)]
    reason = reason_of(check)
    if reason is not None:
        return Badge(word, severity, WORDS[reason].short)
    if check.status == HealthStatus.DEGRADED:
        return Badge(word, severity, _("another instance"))
    return Badge(word, severity, _("{ms} ms", ms=check.took_ms) if check.took_ms else "")


def _notice(
    leaf: Integration, source: Source | None, check: SourceCheck | None, usage: Usage, consent: AuthStatus | None
) -> Notice | None:
    """The notice of an enabled source whose last check failed."""
    reason = Reason.AUTHENTICATION_EXPIRED if consent in NO_CONSENT else reason_of(check) if check is not None else None
    if source is None or not source.enabled or reason is None:
        return None
    message = _("A setting of this source is not valid; test the connection to see which.")
    problem = Problem(reason, message, auth_status=consent)
    return notice(problem, leaf, admin=True, links=usage.links)
