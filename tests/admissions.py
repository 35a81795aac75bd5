"""Processes that use up one rate limit together, and whether the limiter decided rightly about each of their calls."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from support import Upstreams

from panel.connector import Caller, Connector, SourceConfig
from panel.connector.limiter import Admission, Limiter, Rate
from panel.core.errors import ProviderUnavailable
from panel.traffic.limits_sql import SqlLimitStore

PROCESSES, RUN_S, END_S = 4, 3.0, 90
RATE = "20/second"
PAUSE_S = 0.002


@dataclass(frozen=True)
class Decision:
    """What the limiter said to one call, between two moments of this machine's clock."""

    before: float
    after: float
    is_admitted: bool


class WitnessedStore(SqlLimitStore):
    """Remembers what it decided."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        super().__init__(engine)
        self.decisions: list[Decision] = []

    def admit(self, source: SourceConfig, principal: str, rate: Rate | None) -> Admission:
        before = time.time()
        admission = super().admit(source, principal, rate)
        self.decisions.append(Decision(before, time.time(), admission.reason is None))
        return admission


def use_up_a_limit(engine: Callable[[], Engine], upstreams: Upstreams) -> list[Decision]:
    """Let processes send as many calls as they can. ``engine`` opens the store of limits in each of them."""
    spawn = multiprocessing.get_context("spawn")
    results: Any = spawn.Queue()
    arguments = (engine, upstreams.openproject_url, upstreams.server.host_port, spawn.Barrier(PROCESSES), results)
    workers = [spawn.Process(target=_send_calls, args=arguments) for _ in range(PROCESSES)]
    [worker.start() for worker in workers]
    decisions = [decision for _ in workers for decision in results.get(timeout=END_S)]
    [worker.join(END_S) for worker in workers]
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    return decisions


def _send_calls(engine: Callable[[], Engine], root: str, allowed: str, ready: Any, results: Any) -> None:
    store = WitnessedStore(engine)
    connector = Connector(allowed=lambda: (allowed,), limiter=Limiter(store), deadline_s=2)
    source = SourceConfig("s1", "openproject", "T", root, rate_limit=RATE, max_concurrency=16, revision=1)
    ready.wait(END_S)
    end = time.monotonic() + RUN_S
    while time.monotonic() < end:
        with suppress(ProviderUnavailable):
            connector.open(source, Caller("test", "alice"), fresh=True).get("api", "v3", allow=(401,))
            continue
        time.sleep(PAUSE_S)
    results.put(store.decisions)


def wrong_decisions(decisions: list[Decision]) -> list[str]:
    """What a limit of ``RATE`` does not explain, however fast or slow the processes were.

    In any span, no more calls may be admitted than the burst and what came back meanwhile. A call is refused only if a
    whole burst was admitted in the period before it.
    """
    rate = Rate.of(RATE)
    assert rate is not None
    admitted = sorted((one for one in decisions if one.is_admitted), key=lambda one: one.before)
    too_many = [
        f"{count} calls were admitted within {span:.3f} s"
        for first in admitted
        for span, count in _spans(first, admitted)
        if count > rate.count + span / rate.interval_s + 1e-6
    ]
    too_few = [
        f"a call was refused {refused.before - admitted[0].before:.3f} s after the first, after {count} in the period"
        for refused in decisions
        if not refused.is_admitted
        and (count := _within(admitted, refused.before - rate.period_s, refused.after)) < rate.count - 1
    ]
    return too_many + too_few


def _spans(first: Decision, admitted: list[Decision]) -> list[tuple[float, int]]:
    """For each later admission: the seconds from ``first`` to it, and how many calls were admitted within them."""
    return [
        (last.after - first.before, sum(first.before <= one.before and one.after <= last.after for one in admitted))
        for last in admitted
        if last.after >= first.after
    ]


def _within(admitted: list[Decision], start: float, end: float) -> int:
    """How many calls may have been admitted between two moments."""
    return sum(one.after >= start and one.before <= end for one in admitted)
