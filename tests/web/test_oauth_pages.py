"""Connecting a source from its page: the form, the way to the provider and back, and what the pages say of it."""

from __future__ import annotations

import logging
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from oauth_flow import CALLBACK, consent, oauth_values, row
from pages import Behind, csrf, fill, source_form
from support import ALICE, Upstreams, signed_in_client
from werkzeug.test import TestResponse

from panel.sandbox.openproject import OAUTH_CLIENT, OAUTH_SECRET
from panel.storage.models import OauthGrant

PAGE = "/admin/sources/openproject"


@pytest.fixture
def behind(app: Flask) -> Behind:
    return Behind(app)


@pytest.fixture
def source(behind: Behind, upstreams: Upstreams) -> str:
    """A source that waits for somebody to connect it."""
    behind.sources.create(oauth_values(upstreams, "authorization_code"), by=ALICE)
    return PAGE


def stored(app: Flask) -> OauthGrant | None:
    with app.app_context():
        return row()


def go(client: FlaskClient) -> TestResponse:
    """Press Connect."""
    page = client.get(PAGE)
    action = re.search(r'<form method="post" action="([^"]*connect[^"]*)"', page.text)
    assert action is not None, page.text
    return client.post(action[1], data={"csrf_token": csrf(page)})


def come_back(client: FlaskClient, told: dict[str, list[str]]) -> TestResponse:
    return client.get(f"{urlsplit(CALLBACK).path}?{urlencode(told, doseq=True)}")


def test_a_source_is_set_up_connected_and_works(as_admin: FlaskClient, behind: Behind, upstreams: Upstreams) -> None:
    stem = "auth.oauth2."
    fill(
        as_admin, PAGE, "save", location=upstreams.openproject_url, auth="oauth2",
        **{f"{stem}grantType": "authorization_code", f"{stem}clientId": OAUTH_CLIENT, f"{stem}secret": OAUTH_SECRET},
    )  # fmt: skip

    to_provider = go(as_admin)
    back = come_back(as_admin, consent(to_provider.headers["Location"]))
    tested = as_admin.get(back.headers["Location"])

    assert (to_provider.status_code, back.status_code) == (303, 303)
    assert "All 6 steps passed" in tested.text
    assert "Uma User" in as_admin.get("/admin/").text
    assert "Reconnect" in as_admin.get(PAGE).text


def test_the_way_out_carries_state_challenge_and_our_address(as_admin: FlaskClient, source: str) -> None:
    address = urlsplit(go(as_admin).headers["Location"])
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}

    assert address.path == "/openproject/oauth/authorize"
    assert asked["redirect_uri"] == CALLBACK
    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", OAUTH_CLIENT, "api_v3")
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 32
    assert len(asked["code_challenge"]) == 43
    assert OAUTH_SECRET not in address.query


def test_only_the_page_with_the_connect_form_may_lead_to_the_provider(
    as_admin: FlaskClient, source: str, upstreams: Upstreams
) -> None:
    def form_action(path: str) -> str:
        policy = as_admin.get(path).headers["Content-Security-Policy"]
        return policy.partition("form-action ")[2].partition(";")[0]

    assert form_action(PAGE) == f"'self' {upstreams.server.url}"
    assert form_action("/admin/") == "'self'"
    assert form_action("/admin/sources/xwiki") == "'self'"


def test_a_source_that_needs_nobody_has_no_connect_form(
    as_admin: FlaskClient, behind: Behind, upstreams: Upstreams
) -> None:
    behind.sources.create(oauth_values(upstreams), by=ALICE)

    page = as_admin.get(PAGE)
    refused = as_admin.post(f"{PAGE}/connect", data={"csrf_token": csrf(page)})

    assert "connect" not in "".join(re.findall(r'action="[^"]*"', page.text))
    assert refused.status_code == 400


def test_the_overview_says_missing_then_configured_then_expired(
    as_admin: FlaskClient, source: str, upstreams: Upstreams, behind: Behind
) -> None:
    missing = as_admin.get("/admin/").text
    back = come_back(as_admin, consent(go(as_admin).headers["Location"]))
    as_admin.get(back.headers["Location"])
    configured = as_admin.get("/admin/").text
    upstreams.openproject.oauth.revoke_all()
    as_admin.post("/admin/check", data={"csrf_token": csrf(as_admin.get("/admin/"))})
    expired = as_admin.get("/admin/").text

    assert "not connected yet" in missing
    assert "not connected yet" not in configured
    assert "connect again" in expired
    assert "expired" in expired


