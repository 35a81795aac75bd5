"""Creating and updating work packages, and the choices for their forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from openproject_tracker import ERRORS, HAL, LIST, Tracker, error, paths, tracker_fixture
from werkzeug.wrappers import Request, Response

from panel.core.errors import (
    ChangedUpstream,
    Forbidden,
    InvalidInput,
    NotFound,
    ProviderUnavailable,
    Rejected,
    Uncertain,
)
from panel.core.reasons import Reason
from panel.integrations.openproject.choices import assignees
from panel.sandbox.openproject_state import CustomField, Principal, Project, Right, Status

tracker = tracker_fixture("17", "12")
recent = tracker_fixture("17")

CREATE = "/api/v3/projects/1/work_packages"

# --- create --------------------------------------------------------------------------------------------------------


def test_create_requires_only_project_and_subject(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        item = tracker.leaf.create(upstream, {"projectId": 1, "subject": " New  bridge\n"})

    assert paths(seen) == ["POST /projects/1/work_packages"]
    assert (item.title, item.facts["status"], item.facts["type"]) == ("New bridge", "New", "Task")
    assert tracker.standin.world.work_packages[int(item.reference)].subject == "New bridge"


@pytest.mark.parametrize("kind", ["Milestone", "milestone", "2", 2])
@pytest.mark.parametrize("project", ["1", "alpha"])
def test_create_accepts_a_type_by_name_or_id(tracker: Tracker, kind: Any, project: str) -> None:
    values = {"project": project, "subject": "x", "type": kind, "description": "A **b**\nc"}

    with tracker.open() as upstream:
        item = tracker.leaf.create(upstream, values)

    assert item.facts["type"] == "Milestone"
    assert tracker.standin.world.work_packages[int(item.reference)].description == "A **b**\nc"


@pytest.mark.parametrize("kind", ["Request", "3", "x"])
def test_a_type_outside_the_project_is_rejected_before_the_create(tracker: Tracker, kind: str) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.create(upstream, {"projectId": "1", "subject": "x", "type": kind})

    assert list(refused.value.fields) == ["type"]
    assert paths(seen) == ["GET /projects/1/types"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"projectId": "1"}, "subject"),
        ({"projectId": "1", "subject": "  \n"}, "subject"),
        ({"projectId": "1", "subject": ["x"]}, "subject"),
        ({"projectId": "1", "subject": "x", "description": {"raw": "x"}}, "description"),
        ({"subject": "x"}, "projectId"),
        ({"subject": "x", "projectId": ""}, "projectId"),
        ({"subject": "x", "projectId": "../users"}, "projectId"),
        ({"subject": "x", "projectId": True}, "projectId"),
    ],
)
def test_create_names_the_invalid_field_and_sends_nothing(tracker: Tracker, values: dict[str, Any], field: str) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream, pytest.raises(InvalidInput) as refused:
        tracker.leaf.create(upstream, values)

    assert refused.value.field == field
    assert seen == []


def test_create_reports_openprojects_message_for_the_field(tracker: Tracker) -> None:
    with tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.create(upstream, {"projectId": "1", "subject": "x" * 256})

    assert refused.value.fields == {"subject": "Subject is too long (maximum is 255 characters)."}


def test_create_reports_several_errors_by_field(tracker: Tracker) -> None:
    tracker.standin.world.add(CustomField(7, "Story", frozenset({1}), frozenset({1})))

    with tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.create(upstream, {"projectId": "1", "subject": "x" * 256})

    assert set(refused.value.fields) == {"subject", "customField7"}


def test_create_sends_custom_fields_as_text_and_as_link(tracker: Tracker) -> None:
    tracker.standin.world.add(CustomField(7, "Story", frozenset({1}), frozenset({1})))
    tracker.standin.world.add(CustomField(8, "Kind", frozenset({1}), frozenset({1}), options={3: "Permit"}))
    values = {"customField7": "text", "customField8": {"href": "/api/v3/custom_options/3"}}

    with tracker.open() as upstream:
        item = tracker.leaf.create(upstream, {"projectId": "1", "subject": "x", **values})

    assert tracker.standin.world.work_packages[int(item.reference)].custom == {7: "text", 8: "3"}


@pytest.mark.parametrize("values", [{}, {"type": "Task"}])
@pytest.mark.parametrize("project", ["2", "beta", "77"])
def test_an_invisible_project_is_an_error_of_the_project_field(
    tracker: Tracker, project: str, values: dict[str, str]
) -> None:
    with tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.create(upstream, {"projectId": project, "subject": "x", **values})

    assert refused.value.fields == {"projectId": "OpenProject does not show this project to our account."}


@pytest.mark.parametrize("name", ["Harbour & Quays", "harbour & quays", "Harbour"])
def test_create_finds_a_project_by_its_exact_name(tracker: Tracker, name: str) -> None:
    tracker.standin.world.add(Project(30, "hq", "Harbour & Quays", (1,)), Project(31, "h-1", "Harbour", (1,)))
    for number in (30, 31):
        tracker.standin.world.join(5, number)

    with tracker.open() as upstream:
        item = tracker.leaf.create(upstream, {"projectId": name, "subject": "x"})

    assert str(item.facts["project"]).casefold() == name.casefold()


def test_an_ambiguous_name_of_a_project_creates_nothing(tracker: Tracker) -> None:
    tracker.standin.world.add(Project(30, "north", "Old harbour", (1,)), Project(31, "south", "Old harbour", (1,)))
    for number in (30, 31):
        tracker.standin.world.join(5, number)

    with tracker.standin.counting() as seen, tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.create(upstream, {"projectId": "old harbour", "subject": "x"})

    assert "Several projects" in refused.value.fields["projectId"]
    assert not [one for one in seen if one.method == "POST"]


def test_a_project_that_is_not_found_by_name_either_is_named(tracker: Tracker) -> None:
    with tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.create(upstream, {"projectId": "No such project", "subject": "x"})

    assert list(refused.value.fields) == ["projectId"]


def test_an_account_without_the_right_to_create_is_forbidden(tracker: Tracker) -> None:
    with tracker.open(tracker.source("V")) as upstream, pytest.raises(Forbidden, match="our account create"):
        tracker.leaf.create(upstream, {"projectId": "1", "subject": "x"})


def test_a_type_id_is_sent_if_types_cannot_be_read(recent: Tracker) -> None:
    recent.standin.world.join(5, 1, {Right.ADD})

    with recent.open() as upstream:
        created = recent.leaf.create(upstream, {"projectId": "1", "subject": "x", "type": "2"})
        with pytest.raises(Forbidden):
            recent.leaf.create(upstream, {"projectId": "1", "subject": "x", "type": "Milestone"})

    assert created.facts["type"] == "Milestone"


def _drop(tracker: Tracker) -> None:
    tracker.standin.fail_create_after_commit = True


def _cut(tracker: Tracker) -> None:
    tracker.standin.cut_create_answer = True


def _hang(tracker: Tracker) -> None:
    tracker.standin.fault = "hang"


def _no_id(tracker: Tracker) -> None:
    tracker.rewrite(lambda body: (body.pop("id"), body.pop("_links")), path=CREATE, method="POST")


def _gateway(tracker: Tracker) -> None:
    tracker.reply(504, "<h1>Gateway timeout</h1>", path=CREATE, method="POST", kind="text/html")


def _login_page(tracker: Tracker) -> None:
    tracker.standin.fault = "login-page"


def _server_error(tracker: Tracker) -> None:
    tracker.standin.fault = "server-error"


def _overloaded(tracker: Tracker) -> None:
    tracker.standin.fault = "overloaded"


@pytest.mark.parametrize(
    "cause_failure", [_drop, _cut, _hang, _no_id, _login_page, _gateway, _server_error, _overloaded]
)
def test_a_create_without_a_complete_response_is_uncertain_and_never_repeated(
    tracker: Tracker, cause_failure: Callable[[Tracker], None]
) -> None:
    cause_failure(tracker)

    with (
        tracker.standin.counting() as seen,
        tracker.open(deadline_s=1) as upstream,
        pytest.raises(Uncertain, match="We cannot tell whether it was created") as caught,
    ):
        tracker.leaf.create(upstream, {"projectId": "1", "subject": "Lost"})

    assert isinstance(caught.value.__cause__, ProviderUnavailable)
    assert len(seen) <= 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unauthorized", Reason.CREDENTIALS_REJECTED),
        ("wall", Reason.UNEXPECTED_RESPONSE),
        ("rate-limited", Reason.RATE_LIMITED),
        ("redirect", Reason.UNEXPECTED_REDIRECT),
    ],
)
def test_a_rejected_create_is_not_uncertain(recent: Tracker, fault: str, reason: Reason) -> None:
    recent.standin.fault = fault

    with recent.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        recent.leaf.create(upstream, {"projectId": "1", "subject": "x"})

    assert failed.value.reason is reason


def test_a_create_that_was_not_sent_is_not_uncertain(recent: Tracker) -> None:
    recent.server.close()

    with recent.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        recent.leaf.create(upstream, {"projectId": "1", "subject": "x"})

    assert failed.value.reason is Reason.CONNECT


def test_create_accepts_200_as_well(recent: Tracker) -> None:
    recent.reply(200, {"id": 4711}, path=CREATE, method="POST")

    with recent.open() as upstream:
        assert recent.leaf.create(upstream, {"projectId": "1", "subject": "x"}).reference == "4711"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (error("PropertyConstraintViolation", attribute="project"), {"projectId": "Nee."}),
        (error("PropertyConstraintViolation", attribute="Subject"), {"subject": "Nee."}),
        (error("PropertyConstraintViolation"), {}),
        (
            {"errorIdentifier": f"{ERRORS}X", "_embedded": {"errors": [7, error("X", attribute="type")]}},
            {"type": "Nee."},
        ),
    ],
)
def test_validation_errors_of_every_shape_are_parsed(recent: Tracker, body: Any, fields: dict[str, str]) -> None:
    recent.reply(422, body, path=CREATE, method="POST")

    with recent.open() as upstream, pytest.raises(Rejected) as refused:
        recent.leaf.create(upstream, {"projectId": "1", "subject": "x"})

    assert refused.value.fields == fields
    assert fields or str(refused.value).endswith("Nee.")


def test_update_uses_the_current_lock_version(tracker: Tracker) -> None:
    tracker.standin.touch(101)

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        item = tracker.leaf.update(upstream, "101", {"subject": "Replace it"})

    assert (item.title, item.lock_version) == ("Replace it", "2")
    assert paths(seen) == ["GET /work_packages/101", "PATCH /work_packages/101"]


def test_update_with_a_lock_version_reads_nothing_first(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        tracker.leaf.update(upstream, "101", {"status": "2", "lockVersion": "0"})

    assert paths(seen) == ["PATCH /work_packages/101"]
    assert tracker.standin.world.work_packages[101].status_id == 2


@pytest.mark.parametrize("changes", [{"subject": "Mine", "lockVersion": 0}, {"subject": "Mine"}])
def test_a_concurrent_change_is_never_overwritten(tracker: Tracker, changes: dict[str, Any]) -> None:
    tracker.standin.before_write = lambda: tracker.standin.touch(101, subject="Theirs")

    with tracker.open() as upstream, pytest.raises(ChangedUpstream, match="Nothing of yours was saved"):
        tracker.leaf.update(upstream, "101", changes)

    assert tracker.standin.world.work_packages[101].subject == "Theirs"


@pytest.mark.parametrize("status", ["In progress", "in PROGRESS", "2", 2])
def test_update_accepts_a_status_by_name_or_id(tracker: Tracker, status: Any) -> None:
    with tracker.open() as upstream:
        assert tracker.leaf.update(upstream, "101", {"status": status}).facts["status"] == "In progress"


def test_a_status_without_a_transition_is_rejected_with_openprojects_message(tracker: Tracker) -> None:
    with tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.update(upstream, "101", {"status": "Closed"})

    assert "no valid transition exists" in refused.value.fields["status"]


def test_an_unknown_status_is_rejected_without_a_write(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.update(upstream, "101", {"status": "Gesloten"})

    assert refused.value.fields == {"status": "No status “Gesloten” can be set here."}
    assert not [one for one in seen if one.method == "PATCH"]


def test_a_new_status_is_found_although_statuses_are_cached(recent: Tracker) -> None:
    source = recent.source()
    with recent.open(source) as upstream:
        recent.leaf.fetch_many(upstream, ["101"])
    recent.standin.world.add(Status(9, "On hold", "#845EC2", 4))
    recent.standin.world.transitions[1] = frozenset({9})

    with recent.open(source) as upstream:
        assert recent.leaf.update(upstream, "101", {"status": "On hold"}).facts["status"] == "On hold"


@pytest.mark.parametrize("offers", ["both", "embedded", "linked"])
def test_a_status_is_found_in_the_form_if_statuses_cannot_be_read(recent: Tracker, offers: Any) -> None:
    recent.reply(403, error("MissingPermission"), path="/api/v3/statuses")
    recent.standin.offers = offers

    with recent.open() as upstream:
        assert recent.leaf.update(upstream, "101", {"status": "In progress"}).facts["status"] == "In progress"


@pytest.mark.parametrize(("assignee", "number"), [("Uma User", 5), ("team blue", 20), ("20", 20), (5, 5)])
def test_update_accepts_users_and_groups_by_name_or_id(tracker: Tracker, assignee: Any, number: int) -> None:
    with tracker.open() as upstream:
        tracker.leaf.update(upstream, "101", {"assignee": assignee})

    assert tracker.standin.world.work_packages[101].assignee_id == number


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_assignee_is_cleared_without_a_request_for_users(tracker: Tracker, empty: str | None) -> None:
    tracker.standin.touch(101, assignee_id=5)

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        item = tracker.leaf.update(upstream, "101", {"assignee": empty, "lockVersion": 1})

    assert item.facts["assignee"] is None
    assert paths(seen) == ["PATCH /work_packages/101"]


def test_an_ambiguous_name_is_rejected_and_an_id_accepted(tracker: Tracker) -> None:
    tracker.standin.world.add(Principal(50, "Sam B."), Principal(51, "Sam B."))
    for number in (50, 51):
        tracker.standin.world.join(number, 1)

    with tracker.open() as upstream:
        with pytest.raises(Rejected) as refused:
            tracker.leaf.update(upstream, "101", {"assignee": "sam b."})
        tracker.leaf.update(upstream, "101", {"assignee": "51"})

    assert "Several people" in refused.value.fields["assignee"]
    assert tracker.standin.world.work_packages[101].assignee_id == 51


def test_an_unknown_assignee_is_rejected_without_a_write(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.update(upstream, "101", {"assignee": "Nobody Here"})

    assert list(refused.value.fields) == ["assignee"]
    assert not [one for one in seen if one.method == "PATCH"]


def test_an_id_that_cannot_be_assigned_is_rejected_with_openprojects_message(tracker: Tracker) -> None:
    with tracker.open() as upstream, pytest.raises(Rejected) as refused:
        tracker.leaf.update(upstream, "101", {"assignee": "6"})

    assert "not allowed to be 'Assignee'" in refused.value.fields["assignee"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "changes"),
        ({"title": "x"}, "changes"),
        ({"lockVersion": 1}, "changes"),
        ({"subject": " "}, "subject"),
        ({"subject": None}, "subject"),
        ({"status": None}, "status"),
        ({"status": {"id": 1}}, "status"),
        ({"assignee": [5]}, "assignee"),
        ({"subject": "x", "lockVersion": "new"}, "lockVersion"),
        ({"subject": "x", "lockVersion": True}, "lockVersion"),
    ],
)
def test_update_names_the_invalid_field_and_sends_nothing(
    tracker: Tracker, changes: dict[str, Any], field: str
) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream, pytest.raises(InvalidInput) as refused:
        tracker.leaf.update(upstream, "101", changes)

    assert refused.value.field == field
    assert field != "changes" or "subject, status or assignee" in str(refused.value)
    assert seen == []


@pytest.mark.parametrize("changes", [{"subject": "x"}, {"status": "2"}, {"subject": "x", "lockVersion": 0}])
def test_an_account_without_the_right_to_edit_is_forbidden(tracker: Tracker, changes: dict[str, Any]) -> None:
    with tracker.open(tracker.source("V")) as upstream, pytest.raises(Forbidden, match="our account change"):
        tracker.leaf.update(upstream, "101", changes)


def test_an_account_with_only_the_status_right_can_change_only_the_status(tracker: Tracker) -> None:
    with tracker.open(tracker.source("S")) as upstream:
        assert tracker.leaf.update(upstream, "101", {"status": "In progress"}).facts["status"] == "In progress"
        with pytest.raises(Rejected) as refused:
            tracker.leaf.update(upstream, "101", {"subject": "x"})

    assert list(refused.value.fields) == ["subject"]


@pytest.mark.parametrize("reference", ["999", "201", "007", "../users/5"])
@pytest.mark.parametrize("changes", [{"subject": "x"}, {"subject": "x", "lockVersion": 0}, {"assignee": "Uma User"}])
def test_update_finds_only_visible_work_packages(tracker: Tracker, reference: str, changes: dict[str, Any]) -> None:
    with tracker.open() as upstream, pytest.raises(NotFound):
        tracker.leaf.update(upstream, reference, changes)


@pytest.mark.parametrize("status", [404, 409, 422])
def test_errors_that_are_not_from_openproject_are_unexpected_responses(recent: Tracker, status: int) -> None:
    recent.reply(status, "<h1>WAF</h1>", path=f"{LIST}/101", method="PATCH", kind="text/html")

    with recent.open() as upstream, pytest.raises(ProviderUnavailable) as failed:
        recent.leaf.update(upstream, "101", {"subject": "x"})

    assert failed.value.reason is Reason.UNEXPECTED_RESPONSE


def test_project_choices_are_the_projects_with_the_right_to_create_by_name(tracker: Tracker) -> None:
    tracker.standin.world.add(Project(3, "aardvark", "aardvark", (1,)))
    tracker.standin.world.join(5, 3)

    with tracker.open() as upstream:
        choices = list(tracker.leaf.choices(upstream, "projectId", {}))

    assert [(choice.value, choice.label) for choice in choices] == [("3", "aardvark"), ("1", "Alpha")]


def test_one_page_of_projects_is_requested_and_says_how_many_more_there_are(tracker: Tracker) -> None:
    for number in range(30, 330):
        tracker.standin.world.add(Project(number, f"p{number}", f"Project {number}", (1,)))
        tracker.standin.world.join(5, number)

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        found = tracker.leaf.find_choices(upstream, "projectId", {})

    assert (len(found.items), found.total, found.more) == (100, 301, True)
    assert paths(seen) == ["GET /work_packages/available_projects"]
    assert dict(seen[0].params)["select"] == "total,elements/id,elements/name,elements/identifier"


def test_projects_are_searched_upstream(tracker: Tracker) -> None:
    for number in range(30, 330):
        tracker.standin.world.add(Project(number, f"p{number}", f"Project {number}", (1,)))
        tracker.standin.world.join(5, number)

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        found = tracker.leaf.find_choices(upstream, "projectId", {}, search=" 123  project")

    assert ([choice.label for choice in found.items], found.more) == (["Project 123"], False)
    assert len(seen) == 1


def test_the_chosen_project_is_among_the_choices_of_a_cut_list(tracker: Tracker) -> None:
    for number in range(30, 330):
        tracker.standin.world.add(Project(number, f"p{number}", f"Project {number}", (1,)))
        tracker.standin.world.join(5, number)
    with tracker.open() as upstream:
        shown = {choice.value for choice in tracker.leaf.find_choices(upstream, "projectId", {}).items}
    hidden = next(str(number) for number in range(30, 330) if str(number) not in shown)

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        found = tracker.leaf.find_choices(upstream, "projectId", {"projectId": hidden})

    assert (found.items[0].value, found.items[0].label) == (hidden, f"Project {hidden}")
    assert paths(seen) == ["GET /work_packages/available_projects", f"GET /projects/{hidden}"]


def test_projects_of_the_same_name_are_told_apart(tracker: Tracker) -> None:
    tracker.standin.world.add(Project(30, "north", "Harbour", (1,)), Project(31, "south", "Harbour", (1,)))
    for number in (30, 31):
        tracker.standin.world.join(5, number)

    with tracker.open() as upstream:
        labels = [choice.label for choice in tracker.leaf.find_choices(upstream, "projectId", {}).items]

    assert labels == ["Alpha", "Harbour (north)", "Harbour (south)"]


def test_a_server_that_does_not_select_is_asked_in_full_from_then_on(recent: Tracker) -> None:
    real = recent.standin.answer

    def answer(request: Request) -> Response:
        if "select" in request.args:
            return Response(json.dumps(error("InvalidSignal")), 400, content_type=HAL)
        return real(request)

    recent.standin.answer = answer  # type: ignore[method-assign]
    source = recent.source()

    with recent.standin.counting() as seen:
        for _ in range(2):
            with recent.open(source) as upstream:
                assert [choice.label for choice in recent.leaf.choices(upstream, "projectId", {})] == ["Alpha"]

    assert [one.status for one in seen] == [400, 200, 200]


def test_project_choices_are_forbidden_without_the_right_to_create(tracker: Tracker) -> None:
    with tracker.open(tracker.source("V")) as upstream, pytest.raises(Forbidden):
        tracker.leaf.choices(upstream, "projectId", {})


def test_type_choices_are_the_types_of_the_chosen_project(tracker: Tracker) -> None:
    with tracker.open() as upstream:
        choices = list(tracker.leaf.choices(upstream, "type", {"projectId": "1"}))

    assert [(choice.value, choice.label, choice.color) for choice in choices] == [
        ("1", "Task", "#1A67A3"), ("2", "Milestone", "#35C53F"),
    ]  # fmt: skip


@pytest.mark.parametrize("values", [{}, {"projectId": ""}, {"projectId": "../x"}])
def test_type_choices_are_empty_without_a_project(tracker: Tracker, values: dict[str, str]) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        assert list(tracker.leaf.choices(upstream, "type", values)) == []

    assert seen == []


@pytest.mark.parametrize("offers", ["both", "embedded", "linked"])
def test_status_choices_are_the_statuses_that_the_workflow_allows(tracker: Tracker, offers: Any) -> None:
    tracker.standin.offers = offers
    tracker.standin.touch(101)

    with tracker.open() as upstream:
        choices = list(tracker.leaf.choices(upstream, "status", {}, reference="101"))

    assert [(choice.value, choice.label) for choice in choices] == [("1", "New"), ("2", "In progress")]


@pytest.mark.parametrize(("status", "identifier"), [(403, "MissingPermission"), (409, "UpdateConflict")])
def test_status_choices_are_all_statuses_if_the_form_is_refused(recent: Tracker, status: int, identifier: str) -> None:
    recent.reply(status, error(identifier), path=f"{LIST}/101/form", method="POST")

    with recent.open() as upstream:
        choices = list(recent.leaf.choices(upstream, "status", {}, reference="101"))

    assert [choice.label for choice in choices] == ["New", "In progress", "Closed"]


def test_assignee_choices_are_the_assignable_users_and_groups(tracker: Tracker) -> None:
    with tracker.open() as upstream:
        choices = list(tracker.leaf.choices(upstream, "assignee", {}, reference="101"))

    assert {(choice.value, choice.label) for choice in choices} == {("5", "Uma User"), ("20", "Team Blue")}


def test_a_group_is_linked_as_a_group(tracker: Tracker) -> None:
    with tracker.open() as upstream:
        links = {offer.href for offer in assignees(upstream, "101")}

    assert links == {"/api/v3/users/5", "/api/v3/groups/20"}


@pytest.mark.parametrize("field", ["status", "assignee"])
def test_choices_of_an_invisible_work_package_are_not_found(tracker: Tracker, field: str) -> None:
    with tracker.open() as upstream, pytest.raises(NotFound):
        tracker.leaf.choices(upstream, field, {}, reference="201")


@pytest.mark.parametrize(("field", "reference"), [("status", None), ("assignee", "abc"), ("colour", "101")])
def test_invalid_requests_for_choices_are_rejected(tracker: Tracker, field: str, reference: str | None) -> None:
    with tracker.open() as upstream, pytest.raises(InvalidInput):
        tracker.leaf.choices(upstream, field, {}, reference=reference)
