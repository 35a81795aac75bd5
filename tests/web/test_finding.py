"""The picker over all leaves, without script and as the script asks: groups, rights, failures, more results."""

from __future__ import annotations

import json

import pytest
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from support import ALICE, CASE, Upstreams, signed_in_client, xwiki_values
from web.tab_reader import HTMX, Seen, follow, fragment, get, leaf, send


@pytest.fixture
def editor(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "Noor V.", "editor")


def beside(client: FlaskClient, integration: str, query: str) -> Seen:
    return fragment(client, leaf(integration, f"/search?beside=1&q={query}"))


def test_another_leaf_answers_with_its_group(editor: FlaskClient) -> None:
    part = beside(editor, "openproject", "bridge")

    assert part.texts(".lp-group-label") == ["Projects 2 work packages in OpenProject, best match first"]
    assert [node.attributes["data-leaf"] for node in part.all("[role=option]")] == ["openproject"] * 2
    assert part.all("a, button, #lp-options") == []


def test_a_failure_of_another_leaf_is_told_in_its_group(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"

    part = beside(editor, "openproject", "bridge")

    assert part.status == 200
    assert part.texts(".lp-group-label") == ["Projects OpenProject is currently unavailable"]


@pytest.mark.parametrize("query", ["zeppelin", "", "https://elsewhere.example/x"])
def test_another_leaf_that_finds_nothing_says_nothing(editor: FlaskClient, query: str) -> None:
    assert beside(editor, "openproject", query).text == ""


def test_each_leaf_gets_one_request(editor: FlaskClient, upstreams: Upstreams) -> None:
    with upstreams.xwiki.counting() as wiki, upstreams.openproject.counting() as tracker:
        fragment(editor, leaf("xwiki", "/search?q=sandbox"))
        beside(editor, "openproject", "bridge")

    assert (len(wiki), len(tracker)) == (1, 1)


def test_the_page_of_results_has_all_leaves_and_links_over_them(editor: FlaskClient, connected: Flask) -> None:
    results = get(editor, leaf("xwiki", "/search?q=101, Sandbox.TestPage1"))

    assert results.texts(".lp-found-other") == ["Projects 1 work package in OpenProject"]
    page = follow(editor, send(editor, results, "#lp-body form"))

    assert page.texts(".lp-banner p") == ["Linked Test page one and 1 work package"]
    assert page.texts("#lp-strip .lp-count") == ["1", "1"]
    after = follow(editor, send(editor, page, "#lp-undo"))
    assert after.texts("#lp-strip .lp-count") == ["0", "0"]


def test_what_is_linked_elsewhere_only_leads_there(editor: FlaskClient) -> None:
    results = get(editor, leaf("xwiki", "/search?q=101"))

    page = follow(editor, send(editor, results, "#lp-body form"))

    assert page.texts(".lp-tab-link[aria-current]") == ["Projects 1"]
    assert page.texts(".lp-banner p") == ["Linked Replace the north bridge"]


def test_a_leaf_that_fails_leaves_the_results_of_the_other(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"

    page = get(editor, leaf("xwiki", "/search?q=sandbox"))

    assert page.status == 200
    assert page.all(".lp-row-found")
    assert page.texts(".lp-found-other") == ["Projects OpenProject is currently unavailable"]


def test_a_leaf_is_searched_with_the_rights_for_it(connected: Flask, upstreams: Upstreams) -> None:
    with connected.app_context():
        made = connected.extensions["leafpanel"].embed_apps.create("Cases", ["https://cases.example.org"], by=ALICE)
    token = token_of(made, CASE, integrations=["xwiki"])
    client, place = connected.test_client(), "/embed/demo/case/1/integrations"
    headers = {"Authorization": f"Bearer {token}"}

    with upstreams.openproject.counting() as asked:
        page = client.post(f"{place}/xwiki/search", data={"q": "bridge", "token": token})
        group = client.get(f"{place}/openproject/search?beside=1&q=bridge", headers={**headers, **HTMX})
        work = f"{upstreams.openproject_url}/work_packages/101"
        named = client.get(f"{place}/xwiki/search?q={work}", headers={**headers, **HTMX})
        client.post(f"{place}/xwiki/links", data={"elsewhere": "openproject 101", "token": token})

    assert (page.status_code, group.status_code) == (200, 404)
    assert "lp-group-openproject" not in page.text
    assert "There is no source" not in named.text
    assert asked == []


def test_more_results_are_on_the_next_page(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.add_many(23, 1, "Dormer {n}")

    first = get(editor, leaf("openproject", "/search?q=dormer"))
    second = send(editor, first, "form.lp-pages")

    assert first.texts(".lp-summary") == ["10 of 23 work packages in OpenProject, best match first"]
    assert (len(first.all(".lp-row-found")), len(second.all(".lp-row-found"))) == (10, 10)
    shown = [node.attributes["value"] for page in (first, second) for node in page.all(".lp-row-found input")]
    assert len(set(shown)) == 20
    third = send(editor, second, "form.lp-pages")
    assert len(third.all(".lp-row-found")) == 3
    assert third.all("form.lp-pages") == []


def test_the_picker_shows_more_and_stops_at_a_hundred(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.add_many(120, 1, "Dormer {n}")

    part = fragment(editor, leaf("openproject", "/search?q=dormer"))
    assert part.find("#lp-found").attributes["data-announce"] == "10 of 120 work packages found"
    assert part.texts("[data-more]") == ["Show more work packages"]
    part = fragment(editor, part.find("[data-more]").attributes["data-more"] or "")
    assert len(part.all("[role=option]")) == 30
    last = fragment(editor, leaf("openproject", "/search?q=dormer&size=1000"))

    assert len(last.all("[role=option]")) == 100
    assert last.all("[data-more]") == []
    assert "100 of 120 work packages in OpenProject, best match first. Add a word to find fewer." in last.text


def test_titles_only_is_kept_for_more_results(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.add_many(23, 1, "Dormer {n}")

    page = get(editor, leaf("openproject", "/search?q=dormer&titles=1"))

    assert page.find("form.lp-pages [name=titles]").attributes["value"] == "1"
    assert page.find("#lp-titles").attributes["aria-pressed"] == "true"


def test_a_long_list_with_an_unknown_item_says_which(editor: FlaskClient) -> None:
    part = fragment(editor, leaf("openproject", "/search?q=101, 999"))

    assert [node.attributes["data-reference"] for node in part.all("[role=option]")] == ["101"]
    assert part.texts(".lp-found-note") == ["Nothing found for 999."]


def test_a_host_that_only_another_source_has_is_not_called_unknown(
    editor: FlaskClient, connected: Flask, upstreams: Upstreams
) -> None:
    with connected.app_context():
        values = {**xwiki_values(upstreams), "slug": "kennis", "name": "Kenniswiki", "options": {}}
        values["location"] = "https://kennis.regio.example"
        connected.extensions["leafpanel"].sources.create(values, by=ALICE)

    page = fragment(editor, leaf("xwiki", "/search?q=https://kennis.regio.example/bin/view/A/B"))

    assert "This is an address of kennis.regio.example. The panel has a source for it" in page.text
    assert "There is no source" not in page.text


def test_the_host_page_is_told_the_integration_of_each_linked_item(connected: Flask) -> None:
    with connected.app_context():
        made = connected.extensions["leafpanel"].embed_apps.create("Cases", ["https://cases.example.org"], by=ALICE)
    token, client = token_of(made, CASE), connected.test_client()
    chosen = {"reference": "Sandbox.TestPage1", "elsewhere": "openproject 101", "token": token}

    page = Seen(client.post("/embed/demo/case/1/integrations/xwiki/links", data=chosen))

    told = json.loads(page.find("#lp-banner").attributes["data-items"] or "")
    assert [(one["integration"], one["reference"]) for one in told] == [
        ("xwiki", "xwiki:Sandbox.TestPage1"),
        ("openproject", "101"),
    ]
