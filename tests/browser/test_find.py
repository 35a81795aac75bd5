"""One box over all leaves: what is typed or pasted is found under its own leaf and linked with one key."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
import requests
from playwright.sync_api import Error, Page, Route, expect

pytestmark = pytest.mark.browser

OBJECT = "/objects/find/case"
WIKI, TRACKER = "integrations/xwiki", "integrations/openproject"
DORMER = "Constructieve toets dakkapel Kerkstraat 12"


@pytest.fixture(scope="module")
def panel(running):
    for line in running.imports():
        assert running.shell(line).returncode == 0
    return running, running.token("write")


Open = Callable[..., Page]


@pytest.fixture
def tab(panel, sign_in: Callable[[str], Page], request: pytest.FixtureRequest) -> Open:
    running, token = panel
    name = re.sub(r"\W+", "-", request.node.name)

    def open_(leaf: str, *references: str) -> Page:
        for reference in references:
            url = f"{running.url}/api{OBJECT}/{name}/{leaf}"
            assert requests.post(url, json={"reference": reference}, headers=token, timeout=30).status_code == 201
        return sign_in(f"{OBJECT}/{name}/{leaf}")

    return open_


def box(page: Page):
    return page.get_by_role("combobox")


def active(page: Page):
    return page.locator("[role=option][aria-selected=true]")


def counts(page: Page, *expected: str) -> None:
    expect(page.locator("#lp-strip .lp-count")).to_have_text(list(expected))


@pytest.mark.parametrize(
    "words", ["welstand dak", "dak welstand", "lindelaan  kapvergunning", "Werkinstructie  dakkap"]
)
def test_two_words_in_any_order_find_pages(tab: Open, words: str) -> None:
    page = tab(WIKI)

    box(page).fill(words)

    expect(page.locator("[role=option][data-leaf=xwiki]").first).to_be_visible()
    expect(page.locator("#lp-found")).to_contain_text("in xWiki")


@pytest.mark.parametrize(
    ("leaf", "pasted", "found", "numbers"),
    [
        (WIKI, "{sandbox}/openproject/work_packages/1528", "openproject", ("0", "1")),
        (WIKI, "1528", "openproject", ("0", "1")),
        (WIKI, "OP#1528", "openproject", ("0", "1")),
        (WIKI, "see {sandbox}/openproject/work_packages/1528.", "openproject", ("0", "1")),
        (WIKI, "{host}/openproject/work_packages/1528", "openproject", ("0", "1")),
        (WIKI, "{sandbox}/xwiki/rest/wikis/xwiki/spaces/Main/pages/WebHome", "xwiki", ("1", "0")),
        (TRACKER, "{sandbox}/xwiki/bin/view/Main/", "xwiki", ("1", "0")),
        (TRACKER, "Main.WebHome", "xwiki", ("1", "0")),
        (TRACKER, "[[Main.WebHome]]", "xwiki", ("1", "0")),
    ],
)
def test_what_another_leaf_knows_is_linked_there_with_one_key(
    tab: Open, panel, leaf: str, pasted: str, found: str, numbers: tuple[str, str], complaints: list[str]
) -> None:
    sandbox = panel[0].sandbox
    page = tab(leaf)

    box(page).fill(pasted.format(sandbox=sandbox, host=sandbox.removeprefix("http://")))
    expect(active(page)).to_have_attribute("data-leaf", found)
    expect(page.get_by_text("There is no source")).to_have_count(0)
    box(page).press("Enter")

    counts(page, *numbers)
    page.get_by_role("button", name="Undo").click()
    counts(page, "0", "0")
    assert complaints == []


def test_an_address_of_another_leaf_says_where_it_belongs(tab: Open, panel) -> None:
    page = tab(WIKI)

    box(page).fill(f"{panel[0].sandbox}/openproject/work_packages/1528")

    expect(page.get_by_text("This is a work package: link it under Projects.")).to_be_visible()


def test_an_address_without_a_source_offers_nothing_that_cannot_be_had(tab: Open) -> None:
    page = tab(TRACKER)

    box(page).fill("https://kennis.regio.example/bin/view/A/B")

    expect(page.locator(".lp-problem")).to_contain_text("This is a page of kennis.regio.example.")
    expect(page.get_by_text("Add a source")).to_have_count(0)


@pytest.mark.parametrize("text", ["1528, 1512", "{root}/work_packages/1528 {root}/work_packages/1512"])
def test_several_named_at_once_are_ticked_and_linked_at_once(tab: Open, panel, text: str) -> None:
    page = tab(TRACKER)

    box(page).fill(text.format(root=f"{panel[0].sandbox}/openproject"))
    expect(page.locator("[role=option][aria-checked=true]")).to_have_count(2)
    page.get_by_role("button", name="Link 2 selected").click()

    expect(page.locator(".lp-title")).to_have_count(2)
    expect(page.locator("#lp-banner")).to_contain_text("Linked 2 work packages")
    expect(box(page)).to_be_focused()


def test_a_missing_page_of_the_right_host_is_no_title_for_a_new_one(tab: Open, panel) -> None:
    page = tab(WIKI)

    box(page).fill(f"{panel[0].sandbox}/xwiki/bin/view/Nowhere/Missing")

    expect(page.locator(".lp-found-none")).to_contain_text("Nothing found for")
    expect(page.get_by_text("Create page “")).to_have_count(0)


@pytest.mark.parametrize("leaf", [TRACKER, WIKI])
def test_enter_right_after_pasting_links(tab: Open, panel, leaf: str) -> None:
    page = tab(leaf)

    box(page).fill(f"{panel[0].sandbox}/openproject/work_packages/1528")
    box(page).press("Enter")

    counts(page, "0", "1")
    expect(page.locator("#lp-banner")).to_contain_text(DORMER)
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def test_enter_twice_keeps_the_confirmation_with_its_undo(tab: Open) -> None:
    page = tab(TRACKER)
    box(page).fill("1528")
    expect(active(page)).to_have_count(1)

    box(page).press("Enter")
    box(page).press("Enter")

    expect(page.locator("#lp-banner")).to_contain_text(f"Linked {DORMER}")
    box(page).press("Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    expect(page.get_by_text("already linked.")).to_have_count(0)


MAIL = """Dear all,

