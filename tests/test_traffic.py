"""Limits, breaker, places, join and brief cache: exact over processes, against a real upstream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from admissions import use_up_a_limit, wrong_decisions
from flask import Flask
from sqlalchemy import select
from support import CASE, CASE_PATH, CONSOLE, MakeApp, Upstreams, openproject_values, xwiki_values

from panel.accounts.api_tokens import TokenRequest
from panel.connector import Breaker, Caller, Connector, Deadline, SourceConfig, Traffic, traffic_of
from panel.connector.limiter import PROBE_EVERY_S, Counts, Limiter, Rate
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import Call
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

ALICE = Caller("test", "alice")
BOB = Caller("test", "bob")


@pytest.fixture
def limit_store(tmp_path: Path) -> SqlLimitStore:
    return SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3"))


@pytest.fixture
def connector(limit_store: SqlLimitStore, upstreams: Upstreams) -> Connector:
    return Connector(allowed=lambda: (upstreams.server.host_port,), limiter=Limiter(limit_store), deadline_s=2)


def source(upstreams: Upstreams, **changes: object) -> SourceConfig:
    values = {
        "id": "s1",
        "slug": "openproject",
        "name": "T",
        "root": upstreams.openproject_url,
        "revision": 1,
        **changes,
    }
    return SourceConfig(**values)  # type: ignore[arg-type]


def ask(connector: Connector, config: SourceConfig, caller: Caller = ALICE) -> Reason | None:
    """Make one read of its own and return why it failed."""
    try:
        connector.open(config, caller, fresh=True).get("api", "v3", allow=(401,))
    except ProviderUnavailable as exc:
        return exc.reason
    return None


# --- rate limit ------------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_four_processes_share_one_limit_exactly(
    limit_store: SqlLimitStore, upstreams: Upstreams, tmp_path: Path
) -> None:
    assert limit_store.epoch("s1") == 0  # creates the tables

    decisions = use_up_a_limit(partial(ephemeral_engine, tmp_path / "traffic.sqlite3"), upstreams)

    assert wrong_decisions(decisions) == []
    assert {decision.is_admitted for decision in decisions} == {True, False}
    assert len(upstreams.openproject.requests) <= sum(decision.is_admitted for decision in decisions)


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


def test_callers_of_one_name_have_their_own_shares(connector: Connector, upstreams: Upstreams) -> None:
    config = source(upstreams, rate_limit="10/minute")
    one, other = Caller("JSON", "ci", key="token:1"), Caller("JSON", "ci", key="token:2")
    ask(connector, config, other)

    assert [ask(connector, config, one) for _ in range(9)].count(None) == 5
    assert [ask(connector, config, other) for _ in range(4)] == [None] * 4


@pytest.mark.parametrize(
    ("text", "count", "interval"), [("60/minute", 60, 1.0), ("5/second", 5, 0.2), ("1/day", 1, 86400.0)]
)
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
    from panel.core.domain import Problem

    def classify(answer: object, _: SourceConfig) -> Problem | None:
        return None if getattr(answer, "is_json", False) else Problem(Reason.UNEXPECTED_RESPONSE, "not JSON")

    try:
        connector.open(config, ALICE, classify=classify, fresh=True).get("api", "v3", allow=(401,))
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


def test_a_failing_probe_keeps_the_breaker_open_and_the_source_quiet(
    connector: Connector, upstreams: Upstreams
) -> None:
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


# --- for people ------------------------------------------------------------------------------------------------------


def admission(limit_store: SqlLimitStore, config: SourceConfig) -> Traffic:
    return traffic_of(limit_store.counts().get(config.id), rate_limit=config.rate_limit, revision=config.revision)


def test_what_is_left_of_a_limit_counts_down_with_each_call(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    config = source(upstreams, rate_limit="5/hour")
    left = [admission(limit_store, config).left]
    for _ in range(6):
        ask(connector, config)
        left.append(admission(limit_store, config).left)

    assert left == [5, 4, 3, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("due", "left"),
    [(0.0, 60), (1000.0, 60), (1000.5, 59), (1001.0, 59), (1018.0, 42), (1059.5, 0), (1060.0, 0), (1090.0, 60)],
)
def test_a_limit_fills_up_evenly(due: float, left: int) -> None:
    assert traffic_of(Counts(1000.0, due=due), rate_limit="60/minute", revision=0).left == left


@pytest.mark.parametrize(
    ("counts", "breaker"),
    [
        (Counts(1000.0), Breaker.CLOSED),
        (Counts(1000.0, failures=4), Breaker.CLOSED),
        (Counts(1000.0, failures=5, probe_at=1003.0), Breaker.OPEN),
        (Counts(1000.0, failures=5, probe_at=1003.0, slots=1), Breaker.HALF_OPEN),
        (Counts(1000.0, failures=5, probe_at=999.0), Breaker.HALF_OPEN),
        (Counts(1000.0, failures=5, probe_at=1003.0, revision=-1), Breaker.CLOSED),
    ],
)
def test_a_breaker_is_closed_open_or_probing(counts: Counts, breaker: Breaker) -> None:
    assert traffic_of(counts, rate_limit="", revision=0).breaker is breaker


def test_an_open_breaker_and_places_in_use_are_seen(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    config = source(upstreams)
    upstreams.openproject.fault = "login-page"
    [_read(connector, config) for _ in range(5)]
    opened = admission(limit_store, config)
    limit_store.take_slot(config, 30, probe=True)

    assert (opened.breaker, opened.failures, opened.slots) == (Breaker.OPEN, 5, 0)
    assert opened.until is not None
    assert 0 < opened.until.timestamp() - time.time() <= 4
    assert admission(limit_store, config).slots == 1


# --- places ----------------------------------------------------------------------------------------------------------


def test_no_more_calls_than_places_are_under_way(limit_store: SqlLimitStore, upstreams: Upstreams) -> None:
    connector = Connector(allowed=lambda: (upstreams.server.host_port,), limiter=Limiter(limit_store), deadline_s=30)
    config, answer, lock = source(upstreams, max_concurrency=2), upstreams.openproject.answer, threading.Lock()
    under_way, most = 0, 0

    def slow(request: Any) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.1)
        with lock:
            under_way -= 1
        return answer(request)

    upstreams.openproject.answer = slow  # type: ignore[method-assign]
    reasons: list[Reason | None] = []
    threads = [threading.Thread(target=lambda: reasons.append(ask(connector, config))) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]

    assert (reasons, most) == ([None] * 6, 2)


def test_who_finds_no_place_in_time_is_told_that_it_is_busy(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    config = source(upstreams, max_concurrency=2, timeout_s=0.3)
    [limit_store.take_slot(config, 30) for _ in range(2)]

    assert ask(connector, config) is Reason.BUSY
    assert upstreams.openproject.requests == []


def test_a_place_that_was_never_given_back_is_free_again_by_itself(
    limit_store: SqlLimitStore, upstreams: Upstreams
) -> None:
    config = source(upstreams, max_concurrency=1)
    taken = time.monotonic()
    assert limit_store.take_slot(config, 2).slot == 0
    assert limit_store.take_slot(config, 2).slot is None

    while limit_store.take_slot(config, 2).slot is None:
        assert time.monotonic() < taken + 30
        time.sleep(0.05)

    assert time.monotonic() > taken + 1.9


def test_each_caller_enters_with_a_slot_of_its_own(limit_store: SqlLimitStore, upstreams: Upstreams) -> None:
    config = source(upstreams, max_concurrency=2)
    for slot in [limit_store.take_slot(config, 30).slot for _ in range(2)]:
        limit_store.finish(config, slot or 0)

    assert [limit_store.enter(config, 30) for _ in range(3)] == [0, 1, None]
    limit_store.finish(config, 0)
    assert limit_store.enter(config, 30) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda store, config: store.failed(config, open_after=1, probe_every_s=-1),
        lambda store, config: store.hold_off(config, 30),
        lambda store, config: store.take_slot(config, 30),
    ],
    ids=["open breaker", "upstream's own wait", "no free slot"],
)
def test_nobody_enters_without_a_closer_look(limit_store: SqlLimitStore, upstreams: Upstreams, change: Any) -> None:
    config = source(upstreams, max_concurrency=1)
    limit_store.finish(config, limit_store.take_slot(config, 30).slot or 0)

    change(limit_store, config)

    assert limit_store.enter(config, 30) is None


def test_a_saved_source_is_entered_only_after_a_closer_look(limit_store: SqlLimitStore, upstreams: Upstreams) -> None:
    limit_store.finish(source(upstreams), limit_store.take_slot(source(upstreams), 30).slot or 0)

    assert limit_store.enter(source(upstreams, revision=2), 30) is None


def test_a_call_that_went_well_makes_the_source_forget_its_failures(
    limit_store: SqlLimitStore, upstreams: Upstreams
) -> None:
    config = source(upstreams)
    limit_store.failed(config, open_after=5, probe_every_s=4)

    limit_store.finish(config, limit_store.take_slot(config, 30).slot or 0)

    assert admission(limit_store, config).failures == 0


def test_a_newcomer_does_not_overtake_those_who_wait_for_a_slot(
    limit_store: SqlLimitStore, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, config = Limiter(limit_store), source(upstreams)
    entered: list[SourceConfig] = []
    monkeypatch.setattr(limit_store, "enter", lambda config, until_s: entered.append(config))

    with (
        limiter._slot_lock(config),
        pytest.raises(ProviderUnavailable) as caught,
        limiter.acquire(config, "bob", Deadline(0.2)),
    ):
        pass

    assert (caught.value.reason, entered) == (Reason.BUSY, [])


class Crowd:
    """Readers who all wait for a place, since others have them all, until ``go``."""

    def __init__(self, limit_store: SqlLimitStore, connector: Connector, config: SourceConfig, count: int) -> None:
        self._limit_store, self._config = limit_store, config
        self._slots = [limit_store.take_slot(config, 30).slot or 0 for _ in range(config.max_concurrency)]
        self._reasons: list[Reason | None] = []
        self._threads = [
            threading.Thread(target=lambda: self._reasons.append(_read(connector, config))) for _ in range(count)
        ]
        admitted, admit = threading.Semaphore(0), limit_store.admit

        def counted(*args: Any) -> Any:
            admission = admit(*args)
            admitted.release()
            return admission

        limit_store.admit = counted  # type: ignore[method-assign]
        [thread.start() for thread in self._threads]
        assert all(admitted.acquire(timeout=30) for _ in self._threads)

    def go(self) -> list[Reason | None]:
        [self._limit_store.free_slot(self._config, slot) for slot in self._slots]
        [thread.join(30) for thread in self._threads]
        return self._reasons


def open_up(limit_store: SqlLimitStore, config: SourceConfig, *, probe_every_s: float) -> None:
    [limit_store.failed(config, open_after=5, probe_every_s=probe_every_s) for _ in range(5)]


def test_who_waits_for_a_place_while_the_breaker_opens_does_not_go_out(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    config = source(upstreams, max_concurrency=1)
    crowd = Crowd(limit_store, connector, config, 5)

    open_up(limit_store, config, probe_every_s=PROBE_EVERY_S)

    assert crowd.go() == [Reason.CIRCUIT_OPEN] * 5
    assert upstreams.openproject.requests == []


def test_who_waits_for_a_place_hears_of_an_open_breaker_without_waiting_on(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    config = source(upstreams, max_concurrency=1, timeout_s=20)
    crowd = Crowd(limit_store, connector, config, 3)

    started = time.monotonic()
    open_up(limit_store, config, probe_every_s=PROBE_EVERY_S)
    [thread.join(30) for thread in crowd._threads]

    assert crowd._reasons == [Reason.CIRCUIT_OPEN] * 3
    assert time.monotonic() - started < 10


def test_who_waits_for_a_place_does_not_go_out_inside_the_upstreams_own_wait(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    config = source(upstreams, max_concurrency=1)
    crowd = Crowd(limit_store, connector, config, 3)

    limit_store.hold_off(config, 30)

    assert crowd.go() == [Reason.RATE_LIMITED] * 3
    assert upstreams.openproject.requests == []


def test_one_of_those_who_waited_looks_whether_the_source_is_back(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    upstreams.openproject.fault = "login-page"
    config = source(upstreams, max_concurrency=4)
    crowd = Crowd(limit_store, connector, config, 5)

    open_up(limit_store, config, probe_every_s=-1)
    reasons = crowd.go()

    assert sorted(map(str, reasons)) == ["circuit-open"] * 4 + ["unexpected-response"]
    assert len(upstreams.openproject.requests) == 1


@pytest.mark.alone
def test_who_waits_his_turn_gives_up_in_time_to_say_why(
    limit_store: SqlLimitStore, connector: Connector, upstreams: Upstreams
) -> None:
    config = source(upstreams, max_concurrency=1)
    crowd = Crowd(limit_store, connector, config, 1)
    deadline = Deadline(0.4)

    with pytest.raises(ProviderUnavailable) as caught, connector.limiter.acquire(config, "bob", deadline):
        pass

    assert caught.value.reason is Reason.BUSY
    assert deadline.left > 0
    crowd.go()


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


def test_a_post_that_only_reads_is_tried_again_too(connector: Connector, upstreams: Upstreams) -> None:
    seen = {"count": 0}

    def first_only(_: object) -> bool:
        seen["count"] += 1
        return seen["count"] == 1

    upstreams.openproject.fault, upstreams.openproject.fault_only = "server-error", first_only
    upstream = connector.open(source(upstreams), ALICE)

    upstream.send("POST", "api", "v3", body=b"{}", content_type="application/json", allow=(401, 404), reads=True)

    assert seen["count"] == 2


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
        services.sources.create(xwiki_values(upstreams), by=CONSOLE)
        services.sources.create(openproject_values(upstreams), by=CONSOLE)
    return app


Headers = Callable[[Flask, str], dict[str, str]]


def headers(app: Flask) -> dict[str, str]:
    with app.app_context():
        return {
            "Authorization": f"Bearer {app.extensions['leafpanel'].api_tokens.create_token(TokenRequest('t', 'write'), by=CONSOLE)}"
        }


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


def test_a_post_that_only_reads_leaves_what_was_remembered(
    cached: Flask, visitor: Visitor, upstreams: Upstreams
) -> None:
    with cached.app_context():
        links = cached.extensions["leafpanel"].links
        links.link(visitor, "openproject", CASE, "101")
        links.listing(visitor, "openproject", CASE)
        offered = links.choices(visitor, "openproject", "status", {}, obj=CASE, reference="101")

        with upstreams.openproject.counting() as requests:
            links.listing(visitor, "openproject", CASE)

    assert offered.items
    assert any(request.method == "POST" for request in upstreams.openproject.requests)
    assert requests == []


def test_identical_reads_under_way_become_one(connector: Connector, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "hang"
    reasons: list[Reason] = []

    def read() -> None:
        try:
            connector.open(source(upstreams), ALICE, deadline_s=0.5).get("api", "v3", "users", "me")
        except ProviderUnavailable as exc:
            reasons.append(exc.reason)

    threads = [threading.Thread(target=read) for _ in range(12)]
    [thread.start() for thread in threads]
    [thread.join(10) for thread in threads]

    time.sleep(0.1)
    assert reasons == [Reason.TIMEOUT] * 12
    assert len(upstreams.openproject.requests) <= 1  # the stand-in notes a request when it has answered


def test_a_failure_is_not_remembered(cached: Flask, visitor: Visitor, upstreams: Upstreams) -> None:
    with cached.app_context():
        links = cached.extensions["leafpanel"].links
        upstreams.openproject.fault = "forbidden"
        assert links.listing(visitor, "openproject", CASE).problem is not None
        upstreams.openproject.fault = None

        assert links.listing(visitor, "openproject", CASE).problem is None


def test_the_call_log_counts_the_callers_that_one_request_answered(cached: Flask, upstreams: Upstreams) -> None:
    known, answer = headers(cached), upstreams.openproject.answer
    answers = cached.extensions["leafpanel"].sources._connector.answers

    def late(request: Any) -> Any:
        end = time.monotonic() + 3
        while sum(entry.waiting for entry in answers._entries.values()) < 11 and time.monotonic() < end:
            time.sleep(0.005)
        return answer(request)

    upstreams.openproject.answer = late  # type: ignore[method-assign]
    threads = [
        threading.Thread(target=lambda: cached.test_client().get(f"{CASE_PATH}/openproject", headers=known))
        for _ in range(12)
    ]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]

    cached.extensions["leafpanel"].call_log.flush()
    with cached.app_context():
        assert [call.served for call in db.session.scalars(select(Call))] == [12]
