"""The clock is set back or forward: no stored moment delays anything by more than the longest wait of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from test_people import STRANGER, looked_at

from panel.accounts.people import Budget
from panel.connector.limiter import FAILURES_TO_OPEN, PROBE_EVERY_S, Breaker, Rate, traffic_of
from panel.connector.source import SourceConfig
from panel.core.clock import now
from panel.core.reasons import Reason
from panel.services import Panel
from panel.sources.oauth_store import Grants
from panel.storage.engine import db
from panel.storage.models import Source
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

SOURCE = SourceConfig("s1", "openproject", "T", "http://127.0.0.1:9", revision=1, rate_limit="30/minute")
RATE = Rate.of(SOURCE.rate_limit)
STEPS = [timedelta(hours=-1), timedelta(hours=-25), timedelta(days=3)]


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(now(), tick=False) as coordinates:
        yield coordinates


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[[], SqlLimitStore]:
    """Opens the limit store as a new process does."""
    return lambda: SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3"))


@pytest.fixture(params=[False, True], ids=["running", "restarted"])
def stores(
    open_store: Callable[[], SqlLimitStore], request: pytest.FixtureRequest
) -> tuple[SqlLimitStore, SqlLimitStore]:
    """The store before and after the step of the clock."""
    before = open_store()
    return before, open_store() if request.param else before


Stores = tuple[SqlLimitStore, SqlLimitStore]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_an_open_breaker_admits_a_probe(stores: Stores, clock: time_machine.Coordinates, step: timedelta) -> None:
    before, after = stores
    for _ in range(FAILURES_TO_OPEN):
        before.failed(SOURCE, open_after=FAILURES_TO_OPEN, probe_every_s=PROBE_EVERY_S)
    assert before.admit(SOURCE, "alice", None).reason is Reason.CIRCUIT_OPEN

    clock.shift(step)

    shown = traffic_of(after.counts()[SOURCE.id], rate_limit="", revision=1)
    assert shown.breaker is Breaker.HALF_OPEN
    assert after.admit(SOURCE, "alice", None).probe
    assert 0 < after.admit(SOURCE, "alice", None).wait_s <= PROBE_EVERY_S


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_used_up_rate_limit_is_full_again(stores: Stores, clock: time_machine.Coordinates, step: timedelta) -> None:
    before, after = stores
    while before.admit(SOURCE, "alice", RATE).reason is None:
        before.admit(SOURCE, "bob", RATE)

    clock.shift(step)

    assert traffic_of(after.counts()[SOURCE.id], rate_limit=SOURCE.rate_limit, revision=1).left == 30
    assert [after.admit(SOURCE, "alice", RATE).reason for _ in range(31)] == [None] * 30 + [Reason.RATE_LIMITED]
    assert after.admit(SOURCE, "alice", RATE).wait_s <= 60


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_wait_that_the_upstream_set_ends(stores: Stores, clock: time_machine.Coordinates, step: timedelta) -> None:
    before, after = stores
    before.hold_off(SOURCE, 300)
    assert before.admit(SOURCE, "alice", None).reason is Reason.RATE_LIMITED

    clock.shift(step)

    assert after.admit(SOURCE, "alice", None).reason is None


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_slots_of_ended_processes_are_free(stores: Stores, clock: time_machine.Coordinates, step: timedelta) -> None:
    before, after = stores
    taken = [before.take_slot(SOURCE, 6).slot for _ in range(SOURCE.max_concurrency + 1)]
    assert taken == [*range(SOURCE.max_concurrency), None]

    clock.shift(step)

    assert after.counts()[SOURCE.id].slots == 0
    assert after.take_slot(SOURCE, 6).slot == 0
    assert after.enter(SOURCE, 6) == 1


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_budget_is_full_again(stores: Stores, clock: time_machine.Coordinates, step: timedelta) -> None:
    before, after = stores
    charges = [("account", Budget(10, 180)), ("address", Budget(20, 180))]
    assert [before.spend(charges) > 0 for _ in range(11)] == [False] * 10 + [True]

    clock.shift(step)

    assert [after.spend(charges) > 0 for _ in range(11)] == [False] * 10 + [True]


def test_a_small_step_leaves_what_was_counted(
    open_store: Callable[[], SqlLimitStore], clock: time_machine.Coordinates
) -> None:
    store = open_store()
    store.hold_off(SOURCE, 100)

    clock.shift(timedelta(seconds=-60))

    assert store.admit(SOURCE, "alice", None).wait_s == pytest.approx(160)


def test_a_caller_that_had_a_limit_alone_owes_no_more_than_its_half(
    open_store: Callable[[], SqlLimitStore], clock: time_machine.Coordinates
) -> None:
    store = open_store()
    for _ in range(300):
        assert store.admit(SOURCE, "alice", RATE).reason is None
        clock.shift(timedelta(seconds=2))
    store.admit(SOURCE, "bob", RATE)

    assert store.admit(SOURCE, "alice", RATE).wait_s <= 4


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_throttled_account_is_checked_again(
    services: Panel, clock: time_machine.Coordinates, step: timedelta
) -> None:
    assert looked_at(services.people, ["alice"], [STRANGER], 12) == 10

    clock.shift(step)

    assert looked_at(services.people, ["alice"], [STRANGER], 12) == 10


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_lease_of_an_ended_renewal_is_free(
    services: Panel, clock: time_machine.Coordinates, step: timedelta
) -> None:
    db.session.add(Source(id="s1", slug="wiki", name="Wiki", location="http://127.0.0.1:9", auth_kind="oauth2"))
    db.session.commit()
    grants = Grants(db.engine, services.resolver._vault)
    grants.prepare("s1")
    assert grants.lease("s1", "one", 6)
    assert not grants.lease("s1", "two", 6)

    clock.shift(step)

    assert grants.lease("s1", "two", 6)
