"""What an agent's list costs beside the JSON list: the same question, on the same server, one connection each."""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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

ME = Actor("benchmark", "local", "console")
ROOT = Path(__file__).parent.parent
ROUNDS = 200
LINKS = 20
CASE = "/api/objects/demo/case/1/integrations/openproject"
CALL = {
    "jsonrpc": "2.0", "id": 1, "method": "tools/call",
    "params": {"name": "openregister.integrations", "arguments": {
        "action": "list", "integrationId": "openproject", "register": "demo", "schema": "case", "objectId": "1",
    }},
}  # fmt: skip


def measure() -> list[str]:
    """Medians of both, their ratio, and the JSON list against itself as the noise of the measurement."""
    with ExitStack() as stack:
        ask_json, ask_mcp = stack.enter_context(_panel())
        assert json.loads(ask_mcp())["result"]["structuredContent"] == json.loads(ask_json())
        times = _alternating([ask_json, ask_mcp, ask_json])
    polled, told, again = (statistics.median(column) * 1000 for column in times)
    return [
        f"JSON list, {LINKS} work packages   {polled:6.2f} ms (median of {ROUNDS})",
        f"MCP list, the same question   {told:6.2f} ms (median of {ROUNDS})",
        f"MCP over JSON                 {told / polled:6.2f}",
        f"JSON over JSON (noise)        {again / polled:6.2f}",
    ]


def _alternating(asks: list[Callable[[], bytes]]) -> list[list[float]]:
    """Times of each, asked in turn, so that what else the machine does falls on all alike."""
    times: list[list[float]] = [[] for _ in asks]
    for number in range(ROUNDS + 10):
        for ask, column in zip(asks, times, strict=True):
            start = time.perf_counter()
            ask()
            if number >= 10:
                column.append(time.perf_counter() - start)
    return times


@contextmanager
def _panel() -> Iterator[tuple[Callable[[], bytes], Callable[[], bytes]]]:
    """A panel as it is served, with a tracker of its own; how to ask it through JSON and through MCP."""
    tracker = OpenProjectStandIn()
    numbers = tracker.add_many(LINKS, 1)
    upstream, port = RunningServer(mounted(openproject=tracker)), _free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "PANEL_INSTANCE_DIR": folder, "PANEL_PORT": str(port), "PANEL_CACHE_TTL_S": "0",
            "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port,
        }  # fmt: skip
        token = _prepared(settings, f"{upstream.url}/openproject", numbers)
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread",
             "--threads", "8", "--no-control-socket", "--log-level", "warning"],
            cwd=ROOT, env={**os.environ, **settings},
        )  # fmt: skip
        try:
            _wait_for(port, server)
            yield _asker(port, token, "GET", CASE, None), _asker(port, token, "POST", "/api/mcp", json.dumps(CALL))
        finally:
            server.terminate()
            server.wait(30)
            upstream.close()


def _prepared(settings: dict[str, str], location: str, numbers: list[int]) -> str:
    app = create_app(load(settings))
    with app.app_context():
        alembic.upgrade()
        services: Panel = app.extensions["leafpanel"]
        auth = {"type": "basic", "username": "apikey", "password": "T"}
        services.sources.create({"slug": "openproject", "name": "P", "location": location, "auth": auth}, by=ME)
        who = Visitor(Principal("bench", "local", SCOPES["write"]), Caller("test", "bench"))
        for number in numbers:
            services.links.link(who, "openproject", ObjectRef("demo", "case", "1"), str(number))
        return services.access.create_token(TokenRequest("bench", "read"), by=ME)


def _asker(port: int, token: str, method: str, path: str, body: str | None) -> Callable[[], bytes]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask() -> bytes:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return text

    return ask


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/openapi.json")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("the panel did not start")


if __name__ == "__main__":
    print("\n".join(measure()))