def test_an_answer_without_a_visit_is_refused_in_a_sentence(app: Flask, as_admin: FlaskClient, source: str) -> None:
    refused = come_back(as_admin, {"code": ["x"], "state": ["y"]})

    assert refused.status_code == 400
    assert "no sign-in that was started" in refused.text
    assert stored(app) is None


def test_an_answer_is_not_taken_from_another_session(app: Flask, as_admin: FlaskClient, source: str) -> None:
    told = consent(go(as_admin).headers["Location"])
    bob = signed_in_client(app, "bob", "admin")

    refused = come_back(bob, told)

    assert refused.status_code == 400
    assert stored(app) is None


def test_an_answer_is_not_taken_from_nobody_and_leaves_no_code_in_an_address(
    app: Flask, client: FlaskClient, as_admin: FlaskClient, source: str
) -> None:
    told = consent(go(as_admin).headers["Location"])

    refused = come_back(client, told)

    assert refused.status_code == 303
    assert refused.headers["Location"].endswith("/admin/sign-in?next=/admin/sources")
    assert stored(app) is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [("access_denied", "declined"), ("<b>x</b>", "refused the request"), ("invalid_scope", "scope")],
)
def test_an_error_of_the_provider_is_told_in_our_words(
    as_admin: FlaskClient, source: str, error: str, sentence: str
) -> None:
    state = parse_qs(urlsplit(go(as_admin).headers["Location"]).query)["state"]

    refused = come_back(as_admin, {"error": [error], "error_description": ["<i>theirs</i>"], "state": state})

    assert refused.status_code == 400
    assert sentence in refused.text
    assert "theirs" not in refused.text
    assert "<b>x" not in refused.text


def test_connecting_needs_the_forms_token(as_admin: FlaskClient, source: str) -> None:
    assert as_admin.post(f"{PAGE}/connect").status_code == 400


def test_neither_token_nor_secret_stands_in_a_page_or_log(
    as_admin: FlaskClient, source: str, upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = consent(go(as_admin).headers["Location"])
    back = come_back(as_admin, told)

    pages = [back, *map(as_admin.get, (back.headers["Location"], PAGE, "/admin/", "/admin/sources"))]
    text = "".join(page.text + str(page.headers) for page in pages) + caplog.text
    tokens = [word for token in upstreams.openproject.oauth.tokens for word in (token.access, token.refresh)]
    assert [word for word in [*tokens, *told["code"], OAUTH_SECRET] if word in text] == []


def test_the_typed_settings_come_back_when_they_are_refused(as_admin: FlaskClient, upstreams: Upstreams) -> None:
    stem = "auth.oauth2."
    refused = fill(
        as_admin, PAGE, "save", location=upstreams.openproject_url, auth="oauth2",
        **{f"{stem}clientId": "", f"{stem}secret": "canary", f"{stem}scope": "api_v3 mcp"},
    )  # fmt: skip

    assert refused.status_code == 422
    assert 'href="#auth.oauth2.clientId">Client id is missing.' in refused.text
    assert source_form(refused)[f"{stem}scope"] == "api_v3 mcp"
    assert "canary" not in refused.text


def test_json_tells_the_fields_and_never_the_secret(
    client: FlaskClient, source: str, bearer: object, upstreams: Upstreams
) -> None:
    headers = bearer("admin")  # type: ignore[operator]

    auth = client.get("/api/sources/openproject", headers=headers).json["auth"]
    found = {row["id"]: row for row in client.get("/api/integrations", headers=headers).json["results"]}

    assert auth == {
        "type": "oauth2", "grantType": "authorization_code", "clientId": OAUTH_CLIENT, "scope": "api_v3",
        "tokenUrl": f"{upstreams.openproject_url}/oauth/token",
        "authorizationUrl": f"{upstreams.openproject_url}/oauth/authorize", "secretSet": True,
    }  # fmt: skip
    assert found["openproject"]["authStatus"]["authStatus"] == "missing"
