"""The pages about people and tokens, and signing in under fire; through the pages alone, as a browser meets them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, csrf, post
from support import CONSOLE, MakeApp, signed_in_client
from werkzeug.test import TestResponse

from panel.accounts.people import ABSOLUTE, IDLE
from panel.core.clock import now
from panel.web.auth.browser_name import browser_name

PASSWORD = "correct horse battery"


@pytest.fixture
def behind(app: Flask) -> Behind:
    return Behind(app)


@pytest.fixture
def bob(behind: Behind) -> int:
    behind.people.create("bob", PASSWORD, role="editor", by=CONSOLE)
    return next(user.id for user in behind.people.all() if user.name == "bob")


def sign_in(client: FlaskClient, name: str, password: str, address: str = "192.0.2.1") -> TestResponse:
    return post(
        client, "/admin/sign-in", {"name": name, "password": password}, environ_overrides={"REMOTE_ADDR": address}
    )


def one_time_password(page: TestResponse) -> str:
    found = re.search(r'id="one-time-password">([^<]+)<', page.text)
    assert found is not None, page.text
    return found[1]


# --- people ----------------------------------------------------------------------------------------------------------


def test_somebody_is_added_with_a_password_that_is_shown_once(as_admin: FlaskClient, client: FlaskClient) -> None:
    made = post(as_admin, "/admin/people", {"name": "dora", "role": "viewer"})
    password = one_time_password(made)

    assert made.status_code == 201
    assert password not in as_admin.get("/admin/people").text
    assert sign_in(client, "dora", password).location == "/admin/password?next=/admin/objects"


@pytest.mark.parametrize(
    ("typed", "status", "sentence"),
    [
        ({"name": " ", "role": "viewer"}, 422, "1 to 200 printable characters"),
        ({"name": "dora", "role": "king"}, 422, "The role must be one of"),
        ({"name": "BOB", "role": "viewer"}, 409, "There is a person named BOB already."),
    ],
)
@pytest.mark.usefixtures("bob")
def test_who_cannot_be_added_is_told_at_the_field(
    as_admin: FlaskClient, behind: Behind, typed: dict[str, str], status: int, sentence: str
) -> None:
    page = post(as_admin, "/admin/people", typed)

    assert page.status_code == status
    assert sentence in page.text
    assert f'value="{typed["name"]}"' in page.text
    assert [user.name for user in behind.people.all()] == ["alice", "bob"]


def test_a_role_is_changed_and_holds_at_once(app: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    bob = signed_in_client(app, "bob", "admin")
    user = next(user for user in behind.people.all() if user.name == "bob")
    assert bob.get("/admin/").status_code == 200

    answer = post(as_admin, f"/admin/people/{user.id}", {"role": "viewer"})

    assert (answer.status_code, answer.location) == (303, "/admin/people")
    assert bob.get("/admin/").status_code == 403
    assert bob.get("/admin/objects").status_code == 200


def test_the_only_administrator_cannot_be_demoted_or_kept_out(as_admin: FlaskClient, behind: Behind) -> None:
    [alice] = behind.people.all()

    demoted = post(as_admin, f"/admin/people/{alice.id}", {"role": "viewer"})
    kept_out = post(as_admin, f"/admin/people/{alice.id}/switch", {"value": "off"})

    for page in (demoted, kept_out):
        assert page.status_code == 409
        assert "alice is the only administrator." in page.text
    assert as_admin.get("/admin/").status_code == 200


def test_keeping_somebody_out_ends_their_sessions(as_admin: FlaskClient, client: FlaskClient, bob: int) -> None:
    sign_in(client, "bob", PASSWORD)
    assert client.get("/admin/objects").status_code == 200

    post(as_admin, f"/admin/people/{bob}/switch", {"value": "off"})

    assert client.get("/admin/objects").location.startswith("/admin/sign-in")
    assert sign_in(client, "bob", PASSWORD).status_code == 401
    post(as_admin, f"/admin/people/{bob}/switch", {"value": "on"})
    assert sign_in(client, "bob", PASSWORD).status_code == 303


def test_a_reset_shows_a_new_password_once(as_admin: FlaskClient, client: FlaskClient, bob: int) -> None:
    page = post(as_admin, f"/admin/people/{bob}/reset")

    assert page.status_code == 201
    assert sign_in(client, "bob", PASSWORD).status_code == 401
    assert sign_in(client, "bob", one_time_password(page)).status_code == 303


def test_an_editor_finds_the_objects_and_no_administration(client: FlaskClient, bob: int) -> None:
    landed = sign_in(client, "bob", PASSWORD)

    assert landed.location == "/admin/objects"
    page = client.get(landed.location).text
    assert re.findall(r'<a href="(/admin/[^"]*)"', page) == ["/admin/objects", "/admin/password"]
    assert client.get("/admin/people").status_code == 403


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_copied_before_signing_out_is_worth_nothing_after(client: FlaskClient, bob: int) -> None:
    sign_in(client, "bob", PASSWORD)
    kept = client.get_cookie("leafpanel")
    assert kept is not None

    post(client, "/admin/sign-out")
    client.set_cookie("leafpanel", kept.value)

    assert client.get("/admin/objects").location.startswith("/admin/sign-in")


def test_signing_in_gives_a_new_session_and_ends_the_old_one(client: FlaskClient, bob: int) -> None:
    sign_in(client, "bob", PASSWORD)
    first = client.get_cookie("leafpanel")
    assert first is not None
    sign_in(client, "bob", PASSWORD)
    second = client.get_cookie("leafpanel")
    assert second is not None

    client.set_cookie("leafpanel", first.value)
    assert client.get("/admin/objects").status_code == 303
    client.set_cookie("leafpanel", second.value)
    assert client.get("/admin/objects").status_code == 200


def test_a_session_left_alone_ends_though_its_page_refreshes_itself(as_admin: FlaskClient) -> None:
    fragment = {"HX-Request": "true"}
    with time_machine.travel(now(), tick=False) as clock:
        as_admin.get("/admin/")
        clock.shift(IDLE - timedelta(minutes=5))
        assert as_admin.get("/admin/integrations", headers=fragment).status_code == 200
        clock.shift(timedelta(minutes=6))
        assert as_admin.get("/admin/").location.startswith("/admin/sign-in")


def test_a_session_left_alone_ends_though_its_tab_refreshes_itself(connected: Flask, as_admin: FlaskClient) -> None:
    refresh = {"HX-Request": "true", "X-Leafpanel-Poll": "1"}
    place = "/objects/demo/case/1/integrations/openproject"
    with time_machine.travel(now(), tick=False) as clock:
        as_admin.get("/admin/")
        clock.shift(IDLE - timedelta(minutes=5))
        assert as_admin.get(place, headers=refresh).status_code == 200
        clock.shift(timedelta(minutes=6))
        assert as_admin.get("/admin/").location.startswith("/admin/sign-in")


def test_a_session_in_use_ends_after_half_a_day(as_admin: FlaskClient) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(int(ABSOLUTE / timedelta(hours=1)) - 1):
            clock.shift(timedelta(hours=1))
            assert as_admin.get("/admin/").status_code == 200
        clock.shift(timedelta(hours=1))
        assert as_admin.get("/admin/").status_code == 303


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML) Version/18.0 Safari/604.1"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"), (EDGE, "Edge on Windows"), (IPHONE, "Safari on iPhone"),
        ("curl/8.0", "Unknown browser"), ("", "Unknown browser"), ("<script>", "Unknown browser"),
    ],
)  # fmt: skip
def test_a_browser_is_named_in_few_words(agent: str, name: str) -> None:
    assert browser_name(agent) == name


def sessions_of(client: FlaskClient) -> list[str]:
    """The sessions that the page lists, without their times."""
    listed = re.findall(r"<li><div><strong>([^<]+)</strong>([^<]*)<small>", client.get("/admin/password").text)
    return sorted(f"{browser}{mark}" for browser, mark in listed)


@pytest.mark.usefixtures("bob")
def test_a_person_sees_their_own_sessions_and_ends_them_all(app: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    here, elsewhere = app.test_client(), app.test_client()
    for client, agent in ((here, FIREFOX), (elsewhere, EDGE)):
        typed = {"name": "bob", "password": PASSWORD}
        post(client, "/admin/sign-in", typed, headers={"User-Agent": agent})
    assert sessions_of(here) == ["Edge on Windows", "Firefox on Linux (this session)"]

    answer = post(here, "/admin/sign-out-everywhere")

    assert (answer.status_code, answer.location) == (303, "/admin/sign-in")
    for client in (here, elsewhere):
        assert client.get("/admin/objects").location.startswith("/admin/sign-in")
    assert as_admin.get("/admin/").status_code == 200
    assert "everywhere" in as_admin.get("/admin/audit").text


@pytest.mark.parametrize("path", ["/admin/sign-out", "/admin/sign-out-everywhere"])
def test_signing_out_clears_what_pages_stored_in_the_browser(as_admin: FlaskClient, path: str) -> None:
    assert post(as_admin, path).headers["Clear-Site-Data"] == '"storage"'


def test_the_tab_of_a_signed_in_person_signs_out(connected: Flask, as_admin: FlaskClient) -> None:
    page = as_admin.get("/objects/demo/case/1")

    assert "Signed in as alice" in page.text
    assert 'action="/admin/sign-out"' in page.text
    assert as_admin.post("/admin/sign-out", data={"csrf_token": csrf(page)}).status_code == 303
    assert as_admin.get("/objects/demo/case/1").location.startswith("/admin/sign-in")


# --- what a person leaves behind -------------------------------------------------------------------------------------


@pytest.fixture
def leaver(app: Flask) -> FlaskClient:
    """An administrator who creates a token and an application."""
    client = signed_in_client(app, "temp", "admin")
    post(client, "/admin/tokens", {"name": "Nightly", "scope": "admin"})
    post(client, "/admin/embedding", {"name": "Cases", "origins": "https://cases.example"})
    return client


def person_page(client: FlaskClient, behind: Behind) -> TestResponse:
    user = next(user for user in behind.people.all() if user.name == "temp")
    return client.get(f"/admin/people/{user.id}")


@pytest.mark.usefixtures("leaver")
def test_disabling_a_person_lists_what_still_works_and_revokes_it(
    app: Flask, as_admin: FlaskClient, behind: Behind
) -> None:
    user = next(user for user in behind.people.all() if user.name == "temp")

    answer = post(as_admin, f"/admin/people/{user.id}/switch", {"value": "off"})

    assert answer.location == f"/admin/people/{user.id}"
    page = as_admin.get(answer.location).text
    assert "still valid: API token “Nightly”, application “Cases”" in page
    [token], [application] = behind.api_tokens.tokens(), behind.embed_apps.all()
    here = {"next": answer.location}
    revoked = post(as_admin, f"/admin/tokens/{token.id}/revoke", here)
    disabled = post(as_admin, f"/admin/embedding/{application.id}/switch", {**here, "value": "off"})
    assert f'action="/admin/tokens/{token.id}/revoke"' in page
    assert f'action="/admin/embedding/{application.id}/switch"' in page
    assert revoked.location == disabled.location == answer.location
    assert behind.api_tokens.tokens() == []
    assert behind.embed_apps.all()[0].disabled
    assert "No valid API token and no enabled embedding application." in as_admin.get(answer.location).text


def test_who_rotated_a_secret_knows_the_application(app: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    post(as_admin, "/admin/embedding", {"name": "Permits", "origins": "https://permits.example"})
    temp = signed_in_client(app, "temp", "admin")
    assert "Permits" not in person_page(as_admin, behind).text

    post(temp, f"/admin/embedding/{behind.embed_apps.all()[0].id}/rotate")

    assert "Permits" in person_page(as_admin, behind).text


@pytest.mark.usefixtures("leaver")
def test_the_command_that_disables_a_person_names_what_still_works(app: Flask, as_admin: FlaskClient) -> None:
    shown = app.test_cli_runner().invoke(args=["user", "switch", "temp", "off"]).output

    assert shown.splitlines() == [
        "temp is disabled.",
        "Created by temp and still valid: API token “Nightly”, application “Cases”.",
    ]


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/"])
def test_revoking_leads_to_no_other_host(as_admin: FlaskClient, behind: Behind, target: str) -> None:
    post(as_admin, "/admin/tokens", {"name": "Nightly", "scope": "read"})
    [token] = behind.api_tokens.tokens()

    assert post(as_admin, f"/admin/tokens/{token.id}/revoke", {"next": target}).location == "/admin/tokens"


# --- guessing --------------------------------------------------------------------------------------------------------


def test_too_many_wrong_passwords_are_429_with_a_time(client: FlaskClient, bob: int) -> None:
    answers = [sign_in(client, "bob", f"wrong {n}") for n in range(12)]
    last = answers[-1]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert 0 < int(last.headers["Retry-After"]) <= 180
    assert "Try again in" in last.text
    assert 'value="bob"' in last.text


def test_the_right_password_waits_too_but_not_elsewhere(app: Flask, client: FlaskClient, bob: int) -> None:
    for n in range(12):
        sign_in(client, "bob", f"wrong {n}", "203.0.113.9")

    assert sign_in(client, "bob", PASSWORD, "203.0.113.9").status_code == 429
    assert sign_in(app.test_client(), "bob", PASSWORD, "192.0.2.1").status_code == 303


def test_a_browser_that_signed_in_before_is_not_locked_out_by_a_stranger_beside_it(
    app: Flask, client: FlaskClient, bob: int
) -> None:
    sign_in(client, "bob", PASSWORD)
    post(client, "/admin/sign-out")
    stranger = app.test_client()
    for n in range(12):
        sign_in(stranger, "bob", f"wrong {n}")

    assert sign_in(stranger, "bob", PASSWORD).status_code == 429
    assert sign_in(client, "bob", PASSWORD).status_code == 303


def test_a_planted_mark_of_a_known_browser_helps_nobody(client: FlaskClient, bob: int) -> None:
    client.set_cookie("leafpanel-device", f'[{bob},"1"].forged')

    answers = [sign_in(client, "bob", f"wrong {n}").status_code for n in range(12)]

    assert answers == [401] * 10 + [429] * 2


def test_a_forwarded_address_counts_only_behind_as_many_servers_as_are_trusted(make_app: MakeApp) -> None:
    def guesses(**settings: str) -> list[int]:
        client, told = make_app(**settings).test_client(), []
        for n in range(24):
            headers = {"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.{n}"}
            typed = {"name": f"person {n}", "password": "wrong"}
            told.append(post(client, "/admin/sign-in", typed, headers=headers).status_code)
        return told

    assert guesses(PANEL_TRUSTED_PROXIES="1") == [401] * 24
    assert guesses() == [401] * 20 + [429] * 4


PROXIES = [("127.0.0.1", {}), ("10.1.2.3", {}), ("fd00::1", {}), ("192.0.2.1", {"X-Forwarded-For": "198.51.100.7"})]


@pytest.mark.parametrize(("address", "headers"), PROXIES)
@pytest.mark.parametrize("names", [["nobody"], [f"person {n}" for n in range(30)]], ids=["one name", "many names"])
@pytest.mark.usefixtures("bob")
def test_guesses_behind_a_proxy_shut_nobody_else_out(
    app: Flask, names: list[str], address: str, headers: dict[str, str]
) -> None:
    def try_to_sign_in(name: str, password: str) -> int:
        typed, client = {"name": name, "password": password}, app.test_client()
        where = {"REMOTE_ADDR": address}
        return post(client, "/admin/sign-in", typed, headers=headers, environ_overrides=where).status_code

    answers = [try_to_sign_in(names[n % len(names)], f"wrong {n}") for n in range(30)]

    assert answers == [401] * 20 + [429] * 10
    assert try_to_sign_in("bob", PASSWORD) == 303


@pytest.mark.usefixtures("bob")
def test_guesses_for_one_account_behind_a_proxy_are_limited(client: FlaskClient) -> None:
    answers = [sign_in(client, "bob", f"wrong {n}", "127.0.0.1").status_code for n in range(25)]

    assert answers == [401] * 20 + [429] * 5


def test_a_header_of_a_proxy_that_is_not_trusted_is_warned_about_once(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings(**settings: str) -> list[str]:
        caplog.clear()
        client = make_app(**settings).test_client()
        client.get("/admin/sign-in")
        for _ in range(3):
            client.get("/admin/sign-in", headers={"X-Forwarded-For": "198.51.100.7"})
        return [record.message for record in caplog.records if "PANEL_TRUSTED_PROXIES" in record.message]

    assert len(warnings(PANEL_PORT="8765")) == 1
    assert warnings(PANEL_TRUSTED_PROXIES="1") == []


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_may_be_limited_and_end(as_admin: FlaskClient, client: FlaskClient) -> None:
    typed = {"name": "Agent", "scope": "write", "days": "30", "registers": "demo\npermits", "integrations": "xwiki"}
    made = post(as_admin, "/admin/tokens", typed)
    token = re.search(r"lpt_[\w-]+", made.text)
    assert token is not None
    headers = {"Authorization": f"Bearer {token[0]}"}

    assert client.get("/api/objects/demo/case/1/integrations/xwiki", headers=headers).status_code == 503
    assert client.get("/api/objects/other/case/1/integrations/xwiki", headers=headers).status_code == 404
    assert client.get("/api/objects/demo/case/1/integrations/openproject", headers=headers).status_code == 404
    assert [row["id"] for row in client.get("/api/integrations", headers=headers).json["items"]] == ["xwiki"]
    listed = as_admin.get("/admin/tokens").text
    assert "demo, permits" in listed
    with time_machine.travel(now() + timedelta(days=31)):
        assert client.get("/api/integrations", headers=headers).status_code == 401


@pytest.mark.parametrize("days", ["soon", "-1", "0", "99999", "1.5"])
def test_a_bad_number_of_days_is_told_at_its_field(as_admin: FlaskClient, behind: Behind, days: str) -> None:
    page = post(as_admin, "/admin/tokens", {"name": "Agent", "scope": "read", "days": days, "registers": "demo"})

    assert page.status_code == 422
    assert 'aria-describedby="days-error' in page.text
    assert f'value="{days}"' in page.text
    assert "demo</textarea>" in page.text
    assert behind.api_tokens.tokens() == []


@pytest.mark.parametrize("number", ["2147483648", "9" * 21, "9" * 5000])
def test_an_id_that_no_row_can_have_is_not_found(as_admin: FlaskClient, number: str) -> None:
    assert as_admin.get(f"/admin/people/{number}").status_code == 404
    assert as_admin.get(f"/admin/tokens/{number}/revoke").status_code == 404


@pytest.mark.parametrize("page", ["audit", "calls"])
def test_a_page_before_an_id_that_no_row_can_have_is_shown(as_admin: FlaskClient, page: str) -> None:
    assert as_admin.get(f"/admin/{page}?before={'9' * 21}").status_code == 200
