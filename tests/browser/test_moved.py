"""Pages that were renamed in the wiki, in a real browser: each is followed with one click."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from support import CASE, Upstreams, api_token, signed_in_client, xwiki_values

from panel import create_app
from panel.config import load
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.storage.migrations import alembic

pytestmark = pytest.mark.browser

MADE = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)
LIST = f"/objects/{CASE.register}/{CASE.schema}/{CASE.object_id}/integrations/xwiki"


@dataclass
class World:
    url: str
    wiki: XWikiStandIn
    cookie: str


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    wiki, tracker = XWikiStandIn("18", solr_lag=0), OpenProjectStandIn()
    upstream = RunningServer(mounted(xwiki=wiki, openproject=tracker))
    settings = {"PANEL_INSTANCE_DIR": str(tmp_path / "instance"), "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port}
    app = create_app(load({**settings, "PANEL_CACHE_TTL_S": "0"}))
    server = RunningServer(app)
    # In a thread: the browser's driver keeps an event loop running in this one, where Flask then does not work.
    with ThreadPoolExecutor(1) as elsewhere:
        cookie = elsewhere.submit(_fill, app, Upstreams(upstream, wiki, tracker)).result()
    yield World(server.url, wiki, cookie)
    server.close()
    upstream.close()


def _fill(app: Any, upstreams: Upstreams) -> str:
    with app.app_context():
        alembic.upgrade()
    token = {"Authorization": f"Bearer {api_token(app, 'admin')}"}
    client = app.test_client()
    assert client.post("/api/sources", json=xwiki_values(upstreams), headers=token).status_code == 201
    for number, name in enumerate(("Plain", "Redirected", "Twice", "Copied")):
        made = MADE + timedelta(seconds=number)
        upstreams.xwiki.add_page(f"Sandbox.{name}", title=f"{name} page", created=made)
        linked = client.post(f"/api{LIST}", json={"reference": f"Sandbox.{name}"}, headers=token)
        assert linked.status_code == 201
    cookie = signed_in_client(app, "Noor V.", "editor").get_cookie("leafpanel")
    assert cookie is not None
    return str(cookie.value)


def _rename_all(wiki: XWikiStandIn) -> None:
    wiki.rename_page("Sandbox.Plain", "Dev.PlainNow")
    wiki.rename_page("Sandbox.Redirected", "Dev.RedirectedNow", redirect=True)
    wiki.rename_page("Sandbox.Twice", "Dev.Between", redirect=True)
    wiki.rename_page("Dev.Between", "Dev.TwiceNow")
    wiki.copy_page("Sandbox.Copied", "Dev.Copy")
    wiki.remove_page("Sandbox.Copied")
    wiki.index()


@pytest.fixture
def tab(world: World, context: BrowserContext) -> Callable[[], Page]:
    context.add_cookies([{"name": "leafpanel", "value": world.cookie, "url": world.url}])

    def open_() -> Page:
        page = context.new_page()
        page.goto(f"{world.url}{LIST}")
        return page

    return open_


def test_moved_pages_are_followed_with_one_click_each(world: World, tab: Callable[[], Page]) -> None:
    _rename_all(world.wiki)
    page = tab()
    expect(page.locator(".lp-summary")).to_have_text("4 pages, 3 moved, 1 no longer visible")

    for name, left in (("Plain page", "2 moved, "), ("Redirected page", "1 moved, "), ("Twice page", "")):
        page.get_by_role("button", name=f"Update link to {name}").click()
        expect(page.locator(".lp-summary")).to_have_text(f"4 pages, {left}1 no longer visible")
        expect(page.get_by_role("link", name=name)).to_be_visible()

    expect(page.locator("#lp-status")).to_have_text("Link updated Twice page")
    addresses = [link.get_attribute("href") or "" for link in page.locator("a.lp-title").all()]
    assert {address.rpartition("/")[2] for address in addresses} == {"PlainNow", "RedirectedNow", "TwiceNow"}
    expect(page.get_by_text("No longer visible in xWiki")).to_have_count(1)


@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (900, "dark")])
def test_moved_rows_are_accessible_and_fit(world: World, tab: Callable[[], Page], width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    _rename_all(world.wiki)
    # Another page that the first one can be.
    world.wiki.add_page("Dev.Deep.Sibling", title="A long title " * 8, created=MADE, version="2.1")
    page = tab()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{world.url}{LIST}?theme={theme}")
    expect(page.locator(".lp-places li")).to_have_count(2)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []
