"""The OpenProject stand-in behaves like the real server, over real HTTP."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import requests
from openproject_client import URN, Tracker, attribute, error, ids, link, running

from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.openproject_seeds import DEMO_API_KEY, TASK
from panel.sandbox.openproject_state import CustomField, Right
from panel.sandbox.standin import RunningServer

BANNER = "Sandbox stand-in of OpenProject – not a real tracker"


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    yield from running(OpenProjectStandIn())


@pytest.fixture
def old_tracker() -> Iterator[Tracker]:
    yield from running(OpenProjectStandIn(profile="12"))


@pytest.fixture
def demo() -> Iterator[Tracker]:
    yield from running(OpenProjectStandIn(seed="demo"))


# --- conformance -----------------------------------------------------------------------------------------------


def test_c01_users_me_is_the_token_owner(tracker: Tracker) -> None:
    response = tracker.get("/users/me")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/hal+json")
    assert (response.json()["_type"], response.json()["id"], response.json()["name"]) == ("User", 5, "Uma User")


def test_c02_users_me_without_credentials_is_unauthenticated(tracker: Tracker) -> None:
    response = tracker.get("/users/me", token=None)

    assert error(response) == (401, "Unauthenticated")
    assert response.json()["message"] == "You need to be authenticated to access this resource."
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="OpenProject API"')
    assert set(response.json()) == {"_type", "errorIdentifier", "message"}


def test_c03_a_wrong_token_is_refused_with_a_basic_challenge(tracker: Tracker) -> None:
    response = tracker.get("/users/me", token="wrong")

    assert error(response) == (401, "Unauthenticated")
    assert response.json()["message"] == "You did not provide the correct credentials."
    assert response.headers["WWW-Authenticate"] == 'Basic realm="OpenProject API"'


def test_c04_a_list_without_filters_shows_open_visible_work_packages_only(tracker: Tracker) -> None:
    response = tracker.get("/work_packages")

    assert ids(response) == [101, 103]
    body = response.json()
    assert body["_type"] == "WorkPackageCollection"
    assert [body[key] for key in ("total", "count", "pageSize", "offset")] == [2, 2, 20, 1]


def test_c05_empty_filters_replace_the_default(tracker: Tracker) -> None:
    response = tracker.list()

    assert ids(response) == [101, 102, 103]
    assert response.json()["total"] == 3


def test_c06_an_id_filter_returns_closed_ones_too_without_embedded_status(tracker: Tracker) -> None:
    response = tracker.list(("id", "=", ["101", "102"]))

    assert ids(response) == [101, 102]
    row = response.json()["_embedded"]["elements"][1]
    assert row["_links"]["status"] == {"href": "/openproject/api/v3/statuses/7", "title": "Closed"}
    assert row["lockVersion"] == 0
    assert "_embedded" not in row


def test_c07_one_invalid_id_fails_the_whole_filter_and_is_not_named(tracker: Tracker) -> None:
    deleted = tracker.list(("id", "=", ["101", "999"]))
    invisible = tracker.list(("id", "=", ["101", "201"]))

    assert error(deleted) == error(invisible) == (400, "InvalidQuery")
    assert deleted.content == invisible.content
    assert deleted.json()["message"] == "Id filter has invalid values."


def test_c08_valid_subset_drops_invalid_ids(tracker: Tracker) -> None:
    assert ids(tracker.list(("id", "=", ["101", "999", "201"]), valid_subset="true")) == [101]


def test_c09_typeahead_requires_every_word(tracker: Tracker) -> None:
    sorts = {"sortBy": '[["updatedAt","desc"]]', "pageSize": 20}

    assert ids(tracker.list(("typeahead", "**", ["bridge"]), **sorts)) == [102, 101]
    assert ids(tracker.list(("typeahead", "**", ["bridge NORTH"]), **sorts)) == [101]
    assert ids(tracker.list(("typeahead", "**", ["bridge gate"]), **sorts)) == []


def test_c10_offset_is_a_page_number(tracker: Tracker) -> None:
    response = tracker.list(pageSize=2, offset=2)

    body = response.json()
    assert ids(response) == [103]
    assert [body[key] for key in ("count", "total", "offset", "pageSize")] == [1, 3, 2, 2]
    assert "previousByOffset" in body["_links"]
    assert "nextByOffset" not in body["_links"]


def test_c11_a_page_size_above_the_maximum_is_clamped(tracker: Tracker) -> None:
    response = tracker.list(pageSize=5000)

    assert response.status_code == 200
    assert response.json()["pageSize"] == 1000


def test_c12_a_single_work_package_embeds_its_status_and_links_to_patch(tracker: Tracker) -> None:
    body = tracker.get("/work_packages/101").json()

    assert body["_embedded"]["status"]["isClosed"] is False
    assert body["_links"]["assignee"]["href"] is None
    assert body["_links"]["updateImmediately"]["method"] == "patch"


def test_c13_deleted_invisible_and_malformed_ids_get_the_same_404(tracker: Tracker) -> None:
    responses = [tracker.get(f"/work_packages/{text}") for text in ("999", "201", "abc")]

    assert {error(response) for response in responses} == {(404, "NotFound")}
    assert len({response.content for response in responses}) == 1


def test_c14_create_requires_only_a_subject(tracker: Tracker) -> None:
    response = tracker.post("/projects/1/work_packages", {"subject": "x"})

    body = response.json()
    assert response.status_code == 201
    assert (body["_type"], body["lockVersion"]) == ("WorkPackage", 0)
    titles = [body["_links"][key]["title"] for key in ("type", "status", "priority", "project", "author")]
    assert titles == ["Task", "New", "Normal", "Alpha", "Uma User"]
    assert tracker.get(f"/work_packages/{body['id']}").json()["subject"] == "x"


def test_c15_an_empty_create_violates_several_constraints(tracker: Tracker) -> None:
    response = tracker.post("/work_packages", {})

    assert error(response) == (422, "MultipleErrors")
    parts = response.json()["_embedded"]["errors"]
    assert [part["_embedded"]["details"]["attribute"] for part in parts] == ["subject", "type", "project"]
    assert {part["errorIdentifier"] for part in parts} == {URN + "PropertyConstraintViolation"}


def test_c16_a_blank_subject_is_one_violation_without_wrapper(tracker: Tracker) -> None:
    response = tracker.post("/projects/1/work_packages", {"subject": ""})

    assert error(response) == (422, "PropertyConstraintViolation")
    assert attribute(response) == "subject"
    assert response.json()["message"] == "Subject can't be blank."


def test_c17_creating_in_an_invisible_project_is_not_found(tracker: Tracker) -> None:
    assert error(tracker.post("/projects/2/work_packages", {"subject": "x"})) == (404, "NotFound")


def test_c18_a_wrong_content_type_is_415_and_a_missing_one_is_406_in_plain_text(tracker: Tracker) -> None:
    text = {"Content-Type": "text/plain"}
    wrong = tracker.send("POST", "/work_packages", token=None, data="{}", headers=text)
    empty = tracker.send("POST", "/work_packages", headers=text)
    missing = tracker.send("POST", "/work_packages", data=b"{}")

    assert (wrong.status_code, wrong.text) == (415, "The provided content-type 'text/plain' is not supported.")
    assert wrong.headers["Content-Type"] == "application/hal+json; charset=utf-8"
    assert error(empty) == (415, "TypeNotSupported")
    assert "but got 'text/plain'" in empty.json()["message"]
    assert (missing.status_code, missing.text) == (406, "Missing content-type header")
    assert missing.headers["Content-Type"].startswith("text/plain")


def test_c19_an_update_increments_the_lock_version_and_a_repeat_conflicts(tracker: Tracker) -> None:
    first = tracker.patch("/work_packages/101", {"lockVersion": 0, "subject": "n"})
    second = tracker.patch("/work_packages/101", {"lockVersion": 0, "subject": "n"})

    assert (first.status_code, first.json()["lockVersion"], first.json()["subject"]) == (200, 1, "n")
    assert error(second) == (409, "UpdateConflict")


def test_c20_an_update_without_lock_version_conflicts(tracker: Tracker) -> None:
    assert error(tracker.patch("/work_packages/101", {"subject": "n"})) == (409, "UpdateConflict")


def test_c21_a_status_without_a_transition_is_a_violation(tracker: Tracker) -> None:
    response = tracker.patch("/work_packages/101", {"lockVersion": 0, "_links": {"status": link("statuses", 7)}})

    assert error(response) == (422, "PropertyConstraintViolation")
    assert attribute(response) == "status"
    assert "no valid transition exists" in response.json()["message"]


@pytest.mark.parametrize("lock", [{"lockVersion": 0}, {}])
def test_c22_a_link_to_another_kind_of_resource_is_a_type_mismatch(tracker: Tracker, lock: dict[str, int]) -> None:
    response = tracker.patch("/work_packages/101", {**lock, "_links": {"status": link("users", 5)}})

    assert error(response) == (422, "ResourceTypeMismatch")
    expected = "For property 'status' a link like '/api/v3/statuses/:id' is expected, but got '/api/v3/users/5'."
    assert response.json()["message"] == expected


def test_c23_select_rejects_unknown_parts(tracker: Tracker) -> None:
    response = tracker.get("/work_packages?select=total,elements/id,elements/lockVersion")

    assert error(response) == (400, "InvalidSignal")
    assert "of lockVersion is not supported" in response.json()["message"]


# --- pipeline, credentials and languages -----------------------------------------------------------------------


def test_malformed_json_is_rejected_before_authentication(tracker: Tracker) -> None:
    headers = {"Content-Type": "application/json"}

    response = tracker.send("POST", "/work_packages", token=None, data="{", headers=headers)

    assert error(response) == (400, "InvalidRequestBody")
    assert response.json()["_embedded"]["details"]["parseError"]


def test_authentication_is_checked_before_the_content_type(tracker: Tracker) -> None:
    assert error(tracker.send("POST", "/work_packages", token=None, data=b"x")) == (401, "Unauthenticated")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/hal+json"])
def test_json_and_hal_json_bodies_are_accepted(tracker: Tracker, kind: str) -> None:
    response = tracker.send("POST", "/projects/1/work_packages", data='{"subject":"x"}', headers={"Content-Type": kind})

    assert response.status_code == 201


def test_an_unknown_path_or_method_is_not_found(tracker: Tracker) -> None:
    assert error(tracker.get("/nonsense")) == (404, "NotFound")
    assert error(tracker.send("PUT", "/work_packages/101", json={})) == (404, "NotFound")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_only_prefixed_tokens_are_accepted_as_bearer(tracker: Tracker) -> None:
    refused = tracker.get("/users/me", token=None, headers=bearer("T"))

    assert tracker.get("/users/me", token=None, headers=bearer("opapi-T")).json()["id"] == 5
    assert error(refused) == (401, "Unauthenticated")
    assert refused.headers["WWW-Authenticate"].endswith('error="invalid_token"')


def test_an_old_server_rejects_bearer_tokens_and_challenges_for_basic(old_tracker: Tracker) -> None:
    assert old_tracker.get("/users/me", token=None, headers=bearer("opapi-T")).status_code == 401
    assert old_tracker.get("/users/me", token=None).headers["WWW-Authenticate"] == 'Basic realm="OpenProject API"'
    assert old_tracker.get("/users/me", token="opapi-T").status_code == 200


def test_a_locked_user_is_rejected(tracker: Tracker) -> None:
    response = tracker.get("/users/me", token=None, headers=bearer("opapi-L"))

    assert response.headers["WWW-Authenticate"].endswith('error_description="The user account is locked"')
    assert tracker.get("/users/me", token="L").status_code == 401


def test_an_open_instance_answers_the_anonymous_user(tracker: Tracker) -> None:
    tracker.standin.login_required = False

    me = tracker.get("/users/me", token=None).json()

    assert (me["name"], me["login"], "email" in me) == ("Anonymous", "", False)
    assert "user" not in tracker.get("", token=None).json()["_links"]
    assert error(tracker.get("", token="wrong")) == (401, "Unauthenticated")


def test_only_administrators_see_the_version(tracker: Tracker) -> None:
    assert "coreVersion" not in tracker.get("").json()
    assert tracker.get("", token="A").json()["coreVersion"] == "17.6.0"


def test_the_configuration_contains_the_host_name_of_the_settings(tracker: Tracker) -> None:
    assert tracker.get("/configuration").json()["hostName"] == "projecten.lindewaard.example"

    tracker.standin.host_name = None

    assert "hostName" not in tracker.get("/configuration").json()


def test_messages_are_in_the_language_of_the_request(tracker: Tracker) -> None:
    response = tracker.get("/work_packages/999", headers={"Accept-Language": "nl"})

    assert error(response) == (404, "NotFound")
    assert response.json()["message"].startswith("Het werkpakket")


def test_other_users_have_only_id_and_name(tracker: Tracker) -> None:
    body = tracker.get("/users/6").json()

    assert (body["id"], body["name"]) == (6, "Vera Viewer")
    assert not {"login", "email", "language"} & set(body)


def test_responses_have_an_etag_and_are_compressed(tracker: Tracker) -> None:
    first = tracker.get("/statuses")
    again = tracker.get("/statuses", headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Content-Encoding"] == "gzip"
    assert first.headers["ETag"].startswith('W/"')
    assert (again.status_code, again.content) == (304, b"")


def test_newer_servers_send_a_service_description_link(tracker: Tracker, old_tracker: Tracker) -> None:
    assert tracker.get("").headers["Link"] == '</openproject/api/v3/openapi.json>; rel="service-desc"'
    assert tracker.get("/openapi.json").json()["openapi"].startswith("3")
    assert "Link" not in old_tracker.get("").headers


def test_the_instance_can_be_at_the_root_of_a_host() -> None:
    standin = OpenProjectStandIn()
    server = RunningServer(standin)
    tracker = Tracker(standin, server.url)

    assert tracker.get("/work_packages/101").json()["_links"]["self"]["href"] == "/api/v3/work_packages/101"
    assert BANNER in tracker.page("/").text
    server.close()


# --- filters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["999", "201", "007", " 7", "abc", "ALPHA-1", ""])
def test_an_id_is_compared_as_text(tracker: Tracker, value: str) -> None:
    assert error(tracker.list(("id", "=", [value]))) == (400, "InvalidQuery")


def test_duplicate_ids_are_accepted(tracker: Tracker) -> None:
    assert ids(tracker.list(("id", "=", ["101", "101"]))) == [101]


def test_valid_subset_without_a_valid_id_lists_everything_visible(tracker: Tracker) -> None:
    assert ids(tracker.list(("id", "=", ["999", "201"]), valid_subset="true")) == [101, 102, 103]


def test_an_old_server_ignores_valid_subset(old_tracker: Tracker) -> None:
    assert error(old_tracker.list(("id", "=", ["101", "999"]), valid_subset="true")) == (400, "InvalidQuery")


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("o", [], [101, 103]),
        ("c", [], [102]),
        ("*", [], [101, 102, 103]),
        ("=", ["7"], [102]),
        ("!", ["1"], [102]),
    ],
)
@pytest.mark.parametrize("name", ["status", "statusId", "status_id"])
def test_status_filter(tracker: Tracker, name: str, operator: str, values: list[str], expected: list[int]) -> None:
    assert ids(tracker.list((name, operator, values))) == expected


@pytest.mark.parametrize(
    ("name", "operator", "values", "expected"),
    [
        ("id", "!", ["101"], [102, 103]),
        ("project", "=", ["1"], [101, 102, 103]),
        ("assignee", "=", ["20"], [103]),
        ("assignee", "!*", [], [101, 102]),
        ("author", "=", ["me"], [101, 102, 103]),
        ("subject", "~", ["south"], [103]),
        ("subjectOrId", "**", ["102"], [102]),
        ("subjectOrId", "**", ["bridge old"], [102]),
        ("subject_or_id", "**", ["999"], []),
        ("search", "**", ["rust"], [101]),
        ("typeahead", "**", ["#103"], [103]),
        ("typeahead", "**", ["10"], [101, 102, 103]),
        ("typeahead", "**", ["alpha open"], [101, 103]),
        ("typeahead", "**", ["closed"], [102]),
        ("typeahead", "**", ["task gate"], [103]),
        ("typeahead", "**", ["alpha-2"], [102]),
    ],
)
def test_filters(tracker: Tracker, name: str, operator: str, values: list[str], expected: list[int]) -> None:
    tracker.standin.touch(101, description="Mind the rust")
    tracker.standin.touch(103, assignee_id=20)

    assert ids(tracker.list((name, operator, values))) == expected


def test_typeahead_of_an_old_server_matches_only_subject_project_and_id(old_tracker: Tracker) -> None:
    assert ids(old_tracker.list(("typeahead", "**", ["alpha bridge 101"]))) == [101]
    assert ids(old_tracker.list(("typeahead", "**", ["task"]))) == []


@pytest.mark.parametrize(
    ("name", "operator", "values", "message"),
    [
        ("statuz", "o", [], "Statuz filter does not exist."),
        ("status", "~", ["1"], "Status Operator is not set to one of the allowed values."),
        ("status", "=", ["99"], "Status filter has invalid values."),
        ("project", "=", ["2"], "Project filter has invalid values."),
        ("typeahead", "**", [""], None),
        ("typeahead", "**", ["  "], None),
        ("id", "=", [], None),
        ("id", "**", ["101"], None),
    ],
)
def test_invalid_filters(tracker: Tracker, name: str, operator: str, values: list[str], message: str | None) -> None:
    response = tracker.list((name, operator, values))

    assert error(response) == (400, "InvalidQuery")
    assert message in (None, response.json()["message"])


@pytest.mark.parametrize(
    "params", [{"filters": "[{"}, {"filters": ""}, {"filters": "5"}, {"sortBy": "x"}, {"sortBy": '[["colour","asc"]]'}]
)
def test_malformed_parameters_are_an_invalid_query(tracker: Tracker, params: dict[str, str]) -> None:
    assert error(tracker.get("/work_packages", params=params)) == (400, "InvalidQuery")


def test_two_invalid_filters_are_422(tracker: Tracker) -> None:
    response = tracker.list(("id", "=", ["999"]), ("status", "=", ["99"]))

    assert error(response) == (422, "MultipleErrors")
    assert {part["errorIdentifier"] for part in response.json()["_embedded"]["errors"]} == {URN + "InvalidQuery"}


@pytest.mark.parametrize(
    ("sorts", "expected"),
    [
        ('[["subject","asc"]]', [103, 102, 101]),
        ('[["status","desc"],["id","desc"]]', [102, 103, 101]),
        ('[["dueDate","desc"]]', [101, 102, 103]),
        ('["id:desc"]', [103, 102, 101]),
        ("[]", [101, 102, 103]),
    ],
)
def test_sorting(tracker: Tracker, sorts: str, expected: list[int]) -> None:
    tracker.standin.touch(101, due_date=date(2026, 5, 1))

    assert ids(tracker.list(sortBy=sorts)) == expected


def test_filters_can_be_sent_in_eprops(tracker: Tracker) -> None:
    props = {"filters": json.dumps([{"id": {"operator": "=", "values": ["102"]}}]), "pageSize": 5}
    packed = base64.b64encode(zlib.compress(json.dumps(props).encode())).decode()

    response = tracker.get("/work_packages", params={"eprops": packed})

    assert (ids(response), response.json()["pageSize"]) == ([102], 5)
    assert error(tracker.get("/work_packages?eprops=nonsense")) == (400, "BadRequest")


def test_select_returns_only_the_selected_parts(tracker: Tracker) -> None:
    response = tracker.get("/work_packages?select=total,elements/id,elements/status&pageSize=1")

    status = {"href": "/openproject/api/v3/statuses/1", "title": "New"}
    assert response.json() == {"total": 2, "_embedded": {"elements": [{"id": 101, "_links": {"status": status}}]}}
    assert tracker.get("/work_packages?select=total").json() == {"total": 2}


def test_an_old_server_cannot_select_the_status(old_tracker: Tracker) -> None:
    assert error(old_tracker.get("/work_packages?select=elements/id,elements/status")) == (400, "InvalidSignal")


def test_select_with_page_size_minus_one_is_a_server_error(tracker: Tracker) -> None:
    assert tracker.get("/work_packages?select=total&pageSize=-1").status_code == 500


# --- paging ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "size", "count"),
    [
        ({}, 20, 20),
        ({"pageSize": -1}, 30, 30),
        ({"pageSize": 0}, 0, 0),
        ({"pageSize": "x"}, 0, 0),
        ({"pageSize": 99}, 30, 30),
    ],
)
def test_page_sizes(tracker: Tracker, params: dict[str, Any], size: int, count: int) -> None:
    tracker.standin.max_page_size = 30
    tracker.standin.add_many(40, 1)

    body = tracker.list(**params).json()

    assert (body["total"], body["pageSize"], body["count"]) == (43, size, count)


@pytest.mark.parametrize(("offset", "expected"), [(-3, 1), ("x", 1), (0, 1), (9, 9)])
def test_invalid_offsets_are_page_one_and_pages_past_the_end_are_empty(
    tracker: Tracker, offset: object, expected: int
) -> None:
    body = tracker.list(offset=offset).json()

    assert (body["offset"], body["count"]) == (expected, 3 if expected == 1 else 0)


def test_following_the_next_links_lists_everything_once(tracker: Tracker) -> None:
    numbers = tracker.standin.add_many(50, 1)
    seen: list[int] = []
    href: str | None = "/openproject/api/v3/work_packages?filters=%5B%5D"

    while href:
        body = tracker.get(href.removeprefix("/openproject/api/v3")).json()
        seen += [row["id"] for row in body["_embedded"]["elements"]]
        href = body["_links"].get("nextByOffset", {}).get("href")

    assert seen == [101, 102, 103, *numbers]


# --- visibility and permissions --------------------------------------------------------------------------------


@pytest.mark.parametrize("project", ["1", "alpha"])
def test_a_project_lists_its_own_work_packages(tracker: Tracker, project: str) -> None:
    tracker.standin.world.join(5, 2)

    assert ids(tracker.get(f"/projects/{project}/work_packages?filters=[]")) == [101, 102, 103]
    assert ids(tracker.get("/workspaces/2/work_packages")) == [201]
    assert error(tracker.get("/projects/99/work_packages")) == (404, "NotFound")


def test_without_the_right_to_view_anywhere_lists_are_forbidden(tracker: Tracker) -> None:
    for path in ("/work_packages", "/statuses"):
        assert error(tracker.get(path, token="N")) == (403, "MissingPermission")
    assert error(tracker.get("/work_packages/101", token="N")) == (404, "NotFound")


def test_a_visible_project_without_the_right_to_view_is_forbidden(tracker: Tracker) -> None:
    tracker.standin.world.join(7, 1, ())

    assert error(tracker.get("/projects/1/work_packages", token="N")) == (403, "MissingPermission")
    assert error(tracker.get("/projects/1/types", token="N")) == (403, "MissingPermission")


def test_a_read_only_user_gets_no_links_for_writing(tracker: Tracker) -> None:
    single = tracker.get("/work_packages/101", token="V").json()
    listed = tracker.get("/work_packages", token="V").json()

    assert not {"update", "updateImmediately"} & set(single["_links"])
    assert not {"createWorkPackageImmediate", "editWorkPackage"} & set(listed["_links"])
    assert "createWorkPackageImmediate" in tracker.get("/work_packages").json()["_links"]


def test_a_read_only_user_may_neither_create_nor_update(tracker: Tracker) -> None:
    refusals = [
        tracker.post("/projects/1/work_packages", {"subject": "x"}, token="V"),
        tracker.post("/work_packages", {"subject": "x"}, token="V"),
        tracker.patch("/work_packages/101", {"subject": "x"}, token="V"),
        tracker.get("/work_packages/available_projects", token="V"),
        tracker.get("/work_packages/101/available_assignees", token="V"),
        tracker.post("/work_packages/101/form", {"lockVersion": 0}, token="V"),
    ]

    assert {error(response) for response in refusals} == {(403, "MissingPermission")}


def test_creating_in_an_invisible_project_by_link_is_forbidden(tracker: Tracker) -> None:
    response = tracker.post("/work_packages", {"subject": "x", "_links": {"project": link("projects", 2)}})

    assert error(response) == (403, "MissingPermission")


def test_a_user_with_only_the_status_right_cannot_change_other_values(tracker: Tracker) -> None:
    status_change = {"lockVersion": 0, "_links": {"status": link("statuses", 2)}}

    refused = tracker.patch("/work_packages/101", {"lockVersion": 0, "subject": "x"}, token="S")

    assert error(refused) == (422, "PropertyIsReadOnly")
    assert attribute(refused) == "subject"
    assert (
        tracker.patch("/work_packages/101", status_change, token="S").json()["_links"]["status"]["title"]
        == "In progress"
    )


def test_a_shared_work_package_makes_its_project_visible(tracker: Tracker) -> None:
    tracker.standin.world.share(5, 201, {Right.VIEW, Right.EDIT})

    body = tracker.get("/work_packages/201").json()

    assert body["_links"]["project"] == {"href": "/openproject/api/v3/projects/2", "title": "Beta"}
    assert not {"workPackages", "types"} & set(body["_embedded"]["project"]["_links"])
    assert error(tracker.get("/projects/2/work_packages")) == (403, "MissingPermission")
    assert 201 in ids(tracker.list())
    same_project = {"lockVersion": 0, "subject": "Known tunnel", "_links": {"project": body["_links"]["project"]}}
    assert tracker.patch("/work_packages/201", same_project).status_code == 200


def test_an_invisible_parent_is_undisclosed(tracker: Tracker) -> None:
    tracker.standin.touch(101, parent_id=201)

    parent = tracker.get("/work_packages/101").json()["_links"]["parent"]

    assert parent["href"] == "urn:openproject-org:api:v3:undisclosed"
    assert "tunnel" not in parent["title"]


def test_hidden_and_removed_work_packages_are_not_found(tracker: Tracker) -> None:
    tracker.standin.hide(101)
    tracker.standin.remove_work_package(103)

    assert ids(tracker.list()) == [102]
    assert [tracker.get(f"/work_packages/{number}").status_code for number in (101, 103)] == [404, 404]


def test_delete_requires_its_own_right(tracker: Tracker) -> None:
    assert error(tracker.send("DELETE", "/work_packages/101")) == (403, "MissingPermission")
    assert tracker.send("DELETE", "/work_packages/101", token="A").status_code == 204
    assert tracker.get("/work_packages/101").status_code == 404


# --- resources -------------------------------------------------------------------------------------------------


def test_a_semantic_id_works_in_paths_of_newer_servers(tracker: Tracker, old_tracker: Tracker) -> None:
    tracker.standin.semantic_display_ids = True

    body = tracker.get("/work_packages/ALPHA-2").json()

    assert (body["id"], body["displayId"]) == (102, "ALPHA-2")
    assert error(tracker.get("/work_packages/alpha-2")) == (404, "NotFound")
    assert old_tracker.get("/work_packages/ALPHA-2").status_code == 404
    assert "displayId" not in old_tracker.get("/work_packages/102").json()


def test_a_milestone_has_a_date_instead_of_start_and_finish(tracker: Tracker) -> None:
    day = date(2026, 12, 4)
    created = tracker.standin.add_work_package("Opening", 1, type_id=2, start_date=day, due_date=day)

    body = tracker.get(f"/work_packages/{created.id}").json()

    assert body["date"] == "2026-12-04"
    assert not {"startDate", "dueDate", "duration"} & set(body)


def test_a_portfolio_has_its_own_address_on_newer_servers(tracker: Tracker, old_tracker: Tracker) -> None:
    for one in (tracker, old_tracker):
        world = one.standin.world
        world.add(replace(world.projects[1], kind="portfolios"))

    hrefs = [one.get("/work_packages/101").json()["_links"]["project"]["href"] for one in (tracker, old_tracker)]

    assert hrefs == ["/openproject/api/v3/portfolios/1", "/openproject/api/v3/projects/1"]


def test_statuses_types_and_priorities(tracker: Tracker) -> None:
    def names(path: str) -> list[str]:
        return [one["name"] for one in tracker.get(path).json()["_embedded"]["elements"]]

    assert names("/statuses") == ["New", "In progress", "Closed"]
    assert names("/projects/alpha/types") == ["Task", "Milestone"]
    assert names("/priorities") == ["Low", "Normal", "High"]
    assert tracker.get("/statuses/7").json()["isClosed"] is True
    assert error(tracker.get("/statuses/99")) == (404, "NotFound")


def test_available_projects_are_paginated(tracker: Tracker) -> None:
    tracker.standin.world.join(5, 2)

    response = tracker.get("/work_packages/available_projects?pageSize=1&offset=2")

    assert ids(response) == [1]
    assert (response.json()["total"], response.json()["pageSize"]) == (2, 1)


@pytest.mark.parametrize("path", ["/projects/1", "/work_packages/101"])
def test_available_assignees_are_users_and_groups(tracker: Tracker, path: str) -> None:
    people = tracker.get(f"{path}/available_assignees").json()["_embedded"]["elements"]

    assert [(one["_type"], one["name"]) for one in people] == [("Group", "Team Blue"), ("User", "Uma User")]


# --- create and update -----------------------------------------------------------------------------------------


def test_a_create_stores_the_values_in_its_links(tracker: Tracker) -> None:
    links = {
        "project": link("projects", "alpha"),
        "type": {"href": f"{tracker.url}/api/v3/types/2"},
        "assignee": link("groups", 20),
        "priority": link("priorities", 9),
    }

    body = tracker.post("/work_packages", {"subject": "x", "description": {"raw": "*y*"}, "_links": links}).json()

    titles = [body["_links"][key]["title"] for key in ("project", "type", "assignee", "priority")]
    assert titles == ["Alpha", "Milestone", "Team Blue", "High"]
    assert body["_links"]["assignee"]["href"] == "/openproject/api/v3/groups/20"
    assert body["description"]["raw"] == "*y*"


def test_a_description_as_plain_text_is_lost(tracker: Tracker) -> None:
    created = tracker.post("/projects/1/work_packages", {"subject": "x", "description": "kept?"})

    assert (created.status_code, created.json()["description"]["raw"]) == (201, "")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"subject": "x" * 256}, "subject"),
        ({"subject": "  "}, "subject"),
        ({"subject": "x", "_links": {"type": link("types", 3)}}, "type"),
        ({"subject": "x", "_links": {"assignee": link("users", 6)}}, "assignee"),
        ({"subject": "x", "_links": {"assignee": link("users", 99)}}, "assignee"),
        ({"subject": "x", "_links": {"status": link("statuses", 7)}}, "status"),
        ({"subject": "x", "_links": {"status": link("statuses", 99)}}, "status"),
    ],
)
def test_constraint_violations_name_the_attribute(tracker: Tracker, body: dict[str, Any], expected: str) -> None:
    before = len(tracker.standin.world.work_packages)

    response = tracker.post("/projects/1/work_packages", body)

    assert error(response) == (422, "PropertyConstraintViolation")
    assert attribute(response) == expected
    assert len(tracker.standin.world.work_packages) == before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"_links": []}, (400, "BadRequest")),
        ({"_links": {"type": "/api/v3/types/1"}}, (400, "BadRequest")),
        ({"subject": "x", "createdAt": "2020-01-01T00:00:00Z"}, (422, "PropertyIsReadOnly")),
        ({"subject": "x", "_links": {"author": link("users", 9)}}, (422, "PropertyIsReadOnly")),
        ({"subject": "x", "dueDate": "tomorrow"}, (422, "PropertyFormatError")),
        ({"subject": "x", "_links": {"type": link("statuses", 1)}}, (422, "ResourceTypeMismatch")),
    ],
)
def test_other_errors_of_a_body(tracker: Tracker, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert error(tracker.post("/projects/1/work_packages", body)) == expected


def test_unknown_keys_are_ignored(tracker: Tracker) -> None:
    assert tracker.post("/projects/1/work_packages", {"subject": "x", "nonsense": 1}).status_code == 201


def test_an_unknown_project_in_the_body_is_blank(tracker: Tracker) -> None:
    response = tracker.post("/work_packages", {"subject": "x", "_links": {"project": link("projects", 77)}})

    parts = response.json()["_embedded"]["errors"]
    assert error(response) == (422, "MultipleErrors")
    assert "project" in [part["_embedded"]["details"]["attribute"] for part in parts]


def test_the_assignee_is_set_and_cleared(tracker: Tracker) -> None:
    assigned = tracker.patch("/work_packages/101", {"lockVersion": 0, "_links": {"assignee": link("users", 5)}})
    cleared = tracker.patch("/work_packages/101", {"lockVersion": 1, "_links": {"assignee": {"href": None}}})

    assert assigned.json()["_links"]["assignee"]["title"] == "Uma User"
    assert (cleared.json()["_links"]["assignee"]["href"], cleared.json()["lockVersion"]) == (None, 2)
    assert cleared.json()["subject"] == "Replace the north bridge"


def test_an_update_that_changes_nothing_keeps_the_lock_version(tracker: Tracker) -> None:
    response = tracker.patch("/work_packages/101", {"lockVersion": 0, "subject": "Replace the north bridge"})

    assert response.json()["lockVersion"] == 0


def test_a_stale_and_invalid_update_is_a_conflict_only(tracker: Tracker) -> None:
    tracker.standin.touch(101, subject="Changed by another user")

    assert error(tracker.patch("/work_packages/101", {"lockVersion": 0, "subject": ""})) == (409, "UpdateConflict")


def test_a_concurrent_change_makes_an_update_conflict(tracker: Tracker) -> None:
    tracker.standin.before_write = lambda: tracker.standin.touch(101, subject="Faster")

    response = tracker.patch("/work_packages/101", {"lockVersion": 0, "subject": "Slower"})

    assert error(response) == (409, "UpdateConflict")
    assert tracker.get("/work_packages/101").json()["subject"] == "Faster"


ZAAKTYPE = CustomField(1, "Zaaktype", frozenset({1}), frozenset({TASK}))
ZAAKTYPE_LIST = replace(ZAAKTYPE, options={1: "Bezwaar", 2: "Klacht"})


@pytest.mark.parametrize(
    ("field", "value"),
    [(ZAAKTYPE, {"customField1": "Bezwaar"}), (ZAAKTYPE_LIST, {"_links": {"customField1": link("custom_options", 1)}})],
)
def test_a_create_without_a_required_custom_field_is_a_violation(
    tracker: Tracker, field: CustomField, value: dict[str, Any]
) -> None:
    tracker.standin.world.add(field)

    refused = tracker.post("/projects/1/work_packages", {"subject": "x"})

    assert error(refused) == (422, "PropertyConstraintViolation")
    assert (attribute(refused), refused.json()["message"]) == ("customField1", "Zaaktype can't be blank.")
    assert tracker.post("/projects/1/work_packages", {"subject": "x", **value}).status_code == 201
    milestone = {"subject": "x", "_links": {"type": link("types", 2)}}
    assert tracker.post("/projects/1/work_packages", milestone).status_code == 201


def test_a_missing_required_custom_field_fails_updates_only_on_old_servers(
    tracker: Tracker, old_tracker: Tracker
) -> None:
    for one in (tracker, old_tracker):
        one.standin.world.add(ZAAKTYPE)

    change = {"lockVersion": 0, "subject": "n"}
    validating = {**change, "_meta": {"validateCustomFields": True}}

    assert error(tracker.patch("/work_packages/101", validating)) == (422, "PropertyConstraintViolation")
    assert tracker.patch("/work_packages/101", change).status_code == 200
    assert error(old_tracker.patch("/work_packages/101", change)) == (422, "PropertyConstraintViolation")


@pytest.mark.parametrize("switch", ["fail_create_after_commit", "cut_create_answer"])
def test_a_create_can_be_stored_and_its_response_lost(tracker: Tracker, switch: str) -> None:
    setattr(tracker.standin, switch, True)

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        tracker.post("/projects/1/work_packages", {"subject": "Lost answer"})

    assert len(ids(tracker.list(("subject", "~", ["Lost answer"])))) == 1


# --- forms -----------------------------------------------------------------------------------------------------


def test_a_form_lists_the_statuses_that_the_workflow_allows(tracker: Tracker) -> None:
    body = tracker.post("/work_packages/101/form", {"lockVersion": 0}).json()

    status = body["_embedded"]["schema"]["status"]
    assert [one["name"] for one in status["_embedded"]["allowedValues"]] == ["New", "In progress"]
    assert [one["title"] for one in status["_links"]["allowedValues"]] == ["New", "In progress"]
    assert body["_embedded"]["payload"]["lockVersion"] == 0
    assert body["_links"]["commit"]["method"] == "patch"


@pytest.mark.parametrize(("offers", "key"), [("linked", "_embedded"), ("embedded", "_links")])
def test_a_form_can_list_allowed_values_only_as_links_or_only_embedded(tracker: Tracker, offers: Any, key: str) -> None:
    tracker.standin.offers = offers

    status = tracker.post("/work_packages/101/form", {"lockVersion": 0}).json()["_embedded"]["schema"]["status"]

    assert key not in status


@pytest.mark.parametrize("body", [{}, {"lockVersion": 4}, {"subject": "x"}])
def test_a_form_with_a_missing_or_stale_lock_version_conflicts(tracker: Tracker, body: dict[str, Any]) -> None:
    assert error(tracker.post("/work_packages/101/form", body)) == (409, "UpdateConflict")


def test_a_form_without_a_body_is_accepted(tracker: Tracker) -> None:
    response = tracker.send("POST", "/work_packages/101/form", headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["_type"]) == (200, "Form")


@pytest.mark.parametrize(
    ("path", "invalid"),
    [("/work_packages/form", {"subject", "type", "project"}), ("/projects/1/work_packages/form", {"subject"})],
)
def test_a_create_form_reports_errors_and_stores_nothing(tracker: Tracker, path: str, invalid: set[str]) -> None:
    before = len(tracker.standin.world.work_packages)

    body = tracker.post(path, {}).json()

    assert set(body["_embedded"]["validationErrors"]) == invalid
    assert "commit" not in body["_links"]
    assert len(tracker.standin.world.work_packages) == before


def test_a_create_form_lists_required_custom_fields_with_their_options(tracker: Tracker) -> None:
    tracker.standin.world.add(ZAAKTYPE_LIST)

    embedded = tracker.post("/projects/1/work_packages/form", {"subject": "x"}).json()["_embedded"]

    field = embedded["schema"]["customField1"]
    assert (field["name"], field["required"]) == ("Zaaktype", True)
    assert [one["value"] for one in field["_embedded"]["allowedValues"]] == ["Bezwaar", "Klacht"]
    assert set(embedded["validationErrors"]) == {"customField1"}


def test_a_form_marks_only_the_status_writable_for_a_user_with_only_that_right(tracker: Tracker) -> None:
    schema = tracker.post("/work_packages/101/form", {"lockVersion": 0}, token="S").json()["_embedded"]["schema"]

    assert (schema["status"]["writable"], schema["assignee"]["writable"]) == (True, False)


# --- browser pages and demo content ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/work_packages/101", 200),
        ("/work_packages/ALPHA-1", 200),
        ("/wp/101", 200),
        ("/projects/alpha/work_packages/101/activity", 200),
        ("/projects/1/work_packages/new", 200),
        ("/work_packages/201", 404),
        ("/nowhere", 404),
    ],
)
def test_every_page_has_the_sandbox_banner(tracker: Tracker, path: str, status: int) -> None:
    response = tracker.page(path)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert BANNER in response.content.decode()


def test_subjects_are_escaped_on_every_page(demo: Tracker) -> None:
    for path in ("/", "/work_packages/1516", "/projects/12/work_packages/new"):
        html = demo.page(path).text

        assert "<img" not in html
        assert "<script" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; &#34;co&#34;" in demo.page("/work_packages/1516").text


def test_the_demo_has_work_packages_in_various_states(demo: Tracker) -> None:
    rows = demo.get("/work_packages?filters=[]", token=DEMO_API_KEY).json()["_embedded"]["elements"]

    assert len(rows) == 20
    assert {"Vergunningen 2026", "Openbare ruimte", "Bestuur"} < {row["_links"]["project"]["title"] for row in rows}
    assert {"Closed", "Rejected", "On hold"} <= {row["_links"]["status"]["title"] for row in rows}
    assert any(row.get("dueDate") and row["dueDate"] < date.today().isoformat() for row in rows)
    assert any(row["_links"]["assignee"]["href"] is None for row in rows)
    assert demo.get("/work_packages/1500", token=DEMO_API_KEY).status_code == 404


def test_the_demo_requires_a_custom_field_only_for_requests_in_public_space(demo: Tracker) -> None:
    def create(project: int, type_id: int) -> requests.Response:
        body = {"subject": "Nieuw", "_links": {"type": link("types", type_id)}}
        return demo.post(f"/projects/{project}/work_packages", body, token=DEMO_API_KEY)

    assert [create(project, TASK).status_code for project in (11, 12, 13)] == [201, 201, 201]
    assert attribute(create(12, 3)) == "customField1"


def test_concurrent_creates_get_different_ids(tracker: Tracker) -> None:
    def create(number: int) -> int:
        return int(tracker.post("/projects/1/work_packages", {"subject": f"n{number}"}).json()["id"])

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, range(24)))

    assert len(set(created)) == 24
