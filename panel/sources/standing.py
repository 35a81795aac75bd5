"""How a source stands, by what its last calls met. Pages and JSON that call no upstream ask this module only.

The latest of these decides: the last answer, the last failed call, the last check. An open breaker or a wait that the
upstream asked for goes before, and so does missing consent. What is older than ``HOLDS`` says nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from panel.connector import Breaker, Traffic
from panel.core.clock import now
from panel.core.health import AuthStatus, HealthStatus
from panel.core.reasons import Reason
from panel.logs.outcomes import CallOutcomes, LastOutcomes
from panel.sources.checks import SourceChecks, reason_of
from panel.sources.connector_switch import Switches
from panel.sources.service import Sources
from panel.storage.models import Source, SourceCheck

HOLDS = timedelta(hours=1)
"""How long an outcome says how the source is. A failure that only a change of settings ends says it until then."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source stands. ``status`` is None while nothing recent is known."""

    status: HealthStatus | None = None
    auth: AuthStatus = AuthStatus.UNKNOWN
    reason: Reason | None = None
    at: datetime | None = None
    """When this was met."""
    answered_at: datetime | None = None
    """When the source last answered."""
    user: str = ""
    """The upstream's name for our account, from the last check."""
    took_ms: int = 0
    """The duration of the last check, if that was the last call."""
    traffic: Traffic | None = None
    """The limits of the source, which were read for this."""

    @property
    def failed(self) -> bool:
        return self.status not in (None, HealthStatus.OK)


_UNKNOWN = Standing()


class Standings:
    """Reads how sources stand. Makes no upstream call."""

    def __init__(self, sources: Sources, checks: SourceChecks, outcomes: CallOutcomes, switches: Switches) -> None:
        self._sources = sources
        self._switches = switches
        self._checks = checks
        self._outcomes = outcomes

    def of(self, source: Source | None) -> Standing:
        """``all`` for one source; unknown without a source."""
        return self.all([source])[source.id] if source is not None else _UNKNOWN

    def all(self, sources: Sequence[Source | None]) -> dict[str, Standing]:
        """How each source stands, by its id."""
        known = [source for source in sources if source is not None]
        outcomes = self._outcomes.of([source.id for source in known])
        traffic = self._sources.traffic(known) if known else []
        on = self._switches.connector_on()
        return {
            source.id: self._standing(source, outcomes.get(source.id, LastOutcomes()), flow, on=on)
            for source, flow in zip(known, traffic, strict=True)
        }

    def _standing(self, source: Source, outcomes: LastOutcomes, traffic: Traffic, *, on: bool) -> Standing:
        check, consent = self._checks.current(source), self._sources.consent(source)
        met = _met(outcomes, check, source)
        if consent in (AuthStatus.MISSING, AuthStatus.EXPIRED):
            met = replace(_failure(Reason.AUTHENTICATION_EXPIRED, met.at), auth=consent)
        elif (reason := _held_back(traffic, met)) is not None:
            met = _failure(reason, now())
        if not (on and source.enabled):
            met = Standing(auth=met.auth, at=met.at)
        user = check.upstream_user or "" if check is not None and met.reason is None else ""
        return replace(met, answered_at=_latest_answer(outcomes, check), user=user, traffic=traffic)


def _met(outcomes: LastOutcomes, check: SourceCheck | None, source: Source) -> Standing:
    """The latest that was met. Answers of another instance than that of the links are no sign of health."""
    met = _latest([*_called(outcomes, source), *_checked(check)])
    is_other = check is not None and check.status == HealthStatus.DEGRADED and check.reason is None
    return replace(met, status=HealthStatus.DEGRADED) if is_other and met.status is HealthStatus.OK else met


def _called(outcomes: LastOutcomes, source: Source) -> list[Standing]:
    """What calls met since the source was saved."""
    found = []
    if outcomes.failed_at is not None and outcomes.failed_why is not None:
        found.append(_failure(outcomes.failed_why, outcomes.failed_at))
    if outcomes.answered_at is not None:
        found.append(Standing(HealthStatus.OK, AuthStatus.CONFIGURED, None, outcomes.answered_at))
    return [one for one in found if one.at is not None and one.at >= source.updated_at]


def _checked(check: SourceCheck | None) -> list[Standing]:
    if check is None:
        return []
    status, auth = HealthStatus(check.status), AuthStatus(check.auth_status)
    return [Standing(status, auth, reason_of(check), check.checked_at, took_ms=check.took_ms)]


def _latest(met: Sequence[Standing]) -> Standing:
    """The latest that still holds."""
    return max((one for one in met if _holds(one)), key=_moment, default=_UNKNOWN)


def _moment(met: Standing) -> datetime:
    assert met.at is not None  # noqa: S101  (what was met has a time)
    return met.at


def _holds(met: Standing) -> bool:
    lasts = met.reason is not None and not met.reason.facts.temporary and not met.reason.facts.held_back
    return lasts or _moment(met) > now() - HOLDS


def _failure(reason: Reason, at: datetime | None) -> Standing:
    return Standing(reason.facts.health, reason.facts.auth, reason, at)


def _held_back(traffic: Traffic, met: Standing) -> Reason | None:
    """Why the next call would be refused by the panel itself; the reason of the failures where they are known."""
    if traffic.breaker is Breaker.OPEN:
        return met.reason or Reason.CIRCUIT_OPEN
    return Reason.RATE_LIMITED if traffic.held_until is not None else None


def _latest_answer(outcomes: LastOutcomes, check: SourceCheck | None) -> datetime | None:
    checked = check.checked_at if check is not None and check.status == HealthStatus.OK else None
    return max((at for at in (outcomes.answered_at, checked) if at is not None), default=None)
