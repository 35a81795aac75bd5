"""The last outcomes of the calls to each source: when it last answered, and when and why a call last failed.

Unlike lines of the call log they hold what counts about the source itself: neither calls that the panel refused, nor
optional parts. They are written with the next batch of the call log; this process sees its own at once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select, text, update

from panel.core.clock import now
from panel.core.reasons import Reason
from panel.storage.engine import db
from panel.storage.models import SourceOutcome


@dataclass(frozen=True, slots=True)
class LastOutcomes:
    """When a source last answered, and when and why a call to it last failed."""

    answered_at: datetime | None = None
    failed_at: datetime | None = None
    failed_why: Reason | None = None

    def later(self, other: LastOutcomes) -> LastOutcomes:
        """The later of each."""
        answered = max((at for at in (self.answered_at, other.answered_at) if at is not None), default=None)
        failed = other if _is_later(other.failed_at, self.failed_at) else self
        return LastOutcomes(answered, failed.failed_at, failed.failed_why)


def _is_later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and (other is None or one >= other)


class CallOutcomes:
    """Notes outcomes in memory until the call log stores them with its next batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, LastOutcomes] = {}

    def note(self, source_id: str, reason: Reason | None) -> None:
        """Note how a call ended: ``reason`` is why it failed, None after an answer."""
        met = LastOutcomes(failed_at=now(), failed_why=reason) if reason is not None else LastOutcomes(now())
        with self._lock:
            self._waiting[source_id] = self._waiting.get(source_id, LastOutcomes()).later(met)

    def of(self, source_ids: Sequence[str]) -> dict[str, LastOutcomes]:
        """The last outcomes by source, for those that have any."""
        rows = db.session.scalars(select(SourceOutcome).where(SourceOutcome.source_id.in_(source_ids)))
        stored = {row.source_id: _stored(row) for row in rows}
        with self._lock:
            waiting = {key: self._waiting[key] for key in source_ids if key in self._waiting}
        return {
            key: stored.get(key, LastOutcomes()).later(waiting.get(key, LastOutcomes())) for key in stored | waiting
        }

    def take(self) -> dict[str, LastOutcomes]:
        """What is not stored yet."""
        with self._lock:
            return dict(self._waiting)

    def store(self, connection: Connection, met: Mapping[str, LastOutcomes]) -> None:
        """Store outcomes by source, within the transaction of ``connection``."""
        for source_id, outcomes in met.items():
            connection.execute(_NEW_ROW, {"source": source_id})
            if outcomes.answered_at is not None:
                _advance(connection, source_id, "answered_at", LastOutcomes(outcomes.answered_at))
            if outcomes.failed_at is not None:
                _advance(connection, source_id, "failed_at", replace(outcomes, answered_at=None))

    def forget(self, met: Mapping[str, LastOutcomes]) -> None:
        """Forget what was stored or cannot be stored, unless later outcomes were noted meanwhile."""
        with self._lock:
            for source_id, outcomes in met.items():
                if self._waiting.get(source_id) == outcomes:
                    del self._waiting[source_id]


# A source that was deleted meanwhile gets no row.
_NEW_ROW = text(
    "INSERT INTO source_outcome (source_id) SELECT id FROM source WHERE id = :source ON CONFLICT DO NOTHING"
)


def _advance(connection: Connection, source_id: str, moment: str, met: LastOutcomes) -> None:
    """Store these values, unless a later outcome of this kind is stored."""
    column, values = getattr(SourceOutcome, moment), {key: value for key, value in _columns(met).items() if value}
    older = or_(column.is_(None), column < values[moment])
    connection.execute(update(SourceOutcome).where(SourceOutcome.source_id == source_id, older).values(**values))


def _columns(met: LastOutcomes) -> dict[str, Any]:
    return {"answered_at": met.answered_at, "failed_at": met.failed_at, "failed_why": met.failed_why}


def _stored(row: SourceOutcome) -> LastOutcomes:
    """A stored row. A reason that another version wrote is unknown here."""
    why = next((reason for reason in Reason if reason.value == row.failed_why), None)
    return LastOutcomes(row.answered_at, row.failed_at if why is not None else None, why)
