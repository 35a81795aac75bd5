"""The caller of a call, and the journal that records calls.

Of the connector it imports only ``source``, so that every other module can use these types without a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from panel.connector.source import SourceConfig
from panel.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made, for the call log and the rate limit: face, principal and request id."""

    face: str
    principal: str
    request_id: str = ""
    key: str = ""
    """Distinguishes principals of the same name."""

    @property
    def budget(self) -> str:
        """Whose share of a rate limit the call takes."""
        return self.key or self.principal


class Journal(Protocol):
    """Records every call, without query values, bodies or secrets."""

    def record(
        self,
        source: SourceConfig,
        caller: Caller,
        where: str,
        status: int | None,
        reason: Reason | None,
        ms: int,
        size: int = 0,
        served: int = 1,
    ) -> None:
        """Record one call: its duration in ms, the size of its body in bytes, and how many callers it answered."""
        ...

    def note(self, slug: str, caller: Caller, reason: Reason) -> None:
        """Record that a caller got ``reason``, also when no call was sent."""
        ...


class NoJournal:
    """Records nothing: for a connector without a call log."""

    def record(self, *args: object) -> None:
        """Do nothing."""

    def note(self, *args: object) -> None:
        """Do nothing."""
