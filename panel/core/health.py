"""The health of a source and the status of its sign-in, as enumerations."""

from __future__ import annotations

from enum import StrEnum


class HealthStatus(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


class AuthStatus(StrEnum):
    CONFIGURED = "configured"
    MISSING = "missing"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
