"""Pages of other origins read JSON with an embed token (CORS), and nothing without one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from support import ALICE, CASE, CASE_PATH, signed_in_client
from werkzeug.test import TestResponse

from panel.accounts.embed_tokens import EmbedApps, Secret

OWN, OTHER, STRANGE = "https://cases.example.org", "https://shop.example.org", "https://evil.example"
LIST = f"{CASE_PATH}/xwiki"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
ALLOW = "Access-Control-Allow-Origin"


@pytest.fixture
def client(connected: Flask) -> FlaskClient:
    return connected.test_client()


@pytest.fixture
def apps(connected: Flask) -> EmbedApps:
    found: EmbedApps = connected.extensions["leafpanel"].embed_apps
    return found


@pytest.fixture
def made(connected: Flask, apps: EmbedApps) -> Secret:
    with connected.app_context():
        apps.create("Shop", [OTHER], by=ALICE)
        return apps.create("Cases", [OWN], by=ALICE)


def allowed(answer: TestResponse) -> str | None:
    assert "Access-Control-Allow-Credentials" not in answer.headers
    return answer.headers.get(ALLOW)


def from_origin(origin: str, token: str = "") -> dict[str, str]:
    return {"Origin": origin, **({"Authorization": f"Bearer {token}"} if token else {})}


@pytest.mark.parametrize(
    "path", [LIST, f"{LIST}/new", f"{LIST}/xwiki:A.B", "/api/objects/demo/case/1/xwiki", "/api/integrations", "/api/integrations/xwiki/available"]
)  # fmt: skip
def test_the_question_before_a_request_is_answered_for_applications(
    client: FlaskClient, made: Secret, path: str
) -> None:
    answers = [client.options(path, headers={"Origin": origin, **ASKS}) for origin in (OWN, OTHER, STRANGE, "null")]

    assert [allowed(answer) for answer in answers] == [OWN, OTHER, None, None]
    assert answers[0].status_code == 204
    assert "Authorization" in answers[0].headers["Access-Control-Allow-Headers"]
    assert {"Idempotency-Key", "If-None-Match"} <= set(answers[0].headers["Access-Control-Allow-Headers"].split(", "))
    assert {"GET", "POST", "PATCH", "DELETE"} == set(answers[0].headers["Access-Control-Allow-Methods"].split(", "))
    assert all("origin" in answer.vary for answer in answers)


@pytest.mark.parametrize("path", ["/api/sources", "/api/integrations/xwiki/health", "/api/mcp", "/admin/", "/objects/demo/case/1", "/api/openapi.json"])  # fmt: skip
def test_no_other_route_answers_it(client: FlaskClient, made: Secret, path: str) -> None:
    assert allowed(client.options(path, headers={"Origin": OWN, **ASKS})) is None


def test_only_the_application_of_a_token_reads_what_it_opens(client: FlaskClient, made: Secret) -> None:
    token = token_of(made, CASE)

    answers = [client.get(LIST, headers=from_origin(origin, token)) for origin in (OWN, OTHER, STRANGE)]
    without = client.get(LIST, headers={"Authorization": f"Bearer {token}"})

    assert [answer.status_code for answer in answers] == [200] * 3
    assert [allowed(answer) for answer in answers] == [OWN, None, None]
    assert set(answers[0].headers["Access-Control-Expose-Headers"].split(", ")) == {
        "ETag",
        "Retry-After",
        "X-Request-Id",
    }
    assert (allowed(without), "origin" in without.vary) == (None, True)


def test_refusals_can_be_read_too(client: FlaskClient, made: Secret) -> None:
    token = token_of(made, CASE)
    answers = [
        client.get(LIST, headers=from_origin(OWN, token_of(made, CASE, exp=1))),
        client.get("/api/objects/demo/case/2/integrations/xwiki", headers=from_origin(OWN, token)),
        client.post(LIST, json={}, headers=from_origin(OWN, token)),
    ]

    assert [answer.status_code for answer in answers] == [401, 404, 400]
    assert [allowed(answer) for answer in answers] == [OWN] * 3


def test_answers_to_a_session_or_an_api_token_are_never_shared(
    connected: Flask, client: FlaskClient, made: Secret, bearer: Callable[[str], dict[str, str]]
) -> None:
    admin = signed_in_client(connected, "alice", "admin")

    answers = [
        admin.get(LIST, headers=from_origin(OWN)),
        client.get(LIST, headers={**from_origin(OWN), **bearer("read")}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [allowed(answer) for answer in answers] == [None, None]


def test_an_application_that_is_switched_off_is_as_unknown_as_one_deleted(
    connected: Flask, client: FlaskClient, apps: EmbedApps, made: Secret
) -> None:
    with connected.app_context():
        apps.switch(apps.named("Cases"), on=False, by=ALICE)
        apps.remove(apps.named("Shop"), by=ALICE)

    answers = [client.options(LIST, headers={"Origin": origin, **ASKS}) for origin in (OWN, OTHER)]

    assert [allowed(answer) for answer in answers] == [None, None]


def test_a_sandboxed_frame_reads_its_own_parts_and_no_other_page_does(client: FlaskClient, made: Secret) -> None:
    path, token = "/embed/demo/case/1/integrations/xwiki", token_of(made, CASE)

    asked = [client.options(path, headers={"Origin": origin, **ASKS}) for origin in ("null", OWN, STRANGE)]
    read = [client.get(path, headers=from_origin(origin, token)) for origin in ("null", OWN, STRANGE)]

    assert [allowed(answer) for answer in asked] == ["null", None, None]
    assert [allowed(answer) for answer in read] == ["null", None, None]
    assert asked[0].headers["Access-Control-Allow-Headers"] == "authorization,content-type"
