"""A conversation: what counts as an answer, who is asked first, what is noted, remembered and done at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from connectors import (
    BASIC,
    CALLER,
    DEADLINE,
    LATEST,
    PATIENT,
    connector,
    conversation,
    failure_of,
    problem_of,
    source,
    timed,
)
from faults import Baseline, FaultServer

from panel.connector import Answer, Caller, SourceConfig
from panel.core.domain import Problem
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason


class Listener:
    """A journal that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int | None, Reason | None]] = []

    def record(
        self,
        source: SourceConfig,
        caller: Caller,
        where: str,
        status: int | None,
        reason: Reason | None,
        ms: int,
        size: int = 0,
        served: int = 1,
    ) -> None:
        assert caller is CALLER
        assert ms >= 0
        self.heard.append((where, status, reason))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 429, 500, 503])
def test_an_allowed_status_is_an_answer(faults: FaultServer, status: int) -> None:
    answer = conversation(faults).get(str(status), allow=(status,))

    assert (answer.status, answer.body) == (status, b"upstream's own words")


def test_a_cut_answer_is_none_even_when_its_status_is_allowed(faults: FaultServer) -> None:
    failure = failure_of(lambda: conversation(faults).get("401-short", allow=(401,)))

    assert (failure.reason, failure.unanswered) == (Reason.CONNECT, True)


def test_an_answer_says_where_it_came_from_without_the_query(faults: FaultServer) -> None:
    assert conversation(faults).get("rest", "ok", query=[("q", "x")]).where == "GET /rest/ok"


@pytest.mark.parametrize(("name", "allow"), [("ok", ()), ("404", (404,)), ("401", ()), ("302", ())])
def test_the_leaf_classifies_every_complete_answer_first(
    faults: FaultServer, name: str, allow: tuple[int, ...]
) -> None:
    def classify(answer: Answer, config: SourceConfig) -> Problem:
        assert config.slug == "wiki"
        return Problem(Reason.AUTHENTICATION_EXPIRED, f"Peculiar {answer.status}.")

    upstream = connector(faults.host_port).open(source(faults.url), CALLER, classify=classify)

    assert problem_of(lambda: upstream.get(name, allow=allow)).reason is Reason.AUTHENTICATION_EXPIRED


@pytest.mark.parametrize("name", ["short-body", "401-short", "500-endless"])
def test_the_leaf_never_classifies_a_part_of_an_answer(faults: FaultServer, name: str) -> None:
    classified: list[int] = []
    upstream = connector(faults.host_port).open(
        source(faults.url), CALLER, classify=lambda answer, config: classified.append(answer.status)
    )

    failure_of(lambda: upstream.get(name))

    assert classified == []


@pytest.mark.parametrize(
    ("name", "unanswered"),
    [
        ("close", True), ("reset", True), ("hang", True), ("short-body", True), ("garbage-status", True),
        ("500-drip", True),
        ("500", False), ("401", False), ("422", False), ("302", False),
    ],
)  # fmt: skip
def test_a_write_without_a_whole_answer_may_have_happened(faults: FaultServer, name: str, unanswered: bool) -> None:
    upstream = conversation(faults, seconds=DEADLINE)

    failure = failure_of(lambda: upstream.send("POST", name, body=b"{}", content_type="application/json"))

    assert failure.unanswered is unanswered


@pytest.mark.parametrize(
    ("name", "in_doubt"),
    [
        ("close", True), ("hang", True), ("short-body", True), ("500", True), ("503-seconds", True), ("599", True),
        ("part", True), ("endless-hints", True),
        ("400", False), ("401-short", False), ("429", False), ("302", False),
    ],
)  # fmt: skip
def test_only_a_refusal_proves_that_a_write_changed_nothing(faults: FaultServer, name: str, in_doubt: bool) -> None:
    upstream = conversation(faults, seconds=DEADLINE)

    failure = failure_of(lambda: upstream.send("POST", name, body=b"{}", content_type="application/json"))

    assert (failure.in_doubt, upstream.may_have_written) == (in_doubt, in_doubt)


def test_an_allowed_refusal_and_a_read_have_written_nothing(faults: FaultServer) -> None:
    upstream = conversation(faults, seconds=DEADLINE)

    upstream.send("POST", "422", body=b"{}", allow=(422,))
    failure = failure_of(lambda: upstream.get("500"))

    assert (failure.in_doubt, upstream.may_have_written) == (False, False)


def test_a_write_is_sent_once(faults: FaultServer) -> None:
    before = len(faults.seen)

    failure_of(lambda: conversation(faults).send("POST", "close", body=b"{}"))

    assert len(faults.seen) == before + 1


