"""A tab that stays open: it refreshes itself, tells of an outage and of its end, and moves nothing under the hands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import requests
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

OBJECT = "/objects/live/case"
TRACKER = "integrations/openproject"
NUMBERS = ("1512", "1528")


@pytest.fixture(scope="module")
def panel(start_panel):
    # Answers are not kept, so that a refresh shows an outage at once.
    with start_panel(PANEL_CACHE_TTL_S="0") as running:
        for line in running.imports():
            assert running.shell(line).returncode == 0
        yield running


@pytest.fixture(scope="module")
def running(panel):
    return panel


@pytest.fixture
def fault(panel) -> Iterator[Callable[[str], None]]:
    def set_(name: str) -> None:
        requests.post(f"{panel.sandbox}/openproject/_sandbox/fault", data={"name": name}, timeout=10)

    yield set_
    set_("")


@pytest.fixture
def tab(panel, sign_in: Callable[[str], Page], page: Page, request: pytest.FixtureRequest) -> Page:
    """The open list of an object of this test's own. Its clock stands still until the test moves it."""
    place = f"{OBJECT}/{re.sub(r'[^a-z]+', '-', request.node.name)}/{TRACKER}"
    for number in NUMBERS:
        link(panel, place, number)
    page.clock.install()
    sign_in(place)
    expect(page.locator(".lp-row")).to_have_count(2)
    return page


def link(panel, place: str, number: str) -> None:
    url, body = f"{panel.url}/api{place}", {"reference": number}
    assert requests.post(url, json=body, headers=panel.token("write"), timeout=30).status_code == 201


def place_of(page: Page) -> str:
    return re.sub(r"^https?://[^/]+", "", page.url.split("?")[0])


def refreshed(page: Page, seconds: int = 40) -> int:
    """Let the time pass until the tab has asked once. Returns the status of the answer."""
    with page.expect_response(lambda response: "x-leafpanel-poll" in response.request.headers) as caught:
        page.clock.run_for(seconds * 1000)
    return caught.value.status


def searched(page: Page) -> None:
    """Let the search for what was typed be answered."""
    page.clock.run_for(1000)
    expect(page.locator("#lp-results")).not_to_be_empty()


def test_an_unchanged_list_costs_a_304(tab: Page, complaints: list[str]) -> None:
    assert refreshed(tab) == 304
    tab.clock.run_for(2000)
    assert tab.locator("#lp-status").inner_text() == ""
    expect(tab.locator(".lp-every")).to_contain_text("every 30 s")
    assert complaints == []


def test_a_row_that_came_is_shown_and_said(panel, tab: Page, complaints: list[str]) -> None:
    tab.locator("#lp-q").fill("half a word")
    searched(tab)
    box = tab.locator("#lp-q").bounding_box()
    kept = tab.locator(".lp-row").last.element_handle()
    link(panel, place_of(tab), "1501")

    assert refreshed(tab) == 200

    expect(tab.locator(".lp-row")).to_have_count(3)
    tab.clock.run_for(1000)
    expect(tab.locator("#lp-status")).to_contain_text("New in the list: ")
    expect(tab.locator("#lp-q")).to_have_value("half a word")
    expect(tab.locator("#lp-q")).to_be_focused()
    assert tab.locator("#lp-q").bounding_box() == box
    assert kept.evaluate("row => row.isConnected")
    assert complaints == []


def test_an_outage_comes_and_heals_by_itself(
    panel, tab: Page, fault: Callable[[str], None], complaints: list[str]
) -> None:
    tab.locator("#lp-q").fill("typed")
    searched(tab)
    fault("unavailable")

    assert refreshed(tab) == 503
    expect(tab.locator("#lp-body > .lp-notice")).to_be_visible()
    expect(tab.locator(".lp-row")).to_have_count(2)
    expect(tab.locator("#lp-q")).to_have_value("typed")
    tab.clock.run_for(1000)
    expect(tab.locator(".lp-countdown")).to_have_text(re.compile(r"Next try in \d+ s\."))
    agree(panel, "unavailable")

    fault("")
    assert refreshed(tab, 90) == 200
    expect(tab.locator("#lp-body > .lp-notice")).to_have_count(0)
    tab.clock.run_for(1000)
    expect(tab.locator("#lp-status")).to_have_text("OpenProject answers again.")
    expect(tab.locator("#lp-q")).to_have_value("typed")
    agree(panel, "ok")
    assert complaints == []


def agree(panel, status: str) -> None:
    known = panel.json("/integrations/openproject", "admin").json()["authStatus"]
    assert known["status"] == status


def test_an_open_drawer_waits_for_its_closing(panel, tab: Page) -> None:
    drawer = tab.locator(".lp-row").last.locator("details.lp-drawer")
    drawer.locator("summary").first.click()
    expect(drawer).to_have_attribute("open", "")
    link(panel, place_of(tab), "1501")

    assert refreshed(tab) == 200
    tab.clock.run_for(3000)
    expect(tab.locator(".lp-row")).to_have_count(2)

    drawer.evaluate("one => { one.open = false; }")
    tab.clock.run_for(2000)
    expect(tab.locator(".lp-row")).to_have_count(3)


def test_a_hidden_tab_asks_nothing_and_asks_at_once_when_it_is_shown(tab: Page) -> None:
    hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url) if "x-leafpanel-poll" in request.headers else None)
    tab.evaluate(hide + "}", True)
    tab.clock.run_for(120_000)
    assert asked == []

    with tab.expect_response(lambda response: "x-leafpanel-poll" in response.request.headers):
        tab.evaluate(hide + "document.dispatchEvent(new Event('visibilitychange')); }", False)


def test_rows_that_changed_since_the_last_look_are_marked(panel, tab: Page, complaints: list[str]) -> None:
    expect(tab.locator(".lp-changed")).to_have_count(0)

    change(panel, place_of(tab), "1512")
    tab.reload()
    expect(tab.locator(".lp-row .lp-changed")).to_have_count(1)
    expect(tab.locator(".lp-row", has=tab.locator(".lp-changed"))).to_contain_text("#1512")
    expect(tab.locator(".lp-summary")).to_contain_text("Changed since you last looked: 1.")

    change(panel, place_of(tab), "1528")
    assert refreshed(tab) == 200
    expect(tab.locator(".lp-row .lp-changed")).to_have_count(2)

    tab.reload()
    expect(tab.locator(".lp-row")).to_have_count(2)
    expect(tab.locator(".lp-changed")).to_have_count(0)
    assert complaints == []


def change(panel, place: str, number: str) -> None:
    url, values = f"{panel.url}/api{place}/{number}", {"subject": f"Changed {number}"}
    answer = requests.patch(url, json=values, headers=panel.token("write"), timeout=30)
    assert answer.status_code == 200, answer.text
