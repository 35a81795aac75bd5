"""The OpenProject stand-in behaves like the version of its profile, over real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import requests
from openproject_client import Tracker, attribute, error, ids, link, running

from panel.sandbox.openproject import OAUTH_CLIENT_WITHOUT_USER, OAUTH_SECRET, OpenProjectStandIn
from panel.sandbox.openproject_options import add_options, from_options
from panel.sandbox.openproject_state import CustomField

BEFORE_17 = ("12", "15", "16")
ALL = (*BEFORE_17, "17")
SELECTED = "total,elements/id,elements/name,elements/identifier"


@contextmanager
def tracker_of(version: str) -> Iterator[Tracker]:
    yield from running(OpenProjectStandIn(version))


@pytest.fixture(params=ALL)
def tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    yield from running(OpenProjectStandIn(request.param))


@pytest.fixture
def newest() -> Iterator[Tracker]:
    yield from running(OpenProjectStandIn())


def slept_seconds(tracker: Tracker) -> list[float]:
    """Let the stand-in record the time of its answers instead of passing it."""
    seconds: list[float] = []
    tracker.standin.load.sleep = seconds.append
    return seconds


# --- select and filters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/projects", "/work_packages/available_projects"])
def test_projects_can_be_selected(tracker: Tracker, path: str) -> None:
    answer = tracker.get(f"{path}?select={SELECTED}&pageSize=1")

    elements = [{"id": 1, "name": "Alpha", "identifier": "alpha"}]
    assert answer.json() == {"total": 1, "_embedded": {"elements": elements}}
    assert error(tracker.get(f"{path}?select=elements/description")) == (400, "InvalidSignal")


@pytest.mark.parametrize("part", ["status", "type", "displayId"])
@pytest.mark.parametrize("version", ALL)
def test_only_17_selects_status_type_and_display_id(version: str, part: str) -> None:
    with tracker_of(version) as tracker:
        answer = tracker.get(f"/work_packages?select=total,elements/id,elements/{part}")

        assert answer.status_code == (200 if version == "17" else 400)
        assert version == "17" or error(answer) == (400, "InvalidSignal")


def test_a_selected_project_link_is_always_below_projects(newest: Tracker) -> None:
    newest.standin.world.add(replace(newest.standin.world.projects[1], kind="programs"))

    rows = newest.get("/work_packages?select=elements/project").json()["_embedded"]["elements"]

    assert rows[0]["_links"]["project"]["href"] == "/openproject/api/v3/projects/1"


@pytest.mark.parametrize(
    ("words", "before_17", "on_17"),
    [
        ("bridge", [101, 102], [101, 102]),
        ("alpha south", [103], [103]),
        ("#103", [103], [103]),
        ("closed", [], [102]),
        ("task", [], [101, 102, 103]),
        ("new", [], [101, 103]),
    ],
)
@pytest.mark.parametrize("version", ALL)
def test_typeahead_finds_type_and_status_only_on_17(
    version: str, words: str, before_17: list[int], on_17: list[int]
) -> None:
    with tracker_of(version) as tracker:
        found = ids(tracker.list(("typeahead", "**", [words])))

        assert found == (on_17 if version == "17" else before_17)


def test_typeahead_finds_projects_by_name_and_identifier(tracker: Tracker) -> None:
    tracker.standin.add_projects(30)

    def found(text: str) -> list[str]:
        filters = json.dumps([{"typeahead": {"operator": "**", "values": [text]}}])
        rows = tracker.get("/work_packages/available_projects", params={"filters": filters, "select": SELECTED})
        return [row["identifier"] for row in rows.json()["_embedded"]["elements"]]

    assert found("Doss 30") == ["dossier-30"]
    assert found("alpha") == ["alpha"]
    assert found("nothing") == []


@pytest.mark.parametrize("filters", ['[{"typeahead":{"operator":"**","values":[""]}}]', '[{"nope":{}}]'])
def test_wrong_filters_of_projects_are_an_invalid_query(tracker: Tracker, filters: str) -> None:
    assert error(tracker.get("/projects", params={"filters": filters})) == (400, "InvalidQuery")


def test_projects_are_listed_newest_first_or_by_name(tracker: Tracker) -> None:
    tracker.standin.add_projects(2)

    assert ids(tracker.get("/projects")) == [4, 3, 1]
    assert ids(tracker.get('/projects?sortBy=[["name","asc"]]')) == [1, 3, 4]


def test_what_changed_since_a_moment_can_be_counted(tracker: Tracker) -> None:
    moment = tracker.standin.world.stamp().isoformat()
    tracker.standin.touch(102, subject="Changed")

    def changed(*ends: str) -> requests.Response:
        return tracker.list(("id", "=", ["101", "102"]), ("updatedAt", "<>d", [*ends]), select="total,elements/id")

    assert changed(moment, "").json() == {"total": 1, "_embedded": {"elements": [{"id": 102}]}}
    assert changed("2099-01-01T00:00:00Z", "").json() == {"total": 0, "_embedded": {"elements": []}}
    assert changed("", moment).json()["total"] == 1
    for ends in (("yesterday", ""), ("", ""), (moment,)):
        assert error(changed(*ends)) == (400, "InvalidQuery")


def test_a_running_stand_in_can_change_its_version(newest: Tracker) -> None:
    newest.standin.behave_like("16")

    assert error(newest.get("/work_packages?select=elements/status")) == (400, "InvalidSignal")
    assert newest.get("", token="A").json()["coreVersion"] == "16.1.1"


# --- accounts, hosts and texts ---------------------------------------------------------------------------------


def test_an_oauth_token_without_user_is_the_anonymous_user_of_an_open_instance(tracker: Tracker) -> None:
    form = {"grant_type": "client_credentials", "client_id": OAUTH_CLIENT_WITHOUT_USER, "client_secret": OAUTH_SECRET}
    token = requests.post(f"{tracker.url}/oauth/token", data=form, timeout=20).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}

    assert tracker.get("/users/me", token=None, headers=headers).status_code == 401
    tracker.standin.login_required = False

    assert tracker.get("/users/me", token=None, headers=headers).json()["login"] == ""
    assert tracker.get("/users/me", token=None, headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize("path", ["/api/v3/users/me", "/", "/oauth/token"])
def test_another_host_name_is_refused_in_plain_text(tracker: Tracker, path: str) -> None:
    tracker.standin.hosts = {"projects.example.org"}

    answers = [
        requests.get(tracker.url + path, headers={"Host": host}, timeout=20)
        for host in ("tracker.internal:8080", "projects.example.org", "projects.example.org:444")
    ]

    assert answers[0].status_code == 400
    assert answers[0].headers["Content-Type"].startswith("text/plain")
    assert answers[0].text == "Invalid host_name configuration"
    assert all(one.text != answers[0].text for one in answers[1:])


def test_the_configuration_needs_no_credentials(tracker: Tracker) -> None:
    assert tracker.get("/configuration", token=None).json()["hostName"] == "projecten.lindewaard.example"
    assert tracker.get("", token=None).status_code == 401


def test_public_projects_can_be_open_to_the_anonymous_user_only(newest: Tracker) -> None:
    world = newest.standin.world
    world.add(replace(world.projects[2], public=True))
    world.non_member_rights = frozenset()
    newest.standin.login_required = False

    assert ids(newest.get("/work_packages", token=None)) == [201]
    assert error(newest.get("/work_packages", token="N")) == (403, "MissingPermission")


@pytest.mark.parametrize("version", ALL)
def test_an_id_that_is_a_word_reaches_no_work_package_before_17(version: str) -> None:
    with tracker_of(version) as tracker:
        answer = tracker.get("/work_packages/abc")

        assert error(answer) == (404, "NotFound")
        assert answer.json()["message"].startswith("The work package" if version == "17" else "The requested resource")


def test_a_semantic_id_with_the_former_key_of_a_project_stays_valid(newest: Tracker) -> None:
    world = newest.standin.world
    world.add(replace(world.projects[1], key="NEW", former_keys=("ALPHA",)))

    assert newest.get("/work_packages/ALPHA-2").json()["id"] == newest.get("/work_packages/NEW-2").json()["id"] == 102


# --- writing ---------------------------------------------------------------------------------------------------


def test_a_type_that_does_not_exist_becomes_the_first_type_of_the_project(tracker: Tracker) -> None:
    def create(number: int) -> requests.Response:
        return tracker.post("/projects/1/work_packages", {"subject": "x", "_links": {"type": link("types", number)}})

    created, refused = create(99), create(3)

    assert (created.status_code, created.json()["_links"]["type"]["title"]) == (201, "Task")
    assert (error(refused), attribute(refused)) == ((422, "PropertyConstraintViolation"), "type")


def test_an_unknown_status_of_a_change_is_blank(tracker: Tracker) -> None:
    answer = tracker.patch("/work_packages/101", {"lockVersion": 0, "_links": {"status": link("statuses", 99)}})

    assert (error(answer), attribute(answer)) == ((422, "PropertyConstraintViolation"), "status")
    assert answer.json()["message"] == "Status can't be blank."


@pytest.mark.parametrize("version", ALL)
def test_required_fields_that_nobody_sent_fail_changes_before_17(version: str) -> None:
    with tracker_of(version) as tracker:
        tracker.standin.world.add(CustomField(1, "Zaaknummer", frozenset({1}), frozenset({1})))

        answer = tracker.patch("/work_packages/101", {"lockVersion": 0, "subject": "n"})

        assert answer.status_code == (200 if version == "17" else 422)
        assert version == "17" or attribute(answer) == "customField1"


@pytest.mark.parametrize("version", ALL)
def test_links_that_are_text_are_a_server_error_before_17(version: str) -> None:
    with tracker_of(version) as tracker:
        answer = tracker.post("/projects/1/work_packages", {"subject": "x", "_links": "x"})

        assert error(answer) == ((400, "BadRequest") if version == "17" else (500, "InternalServerError"))


def test_forms_can_be_limited(newest: Tracker) -> None:
    newest.standin.load.form_limit = 2

    answers = [newest.post("/work_packages/form", {}) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2].json()["errorIdentifier"].endswith(":Throttled")
    assert not {"Retry-After", "Content-Type"} & set(answers[2].headers)
    assert answers[2].headers["RateLimit-Remaining"] == "0"
    assert newest.get("/users/me").status_code == 200
    assert newest.post("/work_packages/form", {}, token="V").status_code == 403


# --- cost of requests ------------------------------------------------------------------------------------------


def test_a_route_can_be_slow_or_forbidden(newest: Tracker) -> None:
    slept = slept_seconds(newest)
    newest.standin.load.delays["GET /statuses"] = 6
    newest.standin.load.forbidden.add("GET /projects/.*/types")

    assert newest.get("/statuses").status_code == 200
    assert newest.get("/users/me").status_code == 200
    assert slept == [6]
    assert error(newest.get("/projects/1/types")) == (403, "MissingPermission")


def test_a_slow_route_takes_its_time(newest: Tracker) -> None:
    newest.standin.load.delays["GET /statuses"] = 0.2

    assert newest.get("/statuses").elapsed.total_seconds() >= 0.2


def test_complete_rows_take_time_and_selected_ones_do_not(newest: Tracker) -> None:
    slept = slept_seconds(newest)
    newest.standin.add_projects(99)
    newest.standin.load.per_call_s, newest.standin.load.per_project_s = 0.04, 0.006

    newest.get("/work_packages/available_projects?pageSize=100")
    newest.get(f"/work_packages/available_projects?pageSize=100&select={SELECTED}")

    assert slept == pytest.approx([0.04, 0.6, 0.04])


def test_it_can_be_as_slow_as_real_servers_and_counts_the_time(newest: Tracker) -> None:
    slept = slept_seconds(newest)
    newest.standin.add_many(47, 1)
    newest.standin.load.be_as_slow_as_measured()

    newest.get("/work_packages?pageSize=50&filters=[]")
    newest.get("/work_packages?pageSize=50&filters=[]&select=total,elements/id")
    newest.get("/statuses")

    assert slept == pytest.approx([0.04, 0.4, 0.04, 0.06, 0.04])
    assert newest.standin.load.spent_s == pytest.approx(sum(slept))


def test_it_is_quick_by_default(newest: Tracker) -> None:
    newest.get("/work_packages")

    assert newest.standin.load.spent_s == 0


def test_the_date_is_that_of_its_clock_or_missing(newest: Tracker) -> None:
    newest.standin.world.clock = lambda: datetime(2026, 11, 30, 12, tzinfo=UTC)
    dated = newest.get("/statuses").headers["Date"]
    newest.standin.removed_headers = frozenset({"Date"})

    assert dated == "Mon, 30 Nov 2026 12:00:00 GMT"
    assert "Date" not in newest.get("/statuses").headers


def test_ten_thousand_projects_are_cheap(newest: Tracker) -> None:
    newest.standin.add_projects(10_000)

    answer = newest.get(f"/work_packages/available_projects?pageSize=100&select={SELECTED}")

    assert answer.json()["total"] == 10_001
    assert answer.elapsed.total_seconds() < 3


# --- command line ----------------------------------------------------------------------------------------------


def options(*words: str) -> OpenProjectStandIn:
    """Return the stand-in that these words of the command line describe."""
    parser = ArgumentParser()
    add_options(parser)
    return from_options(parser.parse_args(words))


def test_the_command_line_describes_a_stand_in() -> None:
    standin = options(
        "--openproject", "15", "--openproject-open", "--openproject-projects", "30",
        "--openproject-delay", "GET /statuses=250", "--openproject-forbid", "GET /types",
        "--openproject-host", "op.test", "--openproject-as-slow-as-measured",
    )  # fmt: skip

    assert (standin.profile.version, standin.login_required) == ("15.4.0", False)
    assert len(standin.world.projects) > 30
    assert standin.load.delays == {"GET /statuses": 0.25}
    assert standin.load.per_work_package_s == 0.008
    assert (standin.answers_to("op.test:80"), standin.answers_to("localhost:80"), standin.answers_to("x")) == (
        True, True, False,
    )  # fmt: skip


def test_without_options_the_newest_version_is_served() -> None:
    assert options().profile.version == "17.6.0"


@pytest.mark.parametrize("words", [("--openproject", "13"), ("--openproject-delay", "statuses")])
def test_wrong_options_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        options(*words)


def test_the_help_names_accounts_and_options() -> None:
    command = [sys.executable, "-m", "panel.sandbox", "--help"]

    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "--openproject {12,15,16,17}" in text
    assert "opapi-leafpanel-viewer" in text
