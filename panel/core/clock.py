"""The clock of the services."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware and in UTC. Services read no other clock."""
    return datetime.now(UTC)
