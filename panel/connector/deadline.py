"""One absolute end for everything that a conversation does."""

from __future__ import annotations

import time


class DeadlinePassed(TimeoutError):
    """No time is left."""


class Deadline:
    """A moment on the monotonic clock; however often it is asked, it does not move."""

    __slots__ = ("_ends", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the end, never negative."""
        return max(0.0, self._ends - time.monotonic())

    def remaining(self) -> float:
        """Seconds until the end; raises DeadlinePassed when there are none."""
        left = self.left
        if left <= 0:
            raise DeadlinePassed
        return left
