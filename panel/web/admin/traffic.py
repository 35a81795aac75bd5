"""The traffic of each source for the admin pages: breaker, rate limit, slots and last outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panel.connector import Breaker, Rate, Traffic
from panel.core.messages import _, _n
from panel.logs import call_query
from panel.logs.call_query import Outcomes
from panel.services import Panel
from panel.sources.standing import Standing
from panel.storage.models import Source
from panel.web.admin.status import Badge
from panel.web.formatting import count, second_time

PERIODS = {
    "second": _("this second"),
    "minute": _("this minute"),
    "hour": _("this hour"),
    "day": _("this day"),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """The current traffic of a source. ``slots`` is a text such as ``2 of 8``."""

    source: Source
    breaker: Badge
    budget: Badge
    slots: str
    outcomes: Outcomes


def flows(panel: Panel, sources: Sequence[Source], standings: Mapping[str, Standing]) -> list[Flow]:
    """The traffic of the sources, in their order. Queries the call log once, and no upstream."""
    known, on = call_query.outcomes(), panel.switches.connector_on()
    return [
        Flow(
            source,
            breaker(source, traffic, connector_on=on),
            budget(source, traffic),
            _("{slots} of {most}", slots=traffic.slots, most=source.max_concurrency),
            known.get(source.slug, Outcomes()),
        )
        for source in sources
        if (traffic := standings[source.id].traffic) is not None
    ]


def breaker(source: Source, traffic: Traffic, *, connector_on: bool) -> Badge:
    """The state of the circuit breaker."""
    if not connector_on:
        return Badge(_("Not called"), "none", _("the connector is off"))
    if not source.enabled:
        return Badge(_("Not called"), "none", _("the source is switched off"))
    in_a_row = _n("{n} failure in a row", "{n} failures in a row", traffic.failures)
    if traffic.breaker is Breaker.OPEN and traffic.until is not None:
        return Badge(_("Open until {time}", time=second_time(traffic.until)), "bad", in_a_row)
    if traffic.breaker is Breaker.HALF_OPEN:
        return Badge(
            _("Probing"),
            "warn",
            _n("one test call, after {n} failure", "one test call, after {n} failures", traffic.failures),
        )
    return Badge(_("Calls go out"), "ok", in_a_row if traffic.failures else "")


def budget(source: Source, traffic: Traffic) -> Badge:
    """The calls that the rate limit allows now, or the end of the wait that the upstream requested."""
    if traffic.held_until is not None:
        return Badge(
            _("Held until {time}", time=second_time(traffic.held_until)), "warn", _("requested by the upstream")
        )
    rate = Rate.of(source.rate_limit)
    if rate is None:
        return Badge(_("No limit"), "none")
    left = _("{left} of {most} left", left=count(traffic.left or 0), most=count(rate.count))
    return Badge(left, "ok" if traffic.left else "warn", PERIODS[source.rate_limit.partition("/")[2]])
