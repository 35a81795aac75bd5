"""Polls per second on the server of `make serve`, relative to a bare Flask route with the same body on that server."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.list_latency import ACTOR, CASE, LINKS, PATH, add_work_packages
from panel import create_app
from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import SCOPES, Principal
from panel.config import SERVER_THREADS, load
from panel.connector import Caller
from panel.links.visitor import Visitor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.services import Panel
from panel.storage.engine import alembic

ROUNDS, SECONDS, CONNECTIONS, WORKERS = 5, 2.0, 8, 2
DEGRADED = PATH.replace("openproject", "xwiki")
CACHE_S = "3000"


@dataclass(frozen=True)
class Case:
    name: str
    ours: bytes
    floor: bytes
    status: bytes


def measure() -> list[str]:
    """Return polls per second of both, and the ratio: median of the rounds, in which both are measured in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        token, upstream = _set_up(Path(folder))
        stack.callback(upstream.close)
        panel, floor = _free_port(), _free_port()
        settings = {"PANEL_INSTANCE_DIR": folder, "PANEL_CACHE_TTL_S": CACHE_S, "PANEL_PORT": str(panel)}
        settings |= {"PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port, "LEAFPANEL_BENCHMARK_BODIES": folder}
        stack.enter_context(_served("panel.wsgi:app", panel, settings))
        bodies = {"list": _get(panel, _request(PATH, token)), "failure": _get(panel, _request(DEGRADED, token))}
        for name, body in bodies.items():
            (Path(folder) / f"{name}.json").write_bytes(body.partition(b"\r\n\r\n")[2])
        stack.enter_context(_served("benchmarks._floor:app", floor, settings))
        etag = next(line[6:] for line in bodies["list"].decode().split("\r\n") if line.lower().startswith("etag: "))
        cases = [
            Case("degraded 503", _request(DEGRADED, token), _request("/failure", token), b"503"),
            Case(f"list of {LINKS}, kept", _request(PATH, token), _request("/list", token), b"200"),
            Case("304 of that list", _request(PATH, token, etag), _request("/unchanged", token, etag), b"304"),
        ]
        return [_line(case, _rounds(case, panel, floor)) for case in cases]


def _rounds(case: Case, panel: int, floor: int) -> list[tuple[float, float, float]]:
    """Polls per second of the panel, of the floor, and of the floor again."""
    _rate(panel, case.ours, case.status, 0.5), _rate(floor, case.floor, case.status, 0.5)
    return [
        (
            _rate(panel, case.ours, case.status, SECONDS),
            _rate(floor, case.floor, case.status, SECONDS),
            _rate(floor, case.floor, case.status, SECONDS),
        )
        for _ in range(ROUNDS)
    ]


def _line(case: Case, rounds: list[tuple[float, float, float]]) -> str:
    ours, floor = statistics.median(r[0] for r in rounds), statistics.median(r[1] for r in rounds)
    ratios = [floor_rate / our_rate for our_rate, floor_rate, _ in rounds]
    noise = statistics.median(again / floor_rate for _, floor_rate, again in rounds)
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    return (
        f"{case.name:22} {ours:6.0f}/s   floor {floor:6.0f}/s   floor / ours {statistics.median(ratios):5.2f} "
        f"({spread})   floor / floor {noise:.2f}"
    )


# --- the clients ------------------------------------------------------------------------------------------------------


def _request(path: str, token: str, etag: str = "") -> bytes:
    condition = f"If-None-Match: {etag}\r\n" if etag else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{condition}\r\n".encode()


def _rate(port: int, request: bytes, status: bytes, seconds: float) -> float:
    """Answers per second to CONNECTIONS clients that ask again as soon as they are answered."""
    counts = [0] * CONNECTIONS
    end = time.monotonic() + seconds

    def ask(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            while time.monotonic() < end:
                answer = _exchange(connection, request)
                assert answer[9:12] == status, answer[:400]
                counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CONNECTIONS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return sum(counts) / seconds


def _get(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return _exchange(connection, request)


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    answer = _received(connection)
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, _, _ = answer.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0)
    while len(answer) < len(head) + 4 + length:
        answer += _received(connection)
    return answer


def _received(connection: socket.socket) -> bytes:
    """What arrived, at least one byte. Raises ConnectionError where the server has closed the connection."""
    received = connection.recv(65536)
    if not received:
        raise ConnectionError("the server closed the connection")
    return received


# --- the servers ------------------------------------------------------------------------------------------------------


def _set_up(folder: Path) -> tuple[str, RunningServer]:
    """A panel with fifty links of one source, the other source missing. Returns a token and the upstream."""
    tracker = OpenProjectStandIn()
    upstream = RunningServer(mounted(openproject=tracker))
    app = create_app(load({"PANEL_INSTANCE_DIR": str(folder), "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port}))
    with app.test_request_context():
        alembic.upgrade()
        services: Panel = app.extensions["leafpanel"]
        auth = {"type": "basic", "username": "apikey", "password": "T"}
        values = {"slug": "openproject", "name": "T", "location": f"{upstream.url}/openproject", "auth": auth}
        services.sources.create(values, by=ACTOR)
        visitor = Visitor(Principal("benchmark", "local", SCOPES["write"]), Caller("benchmark", "benchmark"))
        for reference in add_work_packages(tracker):
            services.links.link(visitor, "openproject", CASE, reference)
        return services.api_tokens.create_token(TokenRequest("benchmark", "read"), by=ACTOR), upstream


@contextmanager
def _served(application: str, port: int, settings: dict[str, str]) -> Iterator[None]:
    command = [
        sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS),
        "--worker-class", "panel.server.BufferingWorker", "--threads", str(SERVER_THREADS), "--log-level", "warning",
        "--no-control-socket",
    ]  # fmt: skip
    process = subprocess.Popen(command, env={**os.environ, **settings})
    try:
        _wait_until_open(port)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_until_open(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
