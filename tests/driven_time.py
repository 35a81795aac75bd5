"""A clock that a test drives: caches and stand-ins see the time pass without waiting."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from panel.sandbox.openproject import OpenProjectStandIn


class DrivenTime:
    """Moves the monotonic clock of this process, and the clocks of the servers in ``follow``."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._passed = 0.0
        monotonic = time.monotonic
        patch.setattr(time, "monotonic", lambda: monotonic() + self._passed)

    def pass_by(self, seconds: float) -> None:
        self._passed += seconds

    def follow(self, standin: OpenProjectStandIn, *, behind: float = 0.0) -> None:
        """Set the server's clock, ``behind`` seconds late."""
        standin.world.clock = lambda: datetime.now(UTC) + timedelta(seconds=self._passed - behind)
