"""The absolute deadline of a conversation."""

from __future__ import annotations

import time


class DeadlinePassed(TimeoutError):
    """The deadline has passed."""


class Deadline:
    """A fixed moment on the monotonic clock, ``seconds`` after its creation."""

    __slots__ = ("_ends", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self._ends - time.monotonic())

    def remaining(self) -> float:
        """Seconds until the deadline. Raises DeadlinePassed when none are left."""
        left = self.left
        if left <= 0:
            raise DeadlinePassed
        return left
