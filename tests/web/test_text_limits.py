"""How long the texts of a request may be, through JSON, MCP and the tab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agents import Served
from flask import Flask
from flask.testing import FlaskClient
from support import CASE_PATH, Upstreams, signed_in_client
from web.tab_reader import Seen, get, leaf, send

LONG_REFERENCE = "a" * 4001
LONG_TEXT = "a" * 65_537
XWIKI, OPENPROJECT = f"{CASE_PATH}/xwiki", f"{CASE_PATH}/openproject"
AVAILABLE = "/api/integrations/xwiki/available"


@pytest.fixture
def editor(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "Noor V.", "editor")


REFUSED = [
    ("POST", XWIKI, {"json": {"reference": LONG_REFERENCE}}, "reference", "4,000"),
    ("POST", XWIKI, {"json": {"url": "a" * 900_000}}, "reference", "4,000"),
    ("POST", f"{CASE_PATH.removesuffix('/integrations')}/xwiki", {"json": {"reference": LONG_REFERENCE}}, "reference",
     "4,000"),
    ("POST", f"{XWIKI}/new", {"json": {"space": LONG_TEXT, "title": "T"}}, "space", "65,536"),
    ("POST", f"{XWIKI}/new", {"json": {"space": "S", "title": "T", "content": LONG_TEXT}}, "content", "65,536"),
    ("POST", f"{XWIKI}/new", {"json": {"space": "S", "title": "T", "other": LONG_TEXT}}, "other", "65,536"),
    ("POST", f"{XWIKI}/new", {"json": {"space": "S", "title": "T", "n" * 256: "x"}}, "body", "255"),
    ("PATCH", f"{OPENPROJECT}/101", {"json": {"subject": LONG_TEXT}}, "subject", "65,536"),
    ("GET", XWIKI, {"query_string": {"_search": "a" * 201}}, "_search", "200"),
    ("GET", AVAILABLE, {"query_string": {"search": "a" * 2001}}, "search", "2,000"),
    ("GET", XWIKI, {"query_string": {"_limit": "000000000001" + "9" * 5000}}, "_limit", "whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "options", "field", "limit"), REFUSED)
def test_json_refuses_a_longer_text_and_names_field_and_limit(
    connected: Flask, bearer: Callable[[str], dict[str, str]], upstreams: Upstreams, method: str, path: str,
    options: dict[str, Any], field: str, limit: str,
) -> None:  # fmt: skip
    headers = bearer("write")

    with upstreams.xwiki.counting() as asked:
        answer = connected.test_client().open(path, method=method, headers=headers, **options)

    assert answer.status_code == 400
    assert (answer.json or {})["field"] == field
    assert limit in (answer.json or {})["message"]
    assert asked == []


def test_a_reference_of_exactly_the_limit_is_looked_at(
    connected: Flask, bearer: Callable[[str], dict[str, str]]
) -> None:
    payload = {"reference": f"A.{'a' * 3998}"}

    answer = connected.test_client().post(XWIKI, json=payload, headers=bearer("write"))

    assert "4,000" not in (answer.json or {})["message"]


def test_mcp_refuses_a_longer_text_and_names_field_and_limit(served: Served) -> None:
    with served.agent() as agent:
        told = [
            agent.failure("link", "xwiki", payload={"reference": LONG_REFERENCE}),
            agent.failure("link", "xwiki", payload={"reference": LONG_REFERENCE}, dryRun=True),
            agent.failure("create", "xwiki", payload={"space": LONG_TEXT, "title": "T"}),
            agent.failure("update", "openproject", entityId="101", payload={"subject": LONG_TEXT}),
            agent.failure("list", "xwiki", filters={"_search": "a" * 201}),
            agent.failure("search", "xwiki", filters={"search": "a" * 2001}),
            agent.failure("get", "xwiki", entityId=LONG_REFERENCE),
        ]

    assert [body["code"] for body in told] == [400] * 7
    fields = [body["field"] for body in told]
    assert fields == ["reference", "reference", "space", "subject", "_search", "search", "entityId"]
    assert [body["message"] for body in told][:2] == ["“reference” has at most 4,000 characters."] * 2


# --- the tab ---------------------------------------------------------------------------------------------------------


def test_the_tab_refuses_a_longer_reference_and_keeps_it(editor: FlaskClient) -> None:
    page = send(editor, get(editor, leaf("xwiki")), "#lp-link", {"reference": LONG_REFERENCE})

    assert page.status == 400
    assert page.texts("#lp-message") == ["“reference” has at most 4,000 characters."]
    assert page.find("#lp-q").attributes["value"] == LONG_REFERENCE


def test_the_tab_refuses_more_than_fifty_references(editor: FlaskClient, upstreams: Upstreams) -> None:
    page = get(editor, leaf("openproject"))

    with upstreams.openproject.counting() as asked:
        after = send(editor, page, "#lp-link", {"reference": ["101"] * 51})

    assert after.status == 400
    assert [one.path for one in asked if "work_packages/" in one.path] == []
    assert after.texts("#lp-message") == ["“reference” may be given at most 50 times."]


def test_the_tab_refuses_a_longer_search(editor: FlaskClient) -> None:
    page = get(editor, leaf("xwiki", f"/search?q={'a' * 2001}"))

    assert page.status == 400
    assert "“search” has at most 2,000 characters." in page.text


def test_a_create_form_with_a_longer_text_comes_back_with_it(editor: FlaskClient) -> None:
    form = get(editor, leaf("openproject", "/new"))

    page = send(editor, form, "#lp-new", {"projectId": "1", "subject": "S", "description": LONG_TEXT})

    assert page.status == 422
    assert page.texts(".lp-error") == ["Description has at most 65,536 characters."]
    assert page.find("textarea[name=description]").text().strip() == LONG_TEXT


def test_a_change_with_a_longer_text_comes_back_with_it(editor: FlaskClient) -> None:
    send(editor, get(editor, leaf("openproject")), "#lp-link", {"reference": "101"})
    drawer: Seen = get(editor, leaf("openproject", "/items/101/edit"))

    page = send(editor, drawer, ".lp-edit form", {"subject": LONG_TEXT})

    assert page.status == 422
    assert page.texts(".lp-error") == ["“subject” has at most 65,536 characters."]
    assert page.find("input[name=subject]").attributes["value"] == LONG_TEXT
