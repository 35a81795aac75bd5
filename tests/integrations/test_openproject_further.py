"""The fields that a project and a type require of a new work package, as OpenProject's forms describe them."""

from __future__ import annotations

from typing import Any

import pytest
from openproject_tracker import Tracker, paths, tracker_fixture

from panel.integrations.contract import FurtherFields
from panel.integrations.openproject.linked_values import find_values, href_of
from panel.sandbox.openproject_state import CustomField

tracker = tracker_fixture("15", "16", "17")

EVERYWHERE: dict[str, Any] = {"project_ids": frozenset({1}), "type_ids": frozenset({1})}
KINDS = {
    "String": ("text", "Z2026-0148", "Z2026-0148"),
    "Integer": ("text", "42", "42"),
    "Float": ("text", "4,5", "4.5"),
    "Boolean": ("select", "true", "True"),
    "Date": ("date", "2026-11-30", "2026-11-30"),
    "Formattable": ("textarea", "*Long*", "*Long*"),
}


def further(tracker: Tracker, **values: str) -> FurtherFields:
    with tracker.open() as upstream:
        found = tracker.leaf.further_fields(upstream, {"projectId": "1", **values})
    assert found is not None
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_required_field_of_each_kind_is_drawn_and_sent(tracker: Tracker, kind: str) -> None:
    tracker.standin.world.add(CustomField(7, "Case number", kind=kind, **EVERYWHERE))
    drawn, typed, stored = KINDS[kind]

    [one] = further(tracker).fields
    with tracker.open() as upstream:
        made = tracker.leaf.create(upstream, {"projectId": "1", "subject": "x", "fields": {one.field.name: typed}})

    assert (one.field.label, one.field.kind, one.field.help) == ("Case number", drawn, "Required by this project.")
    assert tracker.standin.world.work_packages[int(made.reference)].custom == {7: stored}


def test_a_required_list_has_its_values(tracker: Tracker) -> None:
    tracker.standin.world.add(CustomField(8, "Channel", options={3: "Desk", 4: "Post"}, **EVERYWHERE))

    [one] = further(tracker).fields

    assert [(choice.value, choice.label) for choice in one.choices.items] == [("3", "Desk"), ("4", "Post")]


def test_people_are_read_from_the_address_in_the_form_and_searched_there(tracker: Tracker) -> None:
    tracker.standin.world.add(CustomField(9, "Handler", kind="User", **EVERYWHERE))
    [one] = further(tracker).fields
    person = one.choices.items[0]

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        found = tracker.leaf.find_choices(upstream, "customField9", {"projectId": "1"}, search=person.label)
        none = tracker.leaf.find_choices(upstream, "customField9", {"projectId": "1"}, search="nobody at all")
        made = tracker.leaf.create(
            upstream, {"projectId": "1", "subject": "x", "fields": {"customField9": person.value}}
        )

    assert [choice.label for choice in found.items] == [person.label]
    assert none.items == ()
    assert len([path for path in paths(seen) if path.startswith("GET /principals")]) == 2
    assert tracker.standin.world.work_packages[int(made.reference)].custom == {9: person.value.rpartition("/")[2]}


def test_optional_fields_and_those_of_another_type_are_left_out(tracker: Tracker) -> None:
    elsewhere = {"project_ids": frozenset({1}), "type_ids": frozenset({2})}
    tracker.standin.world.add(
        CustomField(7, "Optional", required=False, **EVERYWHERE), CustomField(8, "Of milestones", **elsewhere)
    )

    assert further(tracker, type="1").fields == ()
    assert [one.field.label for one in further(tracker, type="2").fields] == ["Of milestones"]


def test_a_field_that_cannot_be_drawn_is_named(tracker: Tracker) -> None:
    tracker.standin.world.add(CustomField(7, "Hierarchy", kind="CustomField::Hierarchy::Item", **EVERYWHERE))

    assert further(tracker) == FurtherFields((), ("Hierarchy",))


def test_nothing_is_asked_before_a_project_is_chosen(tracker: Tracker) -> None:
    with tracker.standin.counting() as seen, tracker.open() as upstream:
        assert tracker.leaf.further_fields(upstream, {"projectId": ""}) == FurtherFields()

    assert paths(seen) == []


def test_a_form_that_is_not_to_be_had_says_nothing(tracker: Tracker) -> None:
    tracker.standin.fault = "rate-limited"
    tracker.standin.fault_only = lambda request: request.path.endswith("/form")

    with tracker.open() as upstream:
        assert tracker.leaf.further_fields(upstream, {"projectId": "1"}) is None


@pytest.mark.parametrize(
    ("text", "kind", "href"),
    [
        ("12", "User", "/api/v3/users/12"),
        ("groups/7", "User", "/api/v3/groups/7"),
        ("3", "[]Version", "/api/v3/versions/3"),
        ("3", "CustomOption", None),
        ("../7", "User", None),
        ("projects/7", "User", None),
    ],
)
def test_the_link_of_a_value_that_is_kept_elsewhere(text: str, kind: str, href: str | None) -> None:
    assert href_of(text, {"type": kind}) == href


def test_an_address_outside_of_the_api_is_not_asked(tracker: Tracker) -> None:
    schema = {"type": "User", "_links": {"allowedValues": {"href": "https://elsewhere.example/../users"}}}

    with tracker.standin.counting() as seen, tracker.open() as upstream:
        assert find_values(upstream, schema, "").items == ()

    assert paths(seen) == []
