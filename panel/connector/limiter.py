"""What stands before every call: breaker, the upstream's own wait, rate limit and a place among those under way.

The numbers live where all processes see them (``LimitStore``); this module only decides what they mean.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from panel.connector.deadline import Deadline
from panel.connector.source import SourceConfig
from panel.core.domain import Problem, Reason
from panel.core.errors import ProviderUnavailable

PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
FAILURES_TO_OPEN = 5
PROBE_EVERY_S = 4.0
"""An open breaker lets one call through this often, so that a healed source is noticed within five seconds."""
LAST_S = 0.05
"""What is left of a deadline when waiting for a place ends: too little for a call, enough to tell others why."""

BREAKING = frozenset({
    Reason.DNS, Reason.CONNECT, Reason.TLS, Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.UNEXPECTED_RESPONSE,
    Reason.UNEXPECTED_REDIRECT, Reason.TOO_LARGE,
})  # fmt: skip
"""Failures of the source itself. A refused credential or a full limit says nothing about its health."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` at once, then one every ``period_s / count`` seconds (GCRA)."""

    count: int
    period_s: float

    @classmethod
    def of(cls, text: str) -> Rate | None:
        """Read ``60/minute``; nothing means no limit."""
        count, _, period = text.partition("/")
        return cls(int(count), PERIODS[period]) if count else None

    @property
    def interval_s(self) -> float:
        return self.period_s / self.count

    def halved(self) -> Rate:
        """What one caller may use while others wait."""
        return Rate(max(1, self.count // 2), self.period_s if self.count > 1 else self.period_s * 2)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the limit_store knows of a source before a call: how long until one may go out, and why not now."""

    wait_s: float = 0.0
    reason: Reason | None = None
    probe: bool = False
    """Whether this call goes out through an open breaker, to see whether the source healed."""
    slot: int | None = None
    """The place that was taken."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the limit_store holds of a source at the moment ``now``; moments are seconds since the epoch."""

    now: float
    revision: int = 0
    due: float = 0.0
    hold_until: float = 0.0
    failures: int = 0
    probe_at: float = 0.0
    places: int = 0


class Breaker(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    """One call, under way or the next one, finds out whether the source is back."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """How calls to a source stand, for people to read. ``left`` is None where there is no limit."""

    breaker: Breaker
    failures: int
    until: datetime | None
    """When an open breaker lets a call through."""
    left: int | None
    held_until: datetime | None
    """Until when the upstream asked to be left alone."""
    places: int


class LimitStore(Protocol):
    """SharedCache numbers of all processes. Every method is one short transaction."""

    def admit(self, source: SourceConfig, principal: str, rate: Rate | None) -> Admission:
        """Ask for one call now. ``reason`` is set when it may not go out (circuit-open or rate-limited)."""
        ...

    def enter(self, source: SourceConfig, until_s: float) -> int | None:
        """A slot for one call to a source without a rate limit, in one statement.

        None when a closer look is needed: the breaker is open, the upstream asked to wait, no slot is known to be free,
        or the source was saved since the last call.
        """
        ...

    def take_slot(self, source: SourceConfig, until_s: float, *, probe: bool = False) -> Admission:
        """A place among ``max_concurrency``, given back by ``free_slot`` or by itself after ``until_s`` seconds.

        None is given, and ``reason`` is set, when the source went bad since the call was admitted.
        """
        ...

    def free_slot(self, source: SourceConfig, slot: int) -> None: ...

    def finish(self, source: SourceConfig, slot: int) -> None:
        """``free_slot`` and ``succeeded`` in one statement, unless there are failures to forget."""
        ...

    def failed(self, source: SourceConfig, *, open_after: int, probe_every_s: float) -> None: ...

    def succeeded(self, source: SourceConfig) -> None: ...

    def hold_off(self, source: SourceConfig, seconds: float) -> None:
        """The upstream asked us to wait: nothing goes out inside that time."""
        ...

    def epoch(self, source_id: str) -> int:
        """Grows with every write through the panel, in any process: what was remembered before is old."""
        ...

    def advance(self, source: SourceConfig) -> None: ...

    def counts(self) -> Mapping[str, Counts]:
        """What is known of every source that was ever called, by its id. Nothing is counted by asking."""
        ...


class Outcome:
    """How a call ended. What was not reported says nothing about the health of the source."""

    def __init__(self) -> None:
        self.is_known = False
        self.problem: Problem | None = None

    def report(self, problem: Problem | None) -> None:
        self.is_known, self.problem = True, problem


class NoLimits:
    """Admits every call: for Test connection, and for connectors without a limit store."""

    @contextmanager
    def acquire(self, source: SourceConfig, principal: str, deadline: Deadline) -> Iterator[Outcome]:
        yield Outcome()

    def epoch(self, source: SourceConfig) -> int:
        return 0

    def advance(self, source: SourceConfig) -> None:
        """Nothing is remembered."""

    def counts(self) -> Mapping[str, Counts]:
        return {}


class Limiter:
    """The limits of all sources, over a shared limit_store."""

    def __init__(self, limit_store: LimitStore) -> None:
        self._limit_store = limit_store
        self._turns: dict[str, threading.Lock] = {}

    @contextmanager
    def acquire(self, source: SourceConfig, principal: str, deadline: Deadline) -> Iterator[Outcome]:
        """Let one call through and record its outcome.

        Raises ProviderUnavailable: circuit-open, rate-limited or busy, with the wait.
        """
        slot = self._enter(source, principal, deadline)
        outcome = Outcome()
        try:
            yield outcome
        finally:
            self._leave(source, slot, outcome)

    def _enter(self, source: SourceConfig, principal: str, deadline: Deadline) -> int:
        """A slot, at once where possible; not before callers of this process that wait for one."""
        rate = Rate.of(source.rate_limit)
        if rate is None and not self._turn(source).locked():
            slot = self._limit_store.enter(source, deadline.left + 1)
            if slot is not None:
                return slot
        admission = self._limit_store.admit(source, principal, rate)
        if admission.reason is not None:
            raise ProviderUnavailable(_refusal(source, admission))
        return self._slot(source, deadline, probe=admission.probe)

    def _leave(self, source: SourceConfig, slot: int, outcome: Outcome) -> None:
        if outcome.is_known and not _is_failure(outcome.problem):
            self._limit_store.finish(source, slot)
            return
        try:
            # Before the slot is free, so that no waiting call goes out to a source that just failed.
            self._record_failure(source, outcome.problem)
        finally:
            self._limit_store.free_slot(source, slot)

    def _record_failure(self, source: SourceConfig, problem: Problem | None) -> None:
        if problem is None:
            return
        if problem.reason in BREAKING:
            self._limit_store.failed(source, open_after=FAILURES_TO_OPEN, probe_every_s=PROBE_EVERY_S)
        elif problem.reason is Reason.RATE_LIMITED and problem.retry_after:
            self._limit_store.hold_off(source, problem.retry_after)

    def epoch(self, source: SourceConfig) -> int:
        return self._limit_store.epoch(source.id)

    def advance(self, source: SourceConfig) -> None:
        self._limit_store.advance(source)

    def counts(self) -> Mapping[str, Counts]:
        return self._limit_store.counts()

    def _slot(self, source: SourceConfig, deadline: Deadline, *, probe: bool) -> int:
        """A place among those under way. One thread asks the limit_store for all that wait in this process.

        A crowd that waits for a sick source would else keep the limit_store from those who call a healthy one.
        """
        turn = self._turn(source)
        if not turn.acquire(timeout=max(0.0, deadline.left - LAST_S)):
            raise _busy(source)
        try:
            return self._slot_in_turn(source, deadline, probe=probe)
        finally:
            turn.release()

    def _turn(self, source: SourceConfig) -> threading.Lock:
        return self._turns.setdefault(source.id, threading.Lock())

    def _slot_in_turn(self, source: SourceConfig, deadline: Deadline, *, probe: bool) -> int:
        """Who waited here while the source went bad is told so at once, and adds nothing to its load."""
        while True:
            admission = self._limit_store.take_slot(source, deadline.left + 1, probe=probe)
            if admission.reason is not None:
                raise ProviderUnavailable(_refusal(source, admission))
            if admission.slot is not None:
                return admission.slot
            if deadline.left < LAST_S:
                raise _busy(source)
            time.sleep(min(deadline.left, random.uniform(0.01, 0.03)))


def traffic_of(counts: Counts | None, *, rate_limit: str, revision: int) -> Traffic:
    """How calls stand to a source with that limit, saved at that revision; one that was never called starts whole."""
    counts = counts or Counts(time.time())
    rate = Rate.of(rate_limit)
    left = _left(counts, rate) if rate is not None else None
    if revision > counts.revision:
        # The first call after saving closes the breaker.
        return Traffic(Breaker.CLOSED, 0, None, left, None, counts.places)
    breaker = _breaker(counts)
    until = _moment(counts.probe_at) if breaker is Breaker.OPEN else None
    held = _moment(counts.hold_until) if counts.hold_until > counts.now else None
    return Traffic(breaker, counts.failures, until, left, held, counts.places)


def _breaker(counts: Counts) -> Breaker:
    if not counts.probe_at:
        return Breaker.CLOSED
    waiting = counts.probe_at > counts.now and not counts.places
    return Breaker.OPEN if waiting else Breaker.PROBING


def _left(counts: Counts, rate: Rate) -> int:
    """How many calls could go out at once."""
    spent = max(0.0, counts.due - counts.now) / rate.interval_s
    return max(0, math.floor(rate.count - spent + 1e-6))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class RetryBudget:
    """A failed read is tried once more, but never more than one in ten: a sick source is not asked twice as much."""

    WORTH = frozenset({Reason.CONNECT, Reason.SERVER_ERROR})
    MOST = 5.0

    def __init__(self) -> None:
        self._left = self.MOST
        self._lock = threading.Lock()

    def allows(self, problem: Problem, deadline: Deadline) -> bool:
        """Whether to try again now; takes a little time, so that those who failed together do not return together."""
        pause = random.uniform(0.02, 0.15)
        with self._lock:
            self._left = min(self.MOST, self._left + 0.1)
            if problem.reason not in self.WORTH or self._left < 1 or deadline.left < pause * 2:
                return False
            self._left -= 1
        time.sleep(pause)
        return True


def _is_failure(problem: Problem | None) -> bool:
    """Whether an outcome counts against the source. A refused credential or a short limit does not."""
    if problem is None:
        return False
    return problem.reason in BREAKING or (problem.reason is Reason.RATE_LIMITED and bool(problem.retry_after))


def _busy(source: SourceConfig) -> ProviderUnavailable:
    message = f"All {source.max_concurrency} places for calls to this source are taken."
    return ProviderUnavailable.because(Reason.BUSY, message, retry_after=1)


def _refusal(source: SourceConfig, admission: Admission) -> Problem:
    reason = admission.reason or Reason.BUSY
    message = {
        Reason.CIRCUIT_OPEN: "Calls to this source failed several times in a row; it is left alone for a moment.",
        Reason.RATE_LIMITED: f"The limit of calls ({source.rate_limit or 'set by the upstream'}) is used up for now.",
    }.get(reason, "No call can go out now.")
    return Problem(reason, message, max(0.1, admission.wait_s))
