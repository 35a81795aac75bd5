"""Connecting a product from an empty panel: its address, the form that follows, and the way on after the test."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, fill, post, source_form
from support import ALICE, CASE, MakeApp, Upstreams, signed_in_client, xwiki_values

from panel.links.visitor import Visitor

CONNECT = "/admin/connect"
XWIKI = "/admin/sources/xwiki"
OPENPROJECT = "/admin/sources/openproject"
HTMX = {"HX-Request": "true"}
EXAMPLE = "/objects/demo/case/1/integrations"


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def look_at(client: FlaskClient, location: str, **more: str):
    return post(client, CONNECT, {"location": location, **more})


# --- an empty panel --------------------------------------------------------------------------------------------------


def test_an_empty_overview_has_one_primary_button(as_admin: FlaskClient) -> None:
    page = as_admin.get("/admin/").text

    assert re.findall(r'<(?:a|button) class="btn btn-primary[^>]*>([^<]+)', page) == ["Connect xWiki or OpenProject"]
    assert f'href="{CONNECT}"' in page


def test_the_overview_of_a_connected_panel_asks_for_nothing(connected: Flask, as_admin: FlaskClient) -> None:
    assert "Nothing is connected yet" not in as_admin.get("/admin/").text


# --- the address -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "/bin/view/Main/?x=1#top", "/rest"])
def test_a_wiki_is_recognised_without_a_password(as_admin: FlaskClient, upstreams: Upstreams, below: str) -> None:
    with upstreams.xwiki.counting() as requests:
        answer = look_at(as_admin, upstreams.xwiki_url + below)

    assert (answer.status_code, answer.location) == (303, XWIKI)
    assert requests
    form = as_admin.get(XWIKI)
    assert re.search(r"xWiki \d+[.\d]* answers there\.", words(form.text))
    assert source_form(form)["location"] == upstreams.xwiki_url


def test_no_credential_goes_to_an_address_that_is_looked_at(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    look_at(as_admin, upstreams.openproject_url)

    sent = [*upstreams.xwiki.requests, *upstreams.openproject.requests]
    assert sent
    assert all("Authorization" not in request.headers and "Cookie" not in request.headers for request in sent)


def test_a_tracker_is_recognised(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    assert look_at(as_admin, f"{upstreams.openproject_url}/projects/permits").location == OPENPROJECT


def test_a_wiki_is_found_at_its_usual_path(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    look_at(as_admin, upstreams.xwiki_url.removesuffix("/xwiki"))

    assert source_form(as_admin.get(XWIKI))["location"] == upstreams.xwiki_url


def test_the_wiki_is_read_off_the_address(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    look_at(as_admin, f"{upstreams.xwiki_url}/wiki/docs/view/Main/WebHome")

    assert source_form(as_admin.get(XWIKI))["options.wiki"] == "docs"


def test_the_form_of_a_new_source_asks_for_address_and_account_first(as_admin: FlaskClient) -> None:
    before, _, more = as_admin.get(XWIKI).text.partition('<details class="ad-more">')

    for name in ("slug", "rate_limit", "options.wiki", "connect_to"):
        assert f'id="{name}"' not in before
        assert f'id="{name}"' in more
    assert 'id="location"' in before
    assert 'id="auth.basic.secret"' in before


def test_something_else_is_named_and_can_be_continued_by_hand(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    address = f"http://{upstreams.server.host_port}/nothing"

    page = look_at(as_admin, address)
    by_hand = look_at(as_admin, address, leaf="openproject")

    assert "No xWiki or OpenProject answers at this address" in page.text
    assert f'value="{address}"' in page.text
    assert by_hand.location == OPENPROJECT
    assert source_form(as_admin.get(OPENPROJECT))["location"] == address
    assert "answers there" not in as_admin.get(OPENPROJECT).text


def test_a_private_address_is_explained_before_any_password(make_app: MakeApp) -> None:
    client = signed_in_client(make_app(), "alice", "admin")

    page = words(look_at(client, "https://10.1.2.3/xwiki").text)

    assert "name 10.1.2.3:443 in PANEL_ALLOWED_PRIVATE_HOSTS" in page
    assert "No password is needed until then." in page


@pytest.mark.parametrize(("typed", "told"), [("", "Address is missing."), ("ftp://x", "Give the whole address")])
def test_what_is_no_address_is_said_beside_the_field(as_admin: FlaskClient, typed: str, told: str) -> None:
    answer = look_at(as_admin, typed)

    assert answer.status_code == 422
    assert told in answer.text
    assert 'aria-describedby="location-error location-help"' in answer.text


def test_a_person_has_ten_addresses_looked_at_and_then_waits(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    statuses = [look_at(as_admin, upstreams.openproject_url).status_code for _ in range(11)]
    refused = look_at(as_admin, upstreams.openproject_url)

    assert statuses[:10] == [303] * 10
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1


def test_only_administrators_have_addresses_looked_at(app: Flask) -> None:
    assert signed_in_client(app, "bob", "editor").get(CONNECT).status_code == 403


def test_a_product_that_is_connected_leads_to_its_source(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    page = as_admin.get(look_at(as_admin, upstreams.xwiki_url).location).text

    assert "xWiki is connected already." in page


# --- the form --------------------------------------------------------------------------------------------------------


def test_all_missing_values_are_told_together(as_admin: FlaskClient) -> None:
    page = fill(as_admin, XWIKI, "save")

    assert page.status_code == 422
    for told in ("Location is missing.", "User name is missing.", "Password is missing."):
        assert told in page.text


def test_a_stored_secret_is_not_missing(connected: Flask, as_admin: FlaskClient) -> None:
    assert fill(as_admin, XWIKI, "save").status_code == 303


def test_the_page_of_a_source_has_one_button_that_tests_what_is_typed(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    page = as_admin.get(XWIKI).text
    assert len(re.findall(r"<button[^>]*>[^<]*[Tt]est[^<]*</button>", page)) == 2
    assert f'action="{XWIKI}/test"' not in page

    typed = f"{upstreams.xwiki_url}/other"
    tested = words(fill(as_admin, XWIKI, "test", location=typed).text)

    assert f"Tested as typed below: {typed}" in tested


# --- after the test --------------------------------------------------------------------------------------------------


def passed(client: FlaskClient, **back: str) -> str:
    page = client.get(post(client, f"{XWIKI}/test", back).location).text
    assert "All 6 steps passed" in page
    return page


def primary(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<a class="btn btn-primary" href="([^"]+)">([^<]+)', page)


def test_a_passed_test_leads_to_the_first_link(connected: Flask, as_admin: FlaskClient, upstreams: Upstreams) -> None:
    page = passed(as_admin)

    assert primary(page) == [(f"{EXAMPLE}/xwiki", "Link your first page")]
    assert f"Tested as saved: {upstreams.xwiki_url}" in words(page)


def test_a_passed_test_leads_back_to_the_object(connected: Flask, as_admin: FlaskClient) -> None:
    assert primary(passed(as_admin, back="/objects/permits/case/7")) == [
        ("/objects/permits/case/7", "Back to the object")
    ]


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example"])
def test_it_leads_back_to_no_other_site(connected: Flask, as_admin: FlaskClient, elsewhere: str) -> None:
    assert "evil" not in passed(as_admin, back=elsewhere)


def test_a_passed_test_of_a_used_source_leads_to_its_objects(
    connected: Flask, as_admin: FlaskClient, visitor: Visitor
) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].links.link(visitor, "openproject", CASE, "101")
    page = as_admin.get(post(as_admin, f"{OPENPROJECT}/test").location).text

    assert primary(page) == [("/admin/objects?integration=openproject", "Show the objects that use it")]


def test_a_failed_test_leads_nowhere_but_to_its_setting(
    app: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    Behind(app).sources.create(xwiki_values(upstreams, options={"wiki": "docs"}), by=ALICE)

    page = as_admin.get(post(as_admin, f"{XWIKI}/test").location).text

    assert "Link your first page" not in page


def test_the_tab_leads_to_the_source_and_remembers_the_object(as_admin: FlaskClient) -> None:
    tab = as_admin.get("/objects/permits/case/7").text
    at = re.search(rf'href="({XWIKI}\?back=[^"#]+)', tab)[1]

    assert '<input type="hidden" name="back" value="/objects/permits/case/7' in as_admin.get(at).text


# --- a private address in the form -----------------------------------------------------------------------------------


def test_a_private_address_has_no_green_tick_and_says_what_opens_it(make_app: MakeApp) -> None:
    client = signed_in_client(make_app(), "alice", "admin")

    refused = client.get(
        "/admin/source-address?slug=xwiki&location=https://10.1.2.3/xwiki", headers={"HX-Request": "true"}
    )
    reached = client.get(
        "/admin/source-address?slug=xwiki&location=https://8.8.8.8/xwiki&connect_to=10.1.2.4:80",
        headers=HTMX,
    )
    public = client.get("/admin/source-address?slug=xwiki&location=https://8.8.8.8/xwiki", headers=HTMX)

    assert "name 10.1.2.3:443 in PANEL_ALLOWED_PRIVATE_HOSTS" in words(refused.text)
    assert 'class="ad-icon ok"' not in refused.text
    assert "name 10.1.2.4:80 in PANEL_ALLOWED_PRIVATE_HOSTS" in words(reached.text)
    assert 'class="ad-icon ok"' in public.text
