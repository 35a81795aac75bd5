"""Panels of the benchmarks: an instance with linked work packages of a stand-in, and servers that run it."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flask import Flask

from panel import create_app
from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import SCOPES, Principal
from panel.config import SERVER_THREADS, load
from panel.connector import Caller
from panel.core.domain import ObjectRef
from panel.links.visitor import Visitor
from panel.logs.audit import Actor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.services import Panel
from panel.storage.migrations import alembic

ROOT = Path(__file__).parent.parent
ACTOR = Actor("benchmark", "local", "console")
CASE = ObjectRef("demo", "case", "1")
PATH = "/api/objects/demo/case/1/integrations/openproject"
DEGRADED = PATH.replace("openproject", "xwiki")
LINKS = 50
START_S = 30
WORD = "Aanvraag"
"""In the title of each work package."""
WORDS = (
    "Advies", "beoordelen", "bezwaar", "brug", "college", "dakkapel", "gemeente", "haven", "inspraak", "kade",
    "Kerkstraat", "lantaarn", "Marktplein", "nota", "omgeving", "overleg", "parkeren", "raad", "riool", "toets", "vergunning",
)  # fmt: skip
"""Words of titles that resemble each other no more than real ones, because answers are compressed."""


@dataclass(frozen=True)
class Instance:
    """An instance folder with a source, linked work packages and a token, and the upstream of the source."""

    settings: dict[str, str]
    token: str
    upstream: RunningServer
    numbers: list[str]

    def app(self) -> Flask:
        return create_app(load(self.settings))


@contextmanager
def instance(
    folder: Path, *, links: int = LINKS, ttl: str = "3000", tracker: OpenProjectStandIn | None = None, **settings: str
) -> Iterator[Instance]:
    """A panel with one source and ``links`` links of one object; the other source is missing."""
    tracker = tracker or OpenProjectStandIn()
    numbers = add_work_packages(tracker, links)
    upstream = RunningServer(mounted(openproject=tracker))
    own = {
        "PANEL_INSTANCE_DIR": str(folder),
        "PANEL_CACHE_TTL_S": ttl,
        "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port,
        **settings,
    }
    try:
        yield Instance(own, _set_up(create_app(load(own)), upstream, numbers), upstream, numbers)
    finally:
        upstream.close()


def add_work_packages(tracker: OpenProjectStandIn, count: int) -> list[str]:
    """Add work packages to a project that the benchmark's account can read and return their ids."""
    packages, chance = tracker.world.work_packages, random.Random(count)
    template = packages[101]
    for number in range(5001, 5001 + count):
        packages[number] = replace(template, id=number, subject=" ".join([WORD, *chance.choices(WORDS, k=5)]))
    return [str(number) for number in range(5001, 5001 + count)]


def _set_up(app: Flask, upstream: RunningServer, numbers: Sequence[str]) -> str:
    with app.test_request_context():
        alembic.upgrade()
        services: Panel = app.extensions["leafpanel"]
        auth = {"type": "basic", "username": "apikey", "password": "T"}
        values = {"slug": "openproject", "name": "T", "location": f"{upstream.url}/openproject", "auth": auth}
        services.sources.create(values, by=ACTOR)
        visitor = Visitor(Principal("benchmark", "local", SCOPES["write"]), Caller("benchmark", "benchmark"))
        for number in numbers:
            services.links.link(visitor, "openproject", CASE, number)
        return services.api_tokens.create_token(TokenRequest("benchmark", "read"), by=ACTOR)


def gunicorn(application: str, port: int, workers: int) -> list[str]:
    """The server of `make serve`."""
    return [
        sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", "--workers", str(workers),
        "--worker-class", "panel.server.BufferingWorker", "--threads", str(SERVER_THREADS), "--log-level", "warning",
        "--no-control-socket",
    ]  # fmt: skip


@contextmanager
def served(command: Sequence[str], port: int, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers, until the end of the block."""
    process = subprocess.Popen(command, env={**environment(), **settings}, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until_open(port, process)
        yield process
    finally:
        process.terminate()
        process.wait()


def environment() -> dict[str, str]:
    """That of this process without settings of the panel."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PANEL_")}


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nothing answers on port {port}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of the children, with their children."""
    found, ahead = [], [process.pid]
    while ahead:
        text = Path(f"/proc/{ahead[0]}/task/{ahead[0]}/children").read_text()
        children = [int(word) for word in text.split()]
        ahead = [*ahead[1:], *children]
        found += children
    return found
