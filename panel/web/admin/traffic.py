"""The traffic of each source for the admin pages: breaker, rate limit, slots and last outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panel.connector import Breaker, Rate, Traffic
from panel.logs import call_query
from panel.logs.call_query import Outcomes
from panel.services import Panel
from panel.storage.models import Source
from panel.web.admin.status import Badge
from panel.web.formatting import counted, second


@dataclass(frozen=True, slots=True)
class Flow:
    """The current traffic of a source. ``slots`` is a text such as ``2 of 8``."""

    source: Source
    breaker: Badge
    budget: Badge
    slots: str
    outcomes: Outcomes


def flows(panel: Panel, sources: Sequence[Source]) -> list[Flow]:
    """The traffic of the sources, in their order. Queries the limit store and the call log once, and no upstream."""
    known, on = call_query.outcomes(), panel.switches.connector_on()
    return [
        Flow(
            source,
            breaker(source, traffic, connector_on=on),
            budget(source, traffic),
            f"{traffic.slots} of {source.max_concurrency}",
            known.get(source.slug, Outcomes()),
        )
        for source, traffic in zip(sources, panel.sources.traffic(sources), strict=True)
    ]


def breaker(source: Source, traffic: Traffic, *, connector_on: bool) -> Badge:
    """The state of the circuit breaker."""
    if not connector_on:
        return Badge("Not called", "none", "the connector is off")
    if not source.enabled:
        return Badge("Not called", "none", "the source is switched off")
    failed = counted(traffic.failures, "failure", "failures")
    if traffic.breaker is Breaker.OPEN and traffic.until is not None:
        return Badge(f"Open until {second(traffic.until)}", "bad", f"{failed} in a row")
    if traffic.breaker is Breaker.HALF_OPEN:
        return Badge("Probing", "warn", f"one test call, after {failed}")
    return Badge("Closed", "ok", f"{failed} in a row" if traffic.failures else "calls go out")


def budget(source: Source, traffic: Traffic) -> Badge:
    """The calls that the rate limit allows now, or the end of the wait that the upstream requested."""
    if traffic.held_until is not None:
        return Badge(f"Held until {second(traffic.held_until)}", "warn", "requested by the upstream")
    rate = Rate.of(source.rate_limit)
    if rate is None:
        return Badge("No limit", "none")
    period = source.rate_limit.partition("/")[2]
    return Badge(f"{traffic.left:,} of {rate.count:,} left", "ok" if traffic.left else "warn", f"this {period}")
