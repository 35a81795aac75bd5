"""Parts of OpenProject that may fail: statuses, forms, configuration. Lists stay right and cheap without them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openproject_tracker import LIST, Tracker, error, paths, tracker_fixture

from panel.connector import Breaker, Connector, SourceConfig, traffic_of
from panel.connector.limiter import Limiter
from panel.core.domain import Item, State
from panel.integrations.openproject import batch
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

recent = tracker_fixture("17")
early = tracker_fixture("12")

DEADLINE_S = 5.0
SLOWEST_S = 1.5
NUMBERS = ["101", "102", "103"]


@pytest.fixture
def limiter(tmp_path: Path) -> Limiter:
    return Limiter(SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3")))


@pytest.fixture
def limited(limiter: Limiter) -> Iterator[Tracker]:
    """A stand-in of 17 behind limits and a breaker."""
    standin = OpenProjectStandIn("17")
    server = RunningServer(mounted(openproject=standin))
    yield Tracker(standin, server, Connector(allowed=lambda: (server.host_port,), limiter=limiter))
    server.close()


def breaker_of(limiter: Limiter, source: SourceConfig) -> Breaker:
    counts = limiter._limit_store.counts()[source.id]
    return traffic_of(counts, rate_limit="", revision=source.revision).breaker


def listed(tracker: Tracker, source: SourceConfig, numbers: list[str], **options: float) -> dict[str, Item]:
    with tracker.open(source, **options) as upstream:
        return dict(tracker.leaf.fetch_many(upstream, numbers))


def calls_of_a_list(tracker: Tracker, source: SourceConfig, numbers: list[str]) -> int:
    with tracker.standin.counting() as seen:
        listed(tracker, source, numbers)
    return len(seen)


# --- statuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["forbidden", "hang", "server-error", "login-page", "rate-limited"])
def test_without_statuses_ten_lists_in_a_row_are_right_and_soon_there(
    limited: Tracker, limiter: Limiter, fault: str
) -> None:
    limited.standin.fault = fault
    limited.standin.fault_only = lambda request: request.path.endswith("/statuses")
    source, took = limited.source(), []

    for _ in range(10):
        started = time.monotonic()
        items = listed(limited, source, NUMBERS, deadline_s=DEADLINE_S)
        took.append(time.monotonic() - started)
        assert [item.facts["status"] for item in items.values()] == ["New", "Closed", "New"]
        assert {item.is_closed for item in items.values()} == {None}

    assert took[0] < DEADLINE_S / 2
    assert max(took[1:]) < SLOWEST_S
    assert breaker_of(limiter, source) is Breaker.CLOSED


def test_a_status_without_its_property_is_not_known_to_be_open(recent: Tracker) -> None:
    recent.rewrite(lambda body: body["_embedded"]["elements"][0].pop("isClosed"), path="/api/v3/statuses")

    items = listed(recent, recent.source(), NUMBERS)

    assert [item.is_closed for item in items.values()] == [None, True, None]


def test_the_row_of_a_gone_work_package_does_not_say_that_it_is_open(recent: Tracker) -> None:
    gone = listed(recent, recent.source(), ["999"])["999"]

    assert recent.leaf.row(gone)["isClosed"] is None


# --- forms ---------------------------------------------------------------------------------------------------------


def test_a_limit_on_forms_leaves_the_source_alone(limited: Tracker, limiter: Limiter) -> None:
    limited.reply(429, error("Throttled"), path=f"{LIST}/101/form", method="POST")
    source, labels = limited.source(), []

    with limited.standin.counting() as seen:
        for _ in range(7):
            with limited.open(source) as upstream:
                labels.append([one.label for one in limited.leaf.choices(upstream, "status", {}, reference="101")])
            assert listed(limited, source, NUMBERS)["102"].is_closed

    assert labels == [["New", "In progress", "Closed"]] * 7
    assert paths(seen).count("POST /work_packages/101/form") == 1
    assert breaker_of(limiter, source) is Breaker.CLOSED


def test_a_form_that_hangs_leaves_time_for_all_statuses(recent: Tracker) -> None:
    recent.standin.fault = "hang"
    recent.standin.fault_only = lambda request: request.path.endswith("/form")

    with recent.open(deadline_s=2.5) as upstream:
        choices = list(recent.leaf.choices(upstream, "status", {}, reference="101"))

    assert [choice.label for choice in choices] == ["New", "In progress", "Closed"]


# --- configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hang", "server-error"])
def test_without_the_configuration_the_instance_is_unknown(limited: Tracker, limiter: Limiter, fault: str) -> None:
    limited.standin.fault = fault
    limited.standin.fault_only = lambda request: request.path.endswith("/configuration")
    source = limited.source()

    for _ in range(6):
        with limited.open(source, deadline_s=2) as upstream:
            assert limited.leaf.fingerprint(upstream) == {}

    with limited.open(source) as upstream:
        assert limited.leaf.check(upstream).user
    assert breaker_of(limiter, source) is Breaker.CLOSED


# --- work packages that are gone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [1, 3, 5, 10])
def test_on_an_early_server_dead_links_cost_their_search_once(early: Tracker, gone: int) -> None:
    numbers, source = [str(number) for number in early.standin.add_many(100, 1)], early.source()
    all_well = calls_of_a_list(early, source, numbers)
    for number in numbers[: gone * 7 : 7]:
        early.standin.hide(int(number))
    listed(early, source, numbers)

    with early.standin.counting() as seen:
        items = listed(early, source, numbers)

    assert [number for number, item in items.items() if item.state is State.GONE] == numbers[: gone * 7 : 7]
    assert len(seen) <= 2 * all_well
    assert paths(seen).count("GET /work_packages") == 1


def test_a_list_of_dead_links_only_still_asks_whether_the_source_answers(early: Tracker) -> None:
    source, numbers = early.source(), ["990", "991", "992", "993"]
    listed(early, source, numbers)

    assert calls_of_a_list(early, source, numbers) == 1


def test_a_dead_link_is_asked_for_again_when_its_time_is_over(early: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, source = [str(number) for number in early.standin.add_many(10, 1)], early.source()
    before = early.standin.world.work_packages[int(numbers[4])]
    early.standin.hide(before.id)
    assert listed(early, source, numbers)[numbers[4]].state is State.GONE
    early.standin.touch(before.id, project_id=1)
    assert listed(early, source, numbers)[numbers[4]].state is State.GONE

    monkeypatch.setattr(batch, "HIDDEN_S", 0.0)

    assert calls_of_a_list(early, source, numbers) <= 3
    assert listed(early, source, numbers)[numbers[4]].state is State.LIVE


def test_dead_links_whose_time_is_over_are_asked_for_a_few_at_a_time(
    early: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, source = [str(number) for number in early.standin.add_many(100, 1)], early.source()
    all_well = calls_of_a_list(early, source, numbers)
    for number in numbers[::9]:
        early.standin.hide(int(number))
    listed(early, source, numbers)
    monkeypatch.setattr(batch, "HIDDEN_S", 0.0)

    assert {calls_of_a_list(early, source, numbers) for _ in range(5)} <= set(range(2 * all_well + 1))


def test_a_refreshed_list_asks_again_for_dead_links(early: Tracker) -> None:
    source = early.source()
    numbers = [str(number) for number in early.standin.add_many(10, 1)]
    early.standin.hide(int(numbers[4]))
    listed(early, source, numbers)
    early.standin.touch(int(numbers[4]), project_id=1)

    with early.connector.open(source, early.open()._caller, classify=early.leaf.classify, fresh=True) as upstream:
        refreshed = early.leaf.fetch_many(upstream, numbers)

    assert refreshed[numbers[4]].state is State.LIVE
    assert listed(early, source, numbers)[numbers[4]].state is State.LIVE


def test_a_work_package_that_was_read_by_itself_is_no_longer_called_dead(early: Tracker) -> None:
    source = early.source()
    numbers = [str(number) for number in early.standin.add_many(10, 1)]
    early.standin.hide(int(numbers[4]))
    listed(early, source, numbers)
    early.standin.touch(int(numbers[4]), project_id=1)

    with early.open(source) as upstream:
        early.leaf.resolve(upstream, numbers[4])

    assert listed(early, source, numbers)[numbers[4]].state is State.LIVE


def test_a_recent_server_is_asked_for_dead_links_with_each_list(recent: Tracker) -> None:
    numbers, source = [str(number) for number in recent.standin.add_many(10, 1)], recent.source()
    recent.standin.hide(int(numbers[4]))
    listed(recent, source, numbers)
    recent.standin.touch(int(numbers[4]), project_id=1)

    assert listed(recent, source, numbers)[numbers[4]].state is State.LIVE
