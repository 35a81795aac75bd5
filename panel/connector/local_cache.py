"""Small answers that change rarely, kept for seconds: one caller asks, those who come meanwhile wait for its answer."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from panel.connector.deadline import Deadline, DeadlinePassed

T = TypeVar("T")

WAITER_GRACE_S = 0.1
"""Who asked has nearly the same deadline as those who wait: what he hears at the very end of it, they hear too."""


@dataclass(slots=True)
class _Entry:
    value: Future[Any] = field(default_factory=Future)
    until: float = math.inf
    """On the monotonic clock; endless while the question is under way."""
    waiting: int = 0
    """How many wait for somebody else's question."""


class LocalCache:
    """Keeps at most ``most`` values; nothing of it is shared with other processes."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.Lock()

    def get(
        self,
        key: Hashable,
        seconds: float | Callable[[T], float],
        ask: Callable[[], T],
        deadline: Deadline,
        *,
        served: Callable[[int], None] = lambda waiting: None,
    ) -> T:
        """The value for ``key``, asked for at most once at a time; kept for ``seconds``, which may depend on it.

        A failure is kept for nobody but those who wait. Who asked is told, by ``served``, how many others waited and
        have the same answer or failure.

        Raises what ``ask`` raises, and DeadlinePassed when somebody else's question takes too long for us.
        """
        with self._lock:
            entry = self._entries.get(key)
            is_asker = entry is None or entry.until <= time.monotonic()
            if entry is None or is_asker:
                self._make_room()
                entry = self._entries[key] = _Entry()
            elif not entry.value.done():
                entry.waiting += 1
        if not is_asker:
            return cast(T, self._awaited(entry, deadline))
        try:
            return self._fill(key, entry, seconds, ask)
        finally:
            served(entry.waiting)

    def _awaited(self, entry: _Entry, deadline: Deadline) -> Any:
        """The answer to somebody else's question, or its failure as it is; our own deadline only ends the waiting."""
        if not wait([entry.value], timeout=deadline.left + WAITER_GRACE_S).done:
            with self._lock:
                if not entry.value.done():
                    entry.waiting -= 1
                    raise DeadlinePassed
        return entry.value.result()

    def _fill(self, key: Hashable, entry: _Entry, seconds: float | Callable[[T], float], ask: Callable[[], T]) -> T:
        try:
            value = ask()
            until = time.monotonic() + (seconds(value) if callable(seconds) else seconds)
        except BaseException as exc:
            with self._lock:
                if self._entries.get(key) is entry:
                    del self._entries[key]
                entry.value.set_exception(exc if isinstance(exc, Exception) else DeadlinePassed())
            raise
        with self._lock:
            entry.until = until
            entry.value.set_result(value)
        return value

    def _make_room(self) -> None:
        if len(self._entries) < self._most:
            return
        now = time.monotonic()
        for key in [key for key, entry in self._entries.items() if entry.until <= now]:
            del self._entries[key]
        while len(self._entries) >= self._most:
            del self._entries[next(iter(self._entries))]
