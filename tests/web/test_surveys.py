"""JSON about objects as a whole: their integrations, a digest of many, and the objects of an item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from support import CASE, CONSOLE, Upstreams, api_token

from panel.core.domain import ObjectRef
from panel.links.visitor import Visitor
from panel.services import Panel

Bearer = Callable[[str], dict[str, str]]
OTHER, PERMIT = ObjectRef("demo", "case", "2"), ObjectRef("permits", "case", "1")
HERE = "/api/objects/demo/case/1/integrations"


@pytest.fixture
def linked(connected: Flask, visitor: Visitor, services: Panel) -> FlaskClient:
    """The case has two work packages and a page, two other objects have one of the work packages each."""
    for obj, reference in ((CASE, "101"), (CASE, "102"), (OTHER, "101"), (PERMIT, "101")):
        services.links.link(visitor, "openproject", obj, reference)
    services.links.link(visitor, "xwiki", CASE, "Sandbox.TestPage1")
    return connected.test_client()


def embed_token(app: Flask, obj: ObjectRef = CASE, **limits: Any) -> dict[str, str]:
    with app.app_context():
        made = app.extensions["leafpanel"].embed_apps.create("Case system", ["https://a.example"], by=CONSOLE)
    return {"Authorization": f"Bearer {token_of(made, obj, can=['view'], **limits)}"}


def limited(app: Flask, **limits: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_token(app, 'read', 'limited', **limits)}"}


def named(*objects: ObjectRef) -> dict[str, Any]:
    return {"objects": [{"register": o.register, "schema": o.schema, "objectId": o.object_id} for o in objects]}


def ids(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["register"], row["objectId"]) for row in rows]


# --- one object ------------------------------------------------------------------------------------------------------


def test_all_integrations_of_an_object_are_counted_without_a_call(
    linked: FlaskClient, bearer: Bearer, upstreams: Upstreams
) -> None:
    upstreams.close()

    body = linked.get(HERE, headers=bearer("read")).json

    counted = {row["id"]: (row["label"], row["total"], row["state"]) for row in body["integrations"]}
    assert counted == {"xwiki": ("Articles", 1, "ok"), "openproject": ("Projects", 2, "ok")}
    assert (body["total"], body["state"]) == (3, "ok")
    assert body["changed"] == max(row["changed"] for row in body["integrations"])


def test_an_unchanged_survey_is_not_sent_again(
    linked: FlaskClient, bearer: Bearer, services: Panel, visitor: Visitor
) -> None:
    headers = bearer("read")
    etag = linked.get(HERE, headers=headers).headers["ETag"]

    same = linked.get(HERE, headers={**headers, "If-None-Match": etag})
    services.links.unlink(visitor, "openproject", CASE, "102")
    changed = linked.get(HERE, headers={**headers, "If-None-Match": etag})

    assert (same.status_code, same.data) == (304, b"")
    assert (changed.status_code, changed.json["total"]) == (200, 2)


def test_the_worst_state_has_its_cause(linked: FlaskClient, bearer: Bearer, upstreams: Upstreams) -> None:
    upstreams.close()
    linked.get("/api/integrations/xwiki/health", headers=bearer("read"))

    body = linked.get(HERE, headers=bearer("read")).json

    xwiki = next(row for row in body["integrations"] if row["id"] == "xwiki")
    assert (xwiki["state"], xwiki["cause"]) == ("degraded", "upstream-service-down")
    assert (body["state"], body["reason"]) == ("degraded", xwiki["reason"])


def test_a_list_that_fails_is_a_state_of_the_leaf_without_a_check(
    linked: FlaskClient, bearer: Bearer, upstreams: Upstreams, services: Panel
) -> None:
    assert linked.get(HERE, headers=bearer("read")).json["state"] == "ok"
    upstreams.openproject.fault = "server-error"

    assert linked.get(f"{HERE}/openproject", headers=bearer("read")).status_code == 503
    services.call_log.flush()

    failed = next(
        row for row in linked.get(HERE, headers=bearer("read")).json["integrations"] if row["id"] == "openproject"
    )
    assert (failed["state"], failed["reason"]) == ("degraded", "server-error")
    upstreams.openproject.fault = None
    assert linked.get(f"{HERE}/openproject", headers=bearer("read")).status_code == 200
    services.call_log.flush()
    assert linked.get(HERE, headers=bearer("read")).json["state"] == "ok"


def test_a_leaf_without_source_and_links_does_not_worsen_an_object(
    linked: FlaskClient, bearer: Bearer, services: Panel
) -> None:
    services.sources.delete("xwiki", by=CONSOLE)
    path = HERE.replace("/1/", "/2/")

    with_page, without = (linked.get(one, headers=bearer("read")).json for one in (HERE, path))

    assert (with_page["state"], with_page["reason"]) == ("unconfigured", "source-missing")
    assert without["state"] == "ok"
    assert {row["id"]: row["state"] for row in without["integrations"]}["xwiki"] == "unconfigured"


def test_nothing_is_on_while_the_connector_is_off(linked: FlaskClient, bearer: Bearer, services: Panel) -> None:
    services.switches.set_connector(on=False, by=CONSOLE)

    body = linked.get(HERE, headers=bearer("read")).json

    assert (body["state"], body["cause"], body["total"]) == ("off", "openconnector-down", 3)


def test_a_token_sees_its_integrations_and_objects_only(linked: FlaskClient, connected: Flask) -> None:
    headers = limited(connected, integrations=("xwiki",), registers=("demo",))

    body = linked.get(HERE, headers=headers).json
    outside = linked.get("/api/objects/permits/case/1/integrations", headers=headers)
    nowhere = linked.get("/api/objects/permits/case/9/integrations", headers=headers)

    assert ([row["id"] for row in body["integrations"]], body["total"]) == (["xwiki"], 1)
    assert (outside.status_code, outside.json) == (404, nowhere.json)


# --- many objects ----------------------------------------------------------------------------------------------------


def test_a_digest_says_the_same_of_many_objects(linked: FlaskClient, bearer: Bearer) -> None:
    headers = bearer("read")

    body = linked.post("/api/digest", json=named(CASE, PERMIT, CASE), headers=headers).json

    assert (ids(body["objects"]), body["refused"]) == ([("demo", "1"), ("permits", "1")], [])
    alone = linked.get(HERE, headers=headers).json
    assert {key: body["objects"][0][key] for key in alone} == alone


def test_what_is_no_object_does_not_affect_the_others(linked: FlaskClient, bearer: Bearer) -> None:
    objects = [{"register": "demo"}, "demo/case/1", *named(CASE)["objects"]]

    body = linked.post("/api/digest", json={"objects": objects}, headers=bearer("read")).json

    assert ids(body["objects"]) == [("demo", "1")]
    assert [(row["index"], row["field"]) for row in body["refused"]] == [(0, "schema"), (1, "objects")]


@pytest.mark.parametrize("objects", [None, "demo", [{}] * 101])
def test_a_digest_of_no_list_or_too_many_is_refused(linked: FlaskClient, bearer: Bearer, objects: Any) -> None:
    answer = linked.post("/api/digest", json={"objects": objects}, headers=bearer("read"))

    assert (answer.status_code, answer.json["field"]) == (400, "objects")


def test_objects_of_others_are_left_out_of_a_digest(linked: FlaskClient, connected: Flask) -> None:
    asked = named(CASE, OTHER, PERMIT, ObjectRef("permits", "case", "9"))

    embedded = linked.post("/api/digest", json=asked, headers=embed_token(connected)).json
    registered = linked.post("/api/digest", json=asked, headers=limited(connected, registers=("permits",))).json

    assert (ids(embedded["objects"]), embedded["refused"]) == ([("demo", "1")], [])
    assert ids(registered["objects"]) == [("permits", "1"), ("permits", "9")]


# --- the objects of an item ------------------------------------------------------------------------------------------


def find(client: FlaskClient, headers: dict[str, str], reference: str, leaf: str = "openproject", **more: Any) -> Any:
    return client.get("/api/links", query_string={"integration": leaf, "reference": reference, **more}, headers=headers)


def test_an_item_is_found_in_every_spelling_that_needs_no_call(
    linked: FlaskClient, bearer: Bearer, upstreams: Upstreams
) -> None:
    headers, root, wiki = bearer("read"), upstreams.openproject_url, upstreams.xwiki_url
    upstreams.close()

    for spelling in (
        "101",
        "#101",
        " 101 ",
        f"{root}/work_packages/101/activity",
        f"{root}/projects/alpha/work_packages/101",
    ):
        assert find(linked, headers, spelling).json["total"] == 3, spelling
    for spelling in (
        "xwiki:Sandbox.TestPage1",
        "Sandbox.TestPage1",
        "[[Sandbox.TestPage1]]",
        f"{wiki}/bin/view/Sandbox/TestPage1",
    ):
        assert ids(find(linked, headers, spelling, "xwiki").json["items"]) == [("demo", "1")], spelling


def test_the_objects_of_an_item_are_paged(linked: FlaskClient, bearer: Bearer) -> None:
    pages = [find(linked, bearer("read"), "101", _limit=2, _page=page).json for page in (1, 2, 3)]

    assert [ids(page["items"]) for page in pages] == [[("permits", "1"), ("demo", "2")], [("demo", "1")], []]
    assert {page["total"] for page in pages} == {3}


def test_an_item_that_is_linked_nowhere_has_no_objects(linked: FlaskClient, bearer: Bearer) -> None:
    for text in ("999999", "103"):
        assert find(linked, bearer("read"), text).json["items"] == []


def test_only_objects_that_one_may_see_are_found(linked: FlaskClient, connected: Flask) -> None:
    embedded = find(linked, embed_token(connected, OTHER), "101").json
    registered = find(linked, limited(connected, registers=("permits",)), "101").json
    other_leaf = find(linked, limited(connected, integrations=("xwiki",)), "101")

    assert (ids(embedded["items"]), embedded["total"]) == ([("demo", "2")], 1)
    assert ids(registered["items"]) == [("permits", "1")]
    assert other_leaf.status_code == 404


@pytest.mark.parametrize(
    ("asked", "field"), [({"reference": "1"}, "integration"), ({"integration": "xwiki"}, "reference")]
)
def test_both_parts_of_the_question_are_needed(
    linked: FlaskClient, bearer: Bearer, asked: dict[str, str], field: str
) -> None:
    answer = linked.get("/api/links", query_string=asked, headers=bearer("read"))

    assert (answer.status_code, answer.json["field"]) == (400, field)


def test_a_text_that_only_the_upstream_can_read_needs_it(
    linked: FlaskClient, bearer: Bearer, upstreams: Upstreams
) -> None:
    upstreams.close()

    answer = find(linked, bearer("read"), "ALPHA-1")

    assert answer.status_code == 503
