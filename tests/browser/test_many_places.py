"""The create form on a wiki of 20,000 spaces: found, browsed, and a page that exists already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from applications import Replaceable
from playwright.sync_api import Page, expect
from support import ALICE, MakeApp, Upstreams, signed_in_client, xwiki_values

from panel.sandbox.standin import RunningServer

pytestmark = pytest.mark.browser

NEW = "/objects/demo/case/1/integrations/xwiki/new"


@pytest.fixture
def form(make_app: MakeApp, upstreams: Upstreams, page: Page) -> Iterator[Page]:
    """The create form, with 20,000 spaces to choose from."""
    upstreams.xwiki.add_page("Sandbox.Cases.WebHome", title="All cases")
    for year in range(200):
        for number in range(100):
            upstreams.xwiki.add_page(f"Sandbox.Cases.{year + 1800}.Z{number:04}.WebHome", title=f"Case {number:04}")
    upstreams.xwiki.add_page("Sandbox.Cases.1999.Z0007.Hearing.WebHome", title="The hearing")
    replaceable = Replaceable()
    server = RunningServer(replaceable)
    app = make_app(PANEL_PORT=str(server.port), PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port)
    with app.app_context():
        app.extensions["leafpanel"].sources.create(xwiki_values(upstreams), by=ALICE)
    replaceable.serve(app)
    cookie = signed_in_client(app, "noor", "editor").get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": server.url}])
    page.goto(f"{server.url}{NEW}")
    yield page
    server.close()


def test_a_place_is_browsed_and_an_existing_page_is_linked(form: Page, complaints: list[str]) -> None:
    search, places = form.get_by_label("Search spaces"), form.get_by_label("Space", exact=True)
    expect(form.locator("#new-existing")).not_to_be_visible()
    search.fill("1999")
    expect(places.locator("option").last).to_have_text("Sandbox › All cases › 1999")
    search.press("Enter")
    expect(places).to_have_value("Sandbox.Cases.1999")

    form.get_by_role("button", name="Show what is below it").click()
    expect(places).to_be_focused()
    expect(form.get_by_role("navigation", name="Position of these choices")).to_contain_text(
        "Top level › Sandbox › All cases › 1999"
    )
    places.select_option("Sandbox.Cases.1999.Z0007")
    form.get_by_label("Title").fill("Hearing")

    expect(form.locator("#lp-status")).to_have_text("“The hearing” exists there already.")
    assert form.get_by_label("Page name").get_attribute("placeholder") == "Hearing"
    expect(form.locator("main")).not_to_contain_text("WebHome")
    form.get_by_role("button", name="Link that page").click()
    expect(form.locator("#lp-status")).to_have_text("Linked The hearing")
    assert not complaints


def test_enter_in_a_field_creates_and_does_not_link(form: Page) -> None:
    form.get_by_label("Search spaces").fill("All cases")
    form.get_by_label("Space", exact=True).select_option("Sandbox.Cases")
    form.get_by_label("Title").fill("A new page")
    form.get_by_label("Title").press("Enter")

    expect(form.locator("#lp-status")).to_have_text("Created and linked A new page")


def test_after_a_refusal_the_focus_is_on_the_page_that_was_in_the_way(form: Page, upstreams: Upstreams) -> None:
    form.get_by_label("Search spaces").fill("All cases")
    form.get_by_label("Space", exact=True).select_option("Sandbox.Cases")
    form.get_by_label("Title").fill("Minutes")
    form.get_by_label("Text").fill("Typed text")
    upstreams.xwiki.add_page("Sandbox.Cases.Minutes.WebHome", title="Minutes")

    form.get_by_role("button", name="Create and link").click()

    expect(form.get_by_role("button", name="Link that page")).to_be_focused()
    expect(form.get_by_label("Text")).to_have_value("Typed text")
