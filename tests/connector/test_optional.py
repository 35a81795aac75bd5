"""Optional parts of a source: a share of the time, a breaker of their own, and a memory of what failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from connector.connectors import CALLER, connector, source
from connector.faults import FaultServer

from panel.connector import Answer, Breaker, Connector, SourceConfig, Upstream, traffic_of
from panel.connector.limiter import FAILURES_TO_OPEN, Limiter
from panel.connector.optional import MOST_NOTED, Notes, Pauses
from panel.core.domain import Problem
from panel.core.errors import NotFound
from panel.core.reasons import Reason
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

FAILURE = Problem(Reason.SERVER_ERROR, "It failed.")
SECONDS = 2.0


@pytest.fixture
def limiter(tmp_path: Path) -> Limiter:
    return Limiter(SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3")))


@pytest.fixture
def outgoing(faults: FaultServer, limiter: Limiter) -> Connector:
    return connector(faults.host_port, limiter=limiter)


@pytest.fixture
def wiki(faults: FaultServer) -> SourceConfig:
    return source(faults.url)


def asking(path: str) -> Callable[[Upstream], Answer]:
    return lambda part: part.get(path)


def breaker_of(limiter: Limiter, wiki: SourceConfig) -> Breaker:
    return traffic_of(limiter._limit_store.counts().get(wiki.id), rate_limit="", revision=wiki.revision).breaker


def requests_for(faults: FaultServer, path: str, work: Callable[[], object]) -> int:
    before = len(faults.seen)
    work()
    return sum(one.target == f"/{path}" for one in faults.seen[before:])


def test_the_result_of_a_part_that_answers(outgoing: Connector, wiki: SourceConfig) -> None:
    answer = outgoing.open(wiki, CALLER).optional("index", asking("ok"))

    assert answer is not None
    assert answer.object() == {"ok": True}


def test_a_part_that_hangs_takes_its_share_and_leaves_the_rest(outgoing: Connector, wiki: SourceConfig) -> None:
    upstream = outgoing.open(wiki, CALLER, deadline_s=SECONDS)

    started = time.monotonic()
    missing = upstream.optional("index", asking("hang"), share=0.2)

    assert missing is None
    assert 0.3 < time.monotonic() - started < SECONDS * 0.75
    assert upstream.get("ok").status == 200


@pytest.mark.parametrize("path", ["hang", "401", "403", "500", "503", "429-seconds", "302", "wrong-type"])
def test_a_failed_part_is_not_asked_again_at_once(
    outgoing: Connector, wiki: SourceConfig, faults: FaultServer, path: str
) -> None:
    def read() -> None:
        upstream = outgoing.open(wiki, CALLER, deadline_s=SECONDS)
        assert upstream.optional("index", lambda part: part.get(path).object()) is None

    assert requests_for(faults, path, lambda: [read() for _ in range(5)]) == 1


def test_failures_of_a_part_neither_open_the_breaker_nor_hold_the_source_off(
    outgoing: Connector, wiki: SourceConfig, limiter: Limiter
) -> None:
    for number in range(FAILURES_TO_OPEN + 1):
        upstream = outgoing.open(wiki, CALLER)
        assert upstream.optional(f"part {number}", asking("500")) is None
        assert upstream.optional(f"limited part {number}", asking("429-seconds")) is None

    assert breaker_of(limiter, wiki) is Breaker.CLOSED
    assert outgoing.open(wiki, CALLER).get("ok").status == 200


def test_another_part_another_source_and_a_saved_source_are_asked(outgoing: Connector, wiki: SourceConfig) -> None:
    assert outgoing.open(wiki, CALLER).optional("index", asking("500")) is None

    assert outgoing.open(wiki, CALLER).optional("statuses", asking("ok")) is not None
    assert outgoing.open(replace(wiki, id="2"), CALLER).optional("index", asking("ok")) is not None
    assert outgoing.open(replace(wiki, revision=1), CALLER).optional("index", asking("ok")) is not None


def test_other_failures_pass_through_and_do_not_count(outgoing: Connector, wiki: SourceConfig) -> None:
    def refuse(part: Upstream) -> Answer:
        raise NotFound("There is none.")

    with pytest.raises(NotFound):
        outgoing.open(wiki, CALLER).optional("index", refuse)

    assert outgoing.open(wiki, CALLER).optional("index", asking("ok")) is not None


def test_with_hardly_any_time_left_a_part_is_neither_asked_nor_blamed(outgoing: Connector, wiki: SourceConfig) -> None:
    assert outgoing.open(wiki, CALLER, deadline_s=0.05).optional("index", asking("ok")) is None

    assert outgoing.open(wiki, CALLER).optional("index", asking("ok")) is not None


def test_after_a_pause_one_caller_tries(wiki: SourceConfig) -> None:
    pauses = Pauses()
    pauses.failed(wiki, "index", replace(FAILURE, retry_after=1e-9))

    admitted = [pauses.admits(wiki, "index", 5) for _ in range(3)]
    pauses.succeeded(wiki, "index")

    assert admitted == [True, False, False]
    assert pauses.admits(wiki, "index", 5)


def test_notes_are_read_with_their_age_the_oldest_first() -> None:
    notes = Notes(0)
    notes.add(["1", "2", "3"])
    notes.add(["1"])
    notes.discard(["3"])

    ages = notes.ages(["1", "2", "3", "4"])

    assert list(ages) == ["2", "1"]
    assert all(0 <= age < 5 for age in ages.values())


def test_notes_are_bounded() -> None:
    notes = Notes(0)
    notes.add(str(number) for number in range(MOST_NOTED + 10))

    assert not notes.ages(["0", "9"])
    assert len(notes.ages(map(str, range(MOST_NOTED + 10)))) == MOST_NOTED


def test_saving_a_source_empties_its_notes(outgoing: Connector, wiki: SourceConfig) -> None:
    outgoing.open(wiki, CALLER).notes("gone").add(["1"])

    assert "1" in outgoing.open(wiki, CALLER).notes("gone").ages(["1"])
    assert not outgoing.open(replace(wiki, revision=1), CALLER).notes("gone").ages(["1"])
    assert not outgoing.open(wiki, CALLER).notes("other").ages(["1"])