@pytest.mark.parametrize(
    ("explicit", "own", "expected"), [(None, None, DEADLINE), (None, 0.3, 0.3), (0.2, 0.3, 0.2), (0.2, None, 0.2)]
)
def test_whose_deadline_counts(faults: FaultServer, explicit: float | None, own: float | None, expected: float) -> None:
    outgoing = connector(faults.host_port, deadline_s=DEADLINE)
    upstream = outgoing.open(source(faults.url, timeout_s=own), CALLER, deadline_s=explicit)

    failure, took = timed(lambda: upstream.get("hang"))

    assert failure.problem.message == f"127.0.0.1 did not answer within {expected:g} s."
    assert expected * 0.8 < took < expected + LATEST - DEADLINE


def test_the_limit_of_an_answer_can_be_set(faults: FaultServer) -> None:
    upstream = connector(faults.host_port, max_bytes=11).open(source(faults.url), CALLER)

    assert problem_of(lambda: upstream.get("ok")).reason is Reason.TOO_LARGE
    assert problem_of(lambda: upstream.get("gzip")).reason is Reason.TOO_LARGE


def test_an_answer_at_the_limit_is_read(faults: FaultServer) -> None:
    upstream = connector(faults.host_port, max_bytes=12).open(source(faults.url), CALLER)

    assert upstream.get("ok").body == upstream.get("gzip").body == upstream.get("chunked").body


def test_every_attempt_is_noted_with_the_names_of_its_query_only(faults: FaultServer) -> None:
    journal = Listener()
    upstream = connector(faults.host_port, journal=journal).open(
        source(faults.url, auth=BASIC), CALLER, deadline_s=PATIENT
    )

    upstream.get("ok", query=[("q", "canary")])
    upstream.get("404", allow=(404,))
    failure_of(lambda: upstream.get("401"))
    failure_of(lambda: upstream.send("POST", "close"))

    assert journal.heard == [
        ("GET /ok?q=…", 200, None),
        ("GET /404", 404, None),
        ("GET /401", 401, Reason.CREDENTIALS_REJECTED),
        ("POST /close", None, Reason.CONNECT),
    ]


def test_a_refused_address_is_noted_too() -> None:
    journal = Listener()
    upstream = connector(journal=journal).open(source("http://127.0.0.1:1"), CALLER)

    failure_of(lambda: upstream.get("x"))

    assert journal.heard == [("GET /x", None, Reason.ADDRESS_NOT_ALLOWED)]


def test_a_journal_that_fails_spoils_no_call(faults: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        def record(self, *args: Any) -> None:
            raise OSError("disk full")

    upstream = connector(faults.host_port, journal=Full()).open(source(faults.url), CALLER)

    assert upstream.get("ok").status == 200
    assert "could not be recorded" in caplog.text


@pytest.mark.parametrize("root", ["", "ftp://wiki.test", "https://user:canary@wiki.test", "https://wiki.test/../x"])
def test_a_source_with_a_bad_address_is_invalid(root: str) -> None:
    problem = problem_of(lambda: connector().open(source(root), CALLER).get("x"))

    assert problem.reason is Reason.SOURCE_INVALID
    assert "canary" not in problem.message


def test_each_keeps_the_order_and_works_at_once(faults: FaultServer) -> None:
    upstream, together = conversation(faults), threading.Barrier(4, timeout=PATIENT)

    def work(name: str) -> str:
        together.wait()
        return upstream.get(name).where

    assert upstream.each(work, ["a", "b", "c", "d"], at_once=4) == ["GET /a", "GET /b", "GET /c", "GET /d"]


def test_each_is_bounded() -> None:
    upstream, lock = connector().open(source("https://wiki.test"), CALLER), threading.Lock()
    running, most = 0, 0

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return number

    assert upstream.each(work, range(30), at_once=3) == list(range(30))
    assert most <= 3


def test_each_raises_the_first_failure_and_starts_nothing_after_it(faults: FaultServer) -> None:
    baseline, started = Baseline(), []
    upstream = conversation(faults, seconds=2)

    def work(name: str) -> Answer:
        started.append(name)
        return upstream.get(name)

    failure, took = timed(lambda: upstream.each(work, ["hang", "403", *["ok"] * 50], at_once=2))

    assert failure.reason is Reason.FORBIDDEN
    assert took < 2 + LATEST
    assert len(started) < 52
    assert baseline.is_back()


@pytest.mark.parametrize("things", [[], ["ok"]])
def test_each_of_few_needs_no_thread(faults: FaultServer, things: list[str]) -> None:
    upstream = conversation(faults)

    threads = upstream.each(lambda name: threading.current_thread(), things)

    assert threads == [threading.current_thread()] * len(things)


def test_remembered_values_belong_to_a_source_and_its_revision() -> None:
    outgoing = connector()
    asked: list[str] = []

    def ask(config: SourceConfig) -> int:
        return outgoing.open(config, CALLER).remember("spaces", PATIENT, lambda: asked.append("x") or len(asked))

    first = source("https://wiki.test")
    saved = source("https://wiki.test", revision=1)
    other = source("https://wiki.test", id="2")

    assert [ask(first), ask(first), ask(saved), ask(other), ask(first)] == [1, 1, 2, 3, 1]


def test_waiting_for_somebody_elses_question_ends_with_our_deadline() -> None:
    outgoing, over, started = connector(), threading.Event(), threading.Event()
    config = source("https://wiki.test")

    def slow() -> int:
        started.set()
        over.wait(PATIENT)
        return 1

    asker = threading.Thread(target=lambda: outgoing.open(config, CALLER).remember("spaces", 1, slow))
    asker.start()
    started.wait(PATIENT)

    problem = problem_of(lambda: outgoing.open(config, CALLER, deadline_s=0.1).remember("spaces", 1, slow))
    over.set()
    asker.join(PATIENT)

    assert problem.reason is Reason.TIMEOUT


class Counting(Listener):
    """A journal that also keeps how many callers each call answered."""

    def __init__(self) -> None:
        super().__init__()
        self.served: list[tuple[str, int]] = []

    def record(self, source: SourceConfig, caller: Caller, where: str, *rest: Any) -> None:  # type: ignore[override]
        self.served.append((where, rest[-1]))


def together(memory: Any, count: int, work: Any) -> list[Any]:
    """What ``work`` returns in ``count`` threads, of which all but one wait for the question of the first."""
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join(PATIENT) for thread in threads]
    assert len(found) == count
    return found


