"""The call log: a line for every call to a source and for every refused one. The retention is one week.

A background thread writes lines in batches, at most a second later, so that no request waits for them. A line holds
no body, no credential and no query value.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from panel.connector import Caller, SourceConfig
from panel.core.clock import now
from panel.core.reasons import Reason
from panel.logs.outcomes import CallOutcomes, LastOutcomes
from panel.storage.models import Call

RETENTION = timedelta(days=7)
MAX_ROWS = 100_000
MAX_WAITING = 10_000
FLUSH_DELAY_S = 0.5

log = logging.getLogger(__name__)


class CallLog:
    """The connector's ``Journal``. ``engine`` has its own connections, so that a rollback elsewhere loses no line."""

    def __init__(self, engine: Engine, *, max_waiting: int = MAX_WAITING, max_rows: int = MAX_ROWS) -> None:
        self._engine = engine
        self._max_waiting, self._max_rows = max_waiting, max_rows
        self._waiting: deque[dict[str, Any]] = deque()
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._writer: tuple[int, threading.Thread] | None = None
        self.outcomes = CallOutcomes()
        self._recorded: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self.dropped = 0
        """How many lines were lost, because too many were waiting or the database refused them."""
        atexit.register(_flush, weakref.ref(self))

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
        method, _, path = where.partition(" ")
        details = {"status": status, "reason": reason, "ms": ms, "size": size, "served": served}
        self._add(source.slug, caller, method=method, path=path[:500], **details)

    def note(self, slug: str, caller: Caller, reason: Reason) -> None:
        """Add a line for a caller that got ``reason``, unless the failed call has one for the same request."""
        if not self._is_recorded(slug, caller, reason):
            self._add(slug, caller, method="", path="", status=None, reason=reason, ms=0, size=0, served=1)

    def _is_recorded(self, slug: str, caller: Caller, reason: Reason) -> bool:
        with self._lock:
            return (caller.request_id, slug, reason.value) in self._recorded

    def _add(self, slug: str, caller: Caller, **line: Any) -> None:
        reason: Reason | None = line["reason"]
        by = {"face": caller.face[:20], "principal": caller.principal[:200], "request_id": caller.request_id[:20]}
        with self._lock:
            if reason is not None and caller.request_id:
                self._recorded[caller.request_id, slug, reason.value] = None
                # Needed only while a request runs, so a small number is enough.
                while len(self._recorded) > 1000:
                    self._recorded.popitem(last=False)
            if len(self._waiting) >= self._max_waiting:
                self.dropped += 1
                return
            self._waiting.append({"at": now(), "source": slug[:63], **by, **line})
            self._start_writer()

    def _start_writer(self) -> None:
        """Start the thread that writes waiting lines, unless this process has one (threads do not survive a fork)."""
        if self._writer is not None and self._writer[0] == os.getpid():
            return
        thread = threading.Thread(target=self._write_later, name="call log", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is shutting down; the exit handler writes the waiting lines.
            return
        self._writer = os.getpid(), thread

    def _write_later(self) -> None:
        while True:
            time.sleep(FLUSH_DELAY_S)
            self.flush()
            with self._lock:
                if not self._waiting:
                    self._writer = None
                    return

    def flush(self) -> None:
        """Write all waiting lines now. It does not raise: a failing log must not make a request fail."""
        with self._writing:
            with self._lock:
                lines = list(self._waiting)
                self._waiting.clear()
            met = self.outcomes.take()
            if not lines and not met:
                return
            try:
                self._write(lines, met)
            except SQLAlchemyError as exc:
                self.dropped += len(lines)
                log.warning("%s lines of the call log were lost: %s", len(lines), type(exc).__name__)
            self.outcomes.forget(met)

    def _write(self, lines: list[dict[str, Any]], met: Mapping[str, LastOutcomes]) -> None:
        with self._engine.begin() as connection:
            self.outcomes.store(connection, met)
            if not lines:
                return
            connection.execute(insert(Call), lines)
            # Deleting with every batch keeps each deletion small, and needs no scheduled job.
            newest = connection.scalar(select(func.max(Call.id))) or 0
            connection.execute(delete(Call).where(Call.id <= newest - self._max_rows))
            connection.execute(delete(Call).where(Call.at < oldest()))


def _flush(reference: weakref.ref[CallLog]) -> None:
    """Flush at the end of the process. The weak reference lets an unused log be garbage-collected before."""
    call_log = reference()
    if call_log is not None:
        call_log.flush()


def oldest() -> datetime:
    """The end of the retention: older lines are ignored, whether they have been deleted yet or not."""
    return now() - RETENTION


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Selects lines. Empty fields match any line."""

    source: str = ""
    outcome: str = ""
    """``ok``, ``failed``, or one reason."""
    face: str = ""
    since: datetime | None = None
    text: str = ""
    """Part of a path, or the beginning of a request id."""

    def conditions(self) -> list[Any]:
        found: list[Any] = [Call.at >= max(self.since or oldest(), oldest())]
        if self.source:
            found.append(Call.source == self.source)
        if self.face:
            found.append(Call.face == self.face)
        if self.outcome:
            # Any other value is a single reason.
            known = {"ok": Call.reason.is_(None), "failed": Call.reason.is_not(None)}
            found.append(known.get(self.outcome, Call.reason == self.outcome))
        if self.text:
            by_reference = Call.request_id.istartswith(self.text, autoescape=True)
            found.append(by_reference | Call.path.icontains(self.text, autoescape=True))
        return found
