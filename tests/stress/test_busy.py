"""Pollers of a source that hangs, beside a healthy one, in a served panel of one process."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from connector.faults import FaultServer
from machine import lag
from support import ALICE, MakeApp, Upstreams, api_token, openproject_values, xwiki_values
from web.agents import free_port

from panel.config import SERVER_THREADS
from panel.storage.engine import db

pytestmark = pytest.mark.alone

POLLERS = 40
RUN_S = 10.0
DEADLINE_S = 3.0
GRACE_S = 0.25
BUSY_MACHINE_S = 0.5
QUICK_S = 1.0
PAUSE_S = 0.2
START_S = 60


def _listen(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


@dataclass
class Times:
    """Seconds until each answer, by status."""

    answers: list[tuple[int, float]] = field(default_factory=list)

    @property
    def worst(self) -> float:
        return max(took for _, took in self.answers)


@dataclass(frozen=True)
class Served:
    port: int
    token: str

    def ask(self, path: str, times: Times) -> None:
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        times.answers.append((answer.status, time.monotonic() - started))

    def poll(self, path: str, times: Times, over: threading.Event) -> None:
        while not over.is_set():
            self.ask(path, times)
            over.wait(PAUSE_S)


@pytest.fixture
def hanging() -> Iterator[FaultServer]:
    server = FaultServer(greet=_listen)
    yield server
    server.close()


@pytest.fixture
def panel_process(make_app: MakeApp, upstreams: Upstreams, hanging: FaultServer, tmp_path: Path) -> Iterator[Served]:
    port = free_port()
    settings = {
        "PANEL_ALLOWED_PRIVATE_HOSTS": f"{upstreams.server.host_port},{hanging.host_port}",
        "PANEL_PORT": str(port),
        "PANEL_DEADLINE_S": str(DEADLINE_S),
    }
    app = make_app(**settings)
    with app.app_context():
        services = app.extensions["leafpanel"]
        services.sources.create(xwiki_values(upstreams, location=hanging.url), by=ALICE)
        services.sources.create(openproject_values(upstreams), by=ALICE)
    token = api_token(app, "write")
    with app.app_context():
        db.engine.dispose()
    environment = {**os.environ, **settings, "PANEL_INSTANCE_DIR": str(tmp_path / "instance")}
    command = [
        sys.executable, "-m", "gunicorn", "panel.wsgi:app", "--bind", f"127.0.0.1:{port}", "--worker-class", "panel.server.BufferingWorker",
        "--workers", "1", "--threads", str(SERVER_THREADS), "--no-control-socket", "--log-level", "warning",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=environment)
    try:
        _wait_for(port, process)
        yield Served(port, token)
    finally:
        process.terminate()
        process.wait(START_S)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise AssertionError("the panel did not start")


def test_pollers_of_a_hanging_source_are_answered_in_time_and_keep_no_other_waiting(
    panel_process: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    sick, healthy, over = Times(), Times(), threading.Event()
    well = "/api/integrations/openproject/available?search=gate"
    panel_process.ask(well, Times())
    paths = [f"/api/integrations/xwiki/available?search=word{number}" for number in range(POLLERS)]

    with lag() as machine:
        machine.worst()
        pollers = [threading.Thread(target=panel_process.poll, args=(path, sick, over)) for path in paths]
        pollers += [threading.Thread(target=panel_process.poll, args=(well, healthy, over)) for _ in range(2)]
        [poller.start() for poller in pollers]
        over.wait(RUN_S)
        over.set()
        [poller.join(START_S) for poller in pollers]
        late = machine.worst()

    with capsys.disabled():
        print(
            f"\n  {POLLERS} pollers: {len(sick.answers)} answers of the hanging source, the last after "
            f"{sick.worst:.2f} s of {DEADLINE_S + GRACE_S:.2f} s; {len(healthy.answers)} of the healthy one, the last "
            f"after {healthy.worst:.2f} s; the machine itself was up to {late * 1000:.0f} ms late"
        )
    assert {status for status, _ in sick.answers} == {503}
    assert {status for status, _ in healthy.answers} == {200}
    assert sick.worst <= DEADLINE_S + GRACE_S + BUSY_MACHINE_S + late
    assert healthy.worst <= QUICK_S + late
