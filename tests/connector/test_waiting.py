"""How many conversations of a process may wait for one source."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from connector.connectors import CALLER, connector, source
from connector.faults import FaultServer

from panel.connector import Connector, SourceConfig
from panel.connector.deadline import Deadline
from panel.connector.limiter import Limiter
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

MOST = 3
WIKI = source("http://wiki.test", max_concurrency=2)


@pytest.fixture
def limiter(tmp_path: Path) -> Limiter:
    return Limiter(SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3")), most_conversations=MOST)


@contextmanager
def waiting(limiter: Limiter, config: SourceConfig, conversations: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(conversations):
            stack.enter_context(limiter.attend(config, Deadline(30)))
        yield


def test_one_conversation_too_many_is_told_at_once_that_the_source_is_busy(limiter: Limiter) -> None:
    deadline = Deadline(30)

    with (
        waiting(limiter, WIKI, MOST),
        pytest.raises(ProviderUnavailable) as caught,
        limiter.acquire(WIKI, "bob", deadline),
    ):
        pass

    assert (caught.value.reason, caught.value.problem.retry_after) == (Reason.BUSY, 1)
    assert deadline.left > 20


def test_another_source_and_a_later_call_are_admitted(limiter: Limiter) -> None:
    with waiting(limiter, WIKI, MOST), limiter.acquire(replace(WIKI, id="2"), "bob", Deadline(5)):
        pass
    with limiter.acquire(WIKI, "bob", Deadline(5)):
        pass


def test_the_parallel_calls_of_one_conversation_count_once(limiter: Limiter) -> None:
    deadline = Deadline(5)

    with waiting(limiter, WIKI, MOST - 1), limiter.attend(WIKI, deadline), limiter.acquire(WIKI, "bob", deadline):
        pass


def test_a_source_with_more_slots_may_use_them_all(limiter: Limiter) -> None:
    wide = replace(WIKI, max_concurrency=MOST + 2)

    with waiting(limiter, wide, MOST + 1), limiter.acquire(wide, "bob", Deadline(5)):
        pass


@pytest.fixture
def hanging() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.close()


def test_who_waits_for_the_answer_to_the_call_of_another_counts_too(limiter: Limiter, hanging: FaultServer) -> None:
    outgoing = connector(hanging.host_port, limiter=limiter, cache_ttl_s=5)
    config = source(hanging.url)
    crowd = replace(config, max_concurrency=1)
    readers = [threading.Thread(target=reason_of, args=(outgoing, crowd, 3.0)) for _ in range(MOST)]
    [reader.start() for reader in readers]
    while len(limiter._attendance._waiting.get(config.id, ())) < MOST:
        threading.Event().wait(0.01)

    assert reason_of(outgoing, crowd, 30.0) is Reason.BUSY

    [reader.join(30) for reader in readers]
    assert hanging.connects == 1
    assert not limiter._attendance._waiting[config.id]


def reason_of(outgoing: Connector, config: SourceConfig, seconds: float) -> Reason | None:
    try:
        outgoing.open(config, CALLER, deadline_s=seconds).get("hang")
    except ProviderUnavailable as exc:
        return exc.reason
    return None
