"""From an empty panel to the first linked page, following the screen alone; and the administration pages at 820 px."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

Running = Any  # what the fixture `running` gives; conftest modules cannot be imported by name
PASSWORD = "a password for the tests"
UNEXPLAINED = ("Slug", "Register", "Schema", "Breaker", "Under way", "Deed", "Face")


class Walker:
    """Clicks the primary button of each page, and counts the clicks."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def press(self, name: str) -> None:
        button = self.page.locator(".btn-primary:visible")
        expect(button).to_have_count(1)
        expect(button).to_have_text(re.compile(name))
        seen = self.page.locator("main, form").first.inner_text()
        assert [word for word in UNEXPLAINED if re.search(rf"\b{word}\b", seen)] == []
        self.clicks += 1
        button.click()

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).locator("visible=true").fill(text)


@pytest.mark.parametrize("with_scripts", [True, False])
def test_the_first_page_is_linked_by_primary_buttons_in_seven_clicks(
    browser: Browser, start_panel: Callable[..., AbstractContextManager[Running]], with_scripts: bool
) -> None:
    with start_panel() as panel, browser.new_context(java_script_enabled=with_scripts) as context:
        walker = Walker(context.new_page())
        page = walker.page

        connect(walker, panel)
        walker.press("Link your first page")
        link_first(walker, "Welstandsnota", with_scripts=with_scripts)

        expect(page.get_by_role("link", name=re.compile("Welstandsnota")).first).to_be_visible()
        assert walker.clicks <= 7


def connect(walker: Walker, panel: Running) -> None:
    """Up to the page of the first test."""
    walker.page.goto(panel.url)
    walker.fill("Name", "alice")
    walker.fill("Password", PASSWORD)
    walker.press("Sign in")
    walker.press("Connect xWiki or OpenProject")
    walker.fill("Address", f"{panel.sandbox}/xwiki/bin/view/Main/")
    walker.press("Continue")
    expect(walker.page.get_by_text(re.compile(r"xWiki \d.* answers there\."))).to_be_visible()
    walker.fill("User name", "leafpanel")
    walker.fill("Password", "leafpanel-demo")
    walker.press("Save and test")
    expect(walker.page.get_by_text("All 6 steps passed")).to_be_visible()
    expect(walker.page.get_by_text("the sandbox of this panel")).to_be_visible()


def link_first(walker: Walker, words: str, *, with_scripts: bool) -> None:
    box = walker.page.get_by_label(re.compile("Link a page")).first
    box.fill(words)
    if with_scripts:
        walker.page.get_by_role("option").first.click()
    else:
        box.press("Enter")
        walker.page.get_by_role("checkbox").first.check()
        walker.page.get_by_role("button", name="Link selected").click()
    walker.clicks += 1


# --- at the width of a tablet ----------------------------------------------------------------------------------------


@pytest.fixture
def connected(running: Running) -> Running:
    for line in running.imports():
        assert running.shell(line).returncode == 0
    return running


@pytest.mark.parametrize("width", [620, 820])
def test_the_overview_shows_its_buttons_and_the_call_log_its_requests(
    connected: Running, sign_in: Callable[[str], Page], width: int
) -> None:
    page = sign_in("/admin/")
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_role("button", name="Check all").click()
    for button in page.locator(".ad-overview .btn").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width - 16

    page.goto(f"{connected.url}/admin/calls")
    asked = page.locator(".ad-calls summary .ad-asked").first.bounding_box()
    assert asked is not None
    assert asked["width"] > 200


def test_a_new_token_is_copied_by_a_button(connected: Running, sign_in: Callable[[str], Page], page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in("/admin/tokens")
    page.get_by_label("Name").fill("poller")
    page.get_by_role("button", name="Create token").click()

    page.get_by_role("button", name="Copy Token").click()

    expect(page.locator("#ad-status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#token").inner_text()


def test_a_private_address_is_said_while_it_is_typed(connected: Running, sign_in: Callable[[str], Page]) -> None:
    page = sign_in("/admin/new-source")
    page.get_by_label("Location").fill("https://10.1.2.3/wiki")

    expect(page.get_by_text("name 10.1.2.3:443 in PANEL_ALLOWED_PRIVATE_HOSTS")).to_be_visible()
    expect(page.locator("#address .ad-icon.ok")).to_have_count(0)
