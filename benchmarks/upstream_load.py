"""Time that OpenProject spends on pollers and the picker, by the costs of real servers, relative to reading in full."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest.mock import patch

from flask.testing import FlaskClient

from benchmarks.list_latency import ACTOR, CASE, LINKS, PATH, add_work_packages
from panel import create_app
from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import SCOPES, Principal
from panel.config import load
from panel.connector import Caller
from panel.links.visitor import Visitor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.services import Panel
from panel.storage.engine import alembic

EVERY_S, POLLS = 10.0, 60
GOAL = 0.25
TTL_S = "5"
"""The default of PANEL_CACHE_TTL_S."""


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


def measure() -> list[str]:
    """Return seconds of upstream time of both, their ratio, and whether a change is seen at the first poll."""
    fixed = f"{POLLS} polls of {LINKS} in ten minutes"
    return [
        _line(fixed, *(_polls(reread_s, _every_ten_seconds) for reread_s in ("60", "0"))),
        _line("the same, 10 s in between", *(_polls(reread_s, _ten_seconds_in_between) for reread_s in ("60", "0"))),
        f"changes seen at the first poll after the cache's time: {_changes_seen()} of {POLLS}",
        *_searches(10, 25, 50),
    ]


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


def _searches(*sizes: int) -> list[str]:
    """Compare one search of the picker with the same search in full, for some numbers of work packages found."""
    visitor = Visitor(Principal("benchmark", "local", SCOPES["write"]), Caller("benchmark", "benchmark"))
    with _bench("60") as bench, bench.client.application.app_context():

        def search(rows: int, *, brief: bool) -> None:
            bench.time.pass_by(float(TTL_S))
            found = bench.panel.links.available(visitor, "openproject", "package", limit=rows, brief=brief)
            assert len(found) == rows

        search(1, brief=False)  # The statuses are read once a minute.
        costs = [[bench.cost(partial(search, rows, brief=brief)) for brief in (True, False)] for rows in sizes]
    return [_line(f"picker, {rows} found", *both) for rows, both in zip(sizes, costs, strict=True)]


def _line(name: str, ours: float, whole: float) -> str:
    ratio = ours / whole
    goal = "" if ratio <= GOAL else f"   above the goal of {GOAL}"
    return f"{name:30} {ours:7.3f} s   in full {whole:7.3f} s   ours / in full {ratio:5.3f}{goal}"


@contextmanager
def _bench(reread_s: str) -> Iterator[Bench]:
    """A panel with fifty links, and a tracker as slow as a real one whose time is counted and not waited for."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        driven, tracker = DrivenTime(), OpenProjectStandIn("17")
        stack.enter_context(patch("time.monotonic", driven.monotonic))
        tracker.world.clock = driven.now
        server = RunningServer(mounted(openproject=tracker))
        stack.callback(server.close)
        settings = {"PANEL_INSTANCE_DIR": folder, "PANEL_CACHE_TTL_S": TTL_S, "PANEL_REREAD_S": reread_s}
        app = create_app(load({**settings, "PANEL_ALLOWED_PRIVATE_HOSTS": server.host_port}))
        with app.test_request_context():
            alembic.upgrade()
            panel: Panel = app.extensions["leafpanel"]
            auth = {"type": "basic", "username": "apikey", "password": "T"}
            values = {"slug": "openproject", "name": "T", "location": f"{server.url}/openproject", "auth": auth}
            panel.sources.create(values, by=ACTOR)
            visitor = Visitor(Principal("benchmark", "local", SCOPES["write"]), Caller("benchmark", "benchmark"))
            for reference in add_work_packages(tracker):
                panel.links.link(visitor, "openproject", CASE, reference)
            token = panel.api_tokens.create_token(TokenRequest("benchmark", "read"), by=ACTOR)
        driven.pass_by(3600)
        tracker.load.be_as_slow_as_measured()
        tracker.load.sleep = driven.pass_by
        yield Bench(app.test_client(), token, tracker, panel, driven)
