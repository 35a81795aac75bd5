"""What the tab costs a browser on the network: bytes of the first opening, requests of the next."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import requests
from playwright.sync_api import CDPSession, Page

pytestmark = pytest.mark.browser

Running = Any  # what the fixture `running` gives; conftest modules cannot be imported by name
TRACKER = "integrations/openproject"
PROJECT = "11"
KB = 1000
WORDS = (
    "Advies", "aanvraag", "beoordelen", "bezwaar", "brug", "college", "dakkapel", "gemeente", "haven", "inspraak", "kade",
    "Kerkstraat", "lantaarn", "Marktplein", "nota", "omgeving", "overleg", "parkeren", "raad", "riool", "toets", "vergunning",
)  # fmt: skip


@pytest.fixture(scope="module")
def panel(running: Running) -> Running:
    for line in running.imports():
        assert running.shell(line).returncode == 0
    return running


class Traffic:
    """What a page transfers, as the browser's network service counts it; answers of its cache do not count."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._bytes: dict[str, int] = {}
        self._cached: set[str] = set()
        self.addresses: dict[str, str] = {}
        self._session.send("Network.enable")
        self._session.on("Network.responseReceived", self._on_response)
        self._session.on("Network.requestServedFromCache", lambda event: self._cached.add(event["requestId"]))
        self._session.on("Network.loadingFinished", self._on_end)

    def _on_response(self, event: dict[str, Any]) -> None:
        self.addresses[event["requestId"]] = event["response"]["url"]
        if event["response"].get("fromDiskCache"):
            self._cached.add(event["requestId"])

    def _on_end(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = int(event["encodedDataLength"])

    def empty_cache(self) -> None:
        self._session.send("Network.clearBrowserCache")

    def begin(self) -> None:
        for seen in (self._bytes, self._cached, self.addresses):
            seen.clear()

    def transferred(self) -> dict[str, int]:
        """Bytes by address, with headers."""
        return {self.addresses[one]: size for one, size in self._bytes.items() if one not in self._cached}


@pytest.fixture
def traffic(page: Page) -> Traffic:
    return Traffic(page)


def tab_with(panel: Running, rows: int) -> str:
    """The path of a tab with new work packages, whose titles resemble each other no more than real ones."""
    chance, path = random.Random(rows), f"/objects/weight/case/{rows}/{TRACKER}"
    for _ in range(rows):
        values = {"projectId": PROJECT, "subject": " ".join(chance.choices(WORDS, k=6)).capitalize()}
        answer = requests.post(f"{panel.url}/api{path}/new", json=values, headers=panel.token("write"), timeout=30)
        assert answer.status_code == 201, answer.text
    return path


def opened(page: Page, traffic: Traffic, url: str) -> dict[str, int]:
    page.goto("about:blank")
    traffic.begin()
    page.goto(url)
    page.wait_for_load_state("networkidle")
    return traffic.transferred()


@pytest.mark.parametrize(("rows", "most_bytes"), [(5, 60 * KB), (50, 90 * KB)])
def test_the_first_opening_of_a_tab_is_light_and_the_next_is_one_request(
    panel: Running, sign_in: Callable[[str], Page], traffic: Traffic, rows: int, most_bytes: int
) -> None:
    path = tab_with(panel, rows)
    page = sign_in(path)
    assert page.locator(".lp-row").count() == rows

    traffic.empty_cache()
    first = opened(page, traffic, f"{panel.url}{path}")
    again = opened(page, traffic, f"{panel.url}{path}")

    assert {address.partition("?")[0].rpartition("/")[2] for address in first} == {
        "openproject", "bootstrap.css", "leafpanel.css", "theme.js", "htmx.min.js", "tab.js", "picker.js", "live.js", "seen.js",
    }  # fmt: skip
    assert min(first.values()) > 500, "a file came from a cache"
    assert sum(first.values()) <= most_bytes, first
    assert list(again) == [f"{panel.url}{path}"]


def test_a_tab_in_a_frame_is_as_light(panel: Running, page: Page, traffic: Traffic) -> None:
    number = tab_with(panel, 6).split("/")[4]
    panel.flask("embed-app", "create", "Cases", "--origin", "http://localhost:1")
    made = panel.flask("embed-url", "weight", "case", number, "--app", "Cases", "--can", "view,link,unlink", "--json")
    url = json.loads(made.stdout)["url"].replace("?", f"/{TRACKER}?")

    first, again = opened(page, traffic, url), opened(page, traffic, url)

    assert page.locator(".lp-row").count() == 6
    assert len(first) > 5
    assert sum(first.values()) <= 60 * KB, first
    assert len(again) == 1
