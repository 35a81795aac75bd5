"""Polls per second on the server of `make serve`, beside a bare Flask route with the same body on that server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._http import Client, body_of, header_of, rate, request
from benchmarks._panel import DEGRADED, LINKS, PATH, free_port, gunicorn, instance, served
from benchmarks._table import Rounds, Row, at_most

SECONDS, WARM_S = 0.8, 0.2
COUNTS = (1, 2, 4)
FAILURE, LIST, UNCHANGED = "degraded, 503", f"list of {LINKS}, kept", f"304 of the list of {LINKS}"
NAMES = (FAILURE, LIST, UNCHANGED, *(f"304, processes of the server: {count}" for count in COUNTS))
GOALS = {FAILURE: 2.0, LIST: 1.5, UNCHANGED: 2.0}


@dataclass(frozen=True)
class Case:
    ours: bytes
    floor: bytes
    status: bytes


@dataclass(frozen=True)
class Both:
    """The ports of a panel and of its floor, with as many processes each."""

    panel: int
    floor: int
    cases: dict[str, Case]
    settings: dict[str, str]

    def rounds(self, name: str, count: int) -> Rounds:
        case = self.cases[name]
        ours, floor = (self.panel, case.ours, case.status), (self.floor, case.floor, case.status)
        rate(*ours, WARM_S), rate(*floor, WARM_S)
        values = [[rate(*target, SECONDS) for target in (ours, floor, floor)] for _ in range(count)]
        return Rounds.of_each(values, is_rate=True)


def measure() -> Iterator[Row]:
    """Rows with the rates of both, and of one, two and four processes."""
    with polled(workers=2) as both:
        for name, goal in GOALS.items():
            rounds = both.rounds(name, 5)
            yield rounds.row(name, "{:.0f}/s", at_most(goal, rounds.cost()))
    for count, name in zip(COUNTS, NAMES[3:], strict=True):
        with polled(workers=count) as both:
            yield both.rounds(UNCHANGED, 3).row(name, "{:.0f}/s")


@contextmanager
def polled(*, workers: int) -> Iterator[Both]:
    """A panel and its floor."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(instance(Path(folder)))
        panel, floor = free_port(), free_port()
        settings = {**ours.settings, "PANEL_PORT": str(panel), "LEAFPANEL_BENCHMARK_BODIES": folder}
        stack.enter_context(served(gunicorn("panel.wsgi:app", panel, workers), panel, settings))
        client, token = Client(panel), ours.token
        kept, failed = client.get(request(PATH, token)), client.get(request(DEGRADED, token), b"503")
        client.close()
        for name, answer in (("list", kept), ("failure", failed)):
            (Path(folder) / f"{name}.json").write_bytes(body_of(answer))
        stack.enter_context(served(gunicorn("benchmarks._floor:app", floor, workers), floor, settings))
        etag = header_of(kept, "ETag")
        cases = {
            FAILURE: Case(request(DEGRADED, token), request("/failure", token), b"503"),
            LIST: Case(request(PATH, token), request("/list", token), b"200"),
            UNCHANGED: Case(request(PATH, token, etag=etag), request("/unchanged", token, etag=etag), b"304"),
        }
        yield Both(panel, floor, cases, settings)