def slow(outgoing: Any, memory: Any, waiting: int) -> None:
    """Make calls wait until so many callers wait for an answer, so that the count does not hang on the machine."""
    exchange = outgoing.transport.exchange

    def late(*args: Any, **options: Any) -> Any:
        end = time.monotonic() + PATIENT
        while sum(entry.waiting for entry in memory._entries.values()) < waiting and time.monotonic() < end:
            time.sleep(0.005)
        return exchange(*args, **options)

    outgoing.transport.exchange = late


@pytest.mark.parametrize(("name", "reason"), [("ok", None), ("403", Reason.FORBIDDEN)])
def test_one_request_answers_all_who_wait_and_its_line_counts_them(
    faults: FaultServer, name: str, reason: Reason | None
) -> None:
    journal = Counting()
    outgoing = connector(faults.host_port, journal=journal)
    slow(outgoing, outgoing.answers, 6)

    def read() -> Reason | None:
        upstream = outgoing.open(source(faults.url), CALLER, deadline_s=PATIENT)
        try:
            upstream.get(name)
        except ProviderUnavailable as exc:
            return exc.reason
        return None

    assert together(outgoing.answers, 7, read) == [reason] * 7
    assert journal.served == [(f"GET /{name}", 7)]


def test_those_who_wait_for_what_is_remembered_count_too(faults: FaultServer) -> None:
    journal = Counting()
    outgoing = connector(faults.host_port, journal=journal)
    slow(outgoing, outgoing.values, 4)

    def statuses() -> int:
        upstream = outgoing.open(source(faults.url), CALLER, deadline_s=PATIENT)
        return upstream.remember("statuses", 60, lambda: upstream.get("ok").status)

    assert together(outgoing.values, 5, statuses) == [200] * 5
    assert journal.served == [("GET /ok", 5)]


def test_only_the_call_that_answered_counts_the_others(faults: FaultServer) -> None:
    journal = Counting()
    outgoing = connector(faults.host_port, journal=journal)
    slow(outgoing, outgoing.values, 2)

    def two() -> int:
        upstream = outgoing.open(source(faults.url), CALLER, deadline_s=PATIENT)
        return upstream.remember("x", 60, lambda: upstream.get("ok").status + upstream.get("gzip").status)

    together(outgoing.values, 3, two)

    assert journal.served == [("GET /ok", 1), ("GET /gzip", 3)]


def test_a_fresh_read_and_a_write_serve_one(faults: FaultServer) -> None:
    journal = Counting()
    upstream = connector(faults.host_port, journal=journal).open(source(faults.url), CALLER, fresh=True)

    upstream.get("ok")
    upstream.send("POST", "ok", body=b"{}")

    assert journal.served == [("GET /ok", 1), ("POST /ok", 1)]
