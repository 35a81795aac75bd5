"""Admission control for outgoing calls: circuit breaker, the upstream's Retry-After, rate limit, concurrency slots.

The breaker is closed, open or half-open. It opens after ``FAILURES_TO_OPEN`` consecutive failures; while it is open,
one probe every ``PROBE_EVERY_S`` seconds is let through (half-open), and its success closes the breaker.
The rate limit is a GCRA. The state is in a ``LimitStore`` that all processes share; this module interprets it.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from panel.connector.deadline import Deadline
from panel.connector.source import SourceConfig
from panel.core.domain import Problem
from panel.core.errors import ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Reason

PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
FAILURES_TO_OPEN = 5
PROBE_EVERY_S = 4.0
"""How often an open breaker admits a probe. Below five seconds, so that a recovered source is noticed within five."""
LONGEST_HOLD_S = 300.0
"""The longest wait that is kept for an upstream that asks for one."""
LONGEST_SLOT_S = 121.0
"""The longest life of a slot: the longest deadline of a call, and the second that is added to it."""
MOST_CONVERSATIONS = 16
"""How many conversations of a process may wait for one source, unless the source has more slots."""
LAST_S = 0.05
"""Waiting for a slot ends when this much of the deadline is left: too little for a call, enough to report ``busy``."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A burst of ``count`` calls, then one every ``period_s / count`` seconds (GCRA)."""

    count: int
    period_s: float

    @classmethod
    def of(cls, text: str) -> Rate | None:
        """Parse a limit such as ``60/minute``. Empty text means no limit."""
        count, _, period = text.partition("/")
        return cls(int(count), PERIODS[period]) if count else None

    @property
    def interval_s(self) -> float:
        return self.period_s / self.count

    def halved(self) -> Rate:
        """The share of one caller while others wait: half of the limit."""
        return Rate(max(1, self.count // 2), self.period_s if self.count > 1 else self.period_s * 2)


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision about one call: admitted, or how many seconds to wait and why."""

    wait_s: float = 0.0
    reason: Reason | None = None
    probe: bool = False
    """Whether this call is the probe of a half-open breaker."""
    slot: int | None = None
    """The number of the slot that was taken."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The stored state of a source at ``now``. Times are seconds since the Unix epoch.

    ``due`` is the GCRA's theoretical arrival time; ``probe_at`` is when the next probe may go, 0 while closed.
    """

    now: float
    revision: int = 0
    due: float = 0.0
    hold_until: float = 0.0
    failures: int = 0
    probe_at: float = 0.0
    slots: int = 0


CLOCK_TOLERANCE_S = 1.0
"""How far the clocks of two transactions may be apart before a stored moment counts as written by another clock."""


def in_force(moment: float, now: float, longest_s: float) -> float:
    """``moment``, or 0 when it is further ahead than ``longest_s``, the longest wait that could have been written.

    Then the clock was set back after the moment was stored, and the moment says nothing about the wait that is left.
    """
    return moment if moment <= now + longest_s + CLOCK_TOLERANCE_S else 0.0


class Breaker(StrEnum):
    """The states of the circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    """A probe is running, or the next call will be one."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The limits of a source for display. ``left`` is how many calls may go now, None without a limit."""

    breaker: Breaker
    failures: int
    until: datetime | None
    """When an open breaker admits the next probe."""
    left: int | None
    held_until: datetime | None
    """The end of the wait that the upstream asked for (Retry-After)."""
    slots: int


class LimitStore(Protocol):
    """Stores the limits' state for all processes. Every method is one short transaction."""

    def admit(self, source: SourceConfig, principal: str, rate: Rate | None) -> Admission:
        """Admit one call and count it. ``reason`` is set when it is refused (circuit-open or rate-limited)."""
        ...

    def enter(self, source: SourceConfig, until_s: float) -> int | None:
        """A slot for one call to a source without a rate limit, in one statement.

        None when a closer look is needed: the breaker is open, the upstream asked to wait, no slot is known to be free,
        or the source was saved since the last call.
        """
        ...

    def take_slot(self, source: SourceConfig, until_s: float, *, probe: bool = False) -> Admission:
        """Take one of ``max_concurrency`` slots; it is freed by ``free_slot``, or expires after ``until_s`` seconds.

        ``slot`` is None when all are taken. ``reason`` is set when the breaker opened since the call was admitted.
        """
        ...

    def free_slot(self, source: SourceConfig, slot: int) -> None: ...

    def finish(self, source: SourceConfig, slot: int) -> None:
        """``free_slot`` and ``succeeded`` in one statement, unless there are failures to forget."""
        ...

    def failed(self, source: SourceConfig, *, open_after: int, probe_every_s: float) -> None: ...

    def succeeded(self, source: SourceConfig) -> None: ...

    def hold_off(self, source: SourceConfig, seconds: float) -> None:
        """Refuse all calls to the source for ``seconds``, because the upstream asked for it."""
        ...

    def epoch(self, source_id: str) -> int:
        """A number that grows with every write through the panel. It is part of cache keys, so a write invalidates."""
        ...

    def advance(self, source: SourceConfig) -> None: ...

    def counts(self) -> Mapping[str, Counts]:
        """The state of every source that was ever called, by source id. Reading changes nothing."""
        ...


class Outcome:
    """How a call ended. What was not reported says nothing about the health of the source."""

    def __init__(self) -> None:
        self.is_known = False
        self.tells = True
        """Whether the end of the call says how the source is. A forbidden write does not."""
        self.problem: Problem | None = None

    def report(self, problem: Problem | None, *, tells: bool = True) -> None:
        self.is_known, self.problem, self.tells = True, problem, tells


class NoLimits:
    """Admits every call and stores nothing: for Test connection, and for connectors without a limit store."""

    @contextmanager
    def acquire(self, source: SourceConfig, principal: str, deadline: Deadline) -> Iterator[Outcome]:
        yield Outcome()

    @contextmanager
    def attend(self, source: SourceConfig, deadline: Deadline) -> Iterator[None]:
        yield

    def epoch(self, source: SourceConfig) -> int:
        return 0

    def advance(self, source: SourceConfig) -> None:
        """Do nothing."""

    def counts(self) -> Mapping[str, Counts]:
        return {}


class Attendance:
    """Counts the conversations of this process that wait for a source. A conversation is known by its deadline.

    One conversation counts once, however many calls it makes in parallel: its request holds one thread of the server.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Counter[Deadline]] = {}
        self._lock = threading.Lock()

    def enter(self, source_id: str, deadline: Deadline, most: int) -> bool:
        """Count one more wait of this conversation. False if it would be one conversation too many."""
        with self._lock:
            waiting = self._waiting.setdefault(source_id, Counter())
            if deadline not in waiting and len(waiting) >= most:
                return False
            waiting[deadline] += 1
            return True

    def leave(self, source_id: str, deadline: Deadline) -> None:
        with self._lock:
            waiting = self._waiting[source_id]
            waiting[deadline] -= 1
            if not waiting[deadline]:
                del waiting[deadline]


class Limiter:
    """Applies the limits of all sources, with the state in ``limit_store``.

    ``most_conversations`` limits how many threads of the server wait for one source at the same time. ``note`` gets
    the source and the reason, or None after an answer, of each call that tells how the source is.
    """

    def __init__(
        self,
        limit_store: LimitStore,
        *,
        most_conversations: int = MOST_CONVERSATIONS,
        note: Callable[[str, Reason | None], None] = lambda source_id, reason: None,
    ) -> None:
        self._limit_store = limit_store
        self._note = note
        self._most_conversations = most_conversations
        self._attendance = Attendance()
        self._slot_locks: dict[str, threading.Lock] = {}

    @contextmanager
    def acquire(self, source: SourceConfig, principal: str, deadline: Deadline) -> Iterator[Outcome]:
        """Admit one call, hold a slot during the block, and record the outcome that the block reports.

        Raises ProviderUnavailable (circuit-open, rate-limited, or busy when no slot becomes free before the deadline),
        with the seconds to wait; and as ``attend`` does.
        """
        with self.attend(source, deadline):
            slot = self._enter(source, principal, deadline)
            outcome = Outcome()
            try:
                yield outcome
            finally:
                self._leave(source, slot, outcome)

    @contextmanager
    def attend(self, source: SourceConfig, deadline: Deadline) -> Iterator[None]:
        """Count the conversation with this deadline as waiting for the source during the block.

        Raises ProviderUnavailable (busy) at once when too many conversations of this process wait for it already.
        """
        most = max(self._most_conversations, source.max_concurrency)
        if not self._attendance.enter(source.id, deadline, most):
            raise _crowded(most)
        try:
            yield
        finally:
            self._attendance.leave(source.id, deadline)

    def _enter(self, source: SourceConfig, principal: str, deadline: Deadline) -> int:
        """A slot: in one statement where possible, but never before a caller of this process that waits for one."""
        rate = Rate.of(source.rate_limit)
        if rate is None and not self._slot_lock(source).locked():
            slot = self._limit_store.enter(source, deadline.left + 1)
            if slot is not None:
                return slot
        admission = self._limit_store.admit(source, principal, rate)
        if admission.reason is not None:
            raise ProviderUnavailable(_refusal(source, admission))
        return self._take_slot(source, deadline, probe=admission.probe)

    def _leave(self, source: SourceConfig, slot: int, outcome: Outcome) -> None:
        if outcome.is_known and outcome.tells:
            self._note(source.id, outcome.problem.reason if outcome.problem is not None else None)
        if outcome.is_known and not _is_failure(outcome.problem):
            self._limit_store.finish(source, slot)
            return
        try:
            # Before the slot is free, so that no waiting call goes out to a source that just failed.
            self._record_failure(source, outcome.problem)
        finally:
            self._limit_store.free_slot(source, slot)

    def _record_failure(self, source: SourceConfig, problem: Problem | None) -> None:
        """Update the breaker, or the wait that the upstream asked for."""
        if problem is None:
            return
        if problem.reason.facts.opens_breaker:
            self._limit_store.failed(source, open_after=FAILURES_TO_OPEN, probe_every_s=PROBE_EVERY_S)
        elif problem.reason is Reason.RATE_LIMITED and problem.retry_after:
            self._limit_store.hold_off(source, problem.retry_after)

    def epoch(self, source: SourceConfig) -> int:
        return self._limit_store.epoch(source.id)

    def advance(self, source: SourceConfig) -> None:
        self._limit_store.advance(source)

    def counts(self) -> Mapping[str, Counts]:
        return self._limit_store.counts()

    def _take_slot(self, source: SourceConfig, deadline: Deadline, *, probe: bool) -> int:
        """The number of a free slot. Raises ProviderUnavailable as ``acquire`` does."""
        # Per source, only one waiting thread of this process polls the store. Otherwise the threads that wait for a
        # slow source would block the store for calls to other sources.
        lock = self._slot_lock(source)
        if not lock.acquire(timeout=max(0.0, deadline.left - LAST_S)):
            raise _busy(source)
        try:
            return self._poll_for_slot(source, deadline, probe=probe)
        finally:
            lock.release()

    def _slot_lock(self, source: SourceConfig) -> threading.Lock:
        return self._slot_locks.setdefault(source.id, threading.Lock())

    def _poll_for_slot(self, source: SourceConfig, deadline: Deadline, *, probe: bool) -> int:
        """Poll until a slot is free. A breaker that opens meanwhile ends the waiting at once."""
        while True:
            # The slot expires after the deadline, in case this process dies while it holds it.
            admission = self._limit_store.take_slot(source, deadline.left + 1, probe=probe)
            if admission.reason is not None:
                raise ProviderUnavailable(_refusal(source, admission))
            if admission.slot is not None:
                return admission.slot
            if deadline.left < LAST_S:
                raise _busy(source)
            # Random, so that processes do not poll in step.
            time.sleep(min(deadline.left, random.uniform(0.01, 0.03)))


def traffic_of(counts: Counts | None, *, rate_limit: str, revision: int) -> Traffic:
    """The limits of a source for display. ``counts`` is None for a source that was never called."""
    counts = counts or Counts(time.time())
    rate = Rate.of(rate_limit)
    left = _left(counts, rate) if rate is not None else None
    if revision > counts.revision:
        # Saving a source closes its breaker, but the store learns of it only with the next call.
        return Traffic(Breaker.CLOSED, 0, None, left, None, counts.slots)
    breaker = _breaker(counts)
    until = _moment(counts.probe_at) if breaker is Breaker.OPEN else None
    held = _moment(counts.hold_until) if counts.hold_until > counts.now else None
    return Traffic(breaker, counts.failures, until, left, held, counts.slots)


def _breaker(counts: Counts) -> Breaker:
    if not counts.probe_at:
        return Breaker.CLOSED
    waiting = counts.probe_at > counts.now and not counts.slots
    return Breaker.OPEN if waiting else Breaker.HALF_OPEN


def _left(counts: Counts, rate: Rate) -> int:
    """How many calls may go out now."""
    due = in_force(counts.due, counts.now, rate.period_s)
    spent = max(0.0, due - counts.now) / rate.interval_s
    # The tolerance keeps rounding errors of floats from showing one call too few.
    return max(0, math.floor(rate.count - spent + 1e-6))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class RetryBudget:
    """Limits retries to one failed read in ten, so that retries cannot double the load on a failing source."""

    CAPACITY = 5.0

    def __init__(self) -> None:
        self._left = self.CAPACITY
        self._lock = threading.Lock()

    def allows(self, problem: Problem, deadline: Deadline) -> bool:
        """Whether to retry now. Sleeps for a random time first (jitter), so that simultaneous failures spread out."""
        pause = random.uniform(0.02, 0.15)
        with self._lock:
            self._left = min(self.CAPACITY, self._left + 0.1)
            if not problem.reason.facts.worth_retry or self._left < 1 or deadline.left < pause * 2:
                return False
            self._left -= 1
        time.sleep(pause)
        return True


def _is_failure(problem: Problem | None) -> bool:
    """Whether an outcome counts against the source. A refused credential or a short limit does not."""
    if problem is None:
        return False
    return problem.reason.facts.opens_breaker or (problem.reason is Reason.RATE_LIMITED and bool(problem.retry_after))


def _busy(source: SourceConfig) -> ProviderUnavailable:
    message = _("All {slots} slots for calls to this source are taken.", slots=source.max_concurrency)
    return ProviderUnavailable.because(Reason.BUSY, message, retry_after=1)


def _crowded(most: int) -> ProviderUnavailable:
    message = _("{requests} requests wait for this source already.", requests=most)
    return ProviderUnavailable.because(Reason.BUSY, message, retry_after=1)


def _refusal(source: SourceConfig, admission: Admission) -> Problem:
    wait_s = max(0.1, admission.wait_s)
    if admission.reason is Reason.CIRCUIT_OPEN:
        return Problem(
            Reason.CIRCUIT_OPEN,
            _("Calls to this source failed several times in a row; calls are paused for a moment."),
            wait_s,
        )
    message = _("The rate limit of this source (set by it) is used up for now.")
    if source.rate_limit:
        message = _("The rate limit of this source ({limit}) is used up for now.", limit=source.rate_limit)
    return Problem(Reason.RATE_LIMITED, message, wait_s)
