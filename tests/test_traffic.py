"""Limits, breaker, places, join and brief cache: exact over processes, against a real upstream."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support import CASE, CASE_PATH, MakeApp, Upstreams, openproject_values, xwiki_values

from panel.connector import Caller, Connector, SourceConfig
from panel.connector.gate import Gate, Rate
from panel.domain import Reason
from panel.errors import ProviderUnavailable
from panel.faces.context import Panel
from panel.ledger import SqlLedger, ephemeral_engine
from panel.links import Visitor

ALICE = Caller("test", "alice")
BOB = Caller("test", "bob")


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    return SqlLedger(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3"))


@pytest.fixture
def connector(ledger: SqlLedger, upstreams: Upstreams) -> Connector:
    return Connector(allowed=lambda: (upstreams.server.host_port,), gate=Gate(ledger), deadline_s=2)


def source(upstreams: Upstreams, **changes: object) -> SourceConfig:
    values = {"id": "s1", "slug": "openproject", "name": "T", "root": upstreams.openproject_url, "revision": 1, **changes}
    return SourceConfig(**values)  # type: ignore[arg-type]


def ask(connector: Connector, config: SourceConfig, caller: Caller = ALICE) -> Reason | None:
    """Make one read of its own and return why it failed."""
    try:
        connector.open(config, caller, fresh=True).get("api", "v3", allow=(401,))
    except ProviderUnavailable as exc:
        return exc.reason
    return None


# --- rate limit ------------------------------------------------------------------------------------------------------


def _hammer(path: str, root: str, allowed: str, ready: Any, seconds: float) -> None:
    ledger = SqlLedger(lambda: ephemeral_engine(Path(path)))
    connector = Connector(allowed=lambda: (allowed,), gate=Gate(ledger), deadline_s=2)
    config = SourceConfig("s1", "openproject", "T", root, rate_limit="20/second", max_concurrency=16, revision=1)
    ready.wait(60)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ask(connector, config) is not None:
            time.sleep(0.002)


def test_four_processes_share_one_limit_exactly(ledger: SqlLedger, upstreams: Upstreams, tmp_path: Path) -> None:
    assert ledger.epoch("s1") == 0  # the tables are there before anybody hammers
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(4)
    arguments = (str(tmp_path / "traffic.sqlite3"), upstreams.openproject_url, upstreams.server.host_port, ready, 3.0)
    workers = [spawn.Process(target=_hammer, args=arguments) for _ in range(4)]

    [worker.start() for worker in workers]
    [worker.join(90) for worker in workers]

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert 79 <= len(upstreams.openproject.requests) <= 81


def test_a_used_up_limit_says_when_to_come_back(connector: Connector, upstreams: Upstreams) -> None:
    config = source(upstreams, rate_limit="2/minute")
    assert [ask(connector, config), ask(connector, config)] == [None, None]

    with pytest.raises(ProviderUnavailable) as caught:
        connector.open(config, ALICE, fresh=True).get("api", "v3")

    assert caught.value.reason is Reason.RATE_LIMITED
    assert 25 < (caught.value.problem.retry_after or 0) <= 30
    assert len(upstreams.openproject.requests) == 2


def test_one_caller_may_use_all_of_it_while_nobody_else_asks(connector: Connector, upstreams: Upstreams) -> None:
    config = source(upstreams, rate_limit="10/minute")

    assert [ask(connector, config) for _ in range(11)] == [None] * 10 + [Reason.RATE_LIMITED]


def test_a_noisy_caller_leaves_half_to_those_who_wait(connector: Connector, upstreams: Upstreams) -> None:
    config = source(upstreams, rate_limit="10/minute")
    ask(connector, config, BOB)

    noisy = [ask(connector, config) for _ in range(9)]
    quiet = [ask(connector, config, BOB) for _ in range(4)]

    assert noisy.count(None) == 5
    assert quiet == [None] * 4


@pytest.mark.parametrize(("text", "count", "interval"), [("60/minute", 60, 1.0), ("5/second", 5, 0.2), ("1/day", 1, 86400.0)])
def test_reads_a_limit(text: str, count: int, interval: float) -> None:
    rate = Rate.of(text)

    assert rate is not None
    assert (rate.count, rate.interval_s) == (count, interval)


def test_an_upstreams_own_wait_is_kept(connector: Connector, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "rate-limited"
    config = source(upstreams)

    assert [ask(connector, config) for _ in range(5)] == [Reason.RATE_LIMITED] * 5
    assert len(upstreams.openproject.requests) == 1


# --- breaker ---------------------------------------------------------------------------------------------------------


def test_five_failures_in_a_row_open_the_breaker(connector: Connector, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "login-page"
    config = source(upstreams)

    reasons = [_read(connector, config) for _ in range(8)]

    assert reasons == [Reason.UNEXPECTED_RESPONSE] * 5 + [Reason.CIRCUIT_OPEN] * 3
    assert len(upstreams.openproject.requests) == 5


def _read(connector: Connector, config: SourceConfig) -> Reason | None:
    """A read whose answer a leaf would refuse."""
    from panel.domain import Problem

    def judge(answer: object, _: SourceConfig) -> Problem | None:
        return None if getattr(answer, "is_json", False) else Problem(Reason.UNEXPECTED_RESPONSE, "not JSON")

    try:
        connector.open(config, ALICE, judge=judge, fresh=True).get("api", "v3", allow=(401,))
    except ProviderUnavailable as exc:
        return exc.reason
    return None


def test_a_healed_source_is_served_again_within_ten_seconds(connector: Connector, upstreams: Upstreams) -> None:
    config = source(upstreams)
    upstreams.openproject.fault = "login-page"
    [_read(connector, config) for _ in range(6)]
    upstreams.openproject.fault = None

    healed = time.monotonic()
    while _read(connector, config) is not None:
        assert time.monotonic() - healed < 10
        time.sleep(0.05)


def test_a_failing_probe_keeps_the_breaker_open_and_the_source_quiet(connector: Connector, upstreams: Upstreams) -> None:
    config = source(upstreams)
    upstreams.openproject.fault = "login-page"
    [_read(connector, config) for _ in range(6)]
    upstreams.openproject.requests.clear()

    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        _read(connector, config)
        time.sleep(0.02)

    assert len(upstreams.openproject.requests) == 1


def test_saving_the_source_closes_the_breaker(connector: Connector, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "login-page"
    [_read(connector, source(upstreams)) for _ in range(6)]
    upstreams.openproject.fault = None

    assert _read(connector, source(upstreams, revision=2)) is None


def test_test_connection_asks_in_spite_of_an_open_breaker(connector: Connector, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "login-page"
    config = source(upstreams)
    [_read(connector, config) for _ in range(6)]
    upstreams.openproject.fault = None

    assert connector.open(config, ALICE, test=True).get("api", "v3", allow=(401,)).status in (200, 401)


# --- places ----------------------------------------------------------------------------------------------------------


def test_no_more_calls_than_places_are_under_way(ledger: SqlLedger, upstreams: Upstreams) -> None:
    connector = Connector(allowed=lambda: (upstreams.server.host_port,), gate=Gate(ledger), deadline_s=0.6)
    config = source(upstreams, max_concurrency=2)
    upstreams.openproject.fault = "hang"
    reasons: list[Reason | None] = []
    threads = [threading.Thread(target=lambda: reasons.append(ask(connector, config))) for _ in range(6)]

    [thread.start() for thread in threads]
    [thread.join(10) for thread in threads]

    assert sorted(str(reason) for reason in reasons) == ["busy"] * 4 + ["timeout"] * 2


def test_a_place_that_was_never_given_back_is_free_again_by_itself(ledger: SqlLedger, upstreams: Upstreams) -> None:
    config = source(upstreams, max_concurrency=1)
    assert ledger.take_slot(config, 0.2) == 0
    assert ledger.take_slot(config, 0.2) is None

    time.sleep(0.25)

    assert ledger.take_slot(config, 0.2) == 0


# --- retry -----------------------------------------------------------------------------------------------------------


def test_a_read_that_failed_once_is_tried_again_and_a_write_is_not(connector: Connector, upstreams: Upstreams) -> None:
    seen = {"count": 0}

    def first_only(_: object) -> bool:
        seen["count"] += 1
        return seen["count"] == 1

    upstreams.openproject.fault, upstreams.openproject.fault_only = "server-error", first_only
    assert ask(connector, source(upstreams)) is None

    seen["count"] = 0
    with pytest.raises(ProviderUnavailable):
        connector.open(source(upstreams), ALICE).send("POST", "api", "v3", body=b"{}", content_type="application/json")
    assert seen["count"] == 1


def test_a_sick_source_is_not_asked_twice_as_much(connector: Connector, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"

    # Each has a name of its own, so that no breaker stands in the way of counting.
    [ask(connector, source(upstreams, id=f"s{number}")) for number in range(100)]

    assert len(upstreams.openproject.requests) <= 100 + 5 + 10


# --- join and brief cache --------------------------------------------------------------------------------------------


@pytest.fixture
def cached(make_app: MakeApp, upstreams: Upstreams) -> Flask:
    app = make_app(PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port, PANEL_CACHE_TTL_S="30")
    with app.app_context():
        services: Panel = app.extensions["leafpanel"]
        services.sources.create(xwiki_values(upstreams), by="alice")
        services.sources.create(openproject_values(upstreams), by="alice")
    return app


Headers = Callable[[Flask, str], dict[str, str]]


def headers(app: Flask) -> dict[str, str]:
    with app.app_context():
        return {"Authorization": f"Bearer {app.extensions['leafpanel'].access.create_token('t', 'write')}"}


def test_two_hundred_polls_of_an_unchanged_list_cost_one_upstream_request(cached: Flask, upstreams: Upstreams) -> None:
    client, known = cached.test_client(), headers(cached)
    client.post(f"{CASE_PATH}/xwiki", json={"reference": "Sandbox.TestPage1"}, headers=known)
    with upstreams.xwiki.counting() as asked:
        first = client.get(f"{CASE_PATH}/xwiki", headers=known)
        tagged = {**known, "If-None-Match": first.headers["ETag"]}
        later = [client.get(f"{CASE_PATH}/xwiki", headers=tagged).status_code for _ in range(199)]

    assert (first.status_code, later, len(asked)) == (200, [304] * 199, 1)


def test_a_change_through_the_panel_is_seen_at_once(cached: Flask) -> None:
    client, known = cached.test_client(), headers(cached)
    client.post(f"{CASE_PATH}/openproject", json={"reference": "101"}, headers=known)
    client.get(f"{CASE_PATH}/openproject", headers=known)

    client.patch(f"{CASE_PATH}/openproject/101", json={"subject": "Changed here"}, headers=known)

    rows = (client.get(f"{CASE_PATH}/openproject", headers=known).json or {})["items"]
    assert [row["title"] for row in rows] == ["Changed here"]


def test_identical_reads_under_way_become_one(connector: Connector, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "hang"
    reasons: list[Reason] = []

    def read() -> None:
        try:
            connector.open(source(upstreams), ALICE, deadline_s=0.5).get("api", "v3", "users", "me")
        except ProviderUnavailable as exc:
            reasons.append(exc.reason)

    threads = [threading.Thread(target=read) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join(10) for thread in threads]

    time.sleep(0.1)
    assert reasons == [Reason.TIMEOUT] * 20
    assert len(upstreams.openproject.requests) <= 1  # the stand-in notes a request when it has answered


def test_a_failure_is_not_remembered(cached: Flask, visitor: Visitor, upstreams: Upstreams) -> None:
    with cached.app_context():
        links = cached.extensions["leafpanel"].links
        upstreams.openproject.fault = "forbidden"
        assert links.listing(visitor, "openproject", CASE).problem is not None
        upstreams.openproject.fault = None

        assert links.listing(visitor, "openproject", CASE).problem is None
