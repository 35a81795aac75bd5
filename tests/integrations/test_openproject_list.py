"""Fetching many work packages: few requests, and never an incomplete result."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from openproject_tracker import ERRORS, HAL, LIST, Rewrite, Tracker, error, paths, tracker_fixture
from werkzeug.wrappers import Request, Response

from panel.core.domain import State
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason

tracker = tracker_fixture("17", "12")
recent = tracker_fixture("17")
early = tracker_fixture("12")

# --- the list ------------------------------------------------------------------------------------------------------


def test_fifty_work_packages_take_one_request_and_statuses_are_cached(tracker: Tracker) -> None:
    numbers = [str(number) for number in tracker.standin.add_many(50, 1)]
    source = tracker.source()

    with tracker.standin.counting() as first, tracker.open(source) as upstream:
        items = tracker.leaf.fetch_many(upstream, numbers)
    with tracker.standin.counting() as second, tracker.open(source) as upstream:
        tracker.leaf.fetch_many(upstream, numbers)

    assert [item.title for item in items.values()] == [f"Work package {n}" for n in range(1, 51)]
    assert paths(first) == ["GET /work_packages", "GET /statuses"]
    assert paths(second) == ["GET /work_packages"]


def test_the_list_requests_exactly_these_ids_on_one_page(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        tracker.leaf.fetch_many(upstream, ["101", "103", "101"])

    params = dict(seen[0].params)
    assert json.loads(params["filters"]) == [{"id": {"operator": "=", "values": ["101", "103"]}}]
    assert (params["pageSize"], params["offset"]) == ("2", "1")
    assert seen[0].headers["accept"] == "application/hal+json"


def test_the_list_includes_closed_work_packages_and_marks_them(tracker: Tracker) -> None:
    with tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, ["101", "102"])

    closed, opened = items["102"], items["101"]
    assert (closed.facts["status"], closed.is_closed, closed.facts["statusColor"]) == ("Closed", True, "#868E96")
    assert (opened.facts["status"], opened.is_closed, opened.facts["statusColor"]) == ("New", False, "#1098AD")


@pytest.mark.parametrize("bad", ["999", "201"])
def test_deleted_and_hidden_work_packages_are_gone_and_do_not_affect_the_others(tracker: Tracker, bad: str) -> None:
    with tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, ["103", bad, "101"])

    assert list(items) == ["103", bad, "101"]
    assert [item.state for item in items.values()] == [State.LIVE, State.GONE, State.LIVE]
    assert items[bad].url == f"{tracker.root}/work_packages/{bad}"
    assert "Secret" not in items[bad].title


def test_one_gone_among_fifty_takes_one_more_request_on_a_recent_server(recent: Tracker) -> None:
    numbers = [str(number) for number in recent.standin.add_many(50, 1)]
    recent.standin.hide(int(numbers[17]))

    with recent.standin.counting() as seen, recent.open() as upstream:
        items = recent.leaf.fetch_many(upstream, numbers)

    assert [number for number, item in items.items() if item.state is State.GONE] == [numbers[17]]
    assert paths(seen) == ["GET /work_packages", "GET /work_packages", "GET /statuses"]
    assert dict(seen[1].params)["valid_subset"] == "true"
    assert dict(seen[1].params)["pageSize"] == "50"


@pytest.mark.parametrize("position", [0, 17, 49])
def test_one_gone_among_fifty_is_found_by_bisection_on_an_early_server(early: Tracker, position: int) -> None:
    numbers = [str(number) for number in early.standin.add_many(50, 1)]
    early.standin.remove_work_package(int(numbers[position]))

    with early.standin.counting() as seen, early.open() as upstream:
        items = early.leaf.fetch_many(upstream, numbers)

    assert [number for number, item in items.items() if item.state is State.GONE] == [numbers[position]]
    assert len(seen) <= 16


def test_many_gone_among_a_hundred_and_twenty(tracker: Tracker) -> None:
    numbers = [str(number) for number in tracker.standin.add_many(120, 1)]
    for number in numbers[::7]:
        tracker.standin.hide(int(number))

    with tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, numbers)

    assert [number for number, item in items.items() if item.state is State.GONE] == numbers[::7]


def test_if_all_are_gone_no_other_work_package_is_returned(tracker: Tracker) -> None:
    """A recent server drops a filter without a valid id and lists every visible work package."""
    with tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, ["201", "999", "998", "997", "996"])

    assert list(items) == ["201", "999", "998", "997", "996"]
    assert {item.state for item in items.values()} == {State.GONE}


@pytest.mark.parametrize("number", ["999", "201"])
def test_a_single_gone_work_package_takes_two_requests(tracker: Tracker, number: str) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, [number])

    assert items[number].state is State.GONE
    assert paths(seen) == ["GET /work_packages", f"GET /work_packages/{number}"]


def test_malformed_references_are_gone_after_one_check_of_the_upstream(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, ["007", "ALPHA-1", "abc", "", "0", "9" * 40])

    assert {item.state for item in items.values()} == {State.GONE}
    assert [request.path for request in seen] == ["/openproject/api/v3/work_packages"]


def test_reads_further_pages_if_the_server_clamps_the_page_size(tracker: Tracker) -> None:
    tracker.standin.max_page_size = 7
    numbers = [str(number) for number in tracker.standin.add_many(20, 1)]

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, numbers)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert [dict(one.params)["offset"] for one in seen[:3]] == ["1", "2", "3"]


def test_reads_further_clamped_pages_if_one_work_package_is_gone(recent: Tracker) -> None:
    recent.standin.max_page_size = 7
    numbers = [str(number) for number in recent.standin.add_many(20, 1)]

    with recent.open() as upstream:
        items = recent.leaf.fetch_many(upstream, [*numbers, "999"])

    assert [number for number, item in items.items() if item.state is State.GONE] == ["999"]


def test_requests_at_most_a_hundred_per_page(tracker: Tracker) -> None:
    numbers = [str(number) for number in tracker.standin.add_many(205, 1)]

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        items = tracker.leaf.fetch_many(upstream, numbers)

    lists = [one for one in seen if one.path.endswith("/work_packages")]
    assert {item.state for item in items.values()} == {State.LIVE}
    assert sorted(dict(one.params)["pageSize"] for one in lists) == ["100", "100", "5"]
    assert max(len(one.path) + len(one.query) for one in lists) < 4096


@pytest.mark.parametrize("numbers", [["101"], ["101", "103"]])
def test_an_account_without_read_access_is_forbidden_not_gone(tracker: Tracker, numbers: list[str]) -> None:
    with tracker.open(tracker.source("N")) as upstream, pytest.raises(ProviderUnavailable) as failed:
        tracker.leaf.fetch_many(upstream, numbers)

    assert failed.value.reason is Reason.FORBIDDEN


def _remove_element(body: dict[str, Any]) -> None:
    del body["_embedded"]["elements"][0]


def _remove_element_and_adjust_totals(body: dict[str, Any]) -> None:
    _remove_element(body)
    body["count"] = body["total"] = 1


def _replace_id(body: dict[str, Any]) -> None:
    body["_embedded"]["elements"][0]["id"] = 555


def _duplicate_element(body: dict[str, Any]) -> None:
    body["_embedded"]["elements"][0] = body["_embedded"]["elements"][1]


INCONSISTENT: dict[str, Rewrite] = {
    "an element missing": _remove_element,
    "consistently too short": _remove_element_and_adjust_totals,
    "an unrequested id": _replace_id,
    "a duplicate": _duplicate_element,
    "empty": lambda body: body.update(total=0, count=0, _embedded={"elements": []}),
    "another kind": lambda body: body.update(_type="Collection"),
    "no kind": lambda body: body.pop("_type"),
    "no elements": lambda body: body.pop("_embedded"),
    "elements of another shape": lambda body: body["_embedded"].update(elements={"0": {}}),
    "no total": lambda body: body.pop("total"),
    "a total as text": lambda body: body.update(total="2"),
    "a larger total": lambda body: body.update(total=3),
    "another count": lambda body: body.update(count=1),
}


@pytest.mark.parametrize("name", INCONSISTENT)
def test_an_inconsistent_list_is_an_unexpected_response(recent: Tracker, name: str) -> None:
    recent.rewrite(INCONSISTENT[name], path=LIST)

    with recent.standin.counting() as seen, recent.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        recent.leaf.fetch_many(upstream, ["101", "103"])

    assert failed.value.reason is Reason.UNEXPECTED_RESPONSE
    assert len(seen) == 1


MALFORMED: dict[str, Any] = {
    "no subject": {"id": 101, "_links": {}},
    "odd types": {
        "id": "101", "subject": 5, "displayId": [], "updatedAt": "soon", "dueDate": 7, "lockVersion": "1", "_links": [],
        "_embedded": "x",
    },
    "odd links": {"id": 101, "subject": None, "_links": {"status": "New", "assignee": {"href": 5, "title": {}}}},
    "only its own link": {"_links": {"self": {"href": "/openproject/api/v3/work_packages/101"}}},
    "nothing": {},
    "null": None,
    "text": "x",
}  # fmt: skip


@pytest.mark.parametrize("malformed", MALFORMED)
def test_a_malformed_work_package_does_not_affect_the_others(recent: Tracker, malformed: str) -> None:
    def corrupt(body: dict[str, Any]) -> None:
        body["_embedded"]["elements"][0] = MALFORMED[malformed]

    recent.rewrite(corrupt, path=LIST)

    with recent.open() as upstream:
        items = recent.leaf.fetch_many(upstream, ["101", "103"])

    assert (items["101"].title, items["101"].state) == ("#101", State.LIVE)
    assert items["103"].title == "Inspect the south gate"
    assert json.dumps([recent.leaf.row(item) for item in items.values()], default=date.isoformat)


def test_a_malformed_work_package_is_live_although_another_is_gone(recent: Tracker) -> None:
    def corrupt(body: dict[str, Any]) -> None:
        elements = body.get("_embedded", {}).get("elements", [])
        body.get("_embedded", {})["elements"] = [None if element["id"] == 101 else element for element in elements]

    recent.rewrite(corrupt, path=LIST)

    with recent.open() as upstream:
        items = recent.leaf.fetch_many(upstream, ["101", "999"])

    assert (items["101"].state, items["999"].state) == (State.LIVE, State.GONE)


@pytest.mark.parametrize("fault", ["server-error", "login-page", "empty-object", "rate-limited", "forbidden", "hang"])
def test_a_failed_request_for_statuses_does_not_fail_the_list(recent: Tracker, fault: str) -> None:
    recent.standin.fault = fault
    recent.standin.fault_only = lambda request: request.path.endswith("/statuses")

    with recent.open(deadline_s=1.5) as upstream:
        items = recent.leaf.fetch_many(upstream, ["101", "102"])

    item = items["102"]
    assert (item.facts["status"], item.is_closed, item.facts["statusColor"]) == ("Closed", None, None)


@pytest.mark.parametrize(("status", "identifier"), [(403, "MissingPermission"), (404, "NotFound")])
def test_a_refused_request_for_statuses_is_not_repeated_immediately(
    recent: Tracker, status: int, identifier: str
) -> None:
    recent.reply(status, error(identifier), path="/api/v3/statuses")
    source = recent.source()

    with recent.standin.counting() as seen:
        for _ in range(2):
            with recent.open(source) as upstream:
                assert recent.leaf.fetch_many(upstream, ["102"])["102"].is_closed is None

    assert paths(seen).count("GET /statuses") == 1


def test_an_invalid_filter_can_be_reported_as_multiple_errors(recent: Tracker) -> None:
    real = recent.standin.answer

    def answer(request: Request) -> Response:
        response = real(request)
        if response.status_code != 400:
            return response
        several = {"_type": "Error", "errorIdentifier": f"{ERRORS}MultipleErrors", "_embedded": {"errors": []}}
        return Response(json.dumps(several), 422, content_type=HAL)

    recent.standin.answer = answer  # type: ignore[method-assign]

    with recent.open() as upstream:
        items = recent.leaf.fetch_many(upstream, ["101", "999"])

    assert (items["101"].state, items["999"].state) == (State.LIVE, State.GONE)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "Bad request", "text/html"),
        (400, error("BadRequest"), HAL),
        (422, error("PropertyFormatError"), HAL),
        (414, "", "text/html"),
    ],
)
def test_any_other_error_of_the_list_is_an_unexpected_response(
    recent: Tracker, status: int, body: Any, kind: str
) -> None:
    recent.reply(status, body, path=LIST, kind=kind)

    with recent.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        recent.leaf.fetch_many(upstream, ["101", "103"])

    assert failed.value.reason is Reason.UNEXPECTED_RESPONSE


def test_a_work_package_is_gone_only_if_the_404_is_from_openproject(early: Tracker) -> None:
    early.reply(404, "<h1>nginx</h1>", path=f"{LIST}/999", kind="text/html")

    with early.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        early.leaf.fetch_many(upstream, ["999"])

    assert failed.value.reason is Reason.UNEXPECTED_RESPONSE
