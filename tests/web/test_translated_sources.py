"""Every text on sources and Test connection is translated, refusals and failures too."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from oauth_flow import oauth_values
from pages import Behind, fill, post
from support import ALICE, CASE, Upstreams, signed_in_client
from test_admin_import import GOOD
from web.admin_words import PAGES, check, sent
from web.pseudo import speak_pseudo

from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import Source


@pytest.fixture(autouse=True)
def pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    speak_pseudo(monkeypatch)


@pytest.fixture
def behind(connected: Flask) -> Behind:
    return Behind(connected)


@pytest.fixture
def linked(connected: Flask, visitor: Visitor) -> None:
    with connected.app_context():
        services: Panel = connected.extensions["leafpanel"]
        services.links.link(visitor, "openproject", CASE, "101")
        services.links.link(visitor, "openproject", CASE, "102")


# --- sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        {"location": ""}, {"location": "ftp://somewhere"}, {"rate_limit": "often"}, {"max_concurrency": "many"},
        {"timeout_s": "0"}, {"headers": "X-Gate"}, {"headers": "X-Gate: 1\nX-Gate: 2"}, {"headers": "Host: x"},
        {"ca_file": "/nowhere.pem"}, {"ca_file": "nowhere.pem"}, {"connect_to": "somewhere"}, {"name": "x" * 300},
        {"auth": "basic", "auth__basic__username": ""}, {"auth": "basic", "auth__basic__username": "a:b"},
        {"auth": "token", "auth__token__secret": "a\tb"}, {"auth": "oauth2", "auth__oauth2__tokenUrl": ""},
        {"options__wiki": "x" * 600}, {"options__terminal": "perhaps"}, {"location": "https://somewhere.example"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.usefixtures("connected")
def test_a_refused_source(as_admin: FlaskClient, typed: dict[str, str]) -> None:
    check(fill(as_admin, "/admin/sources/xwiki", "save", **typed), 422)


def test_a_refused_new_source(as_admin: FlaskClient) -> None:
    check(fill(as_admin, "/admin/new-source", "test", slug="No!", location=""), 422)
    check(fill(as_admin, "/admin/new-source", "save", slug="No!", location="http://somewhere.example"), 422)


@pytest.mark.usefixtures("connected")
def test_a_source_that_somebody_else_saved(as_admin: FlaskClient) -> None:
    check(fill(as_admin, "/admin/sources/xwiki", "save", name="Wiki", revision="0"), 409)


def test_a_source_with_an_option_that_is_unknown(as_admin: FlaskClient, connected: Flask) -> None:
    with connected.app_context():
        db.session.query(Source).filter_by(slug="xwiki").update({"options": {"demo": "x"}})
        db.session.commit()

    check(as_admin.get("/admin/sources/xwiki"))
    check(as_admin.get("/admin/sources"))


def test_what_a_typed_location_leads_to(as_admin: FlaskClient) -> None:
    for location in ("https://somewhere.example/xwiki", "no address", "ftp://somewhere"):
        check(as_admin.get(f"/admin/source-address?slug=xwiki&location={location}", headers={"HX-Request": "true"}))


@pytest.mark.usefixtures("connected")
def test_notices_after_what_was_done_to_a_source(as_admin: FlaskClient) -> None:
    assert fill(as_admin, "/admin/sources/xwiki", "save", name="Wiki").status_code == 303
    assert 'class="ad-messages"' in check(as_admin.get("/admin/sources/xwiki"))
    for value in ("off", "on"):
        assert "⟦" in sent(as_admin, "/admin/sources/xwiki/enabled", value=value)
    sent(as_admin, "/admin/sources/xwiki/instance", other_instance="none")
    sent(as_admin, "/admin/sources/xwiki/delete")


def test_the_import_of_a_source(as_admin: FlaskClient) -> None:
    sent(as_admin, "/admin/import-source", 422, text="")
    refused = (
        "a: [", "- a", "${", "source:\n  foo: 1", "source:\n  reference: intranet", "reference: x\nfoo: 1",
        GOOD.replace("type: none", "type: perhaps"), GOOD.replace("type: none", "type: basic"),
        GOOD.replace("https://intranet.example.org", "${"), GOOD.replace("https://intranet.example.org", "${WIKI}"),
        GOOD.replace("intranet\n", "intranet\n  reference: x\n"), GOOD.replace("intranet\n", "No!\n"),
    )  # fmt: skip
    for text in refused:
        sent(as_admin, "/admin/import-source", 422, text=text)
    for _time in range(2):
        assert 'class="ad-messages"' in sent(as_admin, "/admin/import-source", text=GOOD)


def test_a_source_that_a_person_connects(app: Flask, as_admin: FlaskClient, upstreams: Upstreams) -> None:
    Behind(app).sources.create(oauth_values(upstreams, "authorization_code"), by=ALICE)

    check(as_admin.get("/admin/"))
    check(as_admin.get("/admin/sources/openproject"))
    check(as_admin.get("/admin/oauth/callback?state=a&code=b"), 400)
    check(as_admin.get("/admin/oauth/callback?state=a&error=access_denied"), 400)


# --- Test connection -------------------------------------------------------------------------------------------------

FAULTS = ("unauthorized", "forbidden", "server-error", "login-page", "rate-limited", "redirect", "not-found")


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("slug", ["openproject", "xwiki"])
def test_a_connection_that_works(as_admin: FlaskClient, slug: str) -> None:
    check(as_admin.get(f"/admin/sources/{slug}/test"))
    sent(as_admin, f"/admin/sources/{slug}/test")
    check(as_admin.get(f"/admin/sources/{slug}/test"))
    check(fill(as_admin, f"/admin/sources/{slug}", "test"))


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("slug", ["openproject", "xwiki"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_connection_that_fails(as_admin: FlaskClient, upstreams: Upstreams, slug: str, fault: str) -> None:
    standin = upstreams.openproject if slug == "openproject" else upstreams.xwiki
    standin.fault = fault

    sent(as_admin, f"/admin/sources/{slug}/test")
    check(as_admin.get("/admin/"))
    check(as_admin.get("/admin/calls"))
    check(as_admin.get(f"/admin/sources/{slug}"))


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:9",
        "http://10.1.2.3",
        "https://127.0.0.1:9",
        "http://nowhere.invalid",
        "http://127.0.0.1:1/xwiki",
    ],
)
@pytest.mark.usefixtures("connected")
def test_a_connection_to_a_wrong_address(as_admin: FlaskClient, location: str) -> None:
    typed = {"auth__basic__secret": "wrong", "auth__basic__username": "leafpanel", "headers": "X-Gate: 1"}
    check(fill(as_admin, "/admin/sources/xwiki", "test", location=location, **typed), 200, 422)


@pytest.mark.usefixtures("linked")
def test_another_instance(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    sent(as_admin, "/admin/sources/openproject/test")
    upstreams.openproject.host_name = "somewhere.example"
    sent(as_admin, "/admin/sources/openproject/test")

    check(as_admin.get("/admin/"))
    page = check(as_admin.get("/admin/sources/openproject"))
    [other] = re.findall(r'name="other_instance" value="(\w+)"', page)[:1]
    sent(as_admin, "/admin/sources/openproject/instance", other_instance=other)


@pytest.mark.usefixtures("connected")
def test_a_connector_that_is_off(as_admin: FlaskClient) -> None:
    sent(as_admin, "/admin/connector", value="off")
    sent(as_admin, "/admin/sources/xwiki/test")
    for path in PAGES:
        check(as_admin.get(path))
    sent(as_admin, "/admin/connector", value="on")


def test_a_connector_that_the_server_locks(make_app: Any) -> None:
    client = signed_in_client(make_app(PANEL_CONNECTOR_ENABLED="false"), "alice", "admin")

    sent(client, "/admin/connector", value="on")
    check(client.get("/admin/connector"))


def test_traffic_that_is_held_back(as_admin: FlaskClient, behind: Behind, upstreams: Upstreams) -> None:
    for period in ("second", "minute", "hour", "day"):
        behind.sources.change("openproject", {"rate_limit": f"60/{period}"}, by=ALICE)
        check(as_admin.get("/admin/sources/openproject"))
    upstreams.openproject.fault = "server-error"
    for _time in range(8):
        post(as_admin, "/admin/check")
        check(as_admin.get("/admin/"))
