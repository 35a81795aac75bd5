"""A reader who reads no English and lives in another time zone than the server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

Running = Any  # what the fixture `running` gives; conftest modules cannot be imported by name
PASSWORD = "a password for the tests"


@pytest.fixture
def reader(browser: Browser, running: Running) -> Page:
    context = browser.new_context(locale="nl-NL", timezone_id="Asia/Tokyo", viewport={"width": 320, "height": 800})
    page = context.new_page()
    page.goto(f"{running.url}/admin/sign-in")
    return page


def test_the_pages_speak_the_language_of_the_browser_until_another_is_chosen(reader: Page, running: Running) -> None:
    reader.get_by_label("Naam").fill("alice")
    reader.get_by_label("Wachtwoord").fill(PASSWORD)
    reader.get_by_role("button", name="Aanmelden").click()
    expect(reader.get_by_role("heading", name="Overzicht")).to_be_visible()

    reader.get_by_role("button", name="Deutsch").press("Enter")

    expect(reader.get_by_role("heading", name="Übersicht")).to_be_visible()
    assert reader.url == f"{running.url}/admin/"
    reader.goto(f"{running.url}/objects/demo/case/1/integrations/openproject")
    expect(reader.get_by_role("link", name="Verbindung einrichten")).to_be_visible()
    assert reader.evaluate("document.documentElement.scrollWidth") == 320


def test_times_are_printed_in_the_zone_of_the_browser(reader: Page, running: Running) -> None:
    reader.get_by_label("Naam").fill("alice")
    reader.get_by_label("Wachtwoord").fill(PASSWORD)
    reader.get_by_role("button", name="Aanmelden").click()
    reader.goto(f"{running.url}/admin/audit?text=alice")

    times = reader.locator("time")
    expect(times.first).to_have_attribute("title", re.compile(r"\d\d:\d\d:\d\d Asia/Tokyo$"))
    assert all("+09:00" in (one.get_attribute("datetime") or "") for one in times.all())
