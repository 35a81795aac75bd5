"""The words for the state of a source and of its sign-in."""

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
