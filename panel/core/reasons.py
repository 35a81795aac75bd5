"""The reasons of failures and their facts: one row for each reason.

A reason without a row stops the start. The texts for people are in ``panel/web/reason_words.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from panel.core.health import AuthStatus, HealthStatus


class Cause(StrEnum):
    """Why an upstream item cannot be shown. Hosts and agents distinguish these four values."""

    CONNECTOR_DOWN = "openconnector-down"
    SOURCE_MISSING = "openconnector-source-missing"
    PROVIDER_AUTH = "provider-auth"
    UPSTREAM_DOWN = "upstream-service-down"


class Reason(StrEnum):
    """The detailed diagnosis. Each reason has exactly one cause."""

    CONNECTOR_DISABLED = "connector-disabled"

    SOURCE_MISSING = "source-missing"
    SOURCE_DISABLED = "source-disabled"
    SOURCE_UNREADABLE = "source-unreadable"
    SOURCE_INVALID = "source-invalid"

    CREDENTIALS_REJECTED = "credentials-rejected"
    AUTHENTICATION_EXPIRED = "authentication-expired"
    FORBIDDEN = "forbidden"

    DNS = "dns"
    ADDRESS_NOT_ALLOWED = "address-not-allowed"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    BUSY = "busy"
    CIRCUIT_OPEN = "circuit-open"
    RATE_LIMITED = "rate-limited"
    SERVER_ERROR = "server-error"
    UNEXPECTED_RESPONSE = "unexpected-response"
    UNEXPECTED_REDIRECT = "unexpected-redirect"
    TOO_LARGE = "too-large"

    @property
    def facts(self) -> Facts:
        return FACTS[self]

    @property
    def cause(self) -> Cause:
        return FACTS[self].cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How the panel handles a reason, and which state of the source it implies."""

    cause: Cause
    sent: bool = True
    """Whether a request may have gone upstream when the call has no status."""
    held_back: bool = False
    """Whether the panel itself refused the call: a switch, a limit or the breaker. Not a failure of the source."""
    switched_off: bool = False
    """Whether a switch of the panel is the reason, so that the upstream was not called."""
    opens_breaker: bool = False
    """Whether the breaker counts it as a failure. A refused credential or a used-up limit does not count."""
    worth_retry: bool = False
    """Whether a failed read is repeated once."""
    temporary: bool = False
    """Whether it can end without a change of settings, so that a token that is still valid stays in use."""
    other_product: bool = False
    """Whether the answer may be that of another product than the one that was looked for."""
    health: HealthStatus = HealthStatus.UNAVAILABLE
    auth: AuthStatus = AuthStatus.UNKNOWN
    field: str = ""
    """The setting of the source that is wrong in most cases; "" where no setting is wrong."""


FACTS: Mapping[Reason, Facts] = {
    Reason.CONNECTOR_DISABLED: Facts(cause=Cause.CONNECTOR_DOWN, sent=False, held_back=True, switched_off=True),
    Reason.SOURCE_MISSING: Facts(
        cause=Cause.SOURCE_MISSING, sent=False, held_back=True, auth=AuthStatus.MISSING
    ),
    Reason.SOURCE_DISABLED: Facts(
        cause=Cause.SOURCE_MISSING, sent=False, held_back=True, switched_off=True, field="enabled"
    ),
    Reason.SOURCE_UNREADABLE: Facts(
        cause=Cause.SOURCE_MISSING, sent=False, auth=AuthStatus.MISSING, field="auth"
    ),
    Reason.SOURCE_INVALID: Facts(cause=Cause.SOURCE_MISSING, sent=False),
    Reason.CREDENTIALS_REJECTED: Facts(
        cause=Cause.PROVIDER_AUTH, other_product=True, auth=AuthStatus.CONFIGURED, field="auth"
    ),
    Reason.AUTHENTICATION_EXPIRED: Facts(cause=Cause.PROVIDER_AUTH, auth=AuthStatus.EXPIRED, field="connect"),
    Reason.FORBIDDEN: Facts(
        cause=Cause.PROVIDER_AUTH, other_product=True, auth=AuthStatus.CONFIGURED, field="auth"
    ),
    Reason.DNS: Facts(cause=Cause.UPSTREAM_DOWN, opens_breaker=True, temporary=True, field="location"),
    Reason.ADDRESS_NOT_ALLOWED: Facts(cause=Cause.UPSTREAM_DOWN, sent=False, field="location"),
    Reason.CONNECT: Facts(
        cause=Cause.UPSTREAM_DOWN, opens_breaker=True, worth_retry=True, temporary=True, field="location"
    ),
    Reason.TLS: Facts(cause=Cause.UPSTREAM_DOWN, opens_breaker=True, temporary=True, field="ca_file"),
    Reason.TIMEOUT: Facts(cause=Cause.UPSTREAM_DOWN, opens_breaker=True, temporary=True, field="timeout_s"),
    Reason.BUSY: Facts(
        cause=Cause.UPSTREAM_DOWN, sent=False, held_back=True, temporary=True, health=HealthStatus.DEGRADED,
        field="max_concurrency",
    ),
    Reason.CIRCUIT_OPEN: Facts(cause=Cause.UPSTREAM_DOWN, sent=False, held_back=True, temporary=True),
    Reason.RATE_LIMITED: Facts(
        cause=Cause.UPSTREAM_DOWN, sent=False, held_back=True, temporary=True, health=HealthStatus.DEGRADED,
        field="rate_limit",
    ),
    Reason.SERVER_ERROR: Facts(cause=Cause.UPSTREAM_DOWN, opens_breaker=True, worth_retry=True, temporary=True),
    Reason.UNEXPECTED_RESPONSE: Facts(
        cause=Cause.UPSTREAM_DOWN, opens_breaker=True, other_product=True, field="location"
    ),
    Reason.UNEXPECTED_REDIRECT: Facts(cause=Cause.UPSTREAM_DOWN, opens_breaker=True, field="location"),
    Reason.TOO_LARGE: Facts(cause=Cause.UPSTREAM_DOWN, opens_breaker=True),
}  # fmt: skip


def require_rows(table: Mapping[Reason, object], where: str) -> None:
    """Raises LookupError naming the first reason that has no row in ``table``."""
    for reason in Reason:
        if reason not in table:
            raise LookupError(f"The reason {reason.value} has no row in {where}.")


require_rows(FACTS, "FACTS of panel/core/reasons.py")
