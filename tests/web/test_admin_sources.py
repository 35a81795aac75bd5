"""The source pages: the form that never shows a secret, Test connection, export and delete."""

from __future__ import annotations

import re

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, fill, links, post, source_form
from support import ALICE, CASE, Upstreams, actor, openproject_values, signed_in_client, xwiki_values

from panel.links.visitor import Visitor

CANARY = "CANARY-7f3a-secret"
XWIKI = "/admin/sources/xwiki"
OPENPROJECT = "/admin/sources/openproject"


@pytest.fixture
def behind(app: Flask) -> Behind:
    return Behind(app)


def words(page: str) -> str:
    """What a reader sees, as one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


# --- connecting ------------------------------------------------------------------------------------------------------


def test_a_missing_source_is_connected_on_the_page_that_configure_leads_to(
    as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    typed = {"location": upstreams.xwiki_url, "auth": "basic", "auth__basic__username": "alice"}

    answer = fill(as_admin, XWIKI, "save", **typed, auth__basic__secret="secret")

    assert (answer.status_code, answer.location) == (303, XWIKI)
    source = behind.sources.find("xwiki")
    assert (source.location, source.auth_kind, source.secret_set_by) == (upstreams.xwiki_url, "basic", "alice")
    assert source.enabled


def test_an_api_key_is_sent_under_the_user_name_that_the_preset_fixes(
    as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    typed = {"location": upstreams.openproject_url, "auth": "apikey", "auth__apikey__secret": "T"}

    page = fill(as_admin, OPENPROJECT, "save-and-test", **typed)
    ladder = as_admin.get(page.location).text

    assert behind.sources.find("openproject").auth_fields == {"username": "apikey"}
    assert "All 6 steps passed" in ladder


def test_another_source_may_have_a_slug_that_no_integration_has(as_admin: FlaskClient, behind: Behind) -> None:
    answer = fill(as_admin, "/admin/new-source", "save", slug="intranet", location="https://intranet.example.org")

    assert answer.location == "/admin/sources/intranet"
    assert behind.sources.find("intranet").name == "intranet"


def test_a_slug_that_is_taken_is_not_overwritten(
    connected: Flask, as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    page = fill(as_admin, "/admin/new-source", "save", slug="xwiki", location="https://other.example.org")

    assert page.status_code == 409
    assert "There is a source “xwiki” already." in page.text
    assert behind.sources.find("xwiki").location == upstreams.xwiki_url


def test_an_unknown_source_is_not_found(as_admin: FlaskClient) -> None:
    assert as_admin.get("/admin/sources/nothing").status_code == 404


# --- changing --------------------------------------------------------------------------------------------------------


def test_a_form_that_is_saved_untouched_changes_nothing(
    connected: Flask, as_admin: FlaskClient, behind: Behind
) -> None:
    limits = {"rate_limit": "60/minute", "timeout_s": 2.5, "headers": {"X-Team": "zaken"}, "options": {"wiki": "team"}}
    behind.sources.change("xwiki", limits, by=ALICE)
    before = behind.sources.values(behind.sources.find("xwiki"))

    assert fill(as_admin, XWIKI, "save").status_code == 303

    assert behind.sources.values(behind.sources.find("xwiki")) == before


def test_the_value_of_a_header_is_on_no_page(connected: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    saved = fill(as_admin, XWIKI, "save", headers="X-Key: CANARY")
    refused = fill(as_admin, XWIKI, "save", headers="X-Key: CANARY", rate_limit="often")
    tested = fill(as_admin, XWIKI, "test", headers="X-Key: CANARY")

    assert (saved.status_code, refused.status_code, tested.status_code) == (303, 422, 200)
    pages = [as_admin.get(XWIKI).text, as_admin.get(f"{XWIKI}/export").text, refused.text, tested.text]
    assert [page for page in pages if "CANARY" in page or "X-Key" not in page] == []
    assert "Type the values again" in refused.text
    assert behind.sources.find("xwiki").headers == ["X-Key"]


def test_an_empty_secret_field_keeps_the_secret(connected: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    before = behind.sources.find("xwiki").secret

    fill(as_admin, XWIKI, "save", name="Our wiki")

    assert behind.sources.find("xwiki").name == "Our wiki"
    assert behind.sources.find("xwiki").secret == before


def test_the_form_tells_whose_secret_is_kept_and_for_which_host(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    page = as_admin.get(XWIKI).text

    assert 'placeholder="Leave empty to keep"' in page
    assert re.search(r"Set on \d+ \w{3} \d{4} by alice", page)
    assert f"The password belongs to {upstreams.server.url}. Another host asks for it again." in page


def test_a_new_host_asks_for_the_secret_again(connected: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    page = fill(as_admin, XWIKI, "save", location="https://elsewhere.example.org/xwiki")

    assert page.status_code == 422
    assert "The address changed. Type the password again." in page.text
    assert 'href="#auth.basic.secret"' in page.text
    assert 'value="https://elsewhere.example.org/xwiki"' in page.text
    assert behind.sources.find("xwiki").location.startswith("http://127.")


def test_another_way_of_signing_in_asks_for_its_own_secret(
    connected: Flask, as_admin: FlaskClient, behind: Behind
) -> None:
    page = fill(as_admin, XWIKI, "save", auth="token")

    assert page.status_code == 422
    assert 'href="#auth.token.secret"' in page.text
    assert behind.sources.find("xwiki").auth_kind == "basic"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("location", "ftp://wiki.example.org"),
        ("rate_limit", "often"),
        ("max_concurrency", "many"),
        ("timeout_s", "1000"),
        ("ca_file", "/nowhere/ca.pem"),
        ("headers", "no colon here"),
        ("auth.basic.username", "with:colon"),
    ],
)
def test_a_refused_value_is_named_at_its_field_and_kept(
    connected: Flask, as_admin: FlaskClient, behind: Behind, field: str, value: str
) -> None:
    before = behind.sources.find("xwiki").revision

    page = fill(as_admin, XWIKI, "save", **{field: value, "name": "Typed beside it", "auth.basic.secret": CANARY})

    assert page.status_code == 422
    assert "Nothing was saved" in page.text
    assert f'<a href="#{field}">' in page.text
    assert re.search(
        rf'id="{re.escape(field)}"[^>]* aria-invalid="true"[^>]* aria-describedby="{re.escape(field)}-error', page.text
    )
    assert source_form(page)[field].strip() == value
    assert source_form(page)["name"] == "Typed beside it"
    assert behind.sources.find("xwiki").revision == before


def test_a_secret_is_never_sent_back(connected: Flask, as_admin: FlaskClient) -> None:
    secret = {"auth.basic.secret": CANARY}
    answers = [
        fill(as_admin, XWIKI, "save", rate_limit="often", **secret),
        fill(as_admin, XWIKI, "test", **secret),
        fill(as_admin, XWIKI, "save", location="not an address", **secret),
        fill(
            as_admin,
            XWIKI,
            "save",
            **{"auth": "token", "auth.token.secret": CANARY, "auth.token.header": "not a header"},
        ),
        fill(as_admin, XWIKI, "save-and-test", **secret),
        post(as_admin, "/admin/import-source", {"text": f"source: {{auth: {{type: basic, password: {CANARY}}}"}),
        post(
            as_admin, "/admin/import-source", {"text": f"source:\n  auth:\n    type: basic\n    passwort: {CANARY}\n"}
        ),
    ]
    waiting, seen = ["/admin/"], set()

    while waiting:
        path = waiting.pop().partition("#")[0]
        if path.startswith("/") and path not in seen:
            seen.add(path)
            answers.append(as_admin.get(path))
            waiting += links(answers[-1]) if "html" in answers[-1].content_type else []

    assert [answer.status_code for answer in answers[:4]] == [422, 200, 422, 422]
    assert "Type it again: a secret is never sent back." in answers[0].text
    assert len(seen) > 10
    assert not [answer.request.path for answer in answers if CANARY in answer.text]


def test_somebody_elses_save_is_not_overwritten_unseen(connected: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    stale = source_form(as_admin.get(XWIKI))
    behind.sources.change("xwiki", {"name": "Theirs"}, by=actor("bob"))

    refused = as_admin.post(XWIKI, data={**stale, "name": "Mine", "do": "save"})
    again = as_admin.post(XWIKI, data={**source_form(refused), "do": "save"})

    assert refused.status_code == 409
    assert "since you opened it. Nothing of yours was saved." in refused.text
    assert again.status_code == 303
    assert behind.sources.find("xwiki").name == "Mine"


def test_an_imported_oauth_source_is_shown_and_kept(as_admin: FlaskClient, behind: Behind) -> None:
    auth = {"type": "oauth2", "grantType": "client_credentials", "tokenUrl": "https://id.example.org/token"}
    auth |= {"clientId": "panel", "clientSecret": "x", "scope": "read"}
    behind.sources.create({"slug": "xwiki", "location": "https://wiki.example.org", "auth": auth}, by=ALICE)
    before = behind.sources.values(behind.sources.find("xwiki"))

    page = as_admin.get(XWIKI)
    saved = fill(as_admin, XWIKI, "save", name="Renamed")

    assert source_form(page)["auth.oauth2.tokenUrl"] == "https://id.example.org/token"
    assert saved.status_code == 303
    assert behind.sources.values(behind.sources.find("xwiki")) == {**before, "name": "Renamed"}


def test_a_source_is_switched_off_and_on_from_the_list(connected: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    post(as_admin, f"{XWIKI}/enabled", {"value": "off"})
    off = as_admin.get("/admin/sources").text

    assert not behind.sources.find("xwiki").enabled
    assert "Switched off" in off
    post(as_admin, f"{XWIKI}/enabled", {"value": "on"})
    assert behind.sources.find("xwiki").enabled


def test_a_source_can_be_switched_off_even_when_its_settings_no_longer_hold(
    connected: Flask, as_admin: FlaskClient, behind: Behind
) -> None:
    ca_file = connected.extensions["leafpanel"].config.ca_folders[0] / "ca.pem"
    ca_file.parent.mkdir()
    ca_file.write_text("")
    behind.sources.change("xwiki", {"ca_file": str(ca_file)}, by=ALICE)
    ca_file.unlink()

    post(as_admin, f"{XWIKI}/enabled", {"value": "off"})

    assert not behind.sources.find("xwiki").enabled


# --- resolved address ------------------------------------------------------------------------------------------------


def test_the_resolved_address_is_shown_without_asking(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    query = {"slug": "xwiki", "location": f"{upstreams.xwiki_url}/rest", "options.wiki": "team"}

    with upstreams.xwiki.counting() as requests:
        part = as_admin.get("/admin/source-address", query_string=query, headers={"HX-Request": "true"})

    assert words(part.text).startswith(
        f"Resolved: {upstreams.xwiki_url}/rest/wikis/team Pages open at {upstreams.xwiki_url}/"
    )
    assert "<html" not in part.text
    assert requests == []


def test_an_address_that_cannot_be_is_said_below_the_field(as_admin: FlaskClient) -> None:
    query = {"slug": "xwiki", "location": "ftp://wiki"}

    part = as_admin.get("/admin/source-address", query_string=query, headers={"HX-Request": "true"})

    assert re.search(r'class="bad".*https?://', part.text, re.DOTALL)


def test_only_the_address_and_the_options_are_sent_for_it(connected: Flask, as_admin: FlaskClient) -> None:
    page = as_admin.get(XWIKI).text
    included = re.findall(r"<(?:input|textarea)[^>]*data-address[^>]*>", page)

    assert 'hx-include="[data-address]"' in page
    assert [re.search(r'name="([^"]+)"', field)[1] for field in included] == ["location", "options.wiki", "connect_to"]


# --- testing ---------------------------------------------------------------------------------------------------------


def test_a_wrong_password_fails_at_who_am_i_and_leads_to_its_field(
    app: Flask, as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    wrong = {"type": "basic", "username": "alice", "password": "wrong"}
    behind.sources.create(xwiki_values(upstreams, auth=wrong), by=ALICE)

    answer = post(as_admin, f"{XWIKI}/test")
    page = as_admin.get(answer.location).text

    assert (answer.status_code, answer.location) == (303, f"{XWIKI}/test")
    assert "4 of 6 steps passed; sign-in failed" in page
    for word in ("Address", "TLS", "HTTP", "Is it xWiki?", "Who am I?", "May I read?", "Tried", "Came back", "Change"):
        assert word in words(page)
    assert f'href="{XWIKI}#auth">Enter the password again</a>' in page
    assert "Not tried: the step before failed." in page
    assert "no secret appears in this report" in page


def test_an_unknown_wiki_leads_to_its_option(
    app: Flask, as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    behind.sources.create(xwiki_values(upstreams, options={"wiki": "docs"}), by=ALICE)

    page = as_admin.get(post(as_admin, f"{XWIKI}/test").location).text

    assert "4 of 6 steps passed; a setting is not valid" in page
    assert "Who am I? : failed The option “wiki”: there is no wiki “docs” here." in words(page)
    assert "Change Correct the option “wiki”." in words(page)
    assert f'href="{XWIKI}#options.wiki">Change the option “wiki”</a>' in page
    assert 'id="options.wiki"' in as_admin.get(XWIKI).text


def test_a_passed_test_is_remembered_beside_the_form(connected: Flask, as_admin: FlaskClient) -> None:
    post(as_admin, f"{XWIKI}/test", follow_redirects=True)

    aside = words(as_admin.get(XWIKI).text.partition("<aside")[2])

    assert re.search(r"Now OK \d+ ms Checked \d\d:\d\d Sign-in Configured, as \S*alice Upstream xWiki \d+", aside)


def test_looking_at_the_test_page_asks_nobody(connected: Flask, as_admin: FlaskClient, upstreams: Upstreams) -> None:
    post(as_admin, f"{XWIKI}/test", follow_redirects=True)

    with upstreams.xwiki.counting() as requests:
        page = as_admin.get(f"{XWIKI}/test").text

    assert requests == []
    assert "Run the test" in page


def test_what_is_typed_can_be_tested_before_it_is_saved(
    as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    typed = {"location": upstreams.openproject_url, "auth.apikey.secret": "T", "name": "Not yet"}

    page = fill(as_admin, OPENPROJECT, "test", **typed)

    assert page.status_code == 200
    assert "All 6 steps passed" in page.text
    assert "Type the API key again before you save" in page.text
    assert source_form(page)["name"] == "Not yet"
    assert behind.sources.find("openproject") is None


def test_the_stored_secret_is_not_tried_at_another_host(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    page = fill(as_admin, XWIKI, "test", location="https://elsewhere.example.org")

    assert page.status_code == 422
    assert "Nothing was tested" in page.text
    assert "The address changed. Type the password again." in page.text


# --- export and delete -----------------------------------------------------------------------------------------------


def test_an_export_is_a_file_without_the_secret(
    app: Flask, as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    auth = {"type": "basic", "username": "apikey", "password": CANARY}
    behind.sources.create(openproject_values(upstreams, auth=auth), by=ALICE)

    file = as_admin.get(f"{OPENPROJECT}/export")

    assert file.headers["Content-Disposition"] == 'attachment; filename="openproject-source.yaml"'
    assert file.content_type == "text/yaml; charset=utf-8"
    assert CANARY not in file.text
    assert yaml.safe_load(file.text)["source"]["auth"]["password"] == "${OPENPROJECT_PASSWORD}"


def test_deleting_tells_what_uses_the_source_and_keeps_the_links(
    connected: Flask, as_admin: FlaskClient, behind: Behind, visitor: Visitor
) -> None:
    behind.links.link(visitor, "openproject", CASE, "101")

    question = as_admin.get(f"{OPENPROJECT}/delete").text
    answer = post(as_admin, f"{OPENPROJECT}/delete")

    assert "1 link on 1 object uses this source." in words(question)
    assert (answer.status_code, answer.location) == (303, "/admin/sources")
    assert behind.sources.find("openproject") is None
    assert behind.sources.usage("openproject").links == 1


def test_an_editor_cannot_change_a_source(connected: Flask, behind: Behind) -> None:
    bob = signed_in_client(connected, "bob", "editor")

    for path in (XWIKI, f"{XWIKI}/delete", f"{XWIKI}/enabled", f"{XWIKI}/test"):
        assert post(bob, path, {"name": "Bob's", "do": "save"}).status_code == 403
    assert behind.sources.find("xwiki").name == "Wiki"
