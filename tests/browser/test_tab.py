"""The tab under the hands: keys, focus, what is said aloud, and nothing lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
import requests
from playwright.sync_api import Error, Page, Route, expect

pytestmark = pytest.mark.browser

OBJECT = "/objects/hands/case"
WIKI, TRACKER = "integrations/xwiki", "integrations/openproject"


@pytest.fixture(scope="module")
def panel(running):
    """The running panel with its sandbox connected, and a token that may write."""
    for line in running.imports():
        assert running.shell(line).returncode == 0
    return running, running.token("write")


Open = Callable[..., Page]


@pytest.fixture
def tab(panel, sign_in: Callable[[str], Page], request: pytest.FixtureRequest) -> Open:
    """Open a leaf of an object of this test's own, with some things linked."""
    running, token = panel
    name = re.sub(r"\W+", "-", request.node.name)

    def open_(leaf: str, *references: str) -> Page:
        for reference in references:
            url = f"{running.url}/api{OBJECT}/{name}/{leaf}"
            assert requests.post(url, json={"reference": reference}, headers=token, timeout=30).status_code == 201
        return sign_in(f"{OBJECT}/{name}/{leaf}")

    return open_


def said(page: Page, words: str) -> None:
    expect(page.locator("#lp-status")).to_have_text(words)


def test_the_box_is_worked_by_keys_and_stays_open(tab: Open, complaints: list[str]) -> None:
    page = tab(WIKI)
    box, options = page.get_by_role("combobox"), page.get_by_role("option")

    box.fill("welstand")
    expect(options.first).to_be_visible()
    assert box.get_attribute("aria-expanded") == "true"
    assert box.get_attribute("aria-activedescendant") is None

    box.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    box.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    title = options.first.locator(".lp-option-title").inner_text()

    box.press("Enter")
    said(page, f"Linked {title}")
    expect(options.first).to_have_attribute("aria-disabled", "true")
    expect(options.first).to_contain_text("Linked just now")
    expect(page.locator(".lp-title")).to_have_text([title])
    expect(page.locator(".lp-count").first).to_have_text("1")
    expect(box).to_be_focused()
    expect(box).to_have_value("welstand")

    box.press("ArrowDown")
    box.press("Enter")
    expect(page.locator(".lp-title")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".lp-title")).to_have_count(1)
    expect(box).to_be_focused()
    expect(options.nth(1)).not_to_have_attribute("aria-disabled", "true")

    box.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_have_attribute("aria-expanded", "false")
    box.press("Escape")
    expect(box).to_have_value("")
    assert complaints == []


def test_one_exact_match_needs_no_arrow(tab: Open) -> None:
    page = tab(TRACKER)
    box = page.get_by_role("combobox")

    box.fill("#1528")
    expect(page.get_by_role("option")).to_have_attribute("aria-selected", "true")
    box.press("Enter")

    expect(page.locator(".lp-title")).to_have_text(["Constructieve toets dakkapel Kerkstraat 12"])


def test_enter_without_a_choice_shows_the_result_page(tab: Open) -> None:
    page = tab(TRACKER)
    box = page.get_by_role("combobox")

    box.fill("dakkapel")
    expect(page.get_by_role("option").first).to_be_visible()
    box.press("Enter")

    expect(page.get_by_role("button", name="Link selected")).to_be_visible()


def test_an_empty_box_shows_recent_things_and_leaving_closes_it(tab: Open) -> None:
    page = tab(TRACKER, "1528")

    page.get_by_role("combobox").click()
    expect(page.get_by_text("Changed last in OpenProject")).to_be_visible()
    page.locator(".lp-summary").click()

    expect(page.get_by_role("option")).to_have_count(0)


def test_what_was_typed_before_the_script_arrived_is_searched_for(tab: Open) -> None:
    page = tab(WIKI)
    held: list[Route] = []
    script = re.compile(r"/picker\.js\?v=")
    page.route(script, lambda route: held.append(route))
    with page.expect_request(script):
        page.goto(page.url, wait_until="commit")
    box = page.get_by_role("combobox")
    box.press_sequentially("welstand")
    expect(box).to_have_value("welstand")

    held[0].continue_()

    expect(page.get_by_role("option").first).to_be_visible()


def test_a_late_answer_never_replaces_a_newer_one(tab: Open) -> None:
    page = tab(TRACKER)
    box = page.get_by_role("combobox")
    held: list[Route] = []
    page.route(re.compile(r"search\?q=brandweer$"), lambda route: held.append(route))

    with page.expect_request(re.compile(r"search\?q=brandweer$")):
        box.fill("brandweer")
    box.fill("parkeer")
    expect(page.get_by_role("option").first).to_contain_text("arkeer")
    for route in held:
        with suppress(Error):
            route.fulfill(body='<ul id="lp-options"><li role="option">too late</li></ul>')
    page.wait_for_timeout(300)

    expect(page.get_by_role("option").first).to_contain_text("arkeer")


