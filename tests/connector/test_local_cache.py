"""Small values kept for seconds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from panel.connector.deadline import Deadline, DeadlinePassed
from panel.connector.local_cache import LocalCache


def test_a_value_is_asked_for_again_when_its_time_is_over() -> None:
    memory, asked = LocalCache(), []

    for seconds in (0, 0, 60, 60):
        memory.get("key", seconds, lambda: asked.append(1), Deadline(30))

    assert len(asked) == 3


def test_a_value_that_is_renewed_is_the_value_from_then_on() -> None:
    memory = LocalCache()
    memory.get("key", 60, lambda: "old", Deadline(30))

    renewed = memory.get("key", 60, lambda: "new", Deadline(30), renew=True)

    assert (renewed, memory.get("key", 60, lambda: "other", Deadline(30))) == ("new", "new")


def test_those_who_come_meanwhile_share_one_question() -> None:
    memory, asked = LocalCache(), []
    waiting, go = threading.Barrier(8), threading.Event()

    def ask() -> str:
        asked.append(1)
        go.wait(30)
        return "value"

    def come() -> str:
        waiting.wait(30)
        return memory.get("key", 60, ask, Deadline(30))

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(come) for _ in range(8)]
        threading.Timer(0.05, go.set).start()

        assert [result.result(30) for result in results] == ["value"] * 8
    assert len(asked) == 1


def test_a_failure_is_not_kept() -> None:
    memory = LocalCache()

    def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        memory.get("key", 60, fail, Deadline(30))

    assert memory.get("key", 60, lambda: "value", Deadline(30)) == "value"


def test_those_who_wait_share_the_failure() -> None:
    memory, asking, go = LocalCache(), threading.Event(), threading.Event()

    def fail() -> str:
        asking.set()
        go.wait(30)
        raise ValueError("no")

    with ThreadPoolExecutor(2) as pool:
        asker = pool.submit(memory.get, "key", 60, fail, Deadline(30))
        asking.wait(30)
        waiter = pool.submit(memory.get, "key", 60, lambda: "asked again", Deadline(30))
        threading.Timer(0.05, go.set).start()

        assert isinstance(asker.exception(30), ValueError)
        assert isinstance(waiter.exception(30), ValueError) or waiter.result() == "asked again"


def test_an_asker_that_is_stopped_leaves_nobody_waiting() -> None:
    memory = LocalCache()

    def stop() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memory.get("key", 60, stop, Deadline(30))

    assert memory.get("key", 60, lambda: "value", Deadline(1)) == "value"


def test_waiting_has_an_end() -> None:
    memory, asking, go = LocalCache(), threading.Event(), threading.Event()

    def slow() -> None:
        asking.set()
        go.wait(30)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(memory.get, "key", 60, slow, Deadline(30))
        asking.wait(30)
        with pytest.raises(DeadlinePassed):
            memory.get("key", 60, slow, Deadline(0.05))
        go.set()


def test_it_does_not_grow_for_ever() -> None:
    memory = LocalCache(max_entries=10)

    for number in range(100):
        memory.get(number, 60, lambda number=number: number, Deadline(30))

    assert len(memory._entries) == 10
    assert memory.get(99, 60, lambda: "asked again", Deadline(30)) == 99


def test_who_asked_is_told_how_many_waited() -> None:
    memory, asking, go = LocalCache(), threading.Event(), threading.Event()
    told: list[int] = []

    def ask() -> str:
        asking.set()
        go.wait(30)
        return "value"

    with ThreadPoolExecutor(6) as pool:
        asker = pool.submit(memory.get, "key", 60, ask, Deadline(30), served=told.append)
        asking.wait(30)
        waiters = [pool.submit(memory.get, "key", 60, ask, Deadline(30), served=told.append) for _ in range(4)]
        impatient = pool.submit(memory.get, "key", 60, ask, Deadline(0.05), served=told.append)
        assert isinstance(impatient.exception(30), DeadlinePassed)
        go.set()
        [waiter.result(30) for waiter in [asker, *waiters]]
    memory.get("key", 60, ask, Deadline(30), served=told.append)

    assert told == [4]


def test_an_answer_in_time_is_heard_and_a_late_one_is_not() -> None:
    memory, asking, go = LocalCache(), threading.Event(), threading.Event()

    def fail() -> str:
        asking.set()
        go.wait(30)
        raise ValueError("the asker's own reason")

    with ThreadPoolExecutor(3) as pool:
        asker = pool.submit(memory.get, "key", 60, fail, Deadline(30))
        asking.wait(30)
        late = pool.submit(memory.get, "key", 60, fail, Deadline(0.05))
        assert isinstance(late.exception(30), DeadlinePassed)
        in_time = pool.submit(memory.get, "key", 60, fail, Deadline(30))
        while memory._entries["key"].waiting < 1:
            asking.wait(0.001)
        go.set()

        assert isinstance(in_time.exception(30), ValueError)
        assert isinstance(asker.exception(30), ValueError)
