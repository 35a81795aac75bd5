"""The administrators' pages: who gets in, what the overview says, the connector's switch, objects and tokens."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, csrf, links, post
from routes import routes
from support import ALICE, CASE, CONSOLE, MakeApp, Upstreams, actor, signed_in_client, signs_in, xwiki_values

from panel.accounts.api_tokens import TokenRequest
from panel.connector import Caller
from panel.integrations.registry import load_registry
from panel.links.visitor import Visitor
from panel.sources.service import Sources

PASSWORD = "correct horse battery"
PAGES = (
    "/admin/", "/admin/connect", "/admin/sources", "/admin/sources/xwiki", "/admin/sources/xwiki/test", "/admin/sources/xwiki/delete",
    "/admin/sources/openproject", "/admin/new-source", "/admin/import-source", "/admin/objects", "/admin/tokens",
    "/admin/calls", "/admin/audit", "/admin/people", "/admin/connector", "/admin/password",
)  # fmt: skip


def sign_in(client: FlaskClient, name: str, password: str, **extra: str) -> object:
    return post(client, "/admin/sign-in", {"name": name, "password": password, **extra})


@pytest.fixture
def behind(app: Flask) -> Behind:
    return Behind(app)


@pytest.fixture
def charlie(behind: Behind) -> str:
    behind.people.create("charlie", PASSWORD, role="admin", by=CONSOLE)
    return "charlie"


# --- signing in ------------------------------------------------------------------------------------------------------


def test_every_admin_address_asks_a_stranger_to_sign_in(app: Flask, client: FlaskClient) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("admin.")]
    closed = [
        rule for rule in rules if rule.endpoint not in ("admin.sign_in", "admin.sign_out") and "GET" in rule.methods
    ]

    for rule in closed:
        path = re.sub(r"<int:\w+>", "1", rule.rule)
        answer = client.get(re.sub(r"<\w+>", "xwiki", path))
        assert answer.status_code == 303, path
        assert answer.location.startswith("/admin/sign-in?next="), path
    assert len(closed) > 12


def test_every_admin_form_refuses_a_stranger(app: Flask, client: FlaskClient) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("admin.") and "POST" in rule.methods]

    for rule in rules:
        path = re.sub(r"<\w+>", "xwiki", re.sub(r"<int:\w+>", "1", rule.rule))
        if path not in ("/admin/sign-in", "/admin/sign-out"):
            assert post(client, path).location.startswith("/admin/sign-in"), path


@pytest.mark.parametrize("path", [page for page in PAGES if page not in ("/admin/password", "/admin/objects")])
def test_a_person_who_is_no_administrator_is_refused(app: Flask, path: str) -> None:
    bob = signed_in_client(app, "bob", "editor")

    answer = bob.get(path)

    assert answer.status_code == 403
    assert 'action="/admin/sign-out"' in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_every_page_names_the_person_and_can_sign_out(connected: Flask, as_admin: FlaskClient, path: str) -> None:
    page = as_admin.get(path)

    assert page.status_code == 200
    assert ">alice</a>" in page.text
    assert re.search(
        r'<form method="post" action="/admin/sign-out">\s*<input type="hidden" name="csrf_token"', page.text
    )


def test_no_page_has_a_dead_link(connected: Flask, as_admin: FlaskClient) -> None:
    waiting, seen = ["/admin/"], set()

    while waiting:
        path = waiting.pop().partition("#")[0]
        if path.startswith("/") and path not in seen:
            seen.add(path)
            page = as_admin.get(path)
            assert page.status_code == 200, path
            page.get_data()
            waiting += links(page) if path.startswith("/admin") and "html" in page.content_type else []
    assert {"/admin/sources/xwiki", "/admin/sources/xwiki/export", "/admin/objects", "/admin/tokens"} < seen


def test_signing_in_leads_to_the_page_that_was_asked_for(client: FlaskClient, charlie: str) -> None:
    asked = client.get("/admin/objects")

    answer = sign_in(client, charlie, PASSWORD, next="/admin/objects")

    assert asked.location == "/admin/sign-in?next=/admin/objects"
    assert (answer.status_code, answer.location) == (303, "/admin/objects")
    assert client.get("/admin/objects").status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:1"])
def test_signing_in_never_leads_to_another_host(client: FlaskClient, charlie: str, elsewhere: str) -> None:
    assert sign_in(client, charlie, PASSWORD, next=elsewhere).location == "/admin/"


def test_a_wrong_password_says_one_sentence_and_keeps_the_name(client: FlaskClient, charlie: str) -> None:
    page = sign_in(client, charlie, "a wrong guess")

    assert page.status_code == 401
    assert "do not belong together" in page.text
    assert 'value="charlie"' in page.text
    assert "a wrong guess" not in page.text


def test_signing_in_starts_a_session_of_its_own(client: FlaskClient, charlie: str) -> None:
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"

    sign_in(client, charlie, PASSWORD)

    with client.session_transaction() as session:
        assert "planted" not in session
        assert session["proof"]


def test_signing_out_ends_the_session(as_admin: FlaskClient) -> None:
    answer = post(as_admin, "/admin/sign-out")

    assert (answer.status_code, answer.location) == (303, "/admin/sign-in")
    assert as_admin.get("/admin/").status_code == 303


def test_a_form_without_its_token_changes_nothing(as_admin: FlaskClient, behind: Behind) -> None:
    answer = as_admin.post("/admin/connector", data={"value": "off"})

    assert answer.status_code == 400
    assert behind.switches.connector_on()


# --- passwords -------------------------------------------------------------------------------------------------------


def test_a_one_time_password_opens_the_form_that_chooses_one_and_signing_out(
    app: Flask, client: FlaskClient, behind: Behind
) -> None:
    one_time = behind.people.first_admin_password(by=CONSOLE)

    answer = sign_in(client, "admin", str(one_time))

    assert answer.location == "/admin/password?next=/admin/"
    page = client.get(answer.location)
    assert (page.status_code, "/admin/sources" in page.text, "/admin/sign-out" in page.text) == (200, False, True)
    assert client.get("/admin/sources").location == "/admin/password?next=/admin/sources"
    assert client.get("/objects/demo/case/1").location == "/admin/password?next=/objects/demo/case/1"
    assert client.get("/api/sources").status_code == 403
    assert client.get("/api/sources").json["message"] == "Choose a password first."
    fragment = client.get("/admin/integrations", headers={"HX-Request": "true"})
    assert (fragment.status_code, fragment.headers["HX-Redirect"]) == (403, "/admin/password")
    made = post(client, "/admin/tokens", {"name": "mine", "scope": "admin"})
    assert (made.location, behind.api_tokens.tokens()) == ("/admin/password", [])
    assert post(client, "/admin/sign-out").location == "/admin/sign-in"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_route_refuses_a_session_that_must_choose_a_password(
    app: Flask, client: FlaskClient, behind: Behind, method: str
) -> None:
    sign_in(client, "admin", str(behind.people.first_admin_password(by=CONSOLE)))
    token = csrf(client.get("/admin/password"))
    served = [route for route in routes(app) if route.method == method and route.face in ("admin", "objects")]
    open_to_it = {"admin.password", "admin.sign_in", "admin.sign_out"}

    for route in served:
        if route.endpoint not in open_to_it:
            answer = client.open(route.path, method=method, data={"csrf_token": token} if method == "POST" else None)
            assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/admin/password"), route
    assert len(served) > 20


def test_choosing_a_password_ends_the_one_time_password(client: FlaskClient, behind: Behind) -> None:
    one_time = str(behind.people.first_admin_password(by=CONSOLE))
    sign_in(client, "admin", one_time)

    answer = post(client, "/admin/password", {"password": PASSWORD, "again": PASSWORD})

    assert answer.status_code == 303
    assert client.get("/admin/").status_code == 200
    assert not signs_in(behind, "admin", one_time)
    assert signs_in(behind, "admin", PASSWORD)


def test_choosing_a_password_ends_the_other_sessions_and_keeps_this_one(app: Flask, charlie: str) -> None:
    here, elsewhere = app.test_client(), app.test_client()
    sign_in(here, charlie, PASSWORD)
    sign_in(elsewhere, charlie, PASSWORD)
    typed = {"current": PASSWORD, "password": "another password", "again": "another password"}

    changed = post(here, "/admin/password", typed)

    assert changed.status_code == 303
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").location.startswith("/admin/sign-in")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (
            {"current": "not it", "password": "another password", "again": "another password"},
            "not your current password",
        ),
        ({"current": PASSWORD, "password": "another password", "again": "another passwort"}, "passwords differ"),
        ({"current": PASSWORD, "password": "short", "again": "short"}, "at least 8 characters"),
        ({"current": PASSWORD, "password": "x" * 1001, "again": "x" * 1001}, "at most 1,000"),
    ],
)
def test_a_password_is_not_changed_by(
    client: FlaskClient, charlie: str, behind: Behind, typed: dict[str, str], sentence: str
) -> None:
    sign_in(client, charlie, PASSWORD)

    page = post(client, "/admin/password", typed)

    assert page.status_code == 422
    assert sentence in page.text
    assert typed["password"] not in page.text
    assert signs_in(behind, charlie, PASSWORD)


# --- overview --------------------------------------------------------------------------------------------------------


def row(page: str, label: str) -> str:
    """The text of an integration's row."""
    found = next(part for part in page.split("<tr>") if f'<th scope="row">{label}<' in part)
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


