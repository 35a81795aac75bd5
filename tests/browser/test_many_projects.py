"""The create form of an instance with more projects than a list can show, worked by keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from applications import Replaceable
from playwright.sync_api import Page, expect
from support import ALICE, MakeApp, Upstreams, openproject_values, signed_in_client

from panel.sandbox.standin import RunningServer

pytestmark = pytest.mark.browser

NEW = "/objects/demo/case/1/integrations/openproject/new"


@pytest.fixture
def form(make_app: MakeApp, upstreams: Upstreams, page: Page) -> Iterator[Page]:
    """The create form, with 1,204 projects to choose from."""
    upstreams.openproject.add_projects(1203)
    replaceable = Replaceable()
    server = RunningServer(replaceable)
    app = make_app(PANEL_PORT=str(server.port), PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port)
    with app.app_context():
        app.extensions["leafpanel"].sources.create(openproject_values(upstreams), by=ALICE)
    replaceable.serve(app)
    cookie = signed_in_client(app, "noor", "editor").get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": server.url}])
    page.goto(f"{server.url}{NEW}")
    yield page
    server.close()


def test_a_project_is_found_while_typing_and_chosen_by_keys(form: Page, complaints: list[str]) -> None:
    search, projects = form.get_by_label("Search projects"), form.get_by_label("Project", exact=True)
    expect(search).to_be_focused()

    search.press_sequentially("dossier 118")
    expect(projects.locator("option")).to_have_count(12)
    expect(form.locator("#lp-status")).to_have_text("12 projects found.")
    expect(search).to_be_focused()

    search.press("Enter")
    expect(projects).to_be_focused()
    projects.press("ArrowDown")
    expect(form.get_by_label("Type").locator("option")).to_have_text(["Default", "Task"])
    form.get_by_label("Subject").fill("A new bridge")
    form.get_by_label("Subject").press("Enter")

    expect(form.get_by_role("link", name="A new bridge")).to_be_visible()
    assert not complaints


def test_the_only_match_is_chosen_by_enter(form: Page, complaints: list[str]) -> None:
    search, projects = form.get_by_label("Search projects"), form.get_by_label("Project", exact=True)

    search.fill("dossier 1199")
    expect(projects.locator("option")).to_have_text(["Choose …", "Dossier 1199"])
    search.press("Enter")

    expect(projects.locator("option:checked")).to_have_text("Dossier 1199")
    expect(form.get_by_label("Type").locator("option")).not_to_have_text(["Choose a project first"])
    assert not complaints


def test_a_search_without_a_match_keeps_the_focus(form: Page) -> None:
    search = form.get_by_label("Search projects")

    search.fill("zeppelin")

    expect(form.locator("#lp-status")).to_have_text("0 projects found.")
    expect(search).to_be_focused()
