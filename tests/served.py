"""The panel as `make serve` starts it, as child processes of the tests."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_S, ANSWER_S = 60, 10


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    took: float
    """Seconds, connection included."""


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[bytes]

    def get(self, path: str = "/admin/sign-in") -> Response:
        return request(self.port, "GET", path)


def request(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Response:
    """A request to 127.0.0.1 on a connection of its own."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request(method, path, body, {"Host": "localhost", **(headers or {})})
        answer = connection.getresponse()
        return Response(answer.status, answer.headers, answer.read(), time.monotonic() - started)
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Server]:
    """A panel with its data in ``folder``."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANEL_")}
    own = {"PANEL_INSTANCE_DIR": str(folder / "instance"), "PANEL_PORT": str(port), **settings}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "panel"], cwd=ROOT, env={**inherited, **own}, stdout=log, stderr=log
        )
    try:
        wait_until_answered(port, process)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(30)


def wait_until_answered(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        with suppress(OSError, http.client.HTTPException):
            request(port, "GET", "/admin/sign-in")
            return
        assert process.poll() is None, f"{process.args} ended by itself"
        assert time.monotonic() < end, f"{process.args} did not start"
        time.sleep(0.05)