def test_an_integration_without_a_source_can_be_configured_and_not_tested(as_admin: FlaskClient) -> None:
    page = as_admin.get("/admin/").text

    assert "Missing no source Not checked External pointers only 0 Configure" in row(page, "Articles")
    assert 'href="/admin/sources/xwiki"' in page
    assert page.count('type="submit" disabled>Test') == len(load_registry().ids())
    assert "needs you" not in page


def test_the_overview_asks_no_upstream(connected: Flask, as_admin: FlaskClient, upstreams: Upstreams) -> None:
    with upstreams.xwiki.counting() as xwiki, upstreams.openproject.counting() as openproject:
        page = as_admin.get("/admin/").text

    assert (xwiki, openproject) == ([], [])
    assert "Unknown not checked yet Not checked External" in row(page, "Articles")


def test_check_all_asks_and_the_overview_then_tells(connected: Flask, as_admin: FlaskClient) -> None:
    answer = post(as_admin, "/admin/check")
    page = as_admin.get("/admin/").text

    assert (answer.status_code, answer.location) == (303, "/admin/")
    assert re.search(r"Configured as \S*alice OK", row(page, "Articles"))
    assert "Checked <time" in page


def test_what_fails_comes_first_and_asks_for_somebody(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    upstreams.openproject.fault = "unauthorized"

    post(as_admin, "/admin/check")
    page = as_admin.get("/admin/").text

    assert "1 connection needs you" in page
    assert "OpenProject authentication failed." in page
    assert "Unavailable sign-in refused" in row(page, "Projects")
    assert page.index('<th scope="row">Projects<') < page.index('<th scope="row">Articles<')


def test_a_source_that_changed_since_is_not_called_checked(
    connected: Flask, as_admin: FlaskClient, behind: Behind
) -> None:
    post(as_admin, "/admin/check")

    behind.sources.change("xwiki", {"name": "Another name"}, by=ALICE)

    assert "Unknown not checked yet Not checked" in row(as_admin.get("/admin/").text, "Articles")


def test_the_links_of_each_integration_are_counted(
    connected: Flask, as_admin: FlaskClient, behind: Behind, visitor: Visitor
) -> None:
    behind.links.link(visitor, "openproject", CASE, "101")

    assert "pointers only 1 Configure" in row(as_admin.get("/admin/").text, "Projects")


# --- connector -------------------------------------------------------------------------------------------------------


def test_turning_the_connector_off_is_asked_twice_and_then_nothing_goes_out(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    question = as_admin.get("/admin/connector").text

    answer = post(as_admin, "/admin/connector", {"value": "off"})
    with upstreams.xwiki.counting() as requests:
        post(as_admin, "/admin/check")
        post(as_admin, "/admin/sources/xwiki/test", follow_redirects=True)
    page = as_admin.get("/admin/").text

    assert "Turn the connector off?" in question
    assert answer.status_code == 303
    assert requests == []
    assert "Connector off" in page
    assert "Not checked the connector is off" in row(page, "Articles")


def test_the_connector_is_turned_on_again(as_admin: FlaskClient, behind: Behind) -> None:
    post(as_admin, "/admin/connector", {"value": "off"})

    post(as_admin, "/admin/connector", {"value": "on"})

    assert behind.switches.connector_on()


def test_a_connector_that_the_server_locks_off_stays_off(make_app: MakeApp) -> None:
    app = make_app(PANEL_CONNECTOR_ENABLED="false")
    alice = signed_in_client(app, "alice", "admin")

    said = post(alice, "/admin/connector", {"value": "on"}, follow_redirects=True).text

    assert "PANEL_CONNECTOR_ENABLED of this server switches the connector off" in said
    assert "it cannot be turned on here" in said
    assert 'value="on"' not in said


# --- objects and tokens ----------------------------------------------------------------------------------------------


def test_objects_with_links_are_listed(
    connected: Flask, as_admin: FlaskClient, behind: Behind, visitor: Visitor
) -> None:
    behind.links.link(visitor, "openproject", CASE, "101")

    assert 'href="/objects/demo/case/1">1</a>' in as_admin.get("/admin/objects").text


def test_any_object_can_be_opened(as_admin: FlaskClient) -> None:
    answer = as_admin.get("/admin/objects?register=demo&schema=case&object_id=Z 1")

    assert (answer.status_code, answer.location) == (303, "/objects/demo/case/Z%201")


def test_an_object_needs_all_its_parts(as_admin: FlaskClient) -> None:
    page = as_admin.get("/admin/objects?register=demo&schema=case&object_id=")

    assert page.status_code == 422
    assert "Object id is missing." in page.text
    assert 'value="demo"' in page.text


def test_a_token_is_shown_once_and_works(as_admin: FlaskClient, client: FlaskClient) -> None:
    made = post(as_admin, "/admin/tokens", {"name": "Zaaksysteem", "scope": "read"})
    token = re.search(r"lpt_[\w-]+", made.text)

    assert made.status_code == 201
    assert token is not None
    assert client.get("/api/integrations", headers={"Authorization": f"Bearer {token[0]}"}).status_code == 200
    listed = as_admin.get("/admin/tokens").text
    assert "Zaaksysteem" in listed
    assert token[0] not in listed


def test_a_token_without_a_name_is_refused_at_its_field(as_admin: FlaskClient, behind: Behind) -> None:
    page = post(as_admin, "/admin/tokens", {"name": " ", "scope": "write"})

    assert page.status_code == 422
    assert 'aria-describedby="name-error' in page.text
    assert behind.api_tokens.tokens() == []


@pytest.mark.parametrize(("scope", "days", "lasts"), [("admin", "", 90), ("admin", "365", 365), ("write", "", None)])
def test_only_an_admin_token_ends_without_being_asked(
    as_admin: FlaskClient, behind: Behind, scope: str, days: str, lasts: int | None
) -> None:
    post(as_admin, "/admin/tokens", {"name": "Agent", "scope": scope, "days": days})

    [token] = behind.api_tokens.tokens()
    ends = token.expires_at and (token.expires_at - token.created_at).total_seconds() / 86400
    assert ends == (lasts and pytest.approx(lasts, abs=0.01))


def test_revoking_a_token_is_asked_first(as_admin: FlaskClient, behind: Behind) -> None:
    behind.api_tokens.create_token(TokenRequest("Agent", "read"), by=CONSOLE)
    [token] = behind.api_tokens.tokens()
    path = f"/admin/tokens/{token.id}/revoke"

    question = as_admin.get(path).text
    answer = post(as_admin, path)

    assert "Revoke “Agent”?" in question
    assert (answer.status_code, answer.location) == (303, "/admin/tokens")
    assert behind.api_tokens.tokens() == []
    assert as_admin.get(path).status_code == 404


# --- failures --------------------------------------------------------------------------------------------------------


def test_an_address_that_is_nothing_answers_a_stranger_without_a_session(client: FlaskClient) -> None:
    page = client.get("/nothing-here")

    assert page.status_code == 404
    assert "There is nothing at this address." in page.text
    assert "Set-Cookie" not in page.headers


def test_a_failure_of_ours_is_one_sentence_with_a_reference(
    as_admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("inner words")

    monkeypatch.setattr(Sources, "all", broken)

    page = as_admin.get("/admin/sources")

    assert page.status_code == 500
    assert page.headers["X-Request-Id"] in page.text
    assert "inner words" not in page.text


def test_upstream_words_are_text_and_never_markup(
    app: Flask, as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    behind.sources.create(xwiki_values(upstreams, name="<b>Wiki</b>"), by=actor("<i>eve</i>"))
    behind.connection_tests.run("xwiki", caller=Caller("test", "alice"))

    for path in ("/admin/", "/admin/sources", "/admin/sources/xwiki", "/admin/sources/xwiki/delete"):
        page = as_admin.get(path).text
        assert "<b>" not in page
        assert "<i>" not in page
