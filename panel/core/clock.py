"""The clock of the services."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, timezone-aware and in UTC. Services use no other clock."""
    return datetime.now(UTC)
