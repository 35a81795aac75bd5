"""No page of another site makes a signed-in browser do anything: every route that changes something is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from embedders import embedding_app
from flask import Flask
from flask.testing import FlaskClient
from pages import csrf
from routes import PAGE, READING, Route, dump, ids, routes
from support import Upstreams, signed_in_client
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

OTHER_PAGE = "xwiki:Sandbox.TestPage1"
NOT_VALID, OTHER_SITE = "This form is no longer valid", "a page of another site"
BEARER_ONLY = frozenset({"api", "mcp", "embed"})

FIELDS: list[tuple[str, str]] = [
    ("name", "Eve"), ("scope", "admin"), ("role", "admin"), ("value", "off"), ("origins", "https://evil.example"),
    ("password", "a password of Eve"), ("again", "a password of Eve"), ("reference", PAGE), ("reference", OTHER_PAGE),
    ("space", "Sandbox"), ("title", "A page of Eve"), ("content", "x"), ("do", "save"), ("location", "https://evil.example"),
    ("slug", "eve"), ("auth.type", "none"), ("text", "source: {reference: eve, location: 'https://evil.example', auth: {type: none}}"),
    ("registers", ""), ("days", "30"), ("enabled", "on"),
]  # fmt: skip
"""What would have an effect almost everywhere, if anything were heeded."""


@dataclass(frozen=True, slots=True)
class Attack:
    """How another site's page sends it. ``token``: what it brings along in place of the one of the form."""

    name: str
    headers: dict[str, str]
    token: str = ""
    content_type: str | None = None
    method: str | None = None


ATTACKS = [
    Attack("no token", {}),
    Attack("a wrong token", {}, token="wrong"),
    Attack("a token of somebody else", {}, token="theirs"),
    Attack("a foreign origin", {"Origin": "https://evil.example"}),
    Attack("an origin that is null", {"Origin": "null"}),
    Attack("another site, as browsers say", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
    Attack("a GET", {}, method="GET"),
    Attack("a GET that asks to be more", {"X-HTTP-Method-Override": "POST"}, method="GET"),
    Attack("a form as plain text", {"Origin": "null"}, token="right", content_type="text/plain"),
    Attack("JSON", {}, content_type="application/json"),
    Attack("JSON with the token in it", {}, token="right", content_type="application/json"),
    Attack("the right token from a foreign origin", {"Origin": "https://evil.example"}, token="right"),
    Attack("the right token from a neighbour", {"Origin": "http://localhost.evil.example"}, token="right"),
    Attack("the right token from another port", {"Origin": "http://localhost:81"}, token="right"),
    Attack("the right token from another site", {"Sec-Fetch-Site": "cross-site"}, token="right"),
    Attack("the right token from a sister site", {"Sec-Fetch-Site": "same-site"}, token="right"),
    Attack(
        "the right token from a frame without origin", {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, token="right"
    ),
]

OWN_WAYS: list[dict[str, str]] = [
    {}, {"Origin": "null"}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"},
    {"Origin": "http://127.0.0.1:8000"}, {"Sec-Fetch-Site": "none"},
]  # fmt: skip
"""What browsers say of our own pages: directly, through a server in front of us, or asked for no referrer."""


@pytest.fixture
def furnished(connected: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]]) -> Flask:
    """Something of everything, so that there is something to lose."""
    embedding_app(as_admin)
    made = connected.test_client().post(
        "/api/objects/demo/case/1/integrations/xwiki", json={"reference": PAGE}, headers=bearer("write")
    )
    assert made.status_code == 201
    return connected


def changing(app: Flask) -> list[Route]:
    return [route for route in routes(app, **ids(app)) if route.method not in READING]


def send(client: FlaskClient, route: Route, attack: Attack, tokens: dict[str, str]) -> TestResponse:
    fields = MultiDict([*FIELDS, ("csrf_token", tokens.get(attack.token, attack.token))])
    body: dict[str, Any] = {"data": fields}
    if attack.method == "GET":
        body = {"query_string": fields}
    elif attack.content_type == "application/json":
        body = {"json": fields.to_dict()}
    elif attack.content_type:
        body = {
            "data": "&".join(f"{name}={value}" for name, value in fields.items(multi=True)),
            "content_type": attack.content_type,
        }
    return client.open(route.path, method=attack.method or route.method, headers=attack.headers, buffered=True, **body)


def token_of(client: FlaskClient) -> str:
    return csrf(client.get("/admin/password"))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nothing_that_another_site_sends_has_an_effect(
    furnished: Flask, as_admin: FlaskClient, upstreams: Upstreams, attack: Attack
) -> None:
    tokens = {"right": token_of(as_admin), "theirs": token_of(signed_in_client(furnished, "bob", "admin"))}
    before, strange, asked = dump(furnished), [], changing(furnished)
    sent = len(upstreams.xwiki.requests) + len(upstreams.openproject.requests)

    for route in asked:
        answer = send(as_admin, route, attack, tokens)
        if attack.method is None and not 400 <= answer.status_code < 500:
            strange.append((str(route), answer.status_code))
        if route.face in BEARER_ONLY and attack.method is None:
            assert answer.status_code in (401, 403), str(route)
        assert dump(furnished) == before, str(route)

    assert strange == []
    assert len(asked) > 35
    if attack.method is None:
        assert len(upstreams.xwiki.requests) + len(upstreams.openproject.requests) == sent
    assert as_admin.get("/admin/").status_code == 200


@pytest.mark.parametrize("headers", OWN_WAYS, ids=str)
def test_with_its_own_token_no_form_is_refused(furnished: Flask, headers: dict[str, str]) -> None:
    refused, effects = [], set()
    asked = [route for route in changing(furnished) if route.face not in BEARER_ONLY]

    for route in sorted(
        asked, key=lambda route: (route.endpoint == "admin.sign_out", "delete" in route.path, str(route))
    ):
        # Somebody new each time: what is done may well end the session that did it.
        admin = signed_in_client(furnished, f"admin who tries {route}"[:150], "admin")
        before, own = dump(furnished), Attack("none", headers, token="right")
        answer = send(admin, route, own, {"right": token_of(admin)})
        if NOT_VALID in answer.text or OTHER_SITE in answer.text:
            refused.append((str(route), answer.status_code))
        if dump(furnished) != before:
            effects.add(route.endpoint)

    assert refused == []
    assert len(effects) >= 12, sorted(effects)


def test_a_session_alone_writes_nothing_through_json(furnished: Flask, as_admin: FlaskClient) -> None:
    """Also with the token of our forms, which has no say there."""
    before, headers = dump(furnished), {"X-CSRFToken": token_of(as_admin)}
    asked = [route for route in changing(furnished) if route.face in ("api", "mcp")]

    statuses = {
        str(r): as_admin.open(r.path, method=r.method, json=dict(FIELDS), headers=headers).status_code for r in asked
    }

    assert set(statuses.values()) <= {401, 403}
    assert len(statuses) >= 12
    assert dump(furnished) == before


def test_no_other_origin_may_read_an_answer(
    furnished: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]]
) -> None:
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
              "Access-Control-Request-Headers": "authorization"}  # fmt: skip
    token = bearer("admin")

    answers = [as_admin.open(r.path, method=m, headers={**asking, **h}, buffered=True)
               for r in routes(furnished, **ids(furnished)) for m in ("OPTIONS", "GET") for h in ({}, token)]  # fmt: skip

    assert [a.request.path for a in answers if any(name.startswith("Access-Control-") for name, _ in a.headers)] == []
