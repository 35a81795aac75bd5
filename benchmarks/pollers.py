"""A thousand pollers on five sources: latency of four healthy sources while the fifth hangs, relative to five healthy."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks._table import Rounds, Row, at_most
from panel.connector import Caller, Connector, SourceConfig
from panel.connector.limiter import Limiter
from panel.core.errors import ProviderUnavailable
from panel.traffic.limits_fallback import FallbackLimitStore
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

POLLERS, SOURCES, WORKERS, RUNS = 1000, 5, 2, 9
INTERVAL_S, RUN_S, DEADLINE_S = 8.0, 8.0, 2.0
MAX_EXTRA, MAX_EXTRA_MS = 0.10, 5
NAMES = (
    "1,000 pollers, one of five sources hangs: p99 of the others",
    "the same: longest answer of the hanging source",
)
BODY = b'{"_type": "WorkPackage", "id": 1, "subject": "%s"}' % (b"x" * 400)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"


@dataclass
class Run:
    """Results: seconds per response of a healthy source, failures there, and seconds per error of the first source."""

    times: list[float]
    failed: int
    refused: list[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.times, n=100)[-1]


def measure() -> Iterator[Row]:
    """Alternate runs with five healthy sources (the floor) and with one that hangs."""
    receiver, sender = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(sender,), daemon=True)
    server.start()
    port = receiver.recv()
    try:
        _run_pollers(port, hanging=False, seconds=6)
        runs = [_run_pollers(port, hanging=number % 3 == 1) for number in range(RUNS)]
    finally:
        server.kill()
        server.join()
    floor, hanging, again = runs[0::3], runs[1::3], runs[2::3]
    assert not any(run.failed for run in runs), "a healthy source failed"
    yield _times(floor, hanging, again)
    yield _refusals(_merged(hanging))


def _times(floor: Sequence[Run], hanging: Sequence[Run], again: Sequence[Run]) -> Row:
    """The p99 of the healthy sources. Its limit is 10 % or 5 ms more than the floor, whichever is more."""
    p99 = Rounds.of_each([run.p99 * 1000 for run in runs] for runs in zip(hanging, floor, again, strict=True))
    limit = 1 + max(MAX_EXTRA, MAX_EXTRA_MS / statistics.median(p99.floor))
    return p99.row(NAMES[0], "{:.1f} ms", at_most(limit, p99.cost(), "× {:.2f}"))


def _refusals(run: Run) -> Row:
    """The slowest answer on behalf of the source that hangs. It may take its deadline, and what a thread waits."""
    longest = max(run.refused)
    return Row(NAMES[1], f"{longest:.2f} s", goal=at_most(DEADLINE_S + 0.5, longest, "{:.1f} s"))


def _merged(runs: Sequence[Run]) -> Run:
    """Merge the results of several runs."""
    times, refused = ([value for run in runs for value in getattr(run, name)] for name in ("times", "refused"))
    return Run(times, sum(run.failed for run in runs), refused)


def _run_pollers(port: int, *, hanging: bool, seconds: float = RUN_S) -> Run:
    """Run all pollers in several processes that share limits, breaker and concurrency slots."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traffic.sqlite3"
        SqlLimitStore(lambda: ephemeral_engine(path)).epoch("")
        pipes, ready = [spawn.Pipe() for _ in range(WORKERS)], spawn.Barrier(WORKERS)
        workers = [
            spawn.Process(target=_run_worker, args=(sender, ready, path, port, worker, hanging, seconds))
            for worker, (_, sender) in enumerate(pipes)
        ]
        for worker in workers:
            worker.start()
        runs = [receiver.recv() for receiver, _ in pipes]
        for worker in workers:
            worker.join()
    return _merged(runs)


def _run_worker(
    pipe: Connection, ready: Barrier, path: Path, port: int, worker: int, hanging: bool, seconds: float
) -> None:
    """Run the pollers of one process, each with a random phase, and send the results through ``pipe``."""
    run = Run([], 0, [])
    connector = Connector(
        allowed=lambda: (f"127.0.0.1:{port}",),
        limiter=Limiter(FallbackLimitStore(SqlLimitStore(lambda: ephemeral_engine(path)))),
        deadline_s=DEADLINE_S,
    )
    roots = [f"http://127.0.0.1:{port}/{'hang' if hanging and n == 0 else n}" for n in range(SOURCES)]
    sources = [SourceConfig(f"s{n}", f"s{n}", f"S{n}", root, revision=1) for n, root in enumerate(roots)]
    rng = random.Random(worker)
    ready.wait()
    ends_at = time.monotonic() + seconds
    pollers = [
        threading.Thread(target=_poll, args=(connector, sources[n % SOURCES], n, rng.random(), ends_at, run))
        for n in range(worker * POLLERS // WORKERS, (worker + 1) * POLLERS // WORKERS)
    ]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.join()
    pipe.send(run)


def _poll(connector: Connector, source: SourceConfig, number: int, phase: float, ends_at: float, run: Run) -> None:
    due = time.monotonic() + phase * min(INTERVAL_S, ends_at - time.monotonic())
    caller, is_first_source = Caller("JSON", f"poller {number}"), source.id == "s0"
    while due < ends_at:
        time.sleep(max(0.0, due - time.monotonic()))
        started = time.perf_counter()
        try:
            connector.open(source, caller).get("work_packages", str(number))
        except ProviderUnavailable:
            if is_first_source:
                run.refused.append(time.perf_counter() - started)
            else:
                run.failed += 1
        else:
            if not is_first_source:
                run.times.append(time.perf_counter() - started)
        due += INTERVAL_S


# --- the upstreams ----------------------------------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    asyncio.run(_listen(pipe))


async def _listen(pipe: Connection) -> None:
    server = await asyncio.start_server(_respond, "127.0.0.1", 0, backlog=1000)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /hang" in head:
            await reader.read()
        else:
            writer.write(ANSWER % (len(BODY), BODY))
            await writer.drain()
    writer.close()
