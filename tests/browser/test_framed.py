"""The tab inside another application, at another origin, in a browser that blocks third-party cookies."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
Running = Any  # what the fixture `running` gives; conftest modules cannot be imported by name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def panel(running: Running) -> Running:
    for line in running.imports():
        assert running.shell(line).returncode == 0
    return running


@pytest.fixture(scope="module")
def made(panel: Running) -> dict[str, Any]:
    """An embedding application whose pages come from localhost, another site than the panel's 127.0.0.1."""
    port = free_port()
    answer = panel.flask("embed-app", "create", "Cases", "--origin", f"http://localhost:{port}", "--json")
    return {**json.loads(answer.stdout), "port": port}


@contextmanager
def host_app(panel: Running, made: dict[str, Any], port: int, minutes: str = "10") -> Iterator[str]:
    """The example of the guide, listening on a port."""
    own = {"LEAFPANEL_URL": panel.url, "LEAFPANEL_KID": made["kid"], "LEAFPANEL_SECRET": made["secret"]}
    environ = {**os.environ, **own, "LEAFPANEL_MINUTES": minutes}
    command = [sys.executable, "-m", "flask", "--app", "examples/host_app", "run", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/cases/1")
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            requests.get(url, timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("the host application did not start")


@pytest.fixture(scope="module")
def host(panel: Running, made: dict[str, Any]) -> Iterator[str]:
    with host_app(panel, made, made["port"]) as url:
        yield url


@pytest.fixture
def visit(page: Page) -> Callable[[str], FrameLocator]:
    def go(url: str) -> FrameLocator:
        page.goto(url)
        frame = page.frame_locator("iframe")
        # The page is there before the frame that its script makes.
        frame.locator("#lp-tab").wait_for()
        return frame

    return go


def height_of(page: Page) -> float:
    return float(page.locator("iframe").evaluate("frame => frame.getBoundingClientRect().height"))


def content_height(page: Page) -> float:
    frame = page.frames[1]
    return float(frame.evaluate("document.documentElement.getBoundingClientRect().height"))


def settles(page: Page) -> float:
    """The frame's height once it is that of its content."""
    page.wait_for_timeout(100)
    until = time.monotonic() + 20
    while abs(height_of(page) - content_height(page)) > 1:
        assert time.monotonic() < until, f"{height_of(page)} is not {content_height(page)}"
        page.wait_for_timeout(50)
    return height_of(page)


def test_links_and_unlinks_inside_a_listed_origin(
    panel: Running, host: str, page: Page, visit: Callable[[str], FrameLocator], complaints: list[str]
) -> None:
    tab = visit(f"{host}/cases/1")
    page.evaluate("addEventListener('leafpanel:linked', () => { document.title = 'told' })")
    empty = settles(page)

    box = tab.get_by_role("combobox")
    box.fill("welstand")
    expect(tab.get_by_role("option").first).to_be_visible()
    opened = settles(page)
    box.press("ArrowDown")
    box.press("Enter")
    expect(tab.locator(".lp-title")).to_have_count(1)
    box.press("Escape")
    expect(tab.get_by_role("option")).to_have_count(0)
    expect(page).to_have_title("told")
    closed = settles(page)

    tab.locator("summary[aria-label^='More for']").click()
    tab.get_by_role("button", name="Unlink", exact=True).click()
    expect(tab.get_by_text("No pages linked yet")).to_be_visible()

    assert opened > closed
    assert opened > empty
    assert settles(page) < opened
    assert panel.json("/objects/demo/case/1/integrations/xwiki").json()["total"] == 0
    assert complaints == []


def test_no_cookie_is_set_and_no_address_keeps_the_token(
    host: str, page: Page, context: BrowserContext, visit: Callable[[str], FrameLocator]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tab = visit(f"{host}/cases/1")

    tab.get_by_role("link", name=re.compile("Projects")).click()
    expect(tab.get_by_text("No work packages linked yet")).to_be_visible()
    tab.get_by_role("combobox").fill("dakkapel")
    expect(tab.get_by_role("option").first).to_be_visible()
    tab.get_by_role("combobox").press("Enter")
    expect(tab.get_by_role("button", name="Link selected")).to_be_visible()
    tab.get_by_role("link", name="Cancel").click()
    expect(tab.get_by_text("No work packages linked yet")).to_be_visible()

    assert context.cookies() == []
    assert len([url for url in asked if "token=" in url]) == 1
    assert "token" not in page.frames[1].evaluate("location.href")


def test_another_origin_shows_nothing(panel: Running, made: dict[str, Any], page: Page) -> None:
    with host_app(panel, made, free_port()) as other:
        page.goto(f"{other}/cases/1")
        page.locator("iframe").wait_for()
        page.wait_for_timeout(500)

        assert page.frames[1].url.startswith("chrome-error:")
        expect(page.frame_locator("iframe").locator("#lp-tab")).to_have_count(0)


def test_a_token_that_ends_is_renewed_and_what_was_typed_stays(
    panel: Running, made: dict[str, Any], page: Page, visit: Callable[[str], FrameLocator]
) -> None:
    port = free_port()
    answer = panel.flask("embed-app", "create", "Short", "--origin", f"http://localhost:{port}", "--json")
    # Ended long ago by the panel's clock but for the allowed difference of clocks: every request needs a new one soon.
    with host_app(panel, json.loads(answer.stdout), port, minutes="0.05") as host:
        tab = visit(f"{host}/cases/2")
        tab.get_by_role("link", name=re.compile("Projects")).click()
        tab.get_by_text("Create work package").click()
        tab.get_by_label("Project", exact=True).select_option(label="Vergunningen 2026")
        tab.get_by_label("Subject").fill("Typed before the token ended")
        first = page.frames[1].evaluate("document.body.getAttribute('hx-headers:inherited')")
        page.wait_for_timeout(4000)

        tab.get_by_role("button", name="Create and link").click()

        expect(tab.get_by_role("link", name="Typed before the token ended")).to_be_visible()
        assert page.frames[1].evaluate("document.body.getAttribute('hx-headers:inherited')") != first


def test_a_refused_token_is_replaced_and_the_request_repeated(
    host: str, page: Page, visit: Callable[[str], FrameLocator]
) -> None:
    tab = visit(f"{host}/cases/2")
    expect(tab.locator("#lp-refresh")).to_be_visible()
    page.frames[1].evaluate(
        """document.body.setAttribute("hx-headers:inherited", '{"Authorization": "Bearer a.b.c"}')"""
    )

    with page.expect_response(lambda answer: answer.status == 401):
        tab.get_by_role("link", name=re.compile("Articles")).click()

    expect(tab.get_by_text("No pages linked yet")).to_be_visible()
    expect(tab.get_by_role("alert")).to_have_count(0)


def test_the_hosts_theme_and_transparency_reach_the_tab(panel: Running, host: str, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{host}/cases/1")
    # The page of the example embeds by itself; what comes after that takes its place.
    page.locator("iframe").wait_for()
    page.evaluate(
        """async () => {
            const url = () => fetch("/cases/1/leafpanel-url").then((answer) => answer.text());
            await Leafpanel.embed(document.getElementById("linked"), { url, theme: "dark", background: "transparent" });
        }"""
    )
    root = page.frame_locator("iframe").locator("html")

    expect(root).to_have_attribute("data-bs-theme", "dark")
    expect(root).to_have_attribute("data-background", "transparent")


def test_a_stranger_among_the_pages_learns_nothing_and_gives_no_token(
    host: str, page: Page, visit: Callable[[str], FrameLocator]
) -> None:
    visit(f"{host}/cases/1")
    settles(page)
    before = page.frames[1].evaluate("document.body.getAttribute('hx-headers:inherited')")

    page.frames[1].evaluate("""postMessage({ type: "leafpanel:token", token: "a.eyJleHAiOjk5OTk5OTk5OTl9.c" }, "*")""")
    page.evaluate("""postMessage({ type: "leafpanel:height", height: 9999 }, "*")""")
    page.wait_for_timeout(300)

    assert page.frames[1].evaluate("document.body.getAttribute('hx-headers:inherited')") == before
    assert height_of(page) < 5000


def test_a_frame_refreshes_itself_and_renews_its_token_for_that(
    host: str, page: Page, visit: Callable[[str], FrameLocator], complaints: list[str]
) -> None:
    page.clock.install()
    visit(f"{host}/cases/1")

    def is_refresh(response: Any) -> bool:
        return "x-leafpanel-poll" in response.request.headers

    with page.expect_response(is_refresh) as first:
        page.clock.fast_forward(40_000)
    # Two tokens of one second are equal.
    signed_in = int(time.time())
    while int(time.time()) == signed_in:
        time.sleep(0.05)
    # The token has expired in the meantime: the request waits for a new one.
    with page.expect_response(is_refresh) as second:
        page.clock.fast_forward(700_000)

    tokens = [caught.value.request.headers["authorization"] for caught in (first, second)]
    assert [caught.value.status for caught in (first, second)] == [304, 304]
    assert tokens[0] != tokens[1]
    assert complaints == []
