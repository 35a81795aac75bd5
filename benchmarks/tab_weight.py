"""What the tab of work packages costs a browser on the network, cold and opened again, beside the list as JSON."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks._http import Client, body_of, request
from benchmarks._panel import ACTOR, PATH, Instance, free_port, gunicorn, instance, served
from benchmarks._table import Row, at_most
from panel.services import Panel

ROWS = {5: 60, 50: 90}
"""The goal in kB for each number of rows."""
NAMES = (*(f"tab with {rows} rows, cold, over the wire" for rows in ROWS), "the same tab opened again, requests")
PASSWORD = "a password for the benchmark"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"]


class Traffic:
    """What a page transfers, as the browser's network service counts it; answers of its cache do not count."""

    def __init__(self, session: CDPSession) -> None:
        self.bytes: dict[str, int] = {}
        self._cached: set[str] = set()
        session.send("Network.enable")
        session.on("Network.responseReceived", self._on_response)
        session.on("Network.requestServedFromCache", lambda event: self._cached.add(event["requestId"]))
        session.on("Network.loadingFinished", self._on_end)

    def _on_response(self, event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            self._cached.add(event["requestId"])

    def _on_end(self, event: dict[str, Any]) -> None:
        if event["requestId"] not in self._cached:
            self.bytes[event["requestId"]] = int(event["encodedDataLength"])


def measure() -> Iterator[Row]:
    for what, (rows, goal) in zip(NAMES, ROWS.items(), strict=False):
        first, again, json_kb = _opened(rows)
        ours = sum(first) / 1000
        yield Row(
            what, f"{ours:.0f} kB", f"{json_kb:.0f} kB", f"× {ours / json_kb:.1f}", goal=at_most(goal, ours, "{:g} kB")
        )
    yield Row(NAMES[-1], str(len(again)), "1", f"× {len(again)}", goal=at_most(1, len(again)))


def _opened(rows: int) -> tuple[list[int], list[int], float]:
    """Bytes of each request of the first and of the second opening, and kB of the list as compressed JSON."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(instance(Path(folder), links=rows))
        _add_person(ours)
        port = free_port()
        settings = {**ours.settings, "PANEL_PORT": str(port)}
        stack.enter_context(served(gunicorn("panel.wsgi:app", port, 1), port, settings))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
            page = browser.new_page()
            tab = f"http://127.0.0.1:{port}{PATH.removeprefix('/api')}"
            _sign_in(page, tab)
            first, again = _open(page, tab), _open(page, tab, is_cold=False)
            assert page.locator(".lp-row").count() == rows
            browser.close()
        client = Client(port)
        body = body_of(client.get(request(PATH, ours.token)))
        client.close()
    return first, again, len(gzip.compress(body)) / 1000


def _add_person(ours: Instance) -> None:
    app = ours.app()
    with app.test_request_context():
        services: Panel = app.extensions["leafpanel"]
        services.people.create("alice", PASSWORD, role="admin", by=ACTOR)


def _sign_in(page: Page, tab: str) -> None:
    page.goto(tab)
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(tab)


def _open(page: Page, tab: str, *, is_cold: bool = True) -> list[int]:
    session = page.context.new_cdp_session(page)
    if is_cold:
        session.send("Network.clearBrowserCache")
    page.goto("about:blank")
    traffic = Traffic(session)
    page.goto(tab)
    page.wait_for_load_state("networkidle")
    session.detach()
    return list(traffic.bytes.values())
