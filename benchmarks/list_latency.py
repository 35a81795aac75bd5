"""Latency and processor time of an uncached list of fifty work packages, beside one bare request to the upstream."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from benchmarks._http import Client, body_of, request
from benchmarks._panel import LINKS, PATH, Instance, free_port, gunicorn, instance, served, workers_of
from benchmarks._table import Rounds, Row, at_most

REQUESTS, ROUNDS = 30, 5
NAMES = (f"list of {LINKS}, nothing kept: p50", f"list of {LINKS}, nothing kept: processor time")
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


@dataclass
class Times:
    """Milliseconds per request, and of processor time per request, of one side."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure() -> Iterator[Row]:
    """Alternate rounds of requests to a panel without cache and to its upstream."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(instance(Path(folder), ttl="0"))
        port = free_port()
        server = stack.enter_context(served(gunicorn("panel.wsgi:app", port, 1), port, ours.settings))
        (worker,) = workers_of(server)
        panel, floor, again = Times(), Times(), Times()
        for _ in range(ROUNDS):
            _lists(port, ours.token, worker, panel)
            _bare(ours, floor)
            _bare(ours, again)
    wall = Rounds(panel.wall, floor.wall, again.wall)
    yield wall.row(NAMES[0], "{:.1f} ms", at_most(2.5, wall.cost(), "× {:.1f}"))
    cpu = Rounds(panel.cpu, floor.cpu, again.cpu)
    yield cpu.row(NAMES[1], "{:.1f} ms", at_most(5, statistics.median(panel.cpu), "{:g} ms"))


def _lists(port: int, token: str, worker: int, times: Times) -> None:
    client, sent = Client(port), request(PATH, token)
    items = json.loads(body_of(client.get(sent)))["items"]
    assert [item["state"] for item in items] == ["live"] * LINKS
    before, walls = _cpu_ms(worker), []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        client.get(sent)
        walls.append(time.perf_counter() - started)
    times.cpu.append((_cpu_ms(worker) - before) / REQUESTS)
    times.wall.append(statistics.median(walls) * 1000)
    client.close()


def _cpu_ms(process: int) -> float:
    """Processor time of all threads of a process. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * TICK_MS


def _bare(ours: Instance, times: Times) -> None:
    """The request that the list needs, with a connection of its own and its JSON parsed."""
    filters = quote(json.dumps([{"id": {"operator": "=", "values": ours.numbers}}]))
    target = f"/openproject/api/v3/work_packages?filters={filters}&pageSize={LINKS}&offset=1"
    walls, before = [], time.thread_time()
    for _ in range(REQUESTS):
        started = time.perf_counter()
        _upstream_list(ours.upstream.port, target)
        walls.append(time.perf_counter() - started)
    times.cpu.append((time.thread_time() - before) * 1000 / REQUESTS)
    times.wall.append(statistics.median(walls) * 1000)


def _upstream_list(port: int, target: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", target, headers={"Authorization": "Basic YXBpa2V5OlQ=", "Accept": "application/json"})
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    assert response.status == 200, body
