"""One question upstream for all processes: who asks, who waits for the answer, and when waiting ends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from panel.connector.deadline import Deadline
from panel.connector.response import Answer

LEASE_MARGIN_S = 0.5
"""A lease outlives the deadline of the call that it is for, so that its holder has time to share the answer."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer and the seconds for which it may still be given out."""

    answer: Answer
    seconds: float


class SharedCache(Protocol):
    """What all processes know together, for seconds. It never raises and never takes long: what fails is a miss."""

    def get(self, key: bytes) -> CachedAnswer | None: ...

    def put(self, key: bytes, kept: CachedAnswer) -> None: ...

    def lease(self, key: bytes, seconds: float) -> str | None:
        """The right to ask, to be given back by ``release``; None while somebody else has it.

        Where nobody can tell, everybody has it.
        """
        ...

    def release(self, key: bytes, lease: str) -> None: ...


class NoSharedCache:
    """Each process keeps its answers to itself."""

    def get(self, key: bytes) -> CachedAnswer | None:
        return None

    def put(self, key: bytes, kept: CachedAnswer) -> None:
        """Nobody else would read it."""

    def lease(self, key: bytes, seconds: float) -> str | None:
        return ""

    def release(self, key: bytes, lease: str) -> None:
        """Nothing was taken."""


def fetch_once(shared: SharedCache, key: bytes, ask: Callable[[], CachedAnswer], deadline: Deadline) -> CachedAnswer:
    """The shared answer, or one that we ask for ourselves while the others wait. Raises what ``ask`` raises."""
    patience = deadline.left / 2
    while True:
        known = shared.get(key)
        if known is not None:
            return known
        lease = shared.lease(key, deadline.left + LEASE_MARGIN_S)
        # Whoever holds the lease may have died with it, so nobody waits longer than leaves time to ask himself.
        if lease is not None or deadline.left < patience:
            return _asked(shared, key, lease or "", ask)
        time.sleep(min(deadline.left, random.uniform(0.01, 0.03)))


def _asked(shared: SharedCache, key: bytes, lease: str, ask: Callable[[], CachedAnswer]) -> CachedAnswer:
    try:
        # Somebody may have answered between our looking and our turn.
        known = shared.get(key) if lease else None
        if known is not None:
            return known
        kept = ask()
        if kept.seconds > 0:
            shared.put(key, kept)
        return kept
    finally:
        shared.release(key, lease)
