"""One read through the caches: an answer whose time is over is renewed while it is young, else read in full."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from panel.connector.classify import succeeded
from panel.connector.response import Answer
from panel.connector.shared_cache import CachedAnswer

CACHED_BYTES = 512 * 1024
"""The largest answer that is cached. A larger one is only shared with the callers that wait for it."""


@dataclass(slots=True)
class CachedRead:
    ttl_s: float
    reread_s: float
    """How old an answer may be that is only renewed and not read in full again."""
    read: Callable[[], Answer]
    renew: Callable[[Answer], Answer | None] | None
    """Makes the present answer from a former one; None when that is not possible."""
    last: CachedAnswer | None = None
    """What this process had, once its time is over."""

    def note_last(self, cached: CachedAnswer, until: float) -> None:
        """``until`` is the end of its time on the monotonic clock."""
        self.last = replace(cached, seconds=until - time.monotonic())

    def fetch(self, shared: CachedAnswer | None = None) -> CachedAnswer:
        """The present answer. ``shared`` is what another process had. Raises what ``read`` raises."""
        former = shared or self.last
        renewed = self._renewed(former) if former is not None and former.left > 0 else None
        return renewed or self._in_full()

    def _renewed(self, former: CachedAnswer) -> CachedAnswer | None:
        """It is valid and can be renewed no longer than the former one could: its age is that of the last full read."""
        ends = time.monotonic() + former.left
        answer = self.renew(former.answer) if self.renew is not None else None
        if answer is None or len(answer.body) > CACHED_BYTES:
            return None
        left = max(0.0, ends - time.monotonic())
        seconds = min(self.ttl_s, left)
        return CachedAnswer(answer, seconds, left - seconds)

    def _in_full(self) -> CachedAnswer:
        answer = self.read()
        if len(answer.body) > CACHED_BYTES:
            return CachedAnswer(answer, 0.0)
        is_renewable = self.renew is not None and succeeded(answer.status)
        return CachedAnswer(answer, self.ttl_s, max(0.0, self.reread_s - self.ttl_s) if is_renewable else 0.0)
