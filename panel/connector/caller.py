"""On whose behalf calls are made, and the journal that receives them. Imports nothing else of the connector but the
source, so that every other module of it can use these types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from panel.connector.source import SourceConfig
from panel.core.domain import Reason


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made, for the call log and the budgets: face, principal, request id."""

    face: str
    principal: str
    request_id: str = ""
    key: str = ""
    """Tells principals of one name apart."""

    @property
    def budget(self) -> str:
        """Whose share of a rate limit the call takes."""
        return self.key or self.principal


class Journal(Protocol):
    """Receives every call that was made, without query values, bodies or secrets."""

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
        """Record one call: duration in ms, size of its body in bytes, and how many callers it answered."""
        ...

    def note(self, slug: str, caller: Caller, reason: Reason) -> None:
        """Record that a caller got ``reason``, even when no call was sent."""
        ...


class NoJournal:
    """Drops everything: for a connector without a call log."""

    def record(self, *args: object) -> None:
        """Drop the call."""

    def note(self, *args: object) -> None:
        """Drop the refusal."""
