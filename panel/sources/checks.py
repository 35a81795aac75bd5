"""The last check of each source, and what its result means for health and sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy.exc import IntegrityError

from panel.connector import Upstream
from panel.core.domain import Health, Identity, Problem
from panel.core.errors import PanelError
from panel.core.health import AuthStatus, HealthStatus
from panel.core.messages import _
from panel.core.reasons import Reason
from panel.integrations.contract import Integration
from panel.sources.instances import OtherInstance
from panel.storage.engine import db
from panel.storage.models import Source, SourceCheck

NOBODY = _("Nobody is signed in; what everybody may see is shown.")
"""What a source without sign-in reads."""


class SourceChecks:
    """Stores one row per source: the result of its last check."""

    def last(self, source: Source) -> SourceCheck | None:
        return db.session.get(SourceCheck, source.id)

    def current(self, source: Source | None) -> SourceCheck | None:
        """The last check, or None when it does not apply to the present source.

        It does not apply when the source was changed since, or when a switch kept the check from calling the upstream.
        """
        check = self.last(source) if source is not None else None
        if source is None or check is None or check.checked_at < source.updated_at:
            return None
        reason = reason_of(check)
        return None if reason is not None and reason.facts.switched_off else check

    def note(self, source_id: str, health: Health, took_ms: int) -> None:
        """Store the result of a live check for the overview."""
        check = db.session.get(SourceCheck, source_id) or SourceCheck(source_id=source_id)
        check.checked_at, check.status, check.auth_status = health.checked_at, health.status, health.auth_status
        check.reason, check.upstream_user, check.upstream_version = health.reason, health.user, health.version
        check.took_ms = took_ms
        db.session.add(check)
        try:
            db.session.commit()
        except IntegrityError:
            # The source was deleted, or two checks ended at the same time. The result of a check may be lost.
            db.session.rollback()


def reason_of(check: SourceCheck) -> Reason | None:
    return Reason(check.reason) if check.reason else None


def health_of_problem(problem: Problem) -> Health:
    """The health and sign-in status after a failed check."""
    facts = problem.reason.facts
    return Health(facts.health, problem.auth_status or facts.auth, problem.message, problem.reason)


def health_of_identity(identity: Identity, *, signs_in: bool = True) -> Health:
    """The health after a successful check. ``signs_in`` tells whether the source has an account."""
    message = _("The source answers.") if signs_in else NOBODY
    return Health(HealthStatus.OK, AuthStatus.CONFIGURED, message, None, identity.user, identity.version)


def health_of_other_instance(health: Health, other_instance: OtherInstance, leaf: Integration) -> Health:
    """The health after a successful check of another instance than that of the links."""
    return replace(health, status=HealthStatus.DEGRADED, message=other_instance.sentence(leaf.descriptor.upstream))


def instance_facts(leaf: Integration, upstream: Upstream) -> Mapping[str, str]:
    """The fingerprint of the instance; empty when it cannot be read, which does not fail the check."""
    try:
        return leaf.fingerprint(upstream)
    except PanelError:
        return {}
