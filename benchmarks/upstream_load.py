"""Time that OpenProject spends on pollers and the picker, by the costs of real servers, relative to reading in full."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

from flask.testing import FlaskClient

from benchmarks._panel import CASE, LINKS, PATH, WORD, instance
from benchmarks._table import Row, at_most
from panel.accounts.principal import SCOPES, Principal
from panel.connector import Caller
from panel.links.finding import Query
from panel.links.visitor import Visitor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.services import Panel

EVERY_S, POLLS = 10.0, 60
GOAL = 0.25
TTL_S = "5"
"""The default of PANEL_CACHE_TTL_S."""
SIZES = (10, 25, 50)
NAMES = (
    f"time of OpenProject for {POLLS} polls of {LINKS}, one every 10 s",
    f"time of OpenProject for {POLLS} polls of {LINKS}, 10 s in between",
    f"changes shown by the next poll, of {POLLS}",
    *(f"time of OpenProject for a search that finds {size}" for size in SIZES),
)


class DrivenTime:
    """A monotonic clock that goes on while the stand-in counts, and that is set forward instead of waiting."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._monotonic = time.monotonic

    def monotonic(self) -> float:
        return self._monotonic() + self.passed

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.passed)

    def pass_by(self, seconds: float) -> None:
        self.passed += seconds

    def reach(self, moment: float) -> None:
        self.passed += max(0.0, moment - self.monotonic())


@dataclass(frozen=True)
class Bench:
    client: FlaskClient
    token: str
    tracker: OpenProjectStandIn
    panel: Panel
    time: DrivenTime

    def titles(self) -> list[str]:
        answer = self.client.get(PATH, headers={"Authorization": f"Bearer {self.token}"})
        assert answer.status_code == 200, answer.text
        return [item["title"] for item in answer.json["items"]]  # type: ignore[index]

    def cost(self, work: Callable[[], object]) -> float:
        """The seconds that the tracker spends on ``work``."""
        before = self.tracker.load.spent_s
        work()
        return self.tracker.load.spent_s - before


def measure() -> Iterator[Row]:
    """Seconds of upstream time, beside those of reading in full, and whether a change is seen at the first poll."""
    for name, poll in zip(NAMES, (_every_ten_seconds, _ten_seconds_in_between), strict=False):
        yield _row(name, *(_polls(reread_s, poll) for reread_s in ("60", "0")))
    seen = _changes_seen()
    yield Row(NAMES[2], str(seen), str(POLLS), goal=f"{POLLS}" + ("" if seen == POLLS else ", missed"))
    for name, costs in zip(NAMES[3:], _searches(), strict=True):
        yield _row(name, *costs)


def _polls(reread_s: str, poll: Callable[[Bench], None]) -> float:
    with _bench(reread_s) as bench:
        return bench.cost(lambda: poll(bench))


def _every_ten_seconds(bench: Bench) -> None:
    """From start to start."""
    start = bench.time.monotonic()
    for number in range(POLLS):
        bench.time.reach(start + number * EVERY_S)
        bench.titles()


def _ten_seconds_in_between(bench: Bench) -> None:
    """From the end of an answer to the next start."""
    for _ in range(POLLS):
        bench.titles()
        bench.time.pass_by(EVERY_S)


def _changes_seen() -> int:
    """How many changes, one before each poll, the poll shows."""
    seen = 0
    with _bench("60") as bench:
        bench.titles()
        for number in range(POLLS):
            bench.time.pass_by(EVERY_S)
            bench.tracker.touch(5001 + number % LINKS, subject=f"Change {number}")
            seen += f"Change {number}" in bench.titles()
    return seen


def _searches() -> list[list[float]]:
    """The seconds for one search of the picker and for the same search in full, for some numbers of results."""
    visitor = Visitor(Principal("benchmark", "local", SCOPES["write"]), Caller("benchmark", "benchmark"))
    with _bench("60") as bench, bench.client.application.app_context():
        finder, leaf = bench.panel.finder, bench.panel.registry.get("openproject")

        def pick(rows: int) -> None:
            bench.time.pass_by(float(TTL_S))
            query, named = Query(WORD, rows), finder.named(visitor, WORD)
            assert len(finder.find(visitor, leaf, CASE, query, named).rows) == rows

        def read_in_full(rows: int) -> None:
            bench.time.pass_by(float(TTL_S))
            assert len(bench.panel.links.available(visitor, leaf.id, WORD, limit=rows)) == rows

        read_in_full(1)  # The statuses are read once a minute.
        return [[bench.cost(partial(search, rows)) for search in (pick, read_in_full)] for rows in SIZES]


def _row(name: str, ours: float, whole: float) -> Row:
    cost = ours / whole
    return Row(name, f"{ours:.2f} s", f"{whole:.2f} s", f"× {cost:.3f}", goal=at_most(GOAL, cost, "× {:g}"))


@contextmanager
def _bench(reread_s: str) -> Iterator[Bench]:
    """A panel with fifty links, and a tracker as slow as a real one whose time is counted and not waited for."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        driven, tracker = DrivenTime(), OpenProjectStandIn("17")
        stack.enter_context(patch("time.monotonic", driven.monotonic))
        tracker.world.clock = driven.now
        ours = stack.enter_context(instance(Path(folder), ttl=TTL_S, tracker=tracker, PANEL_REREAD_S=reread_s))
        app = ours.app()
        driven.pass_by(3600)
        tracker.load.be_as_slow_as_measured()
        tracker.load.sleep = driven.pass_by
        yield Bench(app.test_client(), ours.token, tracker, app.extensions["leafpanel"], driven)
