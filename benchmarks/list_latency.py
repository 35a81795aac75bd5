"""What the JSON list of fifty work packages costs, cold and warm, beside one bare request to the upstream."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from flask import Flask

from panel import create_app
from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import SCOPES, Principal
from panel.config import load
from panel.connector import Caller
from panel.core.domain import ObjectRef
from panel.links.service import Visitor
from panel.logs.audit import Actor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.services import Panel
from panel.storage.engine import alembic

LINKS, ROUNDS = 50, 100
ME = Actor("benchmark", "local", "console")
CASE = ObjectRef("demo", "case", "1")
PATH = "/api/objects/demo/case/1/integrations/openproject"

Ask = Callable[[], bytes]


def measure() -> list[str]:
    """Median and p95 of each, asked in turn, and the ratio to the floor."""
    with tempfile.TemporaryDirectory() as folder, _asks(Path(folder)) as asks:
        for name in ("cold", "warm"):
            items = json.loads(asks[name]())["items"]
            assert len(items) == LINKS
            assert {item["state"] for item in items} == {"live"}
        times = _alternating({**asks, "floor again": asks["floor"]})
    floor = statistics.median(times["floor"])
    names = {
        "floor": "one bare upstream request",
        "floor again": "the same (noise)",
        "cold": "JSON list, nothing kept",
        "warm": "JSON list, answers kept",
    }
    return [_line(names[name], times[name], floor) for name in names]


def _line(name: str, seconds: list[float], floor: float) -> str:
    middle, late = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    return f"{name:26} p50 {middle * 1000:7.2f} ms   p95 {late * 1000:7.2f} ms   × {middle / floor:5.2f}"


def _alternating(asks: dict[str, Ask]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(ROUNDS + 5):
        for name, ask in asks.items():
            started = time.perf_counter()
            ask()
            if number >= 5:
                times[name].append(time.perf_counter() - started)
    return times


@contextmanager
def _asks(folder: Path) -> Iterator[dict[str, Ask]]:
    """Two panels on one upstream, one that keeps answers and one that does not, and the bare upstream."""
    tracker = OpenProjectStandIn()
    server = RunningServer(mounted(openproject=tracker))
    ids = _added(tracker)
    cold, warm = (_panel(folder / ttl, server, ids, ttl) for ttl in ("0", "60"))
    filters = quote(json.dumps([{"id": {"operator": "=", "values": ids}}]))
    target = f"/openproject/api/v3/work_packages?filters={filters}&pageSize={LINKS}&offset=1"
    yield {"floor": lambda: _bare(server, target), "cold": cold, "warm": warm}
    server.close()


def _added(tracker: OpenProjectStandIn) -> list[str]:
    """Work packages in a project that the account of the benchmark sees."""
    packages = tracker.world.work_packages
    model = packages[101]
    for number in range(5001, 5001 + LINKS):
        packages[number] = replace(model, id=number, subject=f"Work package {number}")
    return [str(number) for number in range(5001, 5001 + LINKS)]


def _bare(server: RunningServer, target: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", target, headers={"Authorization": "Basic YXBpa2V5OlQ=", "Accept": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return body


def _panel(folder: Path, server: RunningServer, ids: list[str], ttl: str) -> Ask:
    settings = {"PANEL_INSTANCE_DIR": str(folder), "PANEL_CACHE_TTL_S": ttl}
    app: Flask = create_app(load({**settings, "PANEL_ALLOWED_PRIVATE_HOSTS": server.host_port}))
    with app.test_request_context():
        alembic.upgrade()
        services: Panel = app.extensions["leafpanel"]
        auth = {"type": "basic", "username": "apikey", "password": "T"}
        values = {"slug": "openproject", "name": "T", "location": f"{server.url}/openproject", "auth": auth}
        services.sources.create(values, by=ME)
        visitor = Visitor(Principal("benchmark", "local", SCOPES["write"]), Caller("benchmark", "benchmark"))
        for reference in ids:
            services.links.link(visitor, "openproject", CASE, reference)
        token = services.access.create_token(TokenRequest("benchmark", "read"), by=ME)
        headers = {"Authorization": f"Bearer {token}"}
    client = app.test_client()

    def ask() -> bytes:
        answer = client.get(PATH, headers=headers, query_string={"_limit": LINKS})
        assert answer.status_code == 200, answer.text
        return answer.data

    return ask
