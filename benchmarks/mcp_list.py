"""Latency of the MCP list relative to the JSON list, on the same server with one connection each."""

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
from panel.links.visitor import Visitor
from panel.logs.audit import Actor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.services import Panel
from panel.storage.engine import alembic

ACTOR = Actor("benchmark", "local", "console")
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
    """Return both medians, their ratio, and the ratio of two JSON runs as the noise of the measurement."""
    with ExitStack() as stack:
        json_list, mcp_list = stack.enter_context(_running_panel())
        assert json.loads(mcp_list())["result"]["structuredContent"] == json.loads(json_list())
        times = _alternate([json_list, mcp_list, json_list])
    json_ms, mcp_ms, json_again_ms = (statistics.median(column) * 1000 for column in times)
    return [
        f"JSON list, {LINKS} work packages   {json_ms:6.2f} ms (median of {ROUNDS})",
        f"MCP list, same arguments      {mcp_ms:6.2f} ms (median of {ROUNDS})",
        f"MCP over JSON                 {mcp_ms / json_ms:6.2f}",
        f"JSON over JSON (noise)        {json_again_ms / json_ms:6.2f}",
    ]


def _alternate(requests: list[Callable[[], bytes]]) -> list[list[float]]:
    """Return the times of each request. They alternate, so that other load affects all of them equally."""
    times: list[list[float]] = [[] for _ in requests]
    for number in range(ROUNDS + 10):
        for send, column in zip(requests, times, strict=True):
            start = time.perf_counter()
            send()
            if number >= 10:
                column.append(time.perf_counter() - start)
    return times


@contextmanager
def _running_panel() -> Iterator[tuple[Callable[[], bytes], Callable[[], bytes]]]:
    """Run a panel under gunicorn and yield functions that request the list through JSON and through MCP."""
    tracker = OpenProjectStandIn()
    numbers = tracker.add_many(LINKS, 1)
    upstream, port = RunningServer(mounted(openproject=tracker)), _free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "PANEL_INSTANCE_DIR": folder, "PANEL_PORT": str(port), "PANEL_CACHE_TTL_S": "0",
            "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port,
        }  # fmt: skip
        token = _set_up(settings, f"{upstream.url}/openproject", numbers)
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}", "--worker-class",
             "panel.server.BufferingWorker", "--threads", "8", "--no-control-socket", "--log-level", "warning"],
            cwd=ROOT, env={**os.environ, **settings},
        )  # fmt: skip
        try:
            _wait_for(port, server)
            yield _request(port, token, "GET", CASE, None), _request(port, token, "POST", "/api/mcp", json.dumps(CALL))
        finally:
            server.terminate()
            server.wait(30)
            upstream.close()


def _set_up(settings: dict[str, str], location: str, numbers: list[int]) -> str:
    app = create_app(load(settings))
    with app.app_context():
        alembic.upgrade()
        services: Panel = app.extensions["leafpanel"]
        auth = {"type": "basic", "username": "apikey", "password": "T"}
        services.sources.create({"slug": "openproject", "name": "P", "location": location, "auth": auth}, by=ACTOR)
        visitor = Visitor(Principal("bench", "local", SCOPES["write"]), Caller("test", "bench"))
        for number in numbers:
            services.links.link(visitor, "openproject", ObjectRef("demo", "case", "1"), str(number))
        return services.api_tokens.create_token(TokenRequest("bench", "read"), by=ACTOR)


def _request(port: int, token: str, method: str, path: str, body: str | None) -> Callable[[], bytes]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send() -> bytes:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, text
        return text

    return send


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
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
