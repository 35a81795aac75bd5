"""Latency of an agent's list over MCP, beside the JSON list, on the same server with one connection each."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks._http import Client, body_of, request
from benchmarks._panel import PATH, free_port, gunicorn, instance, served
from benchmarks._table import Rounds, Row, at_most, chunks

REQUESTS, LINKS, EXTRA_MS = 100, 20, 2
NAMES = (f"an agent's list of {LINKS} over MCP, beside JSON",)
CALL = {
    "jsonrpc": "2.0", "id": 1, "method": "tools/call",
    "params": {"name": "openregister.integrations", "arguments": {
        "action": "list", "integrationId": "openproject", "register": "demo", "schema": "case", "objectId": "1",
    }},
}  # fmt: skip


def measure() -> Iterator[Row]:
    """Both medians. Requests alternate, so that other load affects both equally."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(instance(Path(folder), links=LINKS, ttl="0"))
        port = free_port()
        settings = {**ours.settings, "PANEL_PORT": str(port)}
        stack.enter_context(served(gunicorn("panel.wsgi:app", port, 1), port, settings))
        json_list = request(PATH, ours.token)
        mcp_list = request("/api/mcp", ours.token, body=json.dumps(CALL).encode(), host=f"127.0.0.1:{port}")
        clients = Client(port), Client(port), Client(port)
        by_mcp, by_json = json.loads(body_of(clients[0].get(mcp_list))), json.loads(body_of(clients[1].get(json_list)))
        assert by_mcp["result"]["structuredContent"] == by_json
        times = _alternate(list(zip(clients, (mcp_list, json_list, json_list), strict=True)))
    panel, floor, again = map(chunks, times)
    rounds = Rounds(panel, floor, again)
    extra = statistics.median(times[0]) - statistics.median(times[1])
    yield rounds.row(NAMES[0], "{:.1f} ms", at_most(EXTRA_MS, extra, "JSON + {:g} ms"))


def _alternate(requests: list[tuple[Client, bytes]]) -> list[list[float]]:
    """Milliseconds of each request."""
    times: list[list[float]] = [[] for _ in requests]
    for number in range(REQUESTS + 10):
        for (client, sent), column in zip(requests, times, strict=True):
            started = time.perf_counter()
            client.get(sent)
            if number >= 10:
                column.append((time.perf_counter() - started) * 1000)
    return times
