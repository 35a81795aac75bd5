"""The status of each integration on the admin pages: badges, notice and order.

Reads what the last calls met and calls no upstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from panel.core.domain import Problem
from panel.core.health import AuthStatus, HealthStatus
from panel.core.messages import _
from panel.core.reasons import Cause
from panel.integrations.contract import Integration
from panel.services import Panel
from panel.sources.instances import OtherInstance
from panel.sources.service import Usage
from panel.sources.standing import Standing
from panel.storage.models import Source
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
    standing: Standing
    version: str
    """The version of the upstream, by the last check."""
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


def integration_statuses(panel: Panel, standings: Mapping[str, Standing]) -> list[IntegrationStatus]:
    """Every integration, those that need action first."""
    rows = [integration_status(panel, leaf, standings) for leaf in panel.registry.all()]
    return sorted(rows, key=lambda row: row.rank)


def integration_status(panel: Panel, leaf: Integration, standings: Mapping[str, Standing]) -> IntegrationStatus:
    """``standings`` are those of all sources, by their id."""
    source = panel.sources.find(leaf.id)
    usage = panel.sources.usage(leaf.id)
    standing = standings[source.id] if source is not None else Standing()
    check = panel.checks.current(source)
    consent = panel.sources.consent(source) if source is not None else None
    failure = _notice(leaf, source, standing, usage, consent)
    is_hidden = source is None or not source.enabled or failure is not None
    return IntegrationStatus(
        leaf,
        source,
        standing,
        check.upstream_version or "" if check is not None else "",
        usage,
        origin=_origin(leaf),
        storage=STORAGE.get(leaf.descriptor.storage_strategy, leaf.descriptor.storage_strategy.capitalize()),
        auth=auth_badge(source, standing, consent),
        health=health_badge(source, standing, connector_on=panel.switches.connector_on()),
        notice=failure,
        other_instance=None if is_hidden else panel.instances.other_instance(leaf.id),
    )


def _origin(leaf: Integration) -> str:
    """Where the leaf is from: this tree, or an installed package."""
    package = type(leaf).__module__.partition(".")[0]
    return _("built in") if package == "panel" else package


def last_checked(rows: Sequence[IntegrationStatus]) -> datetime | None:
    return max((row.standing.at for row in rows if row.standing.at is not None), default=None)


NO_CONSENT = {AuthStatus.MISSING: _("not connected yet"), AuthStatus.EXPIRED: _("connect again")}


def auth_badge(source: Source | None, standing: Standing, consent: AuthStatus | None) -> Badge:
    """``consent`` is the stored status of the authorization code grant. It takes precedence over what calls met."""
    if source is None:
        return Badge(_("Missing"), "none", _("no source"))
    if consent in NO_CONSENT:
        return Badge(*AUTH_BADGES[consent], NO_CONSENT[consent])
    if standing.at is None:
        return Badge(_("Unknown"), "none", _("not checked yet"))
    word, severity = AUTH_BADGES[standing.auth]
    refused = standing.reason is not None and standing.reason.cause is Cause.PROVIDER_AUTH
    return Badge(word, "warn" if refused else severity, _auth_detail(source, standing))


def _auth_detail(source: Source, standing: Standing) -> str:
    if standing.user:
        return _("as {name}", name=standing.user)
    if source.auth_kind == "none":
        return _("without an account")
    return WORDS[standing.reason].sign_in if standing.reason is not None else ""


def health_badge(source: Source | None, standing: Standing, *, connector_on: bool) -> Badge:
    if source is not None and not connector_on:
        return Badge(_("Not checked"), "none", _("the connector is off"))
    if source is not None and not source.enabled:
        return Badge(_("Not checked"), "none", _("the source is switched off"))
    if standing.status is None:
        return Badge(_("Not checked"), "none")
    word, severity = HEALTH_BADGES[standing.status]
    if standing.reason is not None:
        return Badge(word, severity, WORDS[standing.reason].short)
    if standing.status is HealthStatus.DEGRADED:
        return Badge(word, severity, _("another instance"))
    return Badge(word, severity, _("{ms} ms", ms=standing.took_ms) if standing.took_ms else "")


def _notice(
    leaf: Integration, source: Source | None, standing: Standing, usage: Usage, consent: AuthStatus | None
) -> Notice | None:
    """The notice of an enabled source whose last call failed."""
    reason = standing.reason
    if source is None or not source.enabled or reason is None:
        return None
    message = _("A setting of this source is not valid; test the connection to see which.")
    problem = Problem(reason, message, auth_status=consent)
    return notice(problem, leaf, admin=True, links=usage.links)
