"""Long lists in a real browser: order, filters, counts and pages are of the whole list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect
from support import Upstreams, openproject_values, signed_in_client, xwiki_values

from panel import create_app
from panel.config import load
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.storage.engine import db
from panel.storage.migrations import alembic
from panel.storage.models import Link

pytestmark = pytest.mark.browser

OBJECT = "/objects/demo/case/1"
TRACKER = f"{OBJECT}/integrations/openproject"
TOTAL, LATE = 62, 20


@dataclass
class World:
    url: str
    tracker: OpenProjectStandIn
    cookie: str
    app: Any

    def in_app(self, work: Callable[[], Any]) -> Any:
        """Call ``work`` in a context of the application: the browser's driver keeps an event loop in this thread."""

        def inside() -> Any:
            with self.app.app_context():
                return work()

        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(inside).result()


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    wiki, tracker = XWikiStandIn("18", solr_lag=0), OpenProjectStandIn()
    upstream = RunningServer(mounted(xwiki=wiki, openproject=tracker))
    settings = {"PANEL_INSTANCE_DIR": str(tmp_path / "instance"), "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port}
    app = create_app(load({**settings, "PANEL_CACHE_TTL_S": "0"}))
    server = RunningServer(app)
    made = World(server.url, tracker, "", app)
    made.in_app(lambda: _fill(app, Upstreams(upstream, wiki, tracker)))
    made.cookie = made.in_app(lambda: signed_in_client(app, "Noor V.", "editor").get_cookie("leafpanel").value)
    yield made
    server.close()
    upstream.close()


def _fill(app: Any, upstreams: Upstreams) -> None:
    """62 open work packages, 20 of them overdue: the later the due date, the earlier the link."""
    alembic.upgrade()
    services = app.extensions["leafpanel"]
    for values in (xwiki_values(upstreams), openproject_values(upstreams)):
        services.sources.create(values, by=_actor())
    today = date.today()
    for number in range(TOTAL):
        due = today + timedelta(days=number - LATE)
        made = upstreams.openproject.add_work_package(f"Dossier D{number:02}", 1, due_date=due)
        place = {"register": "demo", "schema": "case", "object_id": "1", "linked_by": "alice"}
        db.session.add(Link(integration="openproject", reference=str(made.id), **place))
    db.session.commit()


def _actor() -> Any:
    from support import ALICE

    return ALICE


@pytest.fixture
def tab(world: World, context: BrowserContext) -> Callable[..., Page]:
    context.add_cookies([{"name": "leafpanel", "value": world.cookie, "url": world.url}])

    def open_(path: str = TRACKER) -> Page:
        page = context.new_page()
        page.goto(f"{world.url}{path}")
        return page

    return open_


def summary(page: Page) -> Any:
    return page.locator(".lp-summary")


def titles(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".lp-title").all_inner_texts()]


def test_counts_and_order_are_of_all_pages(tab: Callable[..., Page]) -> None:
    page = tab()
    expect(summary(page)).to_have_text("62 work packages: 62 open, 20 overdue")

    page.locator(".lp-sort summary").click()
    page.get_by_role("link", name="Due date").click()
    expect(page.locator(".lp-sort summary")).to_have_text("Sort: Due date")
    expect(page.locator("#lp-range")).to_have_text("1–50 of 62")
    first = titles(page)
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#lp-range")).to_have_text("51–62 of 62")

    assert first + titles(page) == [f"Dossier D{number:02}" for number in range(TOTAL)]
    expect(summary(page)).to_have_text("62 work packages: 62 open, 20 overdue")
    expect(page.locator("#lp-status")).to_have_text("51–62 of 62")
    expect(summary(page)).to_be_focused()
    expect(summary(page)).to_be_in_viewport(ratio=1)
    expect(page.locator(".lp-row").first).to_be_in_viewport(ratio=1)
    assert "sort=due" in page.url
    assert "page=2" in page.url


def test_a_filter_is_kept_by_refresh_and_by_actions(tab: Callable[..., Page]) -> None:
    page = tab()
    page.get_by_label("State").select_option("overdue")
    expect(page.locator(".lp-matching span")).to_have_text("1–20 of 20")
    expect(page.locator("#lp-status")).to_have_text("1–20 of 20")

    page.locator("#lp-refresh").click()
    expect(page.locator(".lp-matching span")).to_have_text("1–20 of 20")
    page.locator(".lp-row .lp-drawer > summary").first.click()
    page.locator(".lp-unlink > summary").first.click()
    page.get_by_role("button", name="Unlink").first.click()
    expect(page.locator(".lp-matching span")).to_have_text("1–19 of 19")
    expect(summary(page)).to_have_text("61 work packages: 61 open, 19 overdue")

    page.reload()
    expect(page.locator(".lp-matching span")).to_have_text("1–19 of 19")
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("#lp-range")).to_have_text("1–50 of 61")


def test_words_filter_the_list_while_they_are_typed(tab: Callable[..., Page]) -> None:
    page = tab()
    box = page.get_by_placeholder("Filter these work packages")
    box.press_sequentially("dossier d61")

    expect(page.locator(".lp-row")).to_have_count(1)
    expect(box).to_be_focused()
    expect(box).to_have_value("dossier d61")
    box.press("ControlOrMeta+a")
    box.press("Delete")
    expect(page.locator(".lp-row")).to_have_count(50)
    expect(box).to_be_focused()


def test_the_assignee_that_was_chosen_is_offered_first(world: World, tab: Callable[..., Page]) -> None:
    for number in sorted(world.tracker.world.work_packages)[-2:]:
        world.tracker.touch(number, assignee_id=5 if number % 2 else 20)
    page = tab()
    names = [name for name in page.locator("#lp-find-person option").all_inner_texts()[1:] if name != "Unassigned"]
    page.get_by_label("Assignee", exact=True).select_option(names[-1])
    expect(page.locator(".lp-row")).to_have_count(1)

    page = tab()
    offered = page.locator("#lp-find-person option").all_inner_texts()
    assert offered[1] == names[-1]
    assert sorted(offered[1:]) == sorted([*names, "Unassigned"])


def test_without_scripts_the_filters_are_a_form(world: World, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "leafpanel", "value": world.cookie, "url": world.url}])
    page = context.new_page()
    page.goto(f"{world.url}{TRACKER}?sort=due")
    page.get_by_label("Words in the linked work packages").fill("dossier d5")
    page.get_by_role("button", name="Filter").click()

    expect(page.locator(".lp-row")).to_have_count(10)
    assert "sort=due" in page.url
    context.close()


def test_an_object_opens_on_the_leaf_that_has_something(tab: Callable[..., Page]) -> None:
    page = tab(OBJECT)

    expect(page.locator(".lp-tab-link[aria-current]")).to_contain_text("Projects 62")
    expect(page.locator(".lp-attention")).to_have_count(0)


@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (1200, "dark")])
def test_filters_are_accessible_and_fit(world: World, tab: Callable[..., Page], width: int, theme: str) -> None:
    page = tab(f"{TRACKER}?theme={theme}&state=overdue&find=dossier")
    page.set_viewport_size({"width": width, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []
