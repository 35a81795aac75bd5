"""What a process costs: memory under load, the start of the server, the start of a command; beside bare Flask."""

from __future__ import annotations

import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks._http import Client, rate, request
from benchmarks._panel import (
    DEGRADED,
    PATH,
    ROOT,
    START_S,
    Instance,
    environment,
    free_port,
    gunicorn,
    instance,
    served,
    wait_until_open,
    workers_of,
)
from benchmarks._table import Rounds, Row, at_most
from benchmarks.mcp_list import CALL

NAMES = (
    "memory of a process under load (PSS)",
    "start of the server to its first answer",
    "console command source list",
)
ROUNDS = 3
SERVER = [sys.executable, "-m", "panel"]
COMMAND = [sys.executable, "-m", "flask", "--app", "wsgi", "source", "list"]
BARE_COMMAND = [sys.executable, "-c", "import flask.cli, sqlalchemy.orm"]
"""The floor of a command: the two libraries that no command does without."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, instance(Path(folder)) as ours:
        bodies = {"LEAFPANEL_BENCHMARK_BODIES": folder}
        for name in ("list", "failure"):
            (Path(folder) / f"{name}.json").write_text("{}")
        yield _memory(ours, bodies)
        yield _start(ours, bodies)
        yield _command(ours)


# --- memory -----------------------------------------------------------------------------------------------------------


def _memory(ours: Instance, bodies: dict[str, str]) -> Row:
    """The largest process of the server of `make serve`, after lists, pages and a call of an agent, while it is polled."""
    panel = _largest(SERVER, ours.settings, lambda port: _load(port, ours.token))
    port = free_port()
    floor = [_largest(gunicorn("benchmarks._floor:app", port, 2), bodies, _poll_floor, port) for _ in range(2)]
    return Rounds([panel], floor[:1], floor[1:]).row(NAMES[0], "{:.0f} MB", at_most(90, panel, "{:g} MB"))


def _largest(
    command: Sequence[str], settings: dict[str, str], load: Callable[[int], object], port: int | None = None
) -> float:
    port = port or free_port()
    with served(command, port, {**settings, "PANEL_PORT": str(port)}) as server:
        load(port)
        return max(_pss_mb(process) for process in [server.pid, *workers_of(server)])


def _pss_mb(process: int) -> float:
    """Proportional set size: memory that several processes share counts for each of them in part."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    assert found, rollup
    return int(found[1]) / 1000


def _load(port: int, token: str) -> None:
    call = request("/api/mcp", token, body=json.dumps(CALL).encode(), host=f"127.0.0.1:{port}")
    for _ in range(20):  # on connections of their own, so that each process gets some
        client = Client(port)
        client.get(request(PATH, token)), client.get(request(DEGRADED, token), b"503"), client.get(call)
        client.get(request("/admin/sign-in", token))
        client.close()
    rate(port, request(f"{PATH}?_limit=50", token), b"200", 1)


def _poll_floor(port: int) -> None:
    rate(port, request("/list", ""), b"200", 1)


# --- starts -----------------------------------------------------------------------------------------------------------


def _start(ours: Instance, bodies: dict[str, str]) -> Row:
    def panel() -> float:
        port = free_port()
        return _first_answer(SERVER, port, {**ours.settings, "PANEL_PORT": str(port)}, "/admin/")

    def floor() -> float:
        port = free_port()
        return _first_answer(gunicorn("benchmarks._floor:app", port, 2), port, bodies, "/list")

    rounds = _alternate(panel, floor)
    return rounds.row(NAMES[1], "{:.2f} s", at_most(1.5, statistics.median(rounds.ours), "{:g} s"))


def _first_answer(command: Sequence[str], port: int, settings: dict[str, str], path: str) -> float:
    started = time.monotonic()
    with served(command, port, settings) as server:
        wait_until_open(port, server)
        with socket.create_connection(("127.0.0.1", port), timeout=START_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = connection.recv(65536)
            took = time.monotonic() - started
    assert answer[9:12] in (b"200", b"302", b"303"), answer
    return took


def _command(ours: Instance) -> Row:
    rounds = _alternate(lambda: _run(COMMAND, ours.settings), lambda: _run(BARE_COMMAND, {}))
    return rounds.row(NAMES[2], "{:.2f} s", at_most(0.5, statistics.median(rounds.ours), "{:g} s"))


def _run(command: Sequence[str], settings: dict[str, str]) -> float:
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, env={**environment(), **settings}, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def _alternate(panel: Callable[[], float], floor: Callable[[], float]) -> Rounds:
    panel(), floor()  # compile what is not compiled yet
    return Rounds.of_each((panel(), floor(), floor()) for _ in range(ROUNDS))
