"""What the rows of the limit store say at a moment: refusals, waits and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from panel.connector.limiter import LONGEST_HOLD_S, PROBE_EVERY_S, Admission, Counts, in_force
from panel.core.reasons import Reason


def refusal_of(row: Mapping[str, Any], now: float, *, probe: bool = False) -> Admission | None:
    """Why no call is admitted now, or None. A probe may pass the breaker, but not the wait that the upstream set."""
    if row["hold_until"] > now:
        return Admission(row["hold_until"] - now, Reason.RATE_LIMITED)
    if row["probe_at"] > now and not probe:
        return Admission(row["probe_at"] - now, Reason.CIRCUIT_OPEN)
    return None


def counts_of(row: Mapping[str, Any], now: float) -> Counts:
    names = ("revision", "due", "failures", "slots")
    return Counts(now, **{name: row[name] for name in names}, **waits_of(row, now))


def waits_of(row: Mapping[str, Any], now: float) -> dict[str, Any]:
    """``hold_until`` and ``probe_at`` of a row. A probe that is too far ahead is due now: 0 means closed."""
    probe_at = row["probe_at"] and (in_force(row["probe_at"], now, PROBE_EVERY_S) or now)
    return {"hold_until": in_force(row["hold_until"], now, LONGEST_HOLD_S), "probe_at": probe_at}


class RefillRate(Protocol):
    """A burst of ``count``, then one every ``interval_s`` seconds."""

    @property
    def count(self) -> int: ...
    @property
    def interval_s(self) -> float: ...


def wait_of(due: float, rate: RefillRate, now: float) -> float:
    """GCRA: seconds until one more call conforms to ``rate``, which allows a burst of its whole count."""
    earliest = max(due, now) + rate.interval_s - rate.interval_s * rate.count
    return max(0.0, earliest - now)
