"""Single flight over all processes: one of them fetches a missing answer under a lease, the others wait for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from panel.connector.deadline import Deadline
from panel.connector.response import Answer

LEASE_MARGIN_S = 0.5
"""A lease outlasts the deadline of its call by this, so that the holder can still store the answer."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer and the seconds for which it stays valid; 0 or less when its time is over."""

    answer: Answer
    seconds: float
    spare: float = 0.0
    """Seconds after its time for which it can still be renewed (``Upstream.get``)."""

    @property
    def left(self) -> float:
        """The seconds in which it can be renewed."""
        return self.seconds + self.spare


class SharedCache(Protocol):
    """A brief cache that all processes share. Its methods never raise and never block for long: a failure is a miss."""

    def get(self, key: bytes) -> CachedAnswer | None:
        """The answer that was put last, until it can no longer be renewed: its time may be over."""
        ...

    def put(self, key: bytes, cached: CachedAnswer) -> None: ...

    def lease(self, key: bytes, seconds: float) -> str | None:
        """The right to fetch ``key``, to be returned with ``release``; None while another process holds it.

        "" when the cache cannot tell: without a working cache, every process fetches for itself.
        """
        ...

    def release(self, key: bytes, lease: str) -> None: ...


class NoSharedCache:
    """Stores nothing: each process has only its local cache."""

    def get(self, key: bytes) -> CachedAnswer | None:
        return None

    def put(self, key: bytes, cached: CachedAnswer) -> None:
        """Do nothing."""

    def lease(self, key: bytes, seconds: float) -> str | None:
        return ""

    def release(self, key: bytes, lease: str) -> None:
        """Do nothing."""


Fetch = Callable[[CachedAnswer | None], CachedAnswer]
"""Gets the shared answer whose time is over, if there is one."""


def fetch_once(shared: SharedCache, key: bytes, fetch: Fetch, deadline: Deadline) -> CachedAnswer:
    """The shared answer, or the result of ``fetch`` under a lease. Raises what ``fetch`` raises."""
    reserve_s = deadline.left / 2
    while True:
        known = shared.get(key)
        if known is not None and known.seconds > 0:
            return known
        lease = shared.lease(key, deadline.left + LEASE_MARGIN_S)
        # The holder of the lease may have died, so waiting stops while there is time left to fetch without a lease.
        if lease is not None or deadline.left < reserve_s:
            return _fetch(shared, key, lease or "", fetch, known)
        time.sleep(min(deadline.left, random.uniform(0.01, 0.03)))


def _fetch(shared: SharedCache, key: bytes, lease: str, fetch: Fetch, known: CachedAnswer | None) -> CachedAnswer:
    try:
        # Another process may have stored the answer between the lookup and the lease.
        known = shared.get(key) if lease else known
        if known is not None and known.seconds > 0:
            return known
        cached = fetch(known)
        if cached.seconds > 0:
            shared.put(key, cached)
        return cached
    finally:
        shared.release(key, lease)
