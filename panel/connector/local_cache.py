"""A cache in this process with single flight: one caller fetches a missing value, concurrent callers wait for it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from panel.connector.deadline import Deadline, DeadlinePassed

T = TypeVar("T")

WAITER_GRACE_S = 0.1
"""Waiters wait slightly longer than the caller that makes the request, so that they still receive its result."""


@dataclass(slots=True)
class _Entry:
    value: Future[Any] = field(default_factory=Future)
    until: float = math.inf
    """Expiry on the monotonic clock; infinite while the value is being fetched."""
    waiting: int = 0
    """How many callers wait for another caller's fetch."""


class LocalCache:
    """Holds at most ``max_entries`` values of this process."""

    def __init__(self, max_entries: int = 1000) -> None:
        self._max_entries = max_entries
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.Lock()

    def get(
        self,
        key: Hashable,
        seconds: float | Callable[[T], float],
        fetch: Callable[[], T],
        deadline: Deadline,
        *,
        served: Callable[[int], None] = lambda waiting: None,
        attend: Callable[[], AbstractContextManager[None]] = nullcontext,
        ends: Callable[[float], None] = lambda until: None,
        over: Callable[[T, float], None] = lambda value, until: None,
        renew: bool = False,
    ) -> T:
        """The value for ``key``, cached for ``seconds``, which may be a function of the value. ``renew`` replaces it.

        Concurrent callers share one ``fetch``, and its failure. Failures are not cached. The caller that fetches gets
        ``served`` called with the number of callers that waited. A caller that waits does so inside ``attend()``.
        ``ends`` gets the expiry of the value on the monotonic clock. Before a ``fetch``, ``over`` gets the last value
        whose time is over, if it is still there, and its expiry.
        Raises what ``fetch`` and ``attend`` raise; DeadlinePassed when another caller's fetch outlasts ``deadline``.
        """
        with self._lock:
            entry = last = self._entries.get(key)
            fetches = entry is None or entry.until <= time.monotonic() or (renew and entry.value.done())
            if entry is None or fetches:
                self._make_room()
                entry = self._entries[key] = _Entry()
        if not fetches:
            value = cast(T, self._value_of(entry, deadline, attend))
            ends(entry.until)
            return value
        try:
            if last is not None:
                over(last.value.result(), last.until)
            value = self._fill(key, entry, seconds, fetch)
            ends(entry.until)
            return value
        finally:
            served(entry.waiting)

    def _value_of(self, entry: _Entry, deadline: Deadline, attend: Callable[[], AbstractContextManager[None]]) -> Any:
        if entry.value.done():
            return entry.value.result()
        with attend():
            with self._lock:
                if not entry.value.done():
                    entry.waiting += 1
            return self._await(entry, deadline)

    def _await(self, entry: _Entry, deadline: Deadline) -> Any:
        """The result of another caller's fetch, or its exception. Raises DeadlinePassed."""
        if not wait([entry.value], timeout=deadline.left + WAITER_GRACE_S).done:
            with self._lock:
                if not entry.value.done():
                    # Not served, so it must not be counted as such.
                    entry.waiting -= 1
                    raise DeadlinePassed
        return entry.value.result()

    def _fill(self, key: Hashable, entry: _Entry, seconds: float | Callable[[T], float], fetch: Callable[[], T]) -> T:
        try:
            value = fetch()
            until = time.monotonic() + (seconds(value) if callable(seconds) else seconds)
        except BaseException as exc:
            with self._lock:
                # The entry may have been evicted, and another caller may have added a new one.
                if self._entries.get(key) is entry:
                    del self._entries[key]
                # An exit of this thread (KeyboardInterrupt) must not end the threads of the waiters.
                entry.value.set_exception(exc if isinstance(exc, Exception) else DeadlinePassed())
            raise
        with self._lock:
            entry.until = until
            entry.value.set_result(value)
        return value

    def _make_room(self) -> None:
        if len(self._entries) < self._max_entries:
            return
        now = time.monotonic()
        for key in [key for key, entry in self._entries.items() if entry.until <= now]:
            del self._entries[key]
        # Dictionaries are in insertion order, so this evicts the oldest entries.
        while len(self._entries) >= self._max_entries:
            del self._entries[next(iter(self._entries))]