def test_a_question_gives_the_focus_back(tab: Open) -> None:
    page = tab(WIKI, "Sandbox.WebHome", "Main.WebHome")
    more = page.locator("summary[aria-label^='More for']")

    more.first.click()
    expect(page.get_by_role("button", name="Unlink", exact=True)).to_be_focused()
    page.locator(".lp-drawer[open] [data-closes]").click()
    expect(more.first).to_be_focused()

    more.first.click()
    title = page.locator(".lp-title").first.inner_text().strip()
    page.locator(".lp-drawer[open]").get_by_role("button", name="Unlink", exact=True).click()
    said(page, f"Unlinked {title.removesuffix('⁠')}")
    expect(page.locator(".lp-title")).to_have_count(1)
    expect(page.locator(".lp-title")).to_be_focused()

    more.first.click()
    page.locator(".lp-drawer[open]").get_by_role("button", name="Unlink", exact=True).click()
    expect(page.get_by_text("No pages linked yet")).to_be_visible()
    expect(page.get_by_role("combobox")).to_be_focused()


def test_the_status_opens_its_drawer_and_is_saved(tab: Open, complaints: list[str]) -> None:
    page = tab(TRACKER, "1505")

    page.get_by_role("button", name="Tested").click()
    status = page.get_by_label("Status")
    expect(status).to_be_focused()
    status.select_option(label="In progress")
    page.get_by_role("button", name="Save").click()

    said(page, "Status changed to In progress")
    expect(page.get_by_role("button", name="In progress")).to_be_visible()
    expect(page.locator("summary[aria-label^='More for']")).to_be_focused()
    expect(page.locator(".lp-drawer[open]")).to_have_count(0)
    assert complaints == []


def test_a_refresh_keeps_the_drawer_and_what_was_chosen_in_it(tab: Open) -> None:
    page = tab(TRACKER, "1522", "1525")
    page.locator("summary[aria-label^='More for']").first.click()
    page.get_by_label("Status").select_option(label="On hold")

    with page.expect_response(lambda answer: answer.url.partition("?")[0].endswith(TRACKER)):
        page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("button", name="Refresh")).to_be_focused()

    expect(page.locator(".lp-drawer[open]")).to_have_count(1)
    expect(page.locator(".lp-drawer[open] select").first.locator("option:checked")).to_have_text("On hold")


def test_someone_else_was_first(tab: Open, panel) -> None:
    _, token = panel
    page = tab(TRACKER, "1519")
    page.get_by_role("button", name="In progress").click()
    page.get_by_label("Status").select_option(label="On hold")
    path = page.url.replace("/objects/", "/api/objects/", 1)
    assert requests.patch(f"{path}/1519", json={"status": "New"}, headers=token, timeout=30).status_code == 200

    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("alert")).to_contain_text("Someone changed this first")
    expect(page.get_by_role("alert")).to_contain_text("Status is now New (was In progress). You chose On hold.")
    expect(page.get_by_role("button", name="Set On hold")).to_be_focused()
    page.get_by_role("link", name="Keep New").click()
    expect(page.get_by_role("button", name="New")).to_be_visible()


def test_after_a_conflict_only_what_is_allowed_is_offered(tab: Open, panel) -> None:
    _, token = panel
    page = tab(TRACKER, "1534")
    page.get_by_role("button", name="In progress").click()
    page.get_by_label("Status").select_option(label="On hold")
    path = page.url.replace("/objects/", "/api/objects/", 1)
    for status in ("Tested", "Closed"):
        assert requests.patch(f"{path}/1534", json={"status": status}, headers=token, timeout=30).status_code == 200

    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("alert")).to_contain_text("Status is now Closed (was In progress). You chose On hold.")
    expect(page.get_by_role("button", name="Closed")).to_be_visible()
    expect(page.get_by_role("button", name="Set On hold")).to_have_count(0)
    assert "On hold" not in page.locator("[id^=edit-] select[name=status] option").all_inner_texts()


def test_a_refused_form_keeps_everything_and_a_corrected_one_is_created(tab: Open) -> None:
    page = tab(TRACKER)

    page.get_by_text("Create work package").click()
    expect(page.get_by_label("Project", exact=True)).to_be_focused()
    page.get_by_label("Project", exact=True).select_option(label="Openbare ruimte")
    expect(page.locator("#new-type option")).to_have_text(["Default", "Task", "Request", "Defect"])
    page.locator("#new-type").select_option(label="Request")
    page.get_by_label("Subject").fill("A bench in the park")
    page.get_by_role("button", name="Create and link").click()

    expect(page.get_by_role("alert")).to_contain_text("OpenProject did not accept this")
    expect(page.get_by_label("Subject")).to_have_value("A bench in the park")
    expect(page.get_by_label("Zaaktype")).to_be_focused()
    page.locator("#new-type").select_option(label="Task")
    page.get_by_role("button", name="Create and link").click()

    said(page, "Created and linked A bench in the park")
    expect(page.get_by_role("link", name="A bench in the park")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("heading", name="New work package")).to_be_visible()


