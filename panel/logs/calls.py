"""The call log: a line for every call to a source and for every time that one could not be used, kept for a week.

Lines are written in batches by a thread of their own, at most a second later; no request waits for them. A line never
holds a body, a credential or a value of a query.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from panel.connector import Caller, SourceConfig
from panel.core.clock import now
from panel.core.reasons import Reason
from panel.storage.models import Call

KEPT = timedelta(days=7)
MOST_ROWS = 100_000
MOST_WAITING = 10_000
LATE_S = 0.5

log = logging.getLogger(__name__)


class Calls:
    """The connector's ``Journal``. ``engine`` has connections of its own: no line is part of another transaction."""

    def __init__(self, engine: Engine, *, most_waiting: int = MOST_WAITING, most_rows: int = MOST_ROWS) -> None:
        self._engine = engine
        self._most_waiting, self._most_rows = most_waiting, most_rows
        self._waiting: deque[dict[str, Any]] = deque()
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._writer: tuple[int, threading.Thread] | None = None
        self._told: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self.dropped = 0
        """Lines that were lost because more were waiting than may, or the database did not take them."""
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
        told = {"status": status, "reason": reason, "ms": ms, "size": size, "served": served}
        self._add(source.slug, caller, method=method, path=path[:500], **told)

    def note(self, slug: str, caller: Caller, reason: Reason) -> None:
        """Keep that ``caller`` was told of a failure, unless the call that failed was his and has its line already."""
        if not self._is_told(slug, caller, reason):
            self._add(slug, caller, method="", path="", status=None, reason=reason, ms=0, size=0, served=1)

    def _is_told(self, slug: str, caller: Caller, reason: Reason) -> bool:
        with self._lock:
            return (caller.request_id, slug, reason.value) in self._told

    def _add(self, slug: str, caller: Caller, **line: Any) -> None:
        reason: Reason | None = line["reason"]
        who = {"face": caller.face[:20], "principal": caller.principal[:200], "request_id": caller.request_id[:20]}
        with self._lock:
            if reason is not None and caller.request_id:
                self._told[caller.request_id, slug, reason.value] = None
                while len(self._told) > 1000:
                    self._told.popitem(last=False)
            if len(self._waiting) >= self._most_waiting:
                self.dropped += 1
                return
            self._waiting.append({"at": now(), "source": slug[:63], **who, **line})
            self._wake()

    def _wake(self) -> None:
        """A thread that writes what is waiting and ends; one that did not survive a fork counts as none."""
        if self._writer is not None and self._writer[0] == os.getpid():
            return
        thread = threading.Thread(target=self._write_later, name="call log", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The process is ending: what waits is written at its exit.
            return
        self._writer = os.getpid(), thread

    def _write_later(self) -> None:
        while True:
            time.sleep(LATE_S)
            self.flush()
            with self._lock:
                if not self._waiting:
                    self._writer = None
                    return

    def flush(self) -> None:
        """Write what is waiting, now. It never raises: the log is not worth a request."""
        with self._writing:
            with self._lock:
                lines = list(self._waiting)
                self._waiting.clear()
            if not lines:
                return
            try:
                self._write(lines)
            except SQLAlchemyError as exc:
                self.dropped += len(lines)
                log.warning("%s lines of the call log were lost: %s", len(lines), type(exc).__name__)

    def _write(self, lines: list[dict[str, Any]]) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert(Call), lines)
            newest = connection.scalar(select(func.max(Call.id))) or 0
            connection.execute(delete(Call).where(Call.id <= newest - self._most_rows))
            connection.execute(delete(Call).where(Call.at < oldest()))


def _flush(calls: weakref.ref[Calls]) -> None:
    """At the end of the process, which is no reason to keep a log that nobody uses any more."""
    known = calls()
    if known is not None:
        known.flush()


def oldest() -> datetime:
    """Lines before this moment are over, whether they have been removed yet or not."""
    return now() - KEPT


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for. Empty text means any."""

    source: str = ""
    outcome: str = ""
    """``ok``, ``failed``, or one reason."""
    face: str = ""
    since: datetime | None = None
    text: str = ""
    """Part of a path, or the beginning of a reference."""

    def conditions(self) -> list[Any]:
        found: list[Any] = [Call.at >= max(self.since or oldest(), oldest())]
        if self.source:
            found.append(Call.source == self.source)
        if self.face:
            found.append(Call.face == self.face)
        if self.outcome:
            known = {"ok": Call.reason.is_(None), "failed": Call.reason.is_not(None)}
            found.append(known.get(self.outcome, Call.reason == self.outcome))
        if self.text:
            by_reference = Call.request_id.istartswith(self.text, autoescape=True)
            found.append(by_reference | Call.path.icontains(self.text, autoescape=True))
        return found
