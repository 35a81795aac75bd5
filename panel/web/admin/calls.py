"""The call log as a page and as CSV: the calls to each source and their results."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from panel.core.clock import now
from panel.core.domain import Problem
from panel.core.messages import _
from panel.core.reasons import Cause, Reason
from panel.logs import call_query
from panel.logs.calls import CallFilter
from panel.storage.models import Call
from panel.web.context import panel
from panel.web.export import as_csv
from panel.web.reason_words import remedy_of
from panel.web.zone import local, start_of, today

bp = Blueprint("calls", __name__)

PERIODS = {"hour": _("Last hour"), "today": _("Today"), "day": _("Last 24 hours"), "": _("Last 7 days")}
HEADER = (
    "time", "source", "asked by", "on behalf of", "method", "path", "status", "cause", "reason", "milliseconds",
    "bytes", "served", "reference",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallView:
    """One call as the page shows it."""

    call: Call
    severity: str
    outcome: str
    came_back: str
    cause: Cause | None
    help: str

    @classmethod
    def of(cls, call: Call) -> CallView:
        reason = call_query.reason_of(call)
        severity = "bad" if call.reason else "none" if (call.status or 200) >= 400 else "ok"
        outcome = call.reason or f"{call.status}, {size(call.size)}"
        cause = reason.cause if reason is not None else None
        return cls(call, severity, outcome, _came_back(call), cause, _help(reason))

    @property
    def is_switched_off(self) -> bool:
        """Whether the connector switch caused the failure, and no setting of a source."""
        return self.cause is Cause.CONNECTOR_DOWN


def _help(reason: Reason | None) -> str:
    return remedy_of(Problem(reason, "")) if reason is not None else ""


def _came_back(call: Call) -> str:
    if call.status is not None:
        return f"{call.status}, {size(call.size)}"
    return _("No whole answer.") if call_query.went_out(call) else _("Nothing was sent.")


def size(count: int) -> str:
    """``812 B``, ``18 kB``, ``1.2 MB``."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 999_500 else f"{count / 1_000_000:.1f} MB"


@bp.get("/calls")
def index() -> str:
    """Calls of the log. Pending lines of this process are written first, so that the latest reference is found."""
    panel().call_log.flush()
    chosen = _chosen()
    found = call_query.page(_filter(chosen), before=request.args.get("before", 0, type=int))
    pages = {name: _page_url(chosen, cursor) for name, cursor in (("older", found.older), ("newer", found.newer))}
    return render_template(
        "admin/calls.html",
        chosen=chosen,
        choices=_choices(chosen),
        found=found,
        call_views=[CallView.of(call) for call in found.rows],
        figures=call_query.figures_of(chosen["source"]) if chosen["source"] else None,
        chart=chart(chosen["source"]) if chosen["source"] else None,
        known={source.slug for source in panel().sources.all()} | {leaf.id for leaf in panel().registry.all()},
        download=url_for(".download", **_non_empty(chosen)),
        **pages,
    )


def _chosen() -> dict[str, str]:
    """The values of the filter fields in this request."""
    return {name: request.args.get(name, "").strip() for name in ("source", "outcome", "face", "period", "text")}


def _filter(chosen: dict[str, str]) -> CallFilter:
    return CallFilter(chosen["source"], chosen["outcome"], chosen["face"], _since(chosen["period"]), chosen["text"])


def _since(period: str) -> datetime | None:
    if period == "today":
        return start_of(today())
    back = {"hour": timedelta(hours=1), "day": timedelta(hours=24)}.get(period)
    return now() - back if back is not None else None


def _non_empty(chosen: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in chosen.items() if value}


def _page_url(chosen: dict[str, str], cursor: int | None) -> str | None:
    return None if cursor is None else url_for(".index", **_non_empty(chosen), before=cursor or None)


def _choices(chosen: dict[str, str]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """The filter fields above the log: name, label, and options with the empty one first."""
    slugs = sorted({*call_query.sources(), *(source.slug for source in panel().sources.all())})
    reasons = [(reason.value, reason.value) for reason in call_query.reasons()]
    outcomes = [("", _("All outcomes")), ("ok", _("Succeeded")), ("failed", _("Failed")), *reasons]
    return [
        ("source", _("Source"), [("", _("All sources")), *((slug, slug) for slug in slugs)]),
        ("outcome", _("Outcome"), outcomes),
        ("face", _("Asked by"), [("", _("All")), *((face, face) for face in call_query.faces())]),
        ("period", _("Period"), [("", PERIODS[""]), *((key, label) for key, label in PERIODS.items() if key)]),
    ]


# --- CSV -------------------------------------------------------------------------------------------------------------


@bp.get("/calls.csv")
def download() -> Response:
    panel().call_log.flush()
    chosen = _chosen()
    rows = (_cells(call) for call in call_query.every_line(_filter(chosen)))
    return as_csv(f"leafpanel-calls-{now():%Y-%m-%d}.csv", HEADER, rows)


def _cells(call: Any) -> tuple[object, ...]:
    reason = call_query.reason_of(call)
    cause = reason.cause.value if reason is not None else ""
    return (
        call.at.isoformat(timespec="milliseconds"), call.source, call.face, call.principal, call.method, call.path,
        call.status, cause, call.reason, call.ms, call.size, call.served, call.request_id,
    )  # fmt: skip


# --- chart -----------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, STEP = 240, 36, 10


@dataclass(frozen=True, slots=True)
class Chart:
    """Two charts of the last 24 hours of a source: durations and failed calls."""

    late: str
    median: str
    bars: list[tuple[int, float, float, str]]
    """x, y, height and description of each hour with failures."""
    slowest: int
    most: int
    description: str


def chart(source: str) -> Chart:
    found = call_query.hours(source)
    slowest = max((hour.p95_ms for hour in found), default=0)
    most = max((hour.failed for hour in found), default=0)
    bars: list[tuple[int, float, float, str]] = []
    for column, hour in enumerate(found):
        if hour.failed:
            height = max(2.0, hour.failed / most * HEIGHT)
            begins = f"{local(hour.begins):%H:%M}"
            description = _("{time}: {failed} of {calls} failed", time=begins, failed=hour.failed, calls=hour.calls)
            bars.append((column * STEP + 1, HEIGHT - height, height, description))
    failed = sum(hour.failed for hour in found)
    total = sum(hour.calls for hour in found)
    description = _(
        "Last 24 hours: {total} calls, {failed} failed, slowest hour {slowest} ms.",
        total=total, failed=failed, slowest=slowest,
    )  # fmt: skip
    late, median = _path([hour.p95_ms for hour in found], slowest), _path([hour.p50_ms for hour in found], slowest)
    return Chart(late, median, bars, slowest, most, description)


def _path(values: list[int], slowest: int) -> str:
    """The path of a step chart with gaps for hours without calls."""
    parts, drawing = [], False
    for column, value in enumerate(values):
        y = HEIGHT - value / slowest * (HEIGHT - 2) - 1 if slowest else HEIGHT
        x = column * STEP
        if value:
            parts.append(f"{'L' if drawing else 'M'}{x} {y:.1f}L{x + STEP} {y:.1f}")
        drawing = bool(value)
    return "".join(parts)
