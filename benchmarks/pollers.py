"""A thousand pollers on five sources: what the four healthy ones pay when the fifth hangs, beside all five healthy."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from panel.connector import Caller, Connector, SourceConfig
from panel.connector.limiter import Limiter
from panel.core.errors import ProviderUnavailable
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

POLLERS, SOURCES, WORKERS, TURNS = 1000, 5, 2, 7
EVERY_S, RUN_S, DEADLINE_S = 8.0, 16.0, 2.0
MOST_NOISE = 0.10
MOST_MORE_S = 0.005
"""The promise: not more than a tenth or five milliseconds above the control, whichever is more."""
BODY = b'{"_type": "WorkPackage", "id": 1, "subject": "%s"}' % (b"x" * 400)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"


@dataclass
class Run:
    """Seconds of every healthy answer, and how the others ended."""

    times: list[float]
    failed: int
    refused: list[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.times, n=100)[-1]


def measure() -> list[str]:
    """Control and one hanging in turns. Every other control against the rest tells what the measurement is worth."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    try:
        _polled(port, hanging=False, seconds=6)
        runs = [_polled(port, hanging=turn % 2 == 1) for turn in range(TURNS)]
    finally:
        server.kill()
        server.join()
    sick, control, again = _pooled(runs[1::2]), _pooled(runs[0::4]), _pooled(runs[2::4])
    both = _pooled(runs[0::2])
    noise = abs(again.p99 / control.p99 - 1)
    kept = sick.p99 <= both.p99 + max(both.p99 * MOST_NOISE, MOST_MORE_S)
    return [
        _line("five healthy", control),
        _line("five healthy, other turns", again),
        _line("four healthy, one hangs", sick),
        f"hanging over control   p50 × {sick.p50 / both.p50:.2f}, "
        f"p99 × {sick.p99 / both.p99:.2f}, {(sick.p99 - both.p99) * 1000:+.2f} ms: "
        f"{'within' if kept else 'NOT within'} 10 % or 5 ms",
        f"control over control   p99 × {again.p99 / control.p99:.2f}: "
        f"{'valid' if noise <= MOST_NOISE else 'NOT valid'} (at most 10 % off)",
        f"on the hanging source  {len(sick.refused)} answers, p50 {statistics.median(sick.refused) * 1000:.2f} ms, "
        f"longest {max(sick.refused):.2f} s of {DEADLINE_S:g} s",
    ]


def _pooled(runs: Sequence[Run]) -> Run:
    """All answers of some turns as one."""
    times, refused = ([one for run in runs for one in getattr(run, name)] for name in ("times", "refused"))
    return Run(times, sum(run.failed for run in runs), refused)


def _line(name: str, run: Run) -> str:
    figures = f"p50 {run.p50 * 1000:6.2f} ms   p99 {run.p99 * 1000:6.2f} ms"
    return f"{name:26} {figures}   {len(run.times)} answers, {run.failed} failed"


# --- the pollers ------------------------------------------------------------------------------------------------------


def _polled(port: int, *, hanging: bool, seconds: float = RUN_S) -> Run:
    """All pollers, over as many processes as a panel has, which share limits, breaker and places."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traffic.sqlite3"
        SqlLimitStore(lambda: ephemeral_engine(path)).epoch("")
        pipes, ready = [spawn.Pipe() for _ in range(WORKERS)], spawn.Barrier(WORKERS)
        workers = [
            spawn.Process(target=_crowd, args=(theirs, ready, path, port, worker, hanging, seconds))
            for worker, (_, theirs) in enumerate(pipes)
        ]
        [worker.start() for worker in workers]
        runs = [ours.recv() for ours, _ in pipes]
        [worker.join() for worker in workers]
    return _pooled(runs)


def _crowd(pipe: Connection, ready: Barrier, path: Path, port: int, worker: int, hanging: bool, seconds: float) -> None:
    """One process's share of the pollers, each at its own moment."""
    run = Run([], 0, [])
    connector = Connector(
        allowed=lambda: (f"127.0.0.1:{port}",),
        limiter=Limiter(SqlLimitStore(lambda: ephemeral_engine(path))),
        deadline_s=DEADLINE_S,
    )
    roots = [f"http://127.0.0.1:{port}/{'hang' if hanging and n == 0 else n}" for n in range(SOURCES)]
    sources = [SourceConfig(f"s{n}", f"s{n}", f"S{n}", root, revision=1) for n, root in enumerate(roots)]
    chance = random.Random(worker)
    ready.wait()
    end = time.monotonic() + seconds
    pollers = [
        threading.Thread(target=_poll, args=(connector, sources[n % SOURCES], n, chance.random(), end, run))
        for n in range(worker * POLLERS // WORKERS, (worker + 1) * POLLERS // WORKERS)
    ]
    [poller.start() for poller in pollers]
    [poller.join() for poller in pollers]
    pipe.send(run)


def _poll(connector: Connector, source: SourceConfig, number: int, phase: float, end: float, run: Run) -> None:
    due = time.monotonic() + phase * min(EVERY_S, end - time.monotonic())
    caller, first = Caller("JSON", f"poller {number}"), source.id == "s0"
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        started = time.perf_counter()
        try:
            connector.open(source, caller).get("work_packages", str(number))
        except ProviderUnavailable:
            if first:
                run.refused.append(time.perf_counter() - started)
            else:
                run.failed += 1
        else:
            if not first:
                run.times.append(time.perf_counter() - started)
        due += EVERY_S


# --- the upstreams ----------------------------------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    asyncio.run(_listen(pipe))


async def _listen(pipe: Connection) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1000)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /hang" in head:
            await reader.read()
        else:
            writer.write(ANSWER % (len(BODY), BODY))
            await writer.drain()
    writer.close()