def test_what_a_project_requires_is_asked_before_sending(tab: Open) -> None:
    page = tab(f"{TRACKER}/new")
    page.get_by_label("Project", exact=True).select_option(label="Openbare ruimte")
    expect(page.locator("#new-type option")).to_have_text(["Default", "Task", "Request", "Defect"])
    expect(page.get_by_label("Zaaktype")).to_have_count(0)

    page.locator("#new-type").focus()
    page.locator("#new-type").select_option(label="Request")

    said(page, "1 more field: Zaaktype")
    expect(page.locator("#new-type")).to_be_focused()
    expect(page.get_by_label("Zaaktype")).to_have_accessible_description("Required by this project.")
    page.get_by_label("Zaaktype").select_option(label="Evenement")
    page.get_by_label("Subject").fill("A market on the square")
    page.get_by_role("button", name="Create and link").click()
    said(page, "Created and linked A market on the square")


def test_cancelling_returns_to_the_button_that_opened_the_form(tab: Open) -> None:
    page = tab(WIKI)
    page.locator("#lp-create").click()

    page.get_by_role("link", name="Cancel", exact=True).click()

    expect(page.locator("#lp-create")).to_be_focused()


def test_a_failure_of_ours_wipes_nothing(tab: Open) -> None:
    page = tab(TRACKER, "1530")
    page.route(
        re.compile(r"/unlink$"),
        lambda route: route.fulfill(
            status=500, body="<!doctype html><h1>Oh</h1>", headers={"X-Request-Id": "LP-AAAA-11"}
        ),
    )

    page.locator("summary[aria-label^='More for']").click()
    page.get_by_text("Unlink …").click()
    page.locator(".lp-unlink").get_by_role("button", name="Unlink", exact=True).click()

    expect(page.get_by_role("alert")).to_contain_text("Reference: LP-AAAA-11")
    expect(page.locator(".lp-title")).to_have_count(1)


def test_a_session_that_ended_leads_to_the_sign_in_form_and_back(tab: Open) -> None:
    page = tab(TRACKER, "1538")
    page.context.clear_cookies()

    page.get_by_role("button", name="Refresh").click()

    expect(page.get_by_label("Password")).to_be_visible()
    assert "/integrations/openproject" in page.url


@pytest.mark.parametrize(("scheme", "asked", "seen"), [("dark", "", "dark"), ("dark", "?theme=light", "light")])
def test_the_theme_is_the_readers_unless_the_host_says_otherwise(tab: Open, scheme: str, asked: str, seen: str) -> None:
    page = tab(WIKI)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]

    page.goto(f"{page.url}{asked}")

    expect(page.locator("html")).to_have_attribute("data-bs-theme", seen)


def test_a_session_that_ended_while_somebody_wrote_loses_nothing(tab: Open, complaints: list[str]) -> None:
    page = tab(WIKI)
    page.get_by_text("Create page").first.click()
    page.get_by_label("Space").select_option("Sandbox")
    page.get_by_label("Title").fill("Written over lunch")
    page.context.clear_cookies()

    page.get_by_role("button", name="Create and link").click()
    expect(page.get_by_text("What you typed is kept")).to_be_visible()
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("a password for the tests")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Send it now").click()

    expect(page.get_by_role("link", name=re.compile("Written over lunch"))).to_be_visible()
    assert [line for line in complaints if "401" not in line] == []


@pytest.mark.parametrize("width", [1000, 620, 360])
def test_the_number_of_a_work_package_stays_on_one_line(tab: Open, width: int) -> None:
    """Ten letters and six digits fit, and all rows have the width of the longest number."""
    page = tab(TRACKER, "1528", "1534")
    page.set_viewport_size({"width": width, "height": 800})
    found = page.evaluate(
        """() => {
            const shown = [...document.querySelectorAll(".lp-row .lp-id, .lp-row .lp-meta > .lp-narrow")]
                .filter(one => one.offsetParent);
            const before = shown[0].getBoundingClientRect().height;
            shown[0].textContent = "VERGUNNING-123456";
            const lines = shown.map(one => one.getBoundingClientRect().height / before);
            const titles = [...document.querySelectorAll(".lp-title")].map(one => one.getBoundingClientRect().left);
            const sideways = document.documentElement.scrollWidth > innerWidth;
            return { lines, titles, cut: shown[0].scrollWidth > shown[0].clientWidth + 1, sideways };
        }"""
    )

    assert found["lines"] == [1, 1]
    assert len(set(found["titles"])) == 1
    assert not found["sideways"]
    assert width < 600 or not found["cut"]
