"""The tab of one object, without scripts and as htmx asks for it, against the real stand-ins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support import ALICE, CASE, MakeApp, Upstreams, openproject_values, signed_in_client
from web.tab_reader import HTMX, TAB, Seen, follow, fragment, get, leaf, send
from werkzeug.wrappers import Request

from panel import create_app
from panel.config import load
from panel.connector import SourceConfig, Upstream
from panel.core.domain import Identity, Item
from panel.core.health import HealthStatus
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Descriptor, Field
from panel.integrations.registry import Registry, load_registry
from panel.links.visitor import Visitor
from panel.sandbox.openproject_state import CustomField, Right
from panel.services import Panel
from panel.storage.migrations import alembic

Link = Callable[..., None]
PILL = ".lp-pill"


@pytest.fixture
def editor(connected: Flask) -> FlaskClient:
    """Noor, who may link, create, change and unlink, but runs nothing. Both sources are there."""
    return signed_in_client(connected, "Noor V.", "editor")


@pytest.fixture
def viewer(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "Bob", "viewer")


@pytest.fixture
def admin(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "alice", "admin")


@pytest.fixture
def linked(connected: Flask, visitor: Visitor) -> Link:
    """Link things to the case, past the pages."""

    def link(integration: str, *references: str) -> None:
        with connected.app_context():
            for reference in references:
                connected.extensions["leafpanel"].links.link(visitor, integration, CASE, reference)

    return link


def count(app: Flask, integration: str) -> int:
    with app.app_context():
        panel: Panel = app.extensions["leafpanel"]
        return panel.links.counts(CASE).get(integration, 0)


# --- who comes in ----------------------------------------------------------------------------------------------------


def test_nobody_sees_the_tab_without_signing_in(connected: Flask) -> None:
    answer = connected.test_client().get(leaf("xwiki"))

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/admin/sign-in?next=/objects/demo/case/1/integrations/xwiki"


def test_a_session_that_ended_takes_the_whole_page_to_the_sign_in_form(connected: Flask) -> None:
    headers = {**HTMX, "HX-Current-URL": f"http://localhost{TAB}?theme=dark"}

    answer = connected.test_client().get(leaf("xwiki", "/search?q=a"), headers=headers)

    assert (answer.status_code, answer.text) == (401, "")
    assert answer.headers["HX-Redirect"] == f"/admin/sign-in?next={TAB}?theme%3Ddark"


def test_an_object_that_cannot_be_is_refused(editor: FlaskClient) -> None:
    assert get(editor, f"/objects/demo/case/{'x' * 256}").status == 400


def test_an_unknown_leaf_is_not_found(editor: FlaskClient) -> None:
    assert get(editor, leaf("jira")).status == 404


# --- strip -----------------------------------------------------------------------------------------------------------


def tabs(page: Seen) -> list[str]:
    """The tabs of the two leaves that have a stand-in here."""
    return [text for text in page.texts(".lp-tab-link") if text.startswith(("Articles", "Projects"))]


def test_opens_with_the_leaf_that_has_links_and_tells_how_much_each_holds(editor: FlaskClient, linked: Link) -> None:
    empty = get(editor, TAB)
    linked("openproject", "101", "102")
    page = get(editor, TAB)

    assert tabs(page) == ["Articles 0", "Projects 2"]
    assert page.texts("[aria-current=page]") == ["Projects 2"]
    assert empty.texts("[aria-current=page]") == ["Articles 0"]
    assert empty.texts("main")[0].endswith(
        "No pages linked yet Search or paste above to link one, or create one in xWiki."
    )


def test_opens_with_a_healthy_leaf_with_links_before_another(
    editor: FlaskClient, linked: Link, connected: Flask, upstreams: Upstreams, visitor: Visitor
) -> None:
    linked("xwiki", "Sandbox.TestPage1")
    linked("openproject", "101")
    upstreams.xwiki.fault = "unauthorized"
    with connected.app_context():
        connected.extensions["leafpanel"].links.health(visitor, "xwiki")

    assert get(editor, TAB).texts("[aria-current=page]") == ["Projects 1"]


def test_a_leaf_without_source_and_links_troubles_administrators_only(app: Flask, upstreams: Upstreams) -> None:
    with app.app_context():
        app.extensions["leafpanel"].sources.create(openproject_values(upstreams), by=ALICE)
    viewer, admin = signed_in_client(app, "Noor V.", "viewer"), signed_in_client(app, "alice", "admin")

    assert tabs(get(viewer, TAB)) == ["Projects 0"]
    assert tabs(get(admin, TAB)) == ["Articles needs attention", "Projects 0"]
    assert tabs(get(viewer, leaf("xwiki"))) == ["Articles", "Projects 0"]


def test_opens_with_the_leaf_that_has_a_source(app: Flask, upstreams: Upstreams, services: Panel) -> None:
    services.sources.create(openproject_values(upstreams), by=ALICE)

    page = get(signed_in_client(app, "Noor V.", "editor"), TAB)

    assert page.status == 200
    assert page.texts("[aria-current=page]") == ["Projects 0"]
    assert tabs(page) == ["Projects 0"]


def test_a_leaf_whose_last_check_failed_asks_for_attention_and_nobody_is_asked(
    editor: FlaskClient, connected: Flask, upstreams: Upstreams, visitor: Visitor
) -> None:
    upstreams.openproject.fault = "unauthorized"
    with connected.app_context():
        health = connected.extensions["leafpanel"].links.health(visitor, "openproject")
    assert health.status is HealthStatus.UNAVAILABLE

    with upstreams.openproject.counting() as asked:
        page = get(editor, leaf("xwiki"))

    assert tabs(page) == ["Articles 0", "Projects 0 needs attention"]
    assert asked == []


def test_the_look_is_carried_along(editor: FlaskClient) -> None:
    page = get(editor, f"{TAB}?theme=dark&bg=transparent")

    assert page.find("html").attributes["data-bs-theme"] == "dark"
    assert page.find("html").attributes["data-background"] == "transparent"
    assert "theme=dark&bg=transparent" in page.hrefs(".lp-tab-link")[1]
    assert get(editor, f"{TAB}?theme=pink").find("html").attributes["data-theme"] == "auto"


# --- page and fragment -----------------------------------------------------------------------------------------------


def test_a_fragment_is_the_same_tab_without_the_page_around_it(editor: FlaskClient, linked: Link) -> None:
    linked("openproject", "101")

    page, part = get(editor, leaf("openproject")), fragment(editor, leaf("openproject"))

    assert "<html" in page.answer.text
    assert part.answer.text.lstrip().startswith('<div id="lp-tab">')
    assert part.texts(".lp-row") == page.texts(".lp-row")
    assert "HX-Request" in page.answer.vary
    assert "HX-Request" in part.answer.vary


def test_going_back_in_the_browser_gets_the_whole_page(editor: FlaskClient) -> None:
    answer = editor.get(leaf("xwiki"), headers={**HTMX, "HX-History-Restore-Request": "true"})

    assert "<html" in answer.text


def test_no_page_carries_scripts_or_styles_of_its_own(editor: FlaskClient, linked: Link) -> None:
    linked("openproject", "101")
    linked("xwiki", "Sandbox.TestPage1")

    own = [leaf("openproject", rest) for rest in ("", "/new", "/search?q=bridge", "/items/101/edit")]
    for path in (*own, leaf("xwiki")):
        page = get(editor, path)
        assert page.all("[style], style") == []
        assert [node.attributes.get("src") for node in page.all("script") if not node.attributes.get("src")] == []
        assert not re.search(r"\son\w+=|javascript:|hx-on", page.answer.text)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_work_package_shows_who_where_and_how_far(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    upstreams.openproject.touch(101, assignee_id=5, due_date=date.today() - timedelta(days=3))
    linked("openproject", "101")

    page = get(editor, leaf("openproject"))

    row = page.texts(".lp-row-ticket")[0]
    assert row.startswith("#101 Replace the north bridge")
    assert "Type Task Assignee Uma User Project Alpha" in row
    assert "New , change" in row
    assert "3 days overdue" in row
    assert "priority" not in row
    link = page.find("a.lp-title")
    assert link.attributes["href"] == f"{upstreams.openproject_url}/work_packages/101"
    assert (link.attributes["target"], link.attributes["rel"]) == ("_blank", "noopener noreferrer")


def test_what_is_closed_is_muted_and_never_late(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    upstreams.openproject.touch(102, due_date=date.today() - timedelta(days=3))
    linked("openproject", "102", "103")

    page = get(editor, leaf("openproject"))

    assert page.texts(".lp-closed") == ["Paint the old bridge"]
    assert "overdue" not in page.text
    assert page.texts(".lp-summary") == ["2 work packages : 1 open, 1 closed"]


def test_the_status_has_the_colour_of_the_upstream_and_nothing_else_gets_there(
    editor: FlaskClient, linked: Link, upstreams: Upstreams
) -> None:
    linked("openproject", "101")

    assert get(editor, leaf("openproject")).find(".lp-dot circle").attributes["fill"] == "#1098AD"


def test_a_page_shows_where_it_is(editor: FlaskClient, linked: Link) -> None:
    linked("xwiki", "Dev.Sub.WebHome")

    page = get(editor, leaf("xwiki"))

    assert page.texts(".lp-title") == ["Sub & Co"]
    assert page.texts(".lp-meta") == ["Dev"]
    assert page.texts(".lp-summary") == ["1 page"]


@pytest.mark.parametrize("rest", ["", "/search?q=zeppelin", "/items/101/edit"])
def test_upstream_text_is_never_markup(editor: FlaskClient, linked: Link, upstreams: Upstreams, rest: str) -> None:
    upstreams.openproject.touch(101, subject='<img src=x onerror=alert(1)> & "zeppelin"')
    linked("openproject", "101")

    page = get(editor, leaf("openproject", rest))

    assert page.all("main img") == []
    assert '<img src=x onerror=alert(1)> & "zeppelin"' in page.text.replace('" zeppelin "', '"zeppelin"')


def test_what_the_upstream_no_longer_shows_can_be_let_go(
    editor: FlaskClient, linked: Link, upstreams: Upstreams
) -> None:
    linked("openproject", "101", "103")
    upstreams.openproject.remove_work_package(101)

    page = get(editor, leaf("openproject"))

    gone = page.texts(".lp-row-gone")[0]
    assert gone.startswith("#101 No longer visible in OpenProject: deleted, moved, or closed to our account.")
    assert "Choose another work package" in gone
    assert page.texts(".lp-row")[-1] == gone
    assert page.texts(".lp-summary") == ["2 work packages : 1 open, 1 no longer visible"]
    assert follow(editor, send(editor, page, ".lp-row-gone .lp-question")).texts(".lp-row-gone") == []


def test_rows_are_sorted_by_what_was_chosen(editor: FlaskClient, linked: Link) -> None:
    linked("openproject", "101", "102", "103")

    page = get(editor, leaf("openproject", "?sort=title"))

    assert page.texts(".lp-title") == ["Inspect the south gate", "Paint the old bridge", "Replace the north bridge"]
    assert page.texts(".lp-sort summary") == ["Sort: Subject"]
    assert page.texts(".lp-sort [aria-current]") == ["Subject"]


def test_long_lists_have_pages(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    linked("openproject", *map(str, upstreams.openproject.add_many(52, 1)))

    first = get(editor, leaf("openproject"))
    second = get(editor, first.hrefs(".lp-pages a")[0])

    assert (len(first.all(".lp-row")), len(second.all(".lp-row"))) == (50, 2)
    assert first.texts(".lp-summary") == second.texts(".lp-summary") == ["52 work packages : 52 open"]
    assert (first.texts("#lp-range"), second.texts("#lp-range")) == (["1–50 of 52"], ["51–52 of 52"])
    assert second.texts(".lp-pages a") == ["Previous"]


@pytest.mark.parametrize("page", ["0", "-1", "x", "²", "9999999999"])
def test_an_odd_page_number_is_refused(editor: FlaskClient, page: str) -> None:
    assert get(editor, leaf("openproject", f"?page={page}")).status == 400


def test_rows_ask_for_the_beginning_of_their_text_afterwards(editor: FlaskClient, linked: Link) -> None:
    linked("xwiki", "Sandbox.TestPage1")
    waiting = get(editor, leaf("xwiki")).find(".lp-excerpt")

    part = fragment(editor, waiting.attributes["hx-get"] or "")

    assert part.texts(".lp-excerpt") == ["Bold words to find."]
    assert part.find(".lp-excerpt").attributes["id"] == waiting.attributes["id"]


def test_only_the_first_rows_ask_for_their_text(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    for number in range(12):
        upstreams.xwiki.add_page(f"Many.Page{number}", title=f"Page {number}")
    linked("xwiki", *(f"Many.Page{number}" for number in range(12)))

    assert len(get(editor, leaf("xwiki")).all("[hx-trigger=revealed]")) == 10


def test_a_text_that_does_not_come_leaves_the_row_as_it_is(
    editor: FlaskClient, linked: Link, upstreams: Upstreams
) -> None:
    linked("xwiki", "Sandbox.TestPage1")
    upstreams.xwiki.fault = "server-error"

    part = fragment(editor, leaf("xwiki", "/items/xwiki:Sandbox.TestPage1/excerpt"))

    assert part.status == 200
    assert "hidden" in part.find(".lp-excerpt").attributes


# --- linking ---------------------------------------------------------------------------------------------------------


def test_links_what_was_found_and_takes_it_back(editor: FlaskClient, connected: Flask) -> None:
    results = send(editor, get(editor, leaf("openproject")), "#lp-find", {"q": "bridge"})
    chosen = [node.attributes["value"] for node in results.all("[type=checkbox]")]
    page = follow(editor, send(editor, results, "#lp-body form", {"reference": chosen}))

    assert page.texts(".lp-banner p") == ["Linked 2 work packages"]
    assert page.texts(".lp-new") == ["Linked just now"] * 2

    after = follow(editor, send(editor, page, "#lp-undo"))
    assert after.texts(".lp-banner p") == ["Unlinked."]
    assert count(connected, "openproject") == 0


def test_one_linked_thing_is_named(editor: FlaskClient) -> None:
    results = get(editor, leaf("xwiki", "/search?q=Sandbox.TestPage1"))

    page = follow(editor, send(editor, results, "#lp-body form"))

    assert page.texts(".lp-banner p") == ["Linked Test page one"]


def test_choosing_nothing_says_so(editor: FlaskClient, connected: Flask) -> None:
    page = send(editor, get(editor, leaf("openproject", "/search?q=bridge")), "#lp-body form")

    assert page.status == 400
    assert page.texts("#lp-message") == ["Choose a work package first."]
    assert page.find("#lp-q").attributes["value"] == "bridge"
    assert count(connected, "openproject") == 0


def test_the_picker_offers_rows_and_marks_what_is_linked(editor: FlaskClient, linked: Link) -> None:
    linked("openproject", "102")

    part = fragment(editor, leaf("openproject", "/search?q=bridge"))

    assert [node.attributes["data-reference"] for node in part.all("[role=option]")] == ["102", "101"]
    assert [node.attributes["data-reference"] for node in part.all("[role=option][aria-disabled=true]")] == ["102"]
    assert part.texts("[role=option] b") == ["bridge", "bridge"]
    assert part.texts("#lp-found") == ["2 work packages in OpenProject, best match first"]
    assert part.find("#lp-found").attributes["data-announce"] == "2 work packages found"
    assert part.texts(".lp-foot-create") == ["Create work package “bridge”"]


def test_an_empty_box_offers_what_changed_last(editor: FlaskClient) -> None:
    part = fragment(editor, leaf("openproject", "/search?q="))

    assert part.texts("#lp-found") == ["Changed last in OpenProject"]
    assert len(part.all("[role=option]")) == 3


def test_nothing_found_is_said_and_something_new_is_offered(editor: FlaskClient) -> None:
    part = fragment(editor, leaf("openproject", "/search?q=zeppelin"))

    assert "Nothing found for “zeppelin”" in part.text
    assert part.texts(".lp-foot-create") == ["Create work package “zeppelin”"]


def test_an_account_that_sees_nothing_is_said_and_is_no_empty_list(admin: FlaskClient, upstreams: Upstreams) -> None:
    for number in (101, 102, 103):
        upstreams.openproject.remove_work_package(number)

    part = fragment(admin, leaf("openproject", "/search?q="))

    assert "This account sees no work packages in OpenProject" in part.text
    assert part.texts("button") == ["Test connection"]


def test_a_pasted_address_that_is_linked_already_says_so(
    editor: FlaskClient, linked: Link, upstreams: Upstreams
) -> None:
    linked("openproject", "101")

    part = fragment(editor, leaf("openproject", f"/search?q={upstreams.openproject_url}/work_packages/101"))

    assert part.texts("#lp-found") == ["This work package is already linked."]
    assert "data-exact" in part.find("#lp-options").attributes


@pytest.mark.parametrize("ask", [get, fragment])
def test_an_address_of_another_host_is_named(editor: FlaskClient, ask: Callable[..., Seen]) -> None:
    page = ask(editor, leaf("xwiki", "/search?q=https://kennis.regio.example/bin/view/A/B"))

    assert page.status == 400
    assert "This is a page of kennis.regio.example. There is no source for it yet." in page.text
    assert "Add a source" not in page.text


@pytest.mark.parametrize("ask", [get, fragment])
def test_a_second_source_of_a_leaf_is_not_offered(admin: FlaskClient, ask: Callable[..., Seen]) -> None:
    page = ask(admin, leaf("xwiki", "/search?q=https://kennis.regio.example/bin/view/A/B"))

    assert page.status == 400
    assert "and has one source" in page.text
    assert "Add a source" not in page.text


def test_an_administrator_adds_the_first_source_of_a_leaf_from_a_pasted_address(
    admin: FlaskClient, upstreams: Upstreams, connected: Flask
) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].sources.delete("xwiki", by=ALICE)

    page = fragment(admin, leaf("openproject", "/search?q=https://kennis.regio.example/bin/view/A/B"))

    assert "This is a page of kennis.regio.example. There is no source for it yet." in page.text
    assert page.texts(".lp-problem a") == ["Add a source"]
    form = get(admin, page.hrefs(".lp-problem a")[0])
    assert form.find("[name=location]").attributes["value"] == "https://kennis.regio.example"


def test_linking_twice_says_so_and_keeps_what_was_typed(editor: FlaskClient, linked: Link, connected: Flask) -> None:
    linked("openproject", "101")

    page = send(editor, get(editor, leaf("openproject")), "#lp-link", {"reference": "#101"})

    assert page.status == 409
    assert page.texts("#lp-message") == ["This work package is already linked."]
    assert page.find("#lp-q").attributes["value"] == "#101"
    assert count(connected, "openproject") == 1


def test_of_several_one_that_is_linked_already_spoils_nothing(editor: FlaskClient, linked: Link) -> None:
    linked("openproject", "101")
    page = get(editor, leaf("openproject"))

    after = follow(editor, send(editor, page, "#lp-link", {"reference": ["101", "103"]}))

    assert after.texts(".lp-banner p") == ["Linked Inspect the south gate"]


def test_linking_from_the_list_answers_with_the_whole_tab(editor: FlaskClient) -> None:
    page = get(editor, leaf("openproject"))

    part = send(editor, page, "#lp-link", {"reference": "101"}, headers=HTMX)

    assert part.status == 200
    assert part.find("#lp-banner").attributes["data-announce"] == "Linked Replace the north bridge"
    assert part.texts("#lp-undo button") == ["Undo"]
    assert part.texts("#lp-strip .lp-count") == ["0", "1"]
    assert part.texts("#lp-body .lp-new") == ["Linked just now"]


def test_what_the_upstream_does_not_show_is_not_linked(editor: FlaskClient, connected: Flask) -> None:
    page = send(editor, get(editor, leaf("openproject")), "#lp-link", {"reference": "201"})

    assert page.status == 404
    assert "does not show work package #201" in page.texts("#lp-message")[0]
    assert count(connected, "openproject") == 0


def test_a_failure_while_typing_keeps_the_text_and_says_why(editor: FlaskClient, upstreams: Upstreams) -> None:
    page = get(editor, leaf("openproject"))
    upstreams.openproject.fault = "server-error"

    after = send(editor, page, "#lp-link", {"reference": "101"})

    assert after.status == 503
    assert after.find("#lp-q").attributes["value"] == "101"
    assert after.texts(".lp-notice h2") == ["OpenProject is currently unavailable"]
    assert after.all("#lp-create") == []


def test_a_form_without_its_token_changes_nothing(editor: FlaskClient, connected: Flask) -> None:
    answer = editor.post(leaf("openproject", "/links"), data={"reference": "101"})

    assert answer.status_code == 400
    assert count(connected, "openproject") == 0


def test_unlinking_asks_first_and_leaves_the_upstream_alone(
    editor: FlaskClient, linked: Link, upstreams: Upstreams, connected: Flask
) -> None:
    linked("openproject", "101")
    page = get(editor, leaf("openproject"))
    assert page.texts(".lp-question p") == ["Unlink #101? The work package stays in OpenProject."]

    with upstreams.openproject.counting() as asked:
        answer = send(editor, page, ".lp-question")

    assert (answer.status, count(connected, "openproject"), asked) == (303, 0, [])


def test_unlinking_is_announced(editor: FlaskClient, linked: Link) -> None:
    linked("xwiki", "Sandbox.TestPage1")

    part = send(editor, get(editor, leaf("xwiki")), ".lp-question", headers=HTMX)

    assert part.find("#lp-banner").attributes["data-announce"] == "Unlinked Test page one"
    assert part.texts(".lp-row") == []


def test_what_was_unlinked_meanwhile_is_as_it_should_be(editor: FlaskClient, linked: Link) -> None:
    linked("openproject", "101")
    page = get(editor, leaf("openproject"))
    send(editor, page, ".lp-question")

    assert send(editor, page, ".lp-question").status == 303


# --- what somebody may not do ----------------------------------------------------------------------------------------


def test_a_viewer_sees_rows_and_no_button_that_would_refuse_them(viewer: FlaskClient, linked: Link) -> None:
    linked("openproject", "101")

    page = get(viewer, leaf("openproject"))

    assert page.texts(".lp-title") == ["Replace the north bridge"]
    assert page.all("#lp-q, #lp-create, .lp-drawer, .lp-pill-button, #lp-link") == []
    assert page.texts(PILL) == ["New"]


def test_a_viewer_of_nothing_is_told_so(viewer: FlaskClient) -> None:
    [shown] = get(viewer, leaf("openproject")).texts("main")

    assert shown.endswith("No work packages linked yet Nobody has linked one here yet.")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/links", {"reference": "103"}),
        ("/unlink", {"reference": "101"}),
        ("/new", {"projectId": "1", "subject": "x"}),
        ("/items/101/update", {"before-status": "1", "status": "2"}),
    ],
)
def test_a_viewer_changes_nothing(
    viewer: FlaskClient, linked: Link, upstreams: Upstreams, connected: Flask, path: str, values: dict[str, str]
) -> None:
    linked("openproject", "101")
    token = get(viewer, leaf("openproject")).find("body").attributes["hx-headers:inherited"] or ""

    with upstreams.openproject.counting() as asked:
        headers = {"X-CSRFToken": token.split('"')[3]}
        answer = viewer.post(leaf("openproject", path), data=values, headers=headers)

    assert answer.status_code == 403
    assert [call.method for call in asked if call.method != "GET"] == []
    assert count(connected, "openproject") == 1


def test_a_status_that_our_account_may_not_change_is_no_button(
    editor: FlaskClient, linked: Link, connected: Flask
) -> None:
    linked("openproject", "101")
    with connected.app_context():
        auth = {"type": "basic", "username": "apikey", "password": "V"}
        connected.extensions["leafpanel"].sources.change("openproject", {"auth": auth}, by=ALICE)

    page = get(editor, leaf("openproject"))

    assert page.all(".lp-pill-button") == []
    assert len(page.all(".lp-drawer .lp-question")) == 1


# --- when it cannot be shown -----------------------------------------------------------------------------------------

FAULTS = [
    ("unauthorized", "amber", "OpenProject authentication failed", "provider-auth / credentials-rejected"),
    ("server-error", "red", "OpenProject is currently unavailable", "upstream-service-down / server-error"),
    ("login-page", "red", "OpenProject is currently unavailable", "upstream-service-down / unexpected-response"),
    ("rate-limited", "red", "OpenProject is currently unavailable", "upstream-service-down / rate-limited"),
]


@pytest.mark.parametrize(("fault", "severity", "title", "code"), FAULTS)
def test_says_why_and_still_shows_where_the_pointers_lead(
    editor: FlaskClient, linked: Link, upstreams: Upstreams, fault: str, severity: str, title: str, code: str
) -> None:
    linked("openproject", "101", "102")
    upstreams.openproject.fault = fault

    page = get(editor, leaf("openproject"))

    assert page.status == 503
    assert page.texts(f".lp-{severity} h2") == [title]
    assert page.texts(".lp-technical code") == [code]
    assert page.texts(".lp-summary") == ["2 linked work packages , shown as references"]
    assert page.texts("a.lp-title") == ["#102", "#101"]
    assert page.hrefs("a.lp-title")[1] == f"{upstreams.openproject_url}/work_packages/101"
    assert page.texts(".lp-when")[0].endswith("by alice")
    assert page.all("#lp-q, #lp-create") == []
    assert page.texts("[aria-current=page]") == ["Projects 2 needs attention"]


def test_a_pointer_can_be_let_go_while_the_upstream_is_away(
    editor: FlaskClient, linked: Link, upstreams: Upstreams, connected: Flask
) -> None:
    linked("openproject", "101")
    upstreams.openproject.fault = "server-error"

    send(editor, get(editor, leaf("openproject")), ".lp-question")

    assert count(connected, "openproject") == 0


def test_the_reference_to_pass_on_is_that_of_the_request(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "unauthorized"

    page = get(editor, leaf("openproject"))

    assert page.texts(".lp-chip") == [page.answer.headers["X-Request-Id"]]
    assert "Give your administrator" in page.text
    assert page.all("a.btn-primary") == []


def test_an_administrator_is_led_to_the_source(admin: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "unauthorized"
    page = get(admin, leaf("openproject"))
    assert page.texts("a.btn-primary") == ["Reconnect"]
    assert page.hrefs("a.btn-primary") == [f"/admin/sources/openproject?back={leaf('openproject')}#auth"]

    upstreams.openproject.fault = "server-error"
    assert get(admin, leaf("openproject")).texts(".lp-notice .btn") == ["Retry", "Test connection"]


def test_a_notice_that_arrives_later_interrupts(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"

    assert get(editor, leaf("openproject")).all("[role=alert]") == []
    assert len(fragment(editor, leaf("openproject")).all(".lp-notice[role=alert]")) == 1


def test_a_search_that_meets_a_failure_says_so_in_its_place(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"

    part = fragment(editor, leaf("openproject", "/search?q=bridge"))

    assert part.status == 503
    assert part.texts(".lp-notice h2") == ["OpenProject is currently unavailable"]
    assert part.all("[role=option], .lp-found-none") == []


def test_without_any_source_every_leaf_says_what_is_missing(as_admin: FlaskClient) -> None:
    page = get(as_admin, TAB)

    assert page.status == 503
    leaves = load_registry().all()
    assert page.texts(".lp-notice h2") == [f"{one.descriptor.upstream} connection not configured" for one in leaves]
    assert page.texts("a.btn-primary") == ["Configure connection"] * len(leaves)
    assert page.hrefs("a.btn-primary") == [f"/admin/sources/{one.id}?back={leaf(one.id)}" for one in leaves]
    assert 'OpenConnector source "xwiki" for integration "xwiki" is missing or unreadable.' in page.text
    assert page.texts(".lp-technical code") == ["openconnector-source-missing / source-missing"] * len(leaves)


def test_others_are_told_whom_to_ask(app: Flask) -> None:
    page = get(signed_in_client(app, "Noor V.", "editor"), leaf("xwiki"))

    assert "Ask your administrator to connect xWiki, and send this reference along:" in page.text
    assert page.texts(".lp-chip") == [page.answer.headers["X-Request-Id"]]
    assert page.find("[data-copies]").attributes["data-copies"] == page.answer.headers["X-Request-Id"]
    assert "Check again" in page.text
    assert page.all("a.btn-primary") == []


def test_a_source_that_is_switched_off_says_so(admin: FlaskClient, connected: Flask) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].sources.change("xwiki", {"enabled": False}, by=ALICE)

    page = get(admin, leaf("xwiki"))

    assert "The source is switched off." in page.text
    assert page.texts("[aria-current=page]") == ["Articles 0 needs attention"]


def test_with_the_connector_off_the_leaves_hide_and_a_visit_explains(
    admin: FlaskClient, linked: Link, connected: Flask, upstreams: Upstreams
) -> None:
    linked("openproject", "101")
    with connected.app_context():
        connected.extensions["leafpanel"].switches.set_connector(on=False, by=ALICE)

    with upstreams.openproject.counting() as asked:
        page, front = get(admin, leaf("openproject")), get(admin, TAB)

    assert page.texts(".lp-tab-link") == front.texts(".lp-tab-link") == []
    assert page.texts(".lp-notice h2") == front.texts(".lp-notice h2") == ["Linking is switched off"]
    assert "The links are kept." in page.text
    assert page.texts(".lp-notice button") == ["Turn on"]
    assert asked == []


# --- a leaf without a template of its own ----------------------------------------------------------------------------


class Notes(Integration):
    """A toy upstream that answers from memory."""

    descriptor = Descriptor(
        id="notes", label="Notes", upstream="Notebook", icon="Note", noun="note", noun_plural="notes",
        location_hint="https://notes.example", create=(Field("text", "Text", required=True),), sorts={"title": "Title"},
    )  # fmt: skip

    def instance_root(self, location: str) -> str:
        return location

    def api_address(self, source: SourceConfig) -> str:
        return source.root

    def url_for(self, source: SourceConfig, reference: str) -> str:
        return f"{source.root}/{reference}"

    def looks_like_reference(self, source: SourceConfig, text: str) -> bool:
        return False

    def check(self, upstream: Upstream) -> Identity:
        return Identity(None, None)

    probe_product = probe_identity = probe_reading = check  # type: ignore[assignment]

    def resolve(self, upstream: Upstream, text: str) -> Item:
        return Item(f"notes:{text}", f"Note <{text}>", "javascript:alert(1)", facts={"status": "Open"})

    def fetch(self, upstream: Upstream, reference: str, *, with_excerpt: bool = False) -> Item:
        return self.resolve(upstream, reference.removeprefix("notes:"))

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        return {reference: self.fetch(upstream, reference) for reference in references}

    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        return [self.resolve(upstream, "b"), self.resolve(upstream, "a")]

    def create(self, upstream: Upstream, values: Mapping[str, Any]) -> Item:
        return self.resolve(upstream, values["text"])

    def row(self, item: Item) -> dict[str, Any]:
        return {"reference": item.reference}


@pytest.fixture
def notes(tmp_path: Path) -> FlaskClient:
    app = create_app(load({"PANEL_INSTANCE_DIR": str(tmp_path / "notes")}), registry=Registry([Notes()]))
    app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
    with app.app_context():
        alembic.upgrade()
        values = {"slug": "notes", "name": "Notes", "location": "https://notes.example", "auth": {"type": "none"}}
        app.extensions["leafpanel"].sources.create(values, by=ALICE)
    return signed_in_client(app, "Noor V.", "editor")


def test_a_leaf_needs_no_template_of_its_own(notes: FlaskClient) -> None:
    results = send(notes, get(notes, TAB), "#lp-find", {"q": "note"})
    assert results.texts(".lp-meta") == ["b", "a"]

    page = follow(notes, send(notes, results, "#lp-body form", {"reference": ["a", "b"]}))

    assert page.texts(".lp-title") == ["Note <a>", "Note <b>"]
    assert page.texts(".lp-summary") == ["2 notes"]
    assert page.texts(".lp-question p") == [
        "Unlink “Note <a>”? The note stays in Notebook.", "Unlink “Note <b>”? The note stays in Notebook.",
    ]  # fmt: skip
    assert page.all("a.lp-title, .lp-sort, .lp-edit") == []


def test_a_leaf_is_created_in_from_its_descriptor_alone(notes: FlaskClient) -> None:
    page = follow(notes, send(notes, get(notes, leaf("notes", "/new?text=c")), "#lp-new"))

    assert page.texts(".lp-title") == ["Note <c>"]


def test_several_are_linked_within_one_deadline(editor: FlaskClient, upstreams: Upstreams, connected: Flask) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].sources.change("openproject", {"timeout_s": 1}, by=ALICE)
    page = get(editor, leaf("openproject"))
    token = page.find("#lp-link input[name=csrf_token]").attributes["value"]
    asked: list[str] = []

    def hangs(request: Request) -> bool:
        asked.append(request.path.rpartition("/")[2])
        return asked[-1] not in ("101", "102")

    upstreams.openproject.fault, upstreams.openproject.fault_only = "hang", hangs
    references = ["101", "102", "103", "104", "105"]
    after = Seen(editor.post(leaf("openproject", "/links"), data={"csrf_token": token, "reference": references}))

    # The reference that got no answer is the last request: neither the others nor the list are asked for.
    assert asked == ["101", "102", "103"]
    assert "Not linked yet: 103, 104, 105." in after.text
    left = [node.attributes["value"] for node in after.all("#lp-body > form input[name=reference]")]
    assert left == ["103", "104", "105"]
    assert count(connected, "openproject") == 2


# --- creating --------------------------------------------------------------------------------------------------------


def created(client: FlaskClient, **typed: str) -> Seen:
    page = get(client, leaf("openproject", "/new"))
    return send(client, page, "#lp-new", {"projectId": "1", "subject": "A new bridge", **typed})


def test_creates_from_the_fields_of_the_descriptor(editor: FlaskClient, upstreams: Upstreams, connected: Flask) -> None:
    page = get(editor, leaf("openproject", "/new"))
    assert page.texts("#lp-new label") == ["Project", "Type (optional)", "Subject", "Description (optional)"]
    assert page.texts("#new-projectId option") == ["Choose …", "Alpha"]

    after = follow(editor, created(editor, description="Over the\r\nriver"))

    assert after.texts(".lp-new") == ["Linked just now"]
    assert after.texts(".lp-title") == ["A new bridge"]
    assert count(connected, "openproject") == 1
    made = upstreams.openproject.world.work_packages[max(upstreams.openproject.world.work_packages)]
    assert made.description == "Over the\nriver"


def test_a_created_thing_is_where_the_focus_goes(editor: FlaskClient) -> None:
    page = get(editor, leaf("openproject", "/new"))

    part = send(editor, page, "#lp-new", {"projectId": "1", "subject": "A new bridge"}, headers=HTMX)

    assert part.find("#lp-banner").attributes["data-announce"] == "Created and linked A new bridge"
    assert [node.attributes["id"] for node in part.all("[autofocus]")] == [part.find(".lp-title").attributes["id"]]
    assert part.answer.headers["HX-Push-Url"] == leaf("openproject")


def test_types_come_with_the_project(editor: FlaskClient) -> None:
    page = get(editor, leaf("openproject", "/new"))
    assert page.texts("#new-type option") == ["Choose a project first"]

    part = reshaped(editor, page, "projectId", {"projectId": "1"})

    assert part.texts("#new-type option") == ["Default", "Task", "Milestone"]
    assert part.find("#new-type-field").attributes["hx-swap-oob"] == "true"
    assert part.all("#new-subject") == []


def test_types_are_shown_without_scripts_and_nothing_is_created(
    editor: FlaskClient, upstreams: Upstreams, connected: Flask
) -> None:
    page = get(editor, leaf("openproject", "/new"))
    assert "Show types" in page.answer.text

    after = send(editor, page, "#lp-new", {"projectId": "1", "subject": "Typed so far", "show": "projectId"})

    assert after.status == 200
    assert after.texts("#new-type option") == ["Default", "Task", "Milestone"]
    assert after.find("#new-subject").attributes["value"] == "Typed so far"
    assert count(connected, "openproject") == 0


def test_a_wiki_page_takes_a_space_from_those_that_there_are(editor: FlaskClient) -> None:
    page = get(editor, leaf("xwiki", "/new?text=Notes%20of%20the%20hearing"))

    assert page.find("#new-title").attributes["value"] == "Notes of the hearing"
    offered = {node.attributes["value"]: node.text() for node in page.all("#new-space option")}
    assert (offered["Sandbox"], offered[r"07\. Dev"]) == ("Sandbox", "Seven dev")


def test_a_pasted_address_is_no_title(editor: FlaskClient) -> None:
    page = get(editor, leaf("xwiki", "/new?text=https://wiki.example/a"))

    assert not page.find("#new-title").attributes["value"]


def test_what_is_missing_is_named_at_once_and_nothing_is_asked_to_be_created(
    editor: FlaskClient, upstreams: Upstreams
) -> None:
    with upstreams.openproject.counting() as asked:
        page = created(editor, projectId="", subject=" ")

    assert page.status == 422
    assert page.texts(".lp-error") == ["Project is missing.", "Subject is missing."]
    assert "Nothing was created. Correct 2 fields and try again: Project , Subject ." in page.text
    assert page.hrefs(".lp-refused a") == ["#new-projectId", "#new-subject"]
    assert [call.method for call in asked if call.method == "POST"] == []


def test_the_upstreams_own_sentence_stands_beside_its_field(editor: FlaskClient, connected: Flask) -> None:
    page = send(
        editor, get(editor, leaf("openproject", "/new")), "#lp-new",
        {"projectId": "1", "type": "Nonsense", "subject": "Kept", "description": "Kept too"},
    )  # fmt: skip

    assert page.status == 422
    assert page.texts(".lp-refused h3") == ["OpenProject did not accept this"]
    assert "Nothing was created. Correct 1 field and try again." in page.text
    assert page.texts("#new-type-error") == ["This project has no type “Nonsense”."]
    assert page.find("#new-type").attributes["aria-describedby"] == "new-type-error"
    assert [node.attributes["id"] for node in page.all("[autofocus]")] == ["new-type"]
    assert page.find("#new-subject").attributes["value"] == "Kept"
    assert page.texts("#new-description") == ["Kept too"]
    assert count(connected, "openproject") == 0


def test_a_field_that_the_upstream_asks_for_is_filled_in_the_same_form(
    editor: FlaskClient, upstreams: Upstreams
) -> None:
    everywhere = {"project_ids": frozenset({1}), "type_ids": frozenset({1})}
    upstreams.openproject.world.add(
        CustomField(1, "Channel", options={3: "Desk", 4: "Post"}, **everywhere),
        CustomField(2, "Case number", **everywhere),
    )

    page = created(editor, description="Kept")

    assert page.status == 422
    assert page.texts("#new-field-customField1-error") == ["Channel can't be blank."]
    assert page.texts("#new-field-customField1 option") == ["Choose …", "Desk", "Post"]
    assert "Correct 2 fields and try again: Channel , Case number ." in page.text
    assert page.texts("#lp-new label")[-3:] == ["Channel", "Case number", "Description (optional)"]

    filled = {"field-customField1": "4", "field-customField2": "Z2026-0148"}
    assert send(editor, page, "#lp-new", filled).status == 303

    made = upstreams.openproject.world.work_packages[max(upstreams.openproject.world.work_packages)]
    assert made.custom == {1: "4", 2: "Z2026-0148"}


def reshaped(client: FlaskClient, page: Seen, changed: str, typed: dict[str, Any]) -> Seen:
    """What htmx gets after a select of the create form was changed."""
    action = leaf("openproject", f"/new/fields?changed={changed}")
    return send(client, page, "#lp-new", typed, action=action, headers=HTMX)


def test_required_fields_are_drawn_as_soon_as_the_project_is_chosen(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.world.add(
        CustomField(1, "Channel", frozenset({1}), frozenset({1}), options={3: "Desk", 4: "Post"}),
        CustomField(2, "Date of receipt", frozenset({1}), frozenset({2}), kind="Date"),
    )
    page = get(editor, leaf("openproject", "/new"))

    part = reshaped(editor, page, "projectId", {"projectId": "1"})
    other = reshaped(editor, page, "type", {"projectId": "1", "type": "2"})

    assert page.texts("#new-further label") == []
    assert part.texts("#new-further label") == ["Channel"]
    assert part.texts("#new-field-customField1-help") == ["Required by this project."]
    assert part.find("#new-field-customField1").attributes["aria-required"] == "true"
    assert part.find("#new-further").attributes["data-announce"] == "1 more field: Channel"
    assert other.texts("#new-further label") == ["Date of receipt"]
    assert other.find("#new-field-customField2").attributes["type"] == "date"


def test_required_fields_are_drawn_without_scripts(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.world.add(CustomField(2, "Case number", frozenset({1}), frozenset({1})))
    page = get(editor, leaf("openproject", "/new"))

    shown = send(editor, page, "#lp-new", {"projectId": "1", "subject": "A bench", "show": "type"})
    after = send(editor, shown, "#lp-new", {"field-customField2": "Z2026-0148"})

    assert shown.texts("#new-further label") == ["Case number"]
    assert shown.find("#new-subject").attributes["value"] == "A bench"
    assert after.status == 303


def test_people_are_searched_where_there_are_many(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.world.add(CustomField(3, "Handler", frozenset({1}), frozenset({1}), kind="User"))

    path = leaf("openproject", "/new/choices?field=field-customField3&projectId=1&search-field-customField3=uma")
    part = fragment(editor, path)

    assert part.texts("#new-field-customField3 option")[-1:] == ["Uma User"]


def test_a_required_field_that_cannot_be_drawn_is_named_before_sending(
    editor: FlaskClient, upstreams: Upstreams
) -> None:
    hierarchy = CustomField(1, "Region", frozenset({1}), frozenset({1}), kind="CustomField::Hierarchy::Item")
    upstreams.openproject.world.add(hierarchy)
    page = get(editor, leaf("openproject", "/new"))

    part = reshaped(editor, page, "projectId", {"projectId": "1"})

    assert part.texts(".lp-undrawn p") == ["OpenProject also requires Region. This form cannot show that."]
    assert part.hrefs(".lp-undrawn a")[0] == f"{upstreams.openproject_url}/projects/1/work_packages/new"
    other = reshaped(editor, page, "type", {"projectId": "1", "type": "1"})
    assert other.hrefs(".lp-undrawn a")[0].endswith("/projects/1/work_packages/new?type=1")
    newest = get(editor, other.hrefs(".lp-undrawn a")[1])
    assert newest.texts("#lp-body h2, #lp-body h3") != []


def test_what_was_filled_stays_while_another_field_is_wrong(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.world.add(CustomField(2, "Case number", frozenset({1}), frozenset({1})))
    page = created(editor)

    again = send(editor, page, "#lp-new", {"field-customField2": "Z1", "subject": "x" * 300})

    assert again.find("#new-field-customField2").attributes["value"] == "Z1"


def test_a_field_that_cannot_be_shown_leads_to_the_upstreams_own_form(
    editor: FlaskClient, upstreams: Upstreams
) -> None:
    upstreams.openproject.world.add(CustomField(1, "Zaaktype", frozenset({1}), frozenset({1}), options={1: "A"}))
    upstreams.openproject.fault = "rate-limited"
    upstreams.openproject.fault_only = lambda request: request.path.endswith("/form")

    page = created(editor)

    assert page.status == 422
    assert "Zaaktype can't be blank." in page.texts(".lp-refused")[0]
    assert page.texts(".lp-refused a") == ["open OpenProject’s own form"]
    assert page.hrefs(".lp-refused a")[0].startswith(upstreams.openproject_url)


# --- many projects ---------------------------------------------------------------------------------------------------


def test_projects_that_are_too_many_to_list_are_searched(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.add_projects(1203)

    with upstreams.openproject.counting() as asked:
        page = get(editor, leaf("openproject", "/new"))

    assert len(asked) == 1
    assert len(page.all("#new-projectId option[value]:not([value=''])")) == 100
    assert page.texts("#new-projectId-field .lp-help") == ["First 100 of 1,204 projects. Type to search all."]
    box = page.find("#new-projectId-search")
    assert box.attributes["placeholder"] == "Search 1,204 projects"

    part = fragment(editor, f"{box.attributes['hx-get']}&search-projectId=dossier+118")

    assert part.texts("#new-projectId option")[:3] == ["Dossier 1118", "Dossier 118", "Dossier 1180"]
    assert len(part.all("#new-projectId option")) == 12
    assert part.texts(".lp-help") == ["12 projects found."]
    assert part.find(".lp-help").attributes["data-announce"] == "12 projects found."
    assert part.find("#new-projectId").attributes["hx-post"] == leaf("openproject", "/new/fields?changed=projectId")


def test_projects_are_searched_without_scripts(editor: FlaskClient, upstreams: Upstreams, connected: Flask) -> None:
    upstreams.openproject.add_projects(1203)
    page = get(editor, leaf("openproject", "/new"))

    found = send(
        editor, page, "#lp-new", {"search-projectId": "Dossier 1199", "subject": "Typed so far", "show": "projectId"}
    )  # fmt: skip
    number = found.find("#new-projectId option:last-child").attributes["value"]
    after = send(editor, found, "#lp-new", {"projectId": number})

    assert found.texts("#new-projectId option[value]:not([value=''])") == ["Dossier 1199"]
    assert found.find("#new-subject").attributes["value"] == "Typed so far"
    assert follow(editor, after).texts(".lp-title") == ["Typed so far"]


def test_a_search_without_a_match_says_so(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.add_projects(1203)

    part = fragment(editor, leaf("openproject", "/new/choices?field=projectId&search-projectId=zeppelin"))

    assert part.texts("#new-projectId option") == ["Nothing found"]
    assert part.texts(".lp-help") == ["0 projects found."]


def test_a_search_that_fails_says_why_and_the_form_stays(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"

    part = fragment(editor, leaf("openproject", "/new/choices?field=projectId&search-projectId=dossier"))

    assert part.texts(".lp-error") == ["OpenProject is currently unavailable"]


def test_a_field_that_is_not_in_the_form_has_no_choices(editor: FlaskClient) -> None:
    assert get(editor, leaf("openproject", "/new/choices?field=nonsense")).status == 404


def test_a_few_projects_are_listed_without_a_search(editor: FlaskClient) -> None:
    assert get(editor, leaf("openproject", "/new")).all("#new-projectId-search") == []


def test_another_type_than_the_one_asked_for_is_said(editor: FlaskClient, upstreams: Upstreams) -> None:
    # An account that may not read the types cannot see that there is no type 77.
    page = get(editor, leaf("openproject", "/new"))
    upstreams.openproject.world.join(5, 1, {Right.ADD})
    upstreams.openproject.world.join(5, 2, {Right.VIEW})

    after = send(editor, page, "#lp-new", {"projectId": "1", "subject": "Typed", "type": "77"})

    assert after.status == 200
    sentence = "OpenProject created it with the type “Task” instead of “77”."
    assert sentence in after.texts("#lp-banner p")[0]
    assert sentence in (after.find("#lp-banner").attributes["data-announce"] or "")


def test_pressing_twice_makes_one_thing(editor: FlaskClient, upstreams: Upstreams, connected: Flask) -> None:
    page = get(editor, leaf("openproject", "/new"))
    before = len(upstreams.openproject.world.work_packages)

    answers = [send(editor, page, "#lp-new", {"projectId": "1", "subject": "Once"}).status for _ in range(2)]

    assert answers == [303, 303]
    assert len(upstreams.openproject.world.work_packages) == before + 1
    assert count(connected, "openproject") == 1


def test_a_refused_form_can_be_corrected_and_sent_again(editor: FlaskClient) -> None:
    refused = created(editor, type="Nonsense")

    assert send(editor, refused, "#lp-new", {"type": "1"}).status == 303


def test_an_unanswered_create_is_never_repeated_by_accident(
    editor: FlaskClient, upstreams: Upstreams, connected: Flask
) -> None:
    page = get(editor, leaf("openproject", "/new"))
    typed = {"projectId": "1", "subject": "Perhaps"}
    before = len(upstreams.openproject.world.work_packages)
    upstreams.openproject.fail_create_after_commit = True
    unsure = send(editor, page, "#lp-new", typed)
    upstreams.openproject.fail_create_after_commit = False

    again = send(editor, page, "#lp-new", typed)

    for seen in (unsure, again):
        assert "We cannot tell whether it was created. Check before trying again." in seen.text
        assert seen.texts(".lp-refused a") == ["Search for “Perhaps”"]
        assert seen.texts("#lp-new .lp-idle") == ["Create again"]
        assert seen.find("#new-subject").attributes["value"] == "Perhaps"
    assert (unsure.status, again.status) == (503, 409)
    assert len(upstreams.openproject.world.work_packages) == before + 1
    assert send(editor, unsure, "#lp-new", typed).status == 303


def test_a_create_that_meets_a_failure_keeps_everything_typed(editor: FlaskClient, upstreams: Upstreams) -> None:
    page = get(editor, leaf("openproject", "/new"))
    upstreams.openproject.fault = "unauthorized"

    after = send(editor, page, "#lp-new", {"projectId": "1", "subject": "Kept", "description": "Too"})

    assert after.status == 503
    assert after.texts(".lp-refused h3") == ["OpenProject authentication failed"]
    assert "Nothing was created." in after.text
    assert after.find("#new-projectId option[selected]").attributes["value"] == "1"
    assert after.find("#new-subject").attributes["value"] == "Kept"


def test_the_create_form_is_not_offered_while_the_upstream_is_away(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"

    page = get(editor, leaf("openproject", "/new"))

    assert page.status == 503
    assert page.all("#lp-new") == []
    assert page.texts(".lp-notice h2") == ["OpenProject is currently unavailable"]


# --- what is not known -----------------------------------------------------------------------------------------------


def test_without_statuses_nothing_is_said_to_be_open(editor: FlaskClient, upstreams: Upstreams, linked: Link) -> None:
    upstreams.openproject.touch(102, due_date=date.today() - timedelta(days=3))
    linked("openproject", "101", "102")
    upstreams.openproject.load.forbidden.add("GET /statuses")

    page = get(editor, leaf("openproject"))

    assert page.texts(".lp-summary") == ["2 work packages : which are closed is not known now"]
    assert page.all(".lp-late") == []
    assert len(page.texts(PILL)) == 2


def test_refresh_asks_the_upstream_past_caches(make_app: MakeApp, upstreams: Upstreams) -> None:
    app = make_app(PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port, PANEL_CACHE_TTL_S="60")
    with app.app_context():
        app.extensions["leafpanel"].sources.create(openproject_values(upstreams), by=ALICE)
    client = signed_in_client(app, "Noor V.", "editor")
    page = get(client, leaf("openproject"))

    with upstreams.openproject.counting() as again:
        get(client, leaf("openproject"))
    with upstreams.openproject.counting() as refreshed:
        get(client, page.hrefs("#lp-refresh")[0])

    assert (len(again), len(refreshed)) == (0, 1)


# --- changing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def drawer(editor: FlaskClient, linked: Link) -> Seen:
    linked("openproject", "101")
    return get(editor, leaf("openproject", "/items/101/edit"))


def test_the_drawer_shows_what_is_set_and_what_can_be(drawer: Seen) -> None:
    assert drawer.texts(".lp-edit label") == ["Status", "Assignee", "Subject"]
    assert drawer.texts("select[name=status] option") == ["New", "In progress"]
    assert drawer.texts("select[name=assignee] option") == ["No assignee", "Team Blue", "Uma User"]
    assert drawer.texts("option[selected]")[0] == "New"


def test_changes_what_was_chosen_and_nothing_else(editor: FlaskClient, drawer: Seen, upstreams: Upstreams) -> None:
    answer = send(editor, drawer, ".lp-edit form", {"status": "2"})

    after = follow(editor, answer)
    assert after.texts(PILL) == ["In progress , change"]
    made = upstreams.openproject.world.work_packages[101]
    assert (made.status_id, made.assignee_id, made.subject) == (2, None, "Replace the north bridge")


def test_a_saved_drawer_is_replaced_by_the_list_and_announced(editor: FlaskClient, drawer: Seen) -> None:
    part = send(editor, drawer, ".lp-edit form", {"status": "2", "assignee": "20"}, headers=HTMX)

    assert part.find("#lp-banner").attributes["data-announce"] == (
        "Status changed to In progress. Assignee changed to Team Blue"
    )
    assert (part.answer.headers["HX-Retarget"], part.answer.headers["HX-Reselect"]) == ("#lp-body", "#lp-body")
    assert part.find("[autofocus]").attributes["aria-label"] == "More for Replace the north bridge"


def test_an_assignee_can_be_taken_away(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    upstreams.openproject.touch(101, assignee_id=5)
    linked("openproject", "101")

    send(editor, get(editor, leaf("openproject", "/items/101/edit")), ".lp-edit form", {"assignee": ""})

    assert upstreams.openproject.world.work_packages[101].assignee_id is None


@pytest.fixture
def demanding(upstreams: Upstreams) -> Upstreams:
    """A server that checks required custom fields with every change, whatever is sent."""
    upstreams.openproject.behave_like("16")
    everywhere = {"project_ids": frozenset({1}), "type_ids": frozenset({1})}
    upstreams.openproject.world.add(
        CustomField(1, "Channel", options={3: "Desk", 4: "Post"}, **everywhere),
        CustomField(2, "Case number", **everywhere),
    )
    return upstreams


def test_fields_that_the_upstream_asks_for_are_filled_with_the_change(
    editor: FlaskClient, demanding: Upstreams, drawer: Seen
) -> None:
    refused = send(editor, drawer, ".lp-edit form", {"status": "2"})

    assert refused.status == 422
    assert refused.texts(".lp-edit label") == ["Status", "Assignee", "Subject", "Channel", "Case number"]
    assert refused.texts(".lp-error") == ["Channel can't be blank.", "Case number can't be blank."]
    assert "Nothing was changed. Correct 2 fields and try again: Channel , Case number ." in refused.text
    assert demanding.openproject.world.work_packages[101].status_id == 1

    filled = {"field-customField1": "4", "field-customField2": "Z2026-0148"}
    after = follow(editor, send(editor, refused, ".lp-edit form", filled))

    assert after.texts(PILL) == ["In progress , change"]
    assert demanding.openproject.world.work_packages[101].custom == {1: "4", 2: "Z2026-0148"}


def test_a_rate_limit_on_forms_leaves_lists_alone(editor: FlaskClient, upstreams: Upstreams, linked: Link) -> None:
    linked("openproject", "101", "102")
    upstreams.openproject.load.form_limit = 2

    for number in range(4):
        drawer = get(editor, leaf("openproject", "/items/101/edit"))
        assert (drawer.status, get(editor, leaf("openproject")).status) == (200, 200)
        offered = ["New", "In progress"] if number < 2 else ["New", "In progress", "Closed"]
        assert drawer.texts("select[name=status] option") == offered


def test_without_the_form_the_page_of_the_upstream_is_offered(
    editor: FlaskClient, demanding: Upstreams, drawer: Seen
) -> None:
    demanding.openproject.load.form_limit = 0

    refused = send(editor, drawer, ".lp-edit form", {"status": "2"})

    assert refused.status == 422
    assert "Channel can't be blank." in refused.texts(".lp-refused")[0]
    assert refused.texts(".lp-refused a") == ["open OpenProject’s own page"]
    assert refused.hrefs(".lp-refused a") == [f"{demanding.openproject_url}/work_packages/101"]


def test_saving_without_a_change_asks_nobody(editor: FlaskClient, drawer: Seen, upstreams: Upstreams) -> None:
    with upstreams.openproject.counting() as asked:
        answer = send(editor, drawer, ".lp-edit form")

    assert (answer.status, asked) == (303, [])


def test_a_change_that_met_another_change_is_not_saved_and_can_be_decided(
    editor: FlaskClient, drawer: Seen, upstreams: Upstreams
) -> None:
    upstreams.openproject.touch(101, status_id=7)

    clash = send(editor, drawer, ".lp-edit form", {"status": "2"}, headers=HTMX)

    assert clash.status == 409
    assert clash.texts(".lp-refused") == [
        "Someone changed this first Status is now Closed (was New). You chose In progress . Nothing of yours was saved."
    ]
    assert clash.texts(".lp-idle") == ["Set In progress"]
    assert "Keep Closed" in clash.text
    assert upstreams.openproject.world.work_packages[101].status_id == 7

    assert send(editor, clash, ".lp-edit form").status == 303
    assert upstreams.openproject.world.work_packages[101].status_id == 2


def test_a_clash_is_a_page_of_its_own_without_scripts(editor: FlaskClient, drawer: Seen, upstreams: Upstreams) -> None:
    upstreams.openproject.touch(101, subject="Replace both bridges")

    clash = send(editor, drawer, ".lp-edit form", {"status": "2"})

    assert clash.status == 409
    assert clash.texts("#lp-panel-title") == ["Change Replace both bridges"]
    assert "Status is still New . You chose In progress ." in clash.text


def test_a_refused_change_is_said_beside_its_field(editor: FlaskClient, drawer: Seen, upstreams: Upstreams) -> None:
    page = send(editor, drawer, ".lp-edit form", {"status": "7"}, headers=HTMX)

    assert page.status == 422
    assert page.texts(".lp-refused h3") == ["OpenProject did not accept this"]
    assert "Nothing was changed." in page.text
    assert len(page.texts(".lp-error")) == 1
    assert upstreams.openproject.world.work_packages[101].status_id == 1


def test_a_drawer_that_cannot_be_filled_says_why(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    linked("openproject", "101")
    upstreams.openproject.fault = "server-error"

    part = fragment(editor, leaf("openproject", "/items/101/edit"))

    assert part.status == 503
    assert part.texts(".lp-refused h3") == ["OpenProject is currently unavailable"]
    assert part.texts(".btn") == ["Retry", "Cancel"]


def test_what_is_not_linked_here_is_not_changed_from_here(editor: FlaskClient) -> None:
    assert get(editor, leaf("openproject", "/items/103/edit")).status == 404


def test_a_leaf_that_changes_nothing_has_no_drawer_form(editor: FlaskClient, linked: Link) -> None:
    linked("xwiki", "Sandbox.TestPage1")

    assert get(editor, leaf("xwiki")).all(".lp-edit") == []
    assert get(editor, leaf("xwiki", "/items/xwiki:Sandbox.TestPage1/edit")).status == 404


@pytest.mark.parametrize("labels", ["", "[]", "{", '{"status": 3}', '{"status": {"2": ["x"]}}'])
def test_words_sent_along_may_be_anything(editor: FlaskClient, drawer: Seen, upstreams: Upstreams, labels: str) -> None:
    upstreams.openproject.touch(101, status_id=7)

    assert send(editor, drawer, ".lp-edit form", {"status": "2", "labels": labels}).status == 409


def test_references_with_odd_characters_have_addresses(editor: FlaskClient, linked: Link, upstreams: Upstreams) -> None:
    linked("xwiki", r"07\. Dev.WebHome")
    page = get(editor, leaf("xwiki"))
    assert page.texts(".lp-title") == ["Seven dev"]

    assert fragment(editor, page.find(".lp-excerpt").attributes["hx-get"] or "").texts("p") == ["A space with a dot."]
    assert follow(editor, send(editor, page, ".lp-question")).texts(".lp-row") == []