the report is at <{sandbox}/openproject/work_packages/1528>, see also
{sandbox}/xwiki/bin/view/Main/ (the start page) and
{sandbox}/openproject/work_packages/1512. Ours: https://intranet.example/x
"""


def test_a_whole_mail_gives_every_known_address_as_a_tick(tab: Open, panel, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab(WIKI)
    page.evaluate("text => navigator.clipboard.writeText(text)", MAIL.format(sandbox=panel[0].sandbox))

    box(page).focus()
    box(page).press("Control+v")
    expect(page.locator("[role=option][aria-checked=true]")).to_have_count(3)
    expect(page.get_by_text("intranet.example").first).to_be_visible()
    box(page).press("Enter")

    counts(page, "1", "2")
    page.get_by_role("button", name="Undo").click()
    counts(page, "0", "0")


def test_a_blank_ticks_what_an_arrow_chose(tab: Open) -> None:
    page = tab(WIKI)
    box(page).fill("welstand")
    expect(page.locator("[role=option][data-leaf=openproject]").first).to_be_visible()
    expect(page.locator("[role=option][data-leaf=xwiki]").first).to_be_visible()

    box(page).press("ArrowDown")
    box(page).press(" ")
    box(page).press("ArrowUp")
    box(page).press(" ")
    expect(page.get_by_role("button", name="Link 2 selected")).to_be_visible()
    expect(box(page)).to_have_value("welstand")
    box(page).press("Enter")

    counts(page, "1", "1")


def test_what_an_arrow_chose_in_a_group_stays_chosen_when_slower_results_come(tab: Open) -> None:
    page = tab(WIKI)
    held: list[Route] = []
    page.route(re.compile("/xwiki/search"), lambda route: held.append(route))
    box(page).fill("welstand")
    expect(page.locator("[role=option][data-leaf=openproject]").first).to_be_visible()
    box(page).press("ArrowDown")
    chosen = active(page).get_attribute("id") or ""

    page.unroute(re.compile("/xwiki/search"))
    for route in held:
        with suppress(Error):
            route.continue_()

    expect(page.locator("[role=option][data-leaf=xwiki]").first).to_be_visible()
    expect(active(page)).to_have_attribute("id", chosen)
    expect(box(page)).to_have_attribute("aria-activedescendant", chosen)


def test_a_slow_leaf_holds_up_no_other(tab: Open) -> None:
    page = tab(WIKI)
    held: list[Route] = []
    page.route(re.compile("/openproject/search"), lambda route: held.append(route))

    box(page).fill("welstand")
    expect(page.locator("[role=option][data-leaf=xwiki]").first).to_be_visible()
    page.unroute(re.compile("/openproject/search"))
    for route in held:
        with suppress(Error):
            route.continue_()

    expect(page.locator("[role=option][data-leaf=openproject]").first).to_be_visible()


def test_the_list_says_how_many_there_are_and_shows_more(tab: Open, complaints: list[str]) -> None:
    page = tab(TRACKER)

    box(page).fill("er")
    expect(page.locator("#lp-found")).to_have_text(re.compile(r"^10 of \d+ work packages in OpenProject"))
    page.get_by_role("button", name="Show more work packages").focus()
    page.keyboard.press("Enter")

    expect(page.locator("[role=option][data-leaf=openproject]").nth(10)).to_have_attribute("aria-selected", "true")
    expect(box(page)).to_be_focused()
    assert complaints == []


def test_titles_only_is_a_choice(tab: Open) -> None:
    page = tab(WIKI)
    box(page).fill("welstand")
    expect(page.locator("[role=option][data-leaf=xwiki]").nth(9)).to_be_visible()

    page.get_by_role("button", name="Titles only").click()

    expect(page.locator("[role=option][data-leaf=xwiki]").nth(9)).to_have_count(0)
    assert all(
        "welstand" in title.lower() for title in page.locator("[data-leaf=xwiki] .lp-option-title").all_inner_texts()
    )


def test_the_first_search_says_that_it_searches(tab: Open) -> None:
    page = tab(WIKI)
    held: list[Route] = []
    page.route(re.compile("/search"), lambda route: held.append(route))

    box(page).fill("welstand")

    expect(page.locator("#lp-found")).to_have_text("Searching …")
    page.unroute(re.compile("/search"))
    for route in held:
        with suppress(Error):
            route.continue_()
    expect(page.locator("[role=option]").first).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1140, "light"), (320, "light"), (1140, "dark")])
@pytest.mark.parametrize("typed", ["welstand", "1528, 1512", "zeppelin", "https://kennis.regio.example/bin/view/A/B"])
def test_the_open_list_is_accessible_and_fits(tab: Open, width: int, scheme: str, typed: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = tab(WIKI)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    box(page).fill(typed)
    expect(page.locator("#lp-status:not(:empty), .lp-problem").first).to_be_attached()
    if page.locator("[role=option]").count():
        box(page).press("ArrowDown")
        box(page).press(" ")

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
