"""The JSON contract, path by path, over the real stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from support import ALICE, CASE_PATH, Upstreams, api_token, signed_in_client, xwiki_values

from panel.integrations.registry import load_registry
from panel.storage.engine import db

Bearer = Callable[[str], dict[str, str]]

LEAVES = load_registry().ids()
XWIKI_KEYS = {
    "id", "reference", "title", "space", "page", "breadcrumb", "url", "version", "modified", "state",
}  # fmt: skip
OPENPROJECT_KEYS = {
    "id", "reference", "displayId", "subject", "title", "status", "isClosed", "type", "priority", "assignee", "project",
    "url", "updated", "state",
}  # fmt: skip


@pytest.fixture
def writer(bearer: Bearer) -> dict[str, str]:
    return bearer("write")


@pytest.fixture
def api(connected: Flask) -> FlaskClient:
    return connected.test_client()


def link(api: FlaskClient, headers: dict[str, str], leaf: str, reference: Any) -> dict[str, Any]:
    answer = api.post(f"{CASE_PATH}/{leaf}", json={"reference": reference}, headers=headers)
    assert answer.status_code == 201, answer.json
    return dict(answer.json or {})


def test_a_missing_source_answers_503_with_the_message_word_for_word(client: FlaskClient, bearer: Bearer) -> None:
    answer = client.get(f"{CASE_PATH}/xwiki", headers=bearer("read"))

    assert answer.status_code == 503
    sentence = 'OpenConnector source "xwiki" for integration "xwiki" is missing or unreadable.'
    assert answer.json == {
        "message": sentence,
        "error": sentence,
        "code": 503,
        "details": {
            "cause": "openconnector-source-missing",
            "reason": "source-missing",
            "integration": "xwiki",
            "source": "xwiki",
            "configureUrl": "http://127.0.0.1:8000/admin/sources/xwiki",
        },
        "links": [],
    }


def test_an_empty_list_is_an_envelope(api: FlaskClient, writer: dict[str, str]) -> None:
    answer = api.get(f"{CASE_PATH}/openproject", headers=writer)

    assert answer.status_code == 200
    assert answer.json == {"items": [], "results": [], "total": 0, "page": 1, "limit": 50, "nextCursor": None}


def test_links_a_page_and_lists_its_row(api: FlaskClient, writer: dict[str, str], upstreams: Upstreams) -> None:
    row = link(api, writer, "xwiki", f"{upstreams.xwiki_url}/bin/view/Sandbox/TestPage1")

    listed = api.get(f"{CASE_PATH}/xwiki", headers=writer).json
    assert listed is not None
    assert set(row) >= XWIKI_KEYS
    assert (row["id"], row["space"], row["page"], row["state"]) == (
        "xwiki:Sandbox.TestPage1",
        "Sandbox",
        "TestPage1",
        "live",
    )
    assert listed["items"] == listed["results"]
    assert listed["items"][0]["url"] == f"{upstreams.xwiki_url}/bin/view/Sandbox/TestPage1"


def test_links_a_work_package_and_lists_its_row(api: FlaskClient, writer: dict[str, str], upstreams: Upstreams) -> None:
    row = link(api, writer, "openproject", 101)

    assert set(row) >= OPENPROJECT_KEYS
    assert (row["id"], row["reference"], row["isClosed"]) == ("101", "101", False)
    assert row["url"] == f"{upstreams.openproject_url}/work_packages/101"


@pytest.mark.parametrize(
    ("leaf", "payload"),
    [
        ("xwiki", {"pageReference": "Sandbox.TestPage1"}),
        ("xwiki", {"url": "xwiki:Sandbox.TestPage1"}),
        ("openproject", {"workPackageId": 101}),
        ("openproject", {"workPackageId": "#101"}),
        ("openproject", {"id": "101"}),
    ],
)
def test_the_other_names_of_a_reference_work(
    api: FlaskClient, writer: dict[str, str], leaf: str, payload: dict[str, Any]
) -> None:
    assert api.post(f"{CASE_PATH}/{leaf}", json=payload, headers=writer).status_code == 201


def test_a_row_has_its_dates_as_iso_text(api: FlaskClient, writer: dict[str, str], upstreams: Upstreams) -> None:
    updated_at = datetime(2026, 5, 2, 9, 0, 0, 123000, tzinfo=UTC)
    upstreams.openproject.touch(101, due_date=date(2026, 12, 4), updated_at=updated_at)
    upstreams.xwiki.add_page("Sandbox.Dated", modified=datetime(2026, 11, 23, 9, 41, 7, tzinfo=UTC))

    ticket, page = link(api, writer, "openproject", 101), link(api, writer, "xwiki", "Sandbox.Dated")

    assert (ticket["dueDate"], ticket["updated"]) == ("2026-12-04", "2026-05-02T09:00:00.123Z")
    assert page["modified"] == "2026-11-23T09:41:07Z"


def test_a_second_link_is_409(api: FlaskClient, writer: dict[str, str]) -> None:
    link(api, writer, "openproject", "101")

    answer = api.post(f"{CASE_PATH}/openproject", json={"reference": "101"}, headers=writer)

    assert (answer.status_code, (answer.json or {})["message"]) == (409, "This work package is already linked.")


@pytest.mark.parametrize(
    ("leaf", "reference"),
    [
        ("xwiki", "https://elsewhere.example/xwiki/bin/view/Sandbox/"),
        ("xwiki", "JustOneName"),
        ("xwiki", ""),
        ("xwiki", None),
        ("xwiki", {"a": 1}),
        ("openproject", "https://elsewhere.example/work_packages/1"),
        ("openproject", "not a number"),
        ("openproject", -5),
        ("openproject", True),
    ],
)
def test_a_reference_that_cannot_be_used_is_400_and_named(
    api: FlaskClient, writer: dict[str, str], leaf: str, reference: Any
) -> None:
    answer = api.post(f"{CASE_PATH}/{leaf}", json={"reference": reference}, headers=writer)

    assert (answer.status_code, (answer.json or {}).get("field")) == (400, "reference")


@pytest.mark.parametrize(("leaf", "reference"), [("xwiki", "Sandbox.Nope"), ("xwiki", "Secret.WebHome"), ("openproject", "999"), ("openproject", "201")])  # fmt: skip
def test_what_the_upstream_does_not_show_is_404(
    api: FlaskClient, writer: dict[str, str], leaf: str, reference: str
) -> None:
    assert api.post(f"{CASE_PATH}/{leaf}", json={"reference": reference}, headers=writer).status_code == 404


def test_creates_a_page_and_reads_its_excerpt(api: FlaskClient, writer: dict[str, str]) -> None:
    payload = {"space": "Sandbox", "title": "Advice", "content": "**Bold** words {{html}}<b>x</b>{{/html}}"}

    made = api.post(f"{CASE_PATH}/xwiki/new", json=payload, headers=writer)
    one = api.get(f"{CASE_PATH}/xwiki/{(made.json or {})['id']}", headers=writer)

    assert made.status_code == 201
    assert (one.json or {})["content"].startswith("Bold words")


def test_a_page_that_exists_is_409_and_untouched(
    api: FlaskClient, writer: dict[str, str], upstreams: Upstreams
) -> None:
    payload = {"space": "Sandbox", "title": "TestPage1", "content": "overwritten?"}

    with upstreams.xwiki.counting() as asked:
        answer = api.post(f"{CASE_PATH}/xwiki/new", json=payload, headers=writer)

    assert answer.status_code == 409
    assert [request.method for request in asked if request.method == "PUT"] == []


def test_a_space_without_rights_is_403(api: FlaskClient, writer: dict[str, str]) -> None:
    answer = api.post(f"{CASE_PATH}/xwiki/new", json={"space": "Dev", "title": "Mine"}, headers=writer)

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("leaf", "payload", "field"),
    [
        ("xwiki", {"title": "T"}, "space"),
        ("xwiki", {"space": "Sandbox"}, "title"),
        ("xwiki", {"space": "Sandbox", "title": "  "}, "title"),
        ("openproject", {"subject": "S"}, "projectId"),
        ("openproject", {"projectId": "1"}, "subject"),
        ("openproject", {"projectId": "1", "subject": " "}, "subject"),
    ],
)
def test_a_missing_create_field_is_400_and_named(
    api: FlaskClient, writer: dict[str, str], leaf: str, payload: dict[str, Any], field: str
) -> None:
    answer = api.post(f"{CASE_PATH}/{leaf}/new", json=payload, headers=writer)

    assert (answer.status_code, (answer.json or {}).get("field")) == (400, field)


def test_what_the_upstream_refuses_is_422_with_its_own_words(api: FlaskClient, writer: dict[str, str]) -> None:
    payload = {"projectId": "1", "subject": "x" * 256}

    answer = api.post(f"{CASE_PATH}/openproject/new", json=payload, headers=writer)

    assert answer.status_code == 422
    assert (answer.json or {})["fields"] == {"subject": "Subject is too long (maximum is 255 characters)."}


def test_an_idempotency_key_makes_one_thing(api: FlaskClient, writer: dict[str, str], upstreams: Upstreams) -> None:
    headers = {**writer, "Idempotency-Key": "abc"}
    payload = {"projectId": "1", "subject": "Once"}

    first = api.post(f"{CASE_PATH}/openproject/new", json=payload, headers=headers)
    second = api.post(f"{CASE_PATH}/openproject/new", json=payload, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.json or {})["id"] == (second.json or {})["id"]


def test_two_tokens_of_one_name_have_their_own_idempotency_keys(connected: Flask, api: FlaskClient) -> None:
    payload = {"projectId": "1", "subject": "Once"}
    made = []
    for token in (api_token(connected, "write", "ci"), api_token(connected, "write", "ci")):
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "abc"}
        answers = [api.post(f"{CASE_PATH}/openproject/new", json=payload, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert {(answer.json or {})["linkedBy"] for answer in answers} == {"ci"}
        made.append({(answer.json or {})["id"] for answer in answers})
        payload = {"projectId": "1", "subject": "Another"}

    assert [len(ids) for ids in made] == [1, 1]
    assert made[0].isdisjoint(made[1])


def test_a_new_token_does_not_inherit_the_idempotency_keys_of_a_revoked_one(connected: Flask, api: FlaskClient) -> None:
    payload = {"projectId": "1", "subject": "Once"}
    made = []
    for _ in range(2):
        headers = {"Authorization": f"Bearer {api_token(connected, 'write', 'ci')}", "Idempotency-Key": "abc"}
        made.append((api.post(f"{CASE_PATH}/openproject/new", json=payload, headers=headers).json or {})["id"])
        with connected.app_context():
            tokens = connected.extensions["leafpanel"].api_tokens
            tokens.revoke_token(tokens.tokens()[0], by=ALICE)

    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"subject": "New words"}, {"subject": "New words", "title": "New words"}),
        ({"status": "In progress"}, {"status": "In progress"}),
        ({"assignee": None}, {"assignee": None}),
    ],
)
def test_a_linked_work_package_can_be_changed(
    api: FlaskClient, writer: dict[str, str], payload: dict[str, Any], expected: dict[str, Any]
) -> None:
    link(api, writer, "openproject", "101")

    answer = api.patch(f"{CASE_PATH}/openproject/101", json=payload, headers=writer)

    assert answer.status_code == 200
    assert {key: (answer.json or {})[key] for key in expected} == expected


def test_a_stale_change_is_409(api: FlaskClient, writer: dict[str, str], upstreams: Upstreams) -> None:
    link(api, writer, "openproject", "101")
    upstreams.openproject.touch(101, subject="Somebody else")

    answer = api.patch(f"{CASE_PATH}/openproject/101", json={"subject": "Mine", "lockVersion": 0}, headers=writer)

    assert answer.status_code == 409


def test_an_unknown_change_is_400(api: FlaskClient, writer: dict[str, str]) -> None:
    link(api, writer, "openproject", "101")

    assert api.patch(f"{CASE_PATH}/openproject/101", json={"colour": "red"}, headers=writer).status_code == 400


def test_a_page_cannot_be_changed_from_here(api: FlaskClient, writer: dict[str, str]) -> None:
    link(api, writer, "xwiki", "Sandbox.TestPage1")

    answer = api.patch(f"{CASE_PATH}/xwiki/xwiki:Sandbox.TestPage1", json={"title": "x"}, headers=writer)

    assert answer.status_code == 501


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_what_is_not_linked_here_is_404(api: FlaskClient, writer: dict[str, str], method: str) -> None:
    answer = getattr(api, method)(f"{CASE_PATH}/openproject/101", json={"subject": "x"}, headers=writer)

    assert answer.status_code == 404


def test_unlinking_is_204_and_leaves_the_upstream_alone(
    api: FlaskClient, writer: dict[str, str], upstreams: Upstreams
) -> None:
    link(api, writer, "openproject", "101")

    with upstreams.openproject.counting() as asked:
        answer = api.delete(f"{CASE_PATH}/openproject/101", headers=writer)

    assert (answer.status_code, answer.data, asked) == (204, b"", [])


@pytest.mark.parametrize(
    "older", ["/api/objects/demo/case/1/xwiki", "/api/objects/demo/case/1/xwiki/xwiki:Sandbox.TestPage1"]
)
def test_older_paths_answer_the_same(api: FlaskClient, writer: dict[str, str], older: str) -> None:
    link(api, writer, "xwiki", "Sandbox.TestPage1")

    newer = older.replace("/1/xwiki", "/1/integrations/xwiki")

    assert api.get(older, headers=writer).json == api.get(newer, headers=writer).json


def test_an_unchanged_list_is_304(api: FlaskClient, writer: dict[str, str]) -> None:
    link(api, writer, "openproject", "101")
    tag = api.get(f"{CASE_PATH}/openproject", headers=writer).headers["ETag"]

    same = api.get(f"{CASE_PATH}/openproject", headers={**writer, "If-None-Match": tag})
    api.patch(f"{CASE_PATH}/openproject/101", json={"subject": "Other"}, headers=writer)
    other = api.get(f"{CASE_PATH}/openproject", headers={**writer, "If-None-Match": tag})

    assert (same.status_code, same.data, other.status_code) == (304, b"", 200)


@pytest.mark.parametrize(
    "query", ["_limit=0", "_limit=x", "_limit=-1", "_page=0", "_page=1.5", "_page=", "_limit=%C2%B2"]
)
def test_bad_paging_is_400_and_named(api: FlaskClient, writer: dict[str, str], query: str) -> None:
    answer = api.get(f"{CASE_PATH}/xwiki?{query}", headers=writer)

    assert (answer.status_code, (answer.json or {}).get("field")) == (400, query.partition("=")[0])


def test_a_limit_above_200_counts_as_200(api: FlaskClient, writer: dict[str, str]) -> None:
    assert (api.get(f"{CASE_PATH}/xwiki?_limit=5000", headers=writer).json or {})["limit"] == 200


def test_a_gone_target_is_a_row_and_spoils_nothing(
    api: FlaskClient, writer: dict[str, str], upstreams: Upstreams
) -> None:
    link(api, writer, "openproject", "101")
    link(api, writer, "openproject", "103")
    upstreams.openproject.remove_work_package(103)

    rows = (api.get(f"{CASE_PATH}/openproject", headers=writer).json or {})["items"]

    assert {row["id"]: row["state"] for row in rows} == {"101": "live", "103": "gone"}
    assert all(set(row) >= OPENPROJECT_KEYS for row in rows)


def test_a_failing_upstream_is_503_with_the_pointers(
    api: FlaskClient, writer: dict[str, str], upstreams: Upstreams
) -> None:
    link(api, writer, "openproject", "101")
    upstreams.openproject.fault = "rate-limited"

    answer = api.get(f"{CASE_PATH}/openproject", headers=writer)

    body = answer.json or {}
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert (body["details"]["cause"], body["details"]["reason"]) == ("upstream-service-down", "rate-limited")
    assert body["details"]["retryAfter"] == 7
    assert body["links"] == [{"reference": "101", "url": f"{upstreams.openproject_url}/work_packages/101"}]


def test_a_wrong_password_is_provider_auth_in_the_list(
    api: FlaskClient, connected: Flask, writer: dict[str, str]
) -> None:
    with connected.app_context():
        auth = {"type": "basic", "username": "alice", "password": "WRONG"}
        connected.extensions["leafpanel"].sources.change("xwiki", {"auth": auth}, by=ALICE)

    body = api.get(f"{CASE_PATH}/xwiki", headers=writer).json or {}

    assert (body["code"], body["details"]["cause"], body["details"]["reason"]) == (
        503,
        "provider-auth",
        "credentials-rejected",
    )


def test_a_switched_off_connector_is_503_and_discovery_says_so(
    api: FlaskClient, connected: Flask, writer: dict[str, str]
) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].switches.set_connector(on=False, by=ALICE)

    body = api.get(f"{CASE_PATH}/xwiki", headers=writer).json or {}
    cards = (api.get("/api/integrations", headers=writer).json or {})["integrations"]

    assert body["details"]["cause"] == "openconnector-down"
    assert {card["id"]: card["enabled"] for card in cards} == dict.fromkeys(LEAVES, False)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic YTpi"}])
@pytest.mark.parametrize("path", [f"{CASE_PATH}/xwiki", "/api/integrations", "/api/sources", f"{CASE_PATH}/nonsense"])
def test_without_a_valid_token_there_is_nothing_but_401(
    client: FlaskClient, path: str, headers: dict[str, str]
) -> None:
    answer = client.get(path, headers=headers)

    assert (answer.status_code, (answer.json or {})["code"]) == (401, 401)


def test_a_browser_session_reads_and_never_writes(connected: Flask) -> None:
    session = signed_in_client(connected, "alice", "admin")

    assert session.get(f"{CASE_PATH}/openproject").status_code == 200
    assert session.post(f"{CASE_PATH}/openproject", json={"reference": "101"}).status_code == 401


def test_a_reader_writes_nothing(api: FlaskClient, bearer: Bearer) -> None:
    headers = bearer("read")

    assert api.post(f"{CASE_PATH}/openproject", json={"reference": "101"}, headers=headers).status_code == 403
    assert api.get("/api/sources", headers=headers).status_code == 403


def test_an_unknown_integration_is_404_and_names_the_known(api: FlaskClient, writer: dict[str, str]) -> None:
    answer = api.get(f"{CASE_PATH}/jira", headers=writer)

    assert answer.status_code == 404
    known = ", ".join(sorted(LEAVES))
    assert (answer.json or {})["message"] == f"Integration 'jira' is not registered. Registered: {known}"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_400(api: FlaskClient, writer: dict[str, str], body: bytes) -> None:
    answer = api.post(f"{CASE_PATH}/xwiki", data=body, headers={**writer, "Content-Type": "application/json"})

    assert (answer.status_code, (answer.json or {})["field"]) == (400, "body")


def test_discovery_leaves_admin_keys_out_for_others(api: FlaskClient, bearer: Bearer) -> None:
    for_all = (api.get("/api/integrations/xwiki", headers=bearer("read")).json or {}).keys()
    for_admin = (api.get("/api/integrations/xwiki", headers=bearer("admin")).json or {}).keys()

    assert {"id", "label", "icon", "group", "enabled", "requiredApp", "storageStrategy", "surfaces"} == set(for_all)
    assert {"openConnectorSource", "authStatus"} <= set(for_admin)


def test_the_picker_says_what_is_linked(api: FlaskClient, writer: dict[str, str]) -> None:
    link(api, writer, "openproject", "101")

    answer = api.get("/api/integrations/openproject/available?register=demo&schema=case&objectId=1", headers=writer)

    rows = (answer.json or {})["results"]
    assert {row["reference"]: row["linked"] for row in rows}["101"] is True
    assert all({"reference", "title", "url", "linked"} <= set(row) for row in rows)


SEARCH = "/api/integrations/xwiki/available"


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("", 400, "register"),
        ("?register=demo", 400, "schema"),
        ("?register=demo&schema=case&objectId=7", 200, None),
        ("?register=permits&schema=case&objectId=7", 404, None),
    ],
)
def test_a_token_limited_to_registers_searches_for_objects_of_those_only(
    api: FlaskClient, query: str, status: int, field: str | None
) -> None:
    token = api_token(api.application, "write", registers=("demo",))

    answer = api.get(SEARCH + query, headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, (answer.json or {}).get("field")) == (status, field)


def test_a_read_token_searches_nothing(api: FlaskClient, bearer: Bearer, upstreams: Upstreams) -> None:
    with upstreams.xwiki.counting() as asked:
        answer = api.get(f"{SEARCH}?search=a", headers=bearer("read"))

    assert (answer.status_code, asked) == (403, [])
    assert (answer.json or {})["message"] == "This needs the right to link or create."


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 200), ("admin", 200)])
def test_a_session_searches_with_the_rights_of_its_role(api: FlaskClient, role: str, status: int) -> None:
    assert signed_in_client(api.application, f"a {role}", role).get(SEARCH).status_code == status


def test_health_is_200_whatever_it_found(api: FlaskClient, writer: dict[str, str], upstreams: Upstreams) -> None:
    well = api.get("/api/integrations/xwiki/health", headers=writer).json or {}
    upstreams.xwiki.fault = "server-error"
    ill = api.get("/api/integrations/xwiki/health", headers=writer)

    assert (well["status"], well["authStatus"], well["user"]) == ("ok", "configured", "alice")
    assert (ill.status_code, (ill.json or {})["status"], (ill.json or {})["reason"]) == (
        200,
        "unavailable",
        "server-error",
    )


def test_health_of_a_missing_source_says_missing(client: FlaskClient, bearer: Bearer) -> None:
    body = client.get("/api/integrations/xwiki/health", headers=bearer("read")).json or {}

    assert (body["status"], body["authStatus"], body["reason"]) == ("unavailable", "missing", "source-missing")


def test_a_source_with_a_broken_row_is_marked_and_the_others_are_listed(
    connected: Flask, api: FlaskClient, bearer: Bearer
) -> None:
    with connected.app_context():
        db.session.execute(text("UPDATE source SET location = 'no address' WHERE slug = 'xwiki'"))
        db.session.commit()

    answer = api.get("/api/sources", headers=bearer("admin"))
    single = api.get("/api/sources/xwiki", headers=bearer("admin"))

    assert (answer.status_code, single.status_code) == (200, 200)
    tracker, wiki = answer.json["items"]
    assert (tracker["slug"], "problem" in tracker) == ("openproject", False)
    assert wiki == single.json
    assert (wiki["location"], wiki["resolved"]) == ("no address", "")
    assert wiki["problem"] == "Give the whole address, from https:// on."


def test_sources_are_kept_over_json_and_never_give_the_secret_out(
    client: FlaskClient, bearer: Bearer, upstreams: Upstreams
) -> None:
    admin = bearer("admin")

    made = client.post("/api/sources", json=xwiki_values(upstreams), headers=admin)
    changed = client.patch("/api/sources/xwiki", json={"name": "Other"}, headers=admin)
    refused = client.patch("/api/sources/xwiki", json={"location": "https://attacker.example"}, headers=admin)
    tested = client.post("/api/sources/xwiki/test", headers=admin)
    gone = client.delete("/api/sources/xwiki", headers=admin)

    assert [a.status_code for a in (made, changed, refused, tested, gone)] == [201, 200, 422, 200, 204]
    assert (changed.json or {})["auth"] == {"type": "basic", "username": "alice", "secretSet": True}
    assert list((refused.json or {})["fields"]) == ["auth"]
    assert (tested.json or {})["ok"] is True


def test_every_answer_has_a_short_reference_and_refuses_framing(client: FlaskClient) -> None:
    for path in ("/api/integrations", "/api/nowhere", "/static/vendor/htmx/htmx.min.js", "/admin/", "/nowhere"):
        with client.get(path) as answer:
            assert answer.headers["X-Request-Id"].startswith("LP-")
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/api/sources"), ("GET", "/api/mcp"), ("DELETE", "/admin/sources")]
)
def test_a_method_that_is_not_taken_is_405_and_says_which_are(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method)

    assert answer.status_code == 405
    assert method not in answer.headers["Allow"].split(", ")
    assert answer.headers["Allow"]


# --- what is pasted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", ["\u200b{}", "{}\ufeff", "\u202a{}\u202c", "\u2066\u00a0{}\u2069\n", "\u00ad{}"])
@pytest.mark.parametrize(
    ("leaf", "text", "reference"),
    [
        ("openproject", "101", "101"),
        ("openproject", "{upstream}/openproject/projects/alpha/gantt/details/101/overview?query_id=7", "101"),
        ("xwiki", "Sandbox.TestPage1", "xwiki:Sandbox.TestPage1"),
        ("xwiki", "{upstream}/xwiki/bin/view/Sandbox/TestPage1", "xwiki:Sandbox.TestPage1"),
    ],
)
def test_invisible_characters_around_what_is_pasted_are_nothing(
    api: FlaskClient, writer: dict[str, str], upstreams: Upstreams, leaf: str, text: str, reference: str, around: str
) -> None:
    pasted = around.format(text.format(upstream=upstreams.server.url))

    offered = api.get(f"/api/integrations/{leaf}/available", query_string={"search": pasted}, headers=writer)

    assert [row["reference"] for row in offered.json["items"]] == [reference]  # type: ignore[index]
    assert link(api, writer, leaf, pasted)["reference"] == reference


def test_a_name_that_ends_with_an_invisible_character_is_found_as_it_is(
    api: FlaskClient, writer: dict[str, str], upstreams: Upstreams
) -> None:
    for name in ("Heart\u2764", "Heart\u2764\ufe0f"):
        upstreams.xwiki.add_page(f"Sandbox.{name}", title=name)

    assert link(api, writer, "xwiki", "xwiki:Sandbox.Heart\u2764\ufe0f")["title"] == "Heart\u2764\ufe0f"
    assert link(api, writer, "xwiki", "xwiki:Sandbox.Heart\u2764")["reference"] == "xwiki:Sandbox.Heart\u2764"


@pytest.mark.parametrize("text", ["\u200b", "\ufeff \u200b", "\u202a\u202c"])
@pytest.mark.parametrize("leaf", LEAVES)
def test_invisible_characters_alone_are_nothing(api: FlaskClient, writer: dict[str, str], leaf: str, text: str) -> None:
    answer = api.post(f"{CASE_PATH}/{leaf}", json={"reference": text}, headers=writer)

    assert (answer.status_code, answer.json["field"]) == (400, "reference")  # type: ignore[index]
    assert "is missing" in answer.json["message"]  # type: ignore[index]
