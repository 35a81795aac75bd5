"""Half of a character (a lone surrogate) in a request is 400 and names its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from agents import Served
from flask import Flask
from flask.testing import FlaskClient
from support import CASE_PATH, Upstreams, openproject_values, xwiki_values

from panel.core.errors import InvalidInput
from panel.core.text import refuse_surrogates
from panel.storage.engine import db
from panel.storage.models import Source

Bearer = Callable[[str], dict[str, str]]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"name": "\ud800"}, "name"),
        ({"auth": {"password": "a\udfff"}}, "auth.password"),
        ({"objects": [{"register": "\ud800"}]}, "objects.register"),
        ({"a\ud800": 1}, "body"),
        ({"auth": {"\ud800": 1}}, "auth"),
        ("\ud800", "body"),
    ],
)
def test_half_of_a_character_is_named_by_its_place(value: object, field: str) -> None:
    with pytest.raises(InvalidInput, match="half of a character") as refused:
        refuse_surrogates(value, field="body")

    assert refused.value.field == field


def test_a_value_may_be_nested_as_deep_as_json_allows() -> None:
    value: object = "whole 😀"
    for _ in range(5000):
        value = [value]

    refuse_surrogates({"a": value}, field="body")


# --- in requests -----------------------------------------------------------------------------------------------------


def _put(values: dict[str, Any], path: str) -> None:
    head, _, rest = path.partition(".")
    if rest:
        values[head] = {**values.get(head, {}), rest: "a\ud800"}
    else:
        values[head] = "a\ud800"


FIELDS = [
    "slug", "name", "description", "location", "ca_file", "connect_to", "rate_limit", "auth.type", "auth.username",
    "auth.password", "auth.token", "headers.X-One", "options.wiki",
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_half_of_a_character_in_a_source_is_400_and_named(
    app: Flask, bearer: Bearer, upstreams: Upstreams, field: str
) -> None:
    client, headers = app.test_client(), bearer("admin")
    created = openproject_values(upstreams)
    assert client.post("/api/sources", json=created, headers=headers).status_code == 201
    values, changes = xwiki_values(upstreams), {}
    _put(values, field)
    _put(changes, field)

    answers = [
        client.post("/api/sources", data=json.dumps(values), headers=headers),
        client.patch("/api/sources/openproject", data=json.dumps(changes), headers=headers),
        client.post("/api/sources/openproject/test", data=json.dumps(changes), headers=headers),
    ]

    assert [(answer.status_code, (answer.json or {}).get("field")) for answer in answers] == [(400, field)] * 3
    with app.app_context():
        assert db.session.query(Source).count() == 1


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("xwiki", {"reference": "Sandbox.\udfff"}, "reference"),
        ("xwiki/new", {"space": "Sandbox", "title": "\ud800"}, "title"),
        ("xwiki/new", {"space": "Sandbox", "title": "x", "content": ["\ud800"]}, "content"),
        ("openproject/new", {"projectId": "1", "subject": "x", "\ud800": "x"}, "body"),
    ],
)
def test_half_of_a_character_in_a_write_is_400_and_named(
    connected: Flask, bearer: Bearer, path: str, body: dict[str, Any], field: str
) -> None:
    answer = connected.test_client().post(f"{CASE_PATH}/{path}", data=json.dumps(body), headers=bearer("write"))

    assert (answer.status_code, (answer.json or {}).get("field")) == (400, field)


@pytest.mark.parametrize(
    "arguments",
    [
        {"entityId": "⟦U+D800⟧"},
        {"action": "link", "payload": {"reference": "Sandbox.⟦U+DFFF⟧"}},
    ],
)
def test_an_agent_cannot_spell_half_of_a_character(served: Served, arguments: dict[str, Any]) -> None:
    with served.agent() as agent:
        result = agent.call(arguments.pop("action", "get"), "xwiki", **arguments)

    field = "reference" if "payload" in arguments else "entityId"
    assert (result.is_error, result.structured_content["code"], result.structured_content["field"]) == (
        True,
        400,
        field,
    )


FORM = "application/x-www-form-urlencoded"
PARTS = b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\na\xed\xa0\x80\r\n--B--\r\n'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"name=a%ED%A0%80&role=viewer", FORM),
        (b"name=a\xed\xa0\x80&role=viewer", FORM),
        (PARTS, "multipart/form-data; boundary=B"),
    ],
)
@pytest.mark.parametrize(
    "path", ["/admin/people", "/admin/tokens", "/admin/new-source", "/admin/import-source", "/admin/sign-in"]
)
def test_a_form_cannot_bring_half_of_a_character(
    app: Flask, as_admin: FlaskClient, path: str, body: bytes, kind: str
) -> None:
    app.config["WTF_CSRF_ENABLED"] = False

    answer = as_admin.post(path, data=body, content_type=kind)

    assert answer.status_code in (200, 201, 303, 400, 401, 422)


def test_a_source_file_with_half_of_a_character_is_refused_by_its_line(app: Flask, as_admin: FlaskClient) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    text = 'source:\n  reference: xwiki\n  name: "a\\ud800"\n'

    answer = as_admin.post("/admin/import-source", data={"text": text})

    assert answer.status_code < 500
    assert "Line 3: there is half of a character." in answer.text
