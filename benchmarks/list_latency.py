"""Latency of the JSON list of fifty work packages, uncached and cached, relative to one upstream request."""

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
from panel.links.visitor import Visitor
from panel.logs.audit import Actor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.services import Panel
from panel.storage.engine import alembic

LINKS, ROUNDS = 50, 100
ACTOR = Actor("benchmark", "local", "console")
CASE = ObjectRef("demo", "case", "1")
PATH = "/api/objects/demo/case/1/integrations/openproject"

Request = Callable[[], bytes]


def measure() -> list[str]:
    """Return median, p95 and ratio to the upstream request, measured in alternation."""
    with tempfile.TemporaryDirectory() as folder, _requests(Path(folder)) as requests:
        for name in ("cold", "warm"):
            items = json.loads(requests[name]())["items"]
            assert len(items) == LINKS
            assert {item["state"] for item in items} == {"live"}
        times = _alternate({**requests, "floor again": requests["floor"]})
    floor = statistics.median(times["floor"])
    names = {
        "floor": "one upstream request",
        "floor again": "the same (noise)",
        "cold": "JSON list, uncached",
        "warm": "JSON list, cached",
    }
    return [_line(names[name], times[name], floor) for name in names]


def _line(name: str, seconds: list[float], floor: float) -> str:
    p50, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    return f"{name:26} p50 {p50 * 1000:7.2f} ms   p95 {p95 * 1000:7.2f} ms   × {p50 / floor:5.2f}"


def _alternate(requests: dict[str, Request]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in requests}
    for number in range(ROUNDS + 5):
        for name, request in requests.items():
            started = time.perf_counter()
            request()
            if number >= 5:
                times[name].append(time.perf_counter() - started)
    return times


@contextmanager
def _requests(folder: Path) -> Iterator[dict[str, Request]]:
    """Yield functions that request the upstream, a panel without cache and a panel with cache."""
    tracker = OpenProjectStandIn()
    server = RunningServer(mounted(openproject=tracker))
    ids = add_work_packages(tracker)
    cold, warm = (_panel_request(folder / ttl, server, ids, ttl) for ttl in ("0", "60"))
    filters = quote(json.dumps([{"id": {"operator": "=", "values": ids}}]))
    target = f"/openproject/api/v3/work_packages?filters={filters}&pageSize={LINKS}&offset=1"
    yield {"floor": lambda: _upstream_request(server, target), "cold": cold, "warm": warm}
    server.close()


def add_work_packages(tracker: OpenProjectStandIn) -> list[str]:
    """Add work packages to a project that the benchmark's account can read and return their ids."""
    packages = tracker.world.work_packages
    template = packages[101]
    for number in range(5001, 5001 + LINKS):
        packages[number] = replace(template, id=number, subject=f"Work package {number}")
    return [str(number) for number in range(5001, 5001 + LINKS)]


def _upstream_request(server: RunningServer, target: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", target, headers={"Authorization": "Basic YXBpa2V5OlQ=", "Accept": "application/json"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, body
    return body


def _panel_request(folder: Path, server: RunningServer, ids: list[str], ttl: str) -> Request:
    settings = {"PANEL_INSTANCE_DIR": str(folder), "PANEL_CACHE_TTL_S": ttl}
    app: Flask = create_app(load({**settings, "PANEL_ALLOWED_PRIVATE_HOSTS": server.host_port}))
    with app.test_request_context():
        alembic.upgrade()
        services: Panel = app.extensions["leafpanel"]
        auth = {"type": "basic", "username": "apikey", "password": "T"}
        values = {"slug": "openproject", "name": "T", "location": f"{server.url}/openproject", "auth": auth}
        services.sources.create(values, by=ACTOR)
        visitor = Visitor(Principal("benchmark", "local", SCOPES["write"]), Caller("benchmark", "benchmark"))
        for reference in ids:
            services.links.link(visitor, "openproject", CASE, reference)
        token = services.api_tokens.create_token(TokenRequest("benchmark", "read"), by=ACTOR)
        headers = {"Authorization": f"Bearer {token}"}
    client = app.test_client()

    def request() -> bytes:
        response = client.get(PATH, headers=headers, query_string={"_limit": LINKS})
        assert response.status_code == 200, response.text
        return response.data

    return request
