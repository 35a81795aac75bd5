"""The surfaces of an object in a real browser: they fit every width and both themes, and lead to the whole tab."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support import CASE, Upstreams, api_token, openproject_values, signed_in_client, xwiki_values

from panel import create_app
from panel.config import load
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.storage.migrations import alembic

pytestmark = pytest.mark.browser

OBJECT = f"/objects/{CASE.register}/{CASE.schema}/{CASE.object_id}"
SURFACES = {
    "app-dashboard": "?surface=app-dashboard",
    "user-dashboard": "?surface=user-dashboard&integration=openproject",
    "single-entity": "?surface=single-entity&integration=openproject&reference=101",
}


@dataclass
class World:
    url: str
    upstream: RunningServer
    cookie: str

    def show(self, page: Page, surface: str, theme: str = "light") -> None:
        page.goto(f"{self.url}{OBJECT}{SURFACES[surface]}&theme={theme}")


@pytest.fixture
def world(tmp_path: Any, page: Page) -> Iterator[World]:
    wiki, tracker = XWikiStandIn("18", solr_lag=0), OpenProjectStandIn()
    upstream = RunningServer(mounted(xwiki=wiki, openproject=tracker))
    settings = {"PANEL_INSTANCE_DIR": str(tmp_path / "instance"), "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port}
    app = create_app(load({**settings, "PANEL_CACHE_TTL_S": "0"}))
    server = RunningServer(app)
    # In a thread: the browser's driver keeps an event loop running in this one, where Flask then does not work.
    with ThreadPoolExecutor(1) as elsewhere:
        cookie = elsewhere.submit(_fill, app, Upstreams(upstream, wiki, tracker)).result()
    page.context.add_cookies([{"name": "leafpanel", "value": cookie, "url": server.url}])
    yield World(server.url, upstream, cookie)
    server.close()
    upstream.close()


def _fill(app: Any, upstreams: Upstreams) -> str:
    with app.app_context():
        alembic.upgrade()
    token, client = {"Authorization": f"Bearer {api_token(app, 'admin')}"}, app.test_client()
    for values in (xwiki_values(upstreams), openproject_values(upstreams)):
        assert client.post("/api/sources", json=values, headers=token).status_code == 201
    gone = upstreams.openproject.add_work_package("A subject that is longer than a narrow widget has room for", 1).id
    for number in (101, 102, 103, gone):
        linked = client.post(f"/api{OBJECT}/integrations/openproject", json={"reference": number}, headers=token)
        assert linked.status_code == 201
    upstreams.openproject.remove_work_package(gone)
    cookie = signed_in_client(app, "alice", "admin").get_cookie("leafpanel")
    assert cookie is not None
    return cookie.value


@pytest.mark.parametrize("surface", SURFACES)
def test_a_surface_is_compact_at_every_width_and_in_both_themes(world: World, page: Page, surface: str) -> None:
    for theme in ("light", "dark"):
        for width in (320, 600, 900):
            page.set_viewport_size({"width": width, "height": 800})
            world.show(page, surface, theme)

            expect(page.locator(".lp-card, .lp-entity").first).to_be_visible()
            expect(page.locator("#lp-q")).to_have_count(0)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"


def test_a_dashboard_marks_what_is_gone_and_leads_to_the_whole_tab(world: World, page: Page) -> None:
    world.show(page, "user-dashboard")

    expect(page.locator(".lp-gone")).to_have_text("No longer visible")
    page.get_by_role("link", name="All 4 work packages").click()

    expect(page.locator("#lp-q")).to_be_visible()


def test_a_surface_says_that_details_are_unavailable(world: World, page: Page) -> None:
    world.upstream.close()

    world.show(page, "single-entity")
    expect(page.locator(".lp-entity-state")).to_have_text("Details unavailable")
    world.show(page, "user-dashboard")
    expect(page.get_by_text("4 work packages are linked.")).to_be_visible()
