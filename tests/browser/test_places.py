"""Choosing a place for a new page in a large wiki, with scripts and without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

TAB = "/objects/places/case/1/integrations/xwiki"
PAGE = '<page xmlns="http://www.xwiki.org"><title>{}</title><content>x</content></page>'


@pytest.fixture(scope="module")
def large(running):
    """The running panel with a wiki of more than a hundred spaces."""
    for line in running.imports():
        assert running.shell(line).returncode == 0
    session = requests.Session()
    session.auth, session.headers["Content-Type"] = ("leafpanel", "leafpanel-demo"), "application/xml"
    at = f"{running.sandbox}/xwiki/rest/wikis/xwiki/spaces/Sandbox/spaces"
    for number in range(130):
        answer = session.put(f"{at}/C{number}/pages/WebHome", PAGE.format(f"Case {number:03} &amp; co"), timeout=30)
        assert answer.status_code == 201
    return running


@pytest.fixture
def form(large, sign_in: Callable[[str], Page]) -> Page:
    return sign_in(f"{TAB}/new?text=Notes of the hearing")


def test_a_place_is_searched_as_one_types(form: Page, complaints: list[str]) -> None:
    search, places = form.get_by_label("Search spaces"), form.get_by_label("Space", exact=True)
    expect(form.get_by_text("Type to search all.")).to_be_visible()

    search.fill("case 042")
    expect(places.locator("option")).to_have_text(["Choose …", "Sandbox › Case 042 & co"])
    search.press("Enter")
    expect(places).to_be_focused()
    assert places.input_value() == "Sandbox.C42"
    form.get_by_role("button", name="Create and link").click()

    expect(form.locator("#lp-status")).to_have_text("Created and linked Notes of the hearing")
    row = form.locator(".lp-row").filter(has_text="Notes of the hearing").first
    expect(row).to_contain_text("Sandbox › ")
    expect(row).not_to_contain_text("WebHome")
    assert complaints == []


def test_without_scripts_the_search_is_a_button(large, browser: Browser, sign_in: Callable[[str], Page]) -> None:
    cookies = sign_in(TAB).context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"{large.url}{TAB}/new?text=Written without scripts")

    page.get_by_label("Search spaces").fill("case 077")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_label("Space", exact=True).select_option(label="Sandbox › Case 077 & co")
    page.get_by_role("button", name="Create and link").click()

    expect(page.locator(".lp-row").first).to_contain_text("Written without scripts")
    context.close()


def test_the_place_of_the_page_that_was_linked_last_comes_first(large, sign_in: Callable[[str], Page]) -> None:
    url = f"{large.url}/api{TAB.replace('/1/', '/2/')}/new"
    made = {"space": "Sandbox.C99", "title": "Beside it"}
    linked = requests.post(url, json=made, headers=large.token("write"), timeout=30)
    assert linked.status_code == 201
    page = sign_in(f"{TAB.replace('/1/', '/2/')}/new")

    options = page.get_by_label("Space", exact=True).locator("option")
    expect(options.nth(1)).to_have_text("Sandbox › Case 099 & co")
