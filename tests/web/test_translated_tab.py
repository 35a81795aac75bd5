"""Every text of the tab is translated: in a made-up language no page of it has a word of English."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from support import ALICE, CASE, Upstreams, signed_in_client
from web.pseudo import speak_pseudo, untranslated
from web.tab_reader import HTMX, TAB, Seen, fragment, get, leaf, send

from panel.core.domain import Problem
from panel.core.reasons import Reason
from panel.integrations.registry import load_registry
from panel.links.visitor import Visitor
from panel.sandbox.openproject_state import CustomField
from panel.web.notices import notice
from panel.web.reason_words import remedy_of
from panel.web.translations import translated

Link = Callable[..., None]

TITLES = (
    "Replace the north bridge", "Paint the old bridge", "Inspect the south gate", "Typed so far", "Perhaps", "Alpha",
    "Permit of 2026", "Sibling", "Sandbox", "Draft", "Dossier",
    "Test page one", "Test pages", "Test", "Seven dev", "Sub & Co", "Dev", "Home",
)  # fmt: skip
"""Titles of items, projects and spaces, and what a person typed."""

VALUES = (
    "OpenProject", "xWiki", "Leafpanel", "Noor V.", "Bob", "alice", "Team Blue", "Uma User", "New", "In progress",
    "Closed", "Task", "Bug", "Milestone", "Channel", "elsewhere.example", "zeppelin", "Channel can't be blank.",
    "Status is invalid because no valid transition exists from old to new status for the current user's roles.",
)  # fmt: skip
"""Names, values and sentences of the upstream, and names of people."""

PATTERNS = (
    *map(re.escape, VALUES),
    *(rf"\b{re.escape(part)}\b" for title in TITLES for part in (title, *title.rpartition(" ")[::2]) if part),
    r"demo / case / 1", r"xwiki:[\w.]+", r"Sandbox\.\w+", r"LP-\w+-\w+",
)  # fmt: skip
"""What may stand outside of translated texts. The last word of a title is an element of its own."""

FORMATTED = (
    r"\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
    rf"\b{datetime.now().astimezone().tzname()}\b",
    r"demo / case / \w+",
    r"just now|\d+ (minutes?|hours?|days?) ago|Due|\d+ days? overdue",
)
"""Dates, the zone of the server, and durations."""


@pytest.fixture(autouse=True)
def pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    speak_pseudo(monkeypatch)


@pytest.fixture
def admin(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "alice", "admin")


@pytest.fixture
def editor(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "Noor V.", "editor")


@pytest.fixture
def viewer(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "Bob", "viewer")


@pytest.fixture
def linked(connected: Flask, visitor: Visitor) -> Link:
    def link(integration: str, *references: str) -> None:
        with connected.app_context():
            for reference in references:
                connected.extensions["leafpanel"].links.link(visitor, integration, CASE, reference)

    return link


def english(seen: Seen) -> list[str]:
    assert "⟦" in seen.answer.text
    return untranslated(seen.answer.text, (*PATTERNS, *FORMATTED))


def check(seen: Seen, selector: str) -> Seen:
    """The page has what it is to show, and all of it in the made-up language."""
    assert seen.all(selector), seen.text
    assert english(seen) == []
    return seen


# --- the list --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("integration", ["xwiki", "openproject"])
def test_a_list_with_rows(editor: FlaskClient, viewer: FlaskClient, linked: Link, integration: str) -> None:
    linked("openproject", "101", "102", "103")
    linked("xwiki", "Sandbox.TestPage1")

    check(get(editor, leaf(integration)), ".lp-question")
    check(get(viewer, leaf(integration)), ".lp-row")


def test_rows_with_all_that_they_can_show(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    upstreams.openproject.touch(101, assignee_id=20, due_date=date(2026, 1, 5))
    linked("openproject", "101")

    check(get(editor, leaf("openproject")), ".lp-late")


def test_many_rows(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    for number in range(205):
        upstreams.xwiki.add_page(f"Sandbox.Test{number}", title=f"Test {number}")
    linked("xwiki", *(f"Sandbox.Test{number}" for number in range(205)))

    check(get(editor, leaf("xwiki")), ".lp-pages")


def test_an_empty_list(editor: FlaskClient, viewer: FlaskClient) -> None:
    for client in (editor, viewer):
        check(get(client, TAB), ".lp-empty")
        check(get(client, leaf("openproject")), ".lp-empty")


def test_items_that_are_gone(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    linked("openproject", "101", "103")
    upstreams.openproject.remove_work_package(101)

    check(get(editor, leaf("openproject")), ".lp-row-gone")


MADE = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)


@pytest.fixture
def moved(linked: Link, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page("Sandbox.Draft", title="Permit of 2026", created=MADE)
    linked("xwiki", "Sandbox.Draft")
    upstreams.xwiki.rename_page("Sandbox.Draft", "Sandbox.Permit", redirect=False)
    upstreams.xwiki.index()


@pytest.mark.usefixtures("moved")
def test_a_page_that_moved(editor: FlaskClient) -> None:
    page = check(get(editor, leaf("xwiki")), ".lp-follow")
    check(send(editor, page, ".lp-follow", {"to": "Sandbox.TestPage1"}), ".lp-problem")
    check(send(editor, page, ".lp-follow", headers=HTMX), "#lp-banner[data-announce]")


@pytest.mark.usefixtures("moved")
def test_a_page_that_can_be_at_several_places(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page("Sandbox.Sibling", title="Sibling", created=MADE, version="2.1")

    check(get(editor, leaf("xwiki")), ".lp-places .lp-follow")


def test_the_tab_of_another_application(admin: FlaskClient, connected: Flask, linked: Link) -> None:
    linked("openproject", "101")
    token = token_of(embedding_app(admin), CASE)

    check(get(connected.test_client(), f"/embed{TAB.removeprefix('/objects')}?token={token}"), "[data-hosts]")


def test_a_view_that_expired(connected: Flask) -> None:
    check(get(connected.test_client(), f"/embed{TAB.removeprefix('/objects')}?token=a.b.c"), "h1")


# --- notices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["unauthorized", "forbidden", "server-error", "login-page", "rate-limited"])
def test_an_upstream_that_fails(
    admin: FlaskClient, editor: FlaskClient, linked: Link, upstreams: Upstreams, fault: str
) -> None:
    linked("openproject", "101", "102")
    upstreams.openproject.fault = fault

    for client in (admin, editor):
        check(get(client, leaf("openproject")), ".lp-notice")
        check(fragment(client, leaf("openproject", "/search?q=bridge")), ".lp-notice")


def test_without_a_source(app: Flask) -> None:
    for name, role in (("alice", "admin"), ("Noor V.", "editor")):
        client = signed_in_client(app, name, role)
        check(get(client, TAB), ".lp-notice")
        check(get(client, leaf("xwiki")), ".lp-notice")


def test_what_is_switched_off(admin: FlaskClient, editor: FlaskClient, linked: Link, connected: Flask) -> None:
    linked("openproject", "101")
    services = connected.extensions["leafpanel"]
    with connected.app_context():
        services.sources.change("xwiki", {"enabled": False}, by=ALICE)
    for client in (admin, editor):
        check(get(client, leaf("xwiki")), ".lp-notice")
    with connected.app_context():
        services.switches.set_connector(on=False, by=ALICE)
    for client in (admin, editor):
        check(get(client, leaf("openproject")), ".lp-notice")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_translated_words(reason: Reason) -> None:
    problem, xwiki = Problem(reason, "A message.", retry_after=7), load_registry().get("xwiki")

    for admin in (True, False):
        shown = notice(problem, xwiki, admin=admin, links=3)
        for text in (shown.title, shown.text, remedy_of(problem, "xWiki")):
            assert untranslated(translated(text, "nl"), ("xWiki", "A message\\.")) == []


# --- searching and linking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["bridge", "zeppelin", "", "101", "https://elsewhere.example/x"])
def test_the_picker_and_its_page(editor: FlaskClient, admin: FlaskClient, linked: Link, query: str) -> None:
    linked("openproject", "101")

    for client in (editor, admin):
        part = fragment(client, leaf("openproject", f"/search?q={query}"))
        assert english(part) == []
        page = get(client, leaf("openproject", f"/search?q={query}"))
        assert english(page) == []


def test_more_results_than_the_picker_shows(editor: FlaskClient, upstreams: Upstreams) -> None:
    for number in range(12):
        upstreams.xwiki.add_page(f"Sandbox.Test{number}", title=f"Test {number}")
    upstreams.xwiki.index()

    for seen in (get(editor, leaf("xwiki", "/search?q=Test")), fragment(editor, leaf("xwiki", "/search?q=Test"))):
        check(seen, ".lp-row-found:nth-child(10), .lp-option:nth-child(10)")


def test_an_account_that_sees_nothing(admin: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.world.work_packages.clear()

    check(fragment(admin, leaf("openproject", "/search?q=")), ".lp-found-none")
    check(get(admin, leaf("openproject", "/search?q=")), ".lp-empty")


def test_linking(editor: FlaskClient, linked: Link) -> None:
    path = leaf("openproject")
    token = {"csrf_token": get(editor, path).find("[name=csrf_token]").attributes["value"]}
    for references in (["101"], ["102", "103"], ["101"], [], ["999"]):
        seen = Seen(editor.post(f"{path}/links", data={**token, "reference": references}, headers=HTMX))
        check(seen, "#lp-banner.lp-banner, .lp-problem, #lp-banner[data-announce]")


def test_unlinking(editor: FlaskClient, linked: Link) -> None:
    linked("openproject", "101", "102")
    page = get(editor, leaf("openproject"))
    check(send(editor, page, ".lp-question", headers=HTMX), "#lp-banner[data-announce]")
    for done in ("unlinked", "followed"):
        check(get(editor, leaf("openproject", f"?done={done}")), ".lp-banner")


# --- creating --------------------------------------------------------------------------------------------------------


def create(client: FlaskClient, **typed: str) -> Seen:
    values = {"projectId": "1", "type": "1", "subject": "Typed so far", **typed}
    return send(client, get(client, leaf("openproject", "/new")), "#lp-new", values, headers=HTMX)


def reshaped(client: FlaskClient, project: str) -> Seen:
    """The parts of the create form that change with the project."""
    page, action = get(client, leaf("openproject", "/new")), leaf("openproject", "/new/fields?changed=projectId")
    return send(client, page, "#lp-new", {"projectId": project}, action=action, headers=HTMX)


def test_the_create_form(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.behave_like("16")
    check(get(editor, leaf("openproject", "/new")), "#lp-new")
    check(get(editor, leaf("xwiki", "/new")), "#lp-new")
    check(reshaped(editor, "1"), "option")
    check(create(editor), "#lp-banner.lp-banner, #lp-banner[data-announce]")


def test_a_create_form_with_errors(editor: FlaskClient, upstreams: Upstreams) -> None:
    check(create(editor, projectId="", subject=" "), ".lp-error")
    check(create(editor, subject=""), ".lp-error")
    check(create(editor, subject="0" * 300), ".lp-error")
    everywhere = {"project_ids": frozenset({1}), "type_ids": frozenset({1})}
    upstreams.openproject.world.add(CustomField(1, "Channel", options={3: "Desk", 4: "Post"}, **everywhere))
    upstreams.openproject.fault = "rate-limited"
    upstreams.openproject.fault_only = lambda request: request.path.endswith("/form")
    check(create(editor), ".lp-refused a")


def test_a_create_that_fails(editor: FlaskClient, admin: FlaskClient, upstreams: Upstreams) -> None:
    for client in (editor, admin):
        page = get(client, leaf("openproject", "/new"))
        values = {"projectId": "1", "subject": "Perhaps"}
        upstreams.openproject.fail_create_after_commit = True
        check(send(client, page, "#lp-new", values), ".lp-refused")
        upstreams.openproject.fail_create_after_commit = False
        upstreams.openproject.fault = "unauthorized"
        check(send(client, page, "#lp-new", {**values, "key": client.application.name}), ".lp-refused")
        upstreams.openproject.fault = None


def test_projects_that_are_searched(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.add_projects(1203)
    form = check(get(editor, leaf("openproject", "/new")), ".lp-choice-search")
    address = form.find("#new-projectId-search").attributes["hx-get"]
    for words in ("dossier+118", "zeppelin", "dossier"):
        check(fragment(editor, f"{address}&search-projectId={words}"), ".lp-help")


# --- changing --------------------------------------------------------------------------------------------------------


def test_the_drawer(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    linked("openproject", "101")
    drawer = check(get(editor, leaf("openproject", "/items/101/edit")), ".lp-edit form")
    check(send(editor, drawer, ".lp-edit form", {"status": "7"}, headers=HTMX), ".lp-refused")
    check(send(editor, drawer, ".lp-edit form", headers=HTMX), "#lp-banner")
    changed = send(editor, drawer, ".lp-edit form", {"status": "2", "assignee": "20"}, headers=HTMX)
    check(changed, "#lp-banner[data-announce]")
    upstreams.openproject.fault = "server-error"
    check(fragment(editor, leaf("openproject", "/items/101/edit")), ".lp-refused")


def test_a_conflict(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    linked("openproject", "101")
    drawer = get(editor, leaf("openproject", "/items/101/edit"))
    upstreams.openproject.touch(101, status_id=7)
    check(send(editor, drawer, ".lp-edit form", {"status": "2", "assignee": "20"}), ".lp-refused")
    check(
        send(editor, drawer, ".lp-edit form", {"status": "2", "subject": "Typed so far"}, headers=HTMX), ".lp-refused"
    )
