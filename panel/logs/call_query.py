"""Queries of the call log: pages of lines, figures of the last 24 hours, the latest failures. Calls no upstream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, extract, func, literal_column, or_, select

from panel.core.clock import now
from panel.core.reasons import Reason
from panel.logs.calls import CallFilter, oldest
from panel.storage import paging
from panel.storage.engine import db
from panel.storage.models import Call
from panel.storage.paging import Page

DAY = timedelta(hours=24)
_REFUSED_BY_US = [reason.value for reason in Reason if reason.facts.held_back]
_NOT_SENT = [reason.value for reason in Reason if not reason.facts.sent]
_SENT = or_(Call.status.is_not(None), Call.reason.is_(None), Call.reason.not_in(_NOT_SENT))


@dataclass(frozen=True, slots=True)
class Figures:
    """One source over the last 24 hours."""

    source: str
    calls: int
    failed: int
    p50_ms: int | None = None
    p95_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """When a source last answered, and when and why it last failed, within the retention of the log."""

    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    failed_why: Reason | None = None


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a source: number of calls, number of failures, and durations."""

    begins: datetime
    calls: int = 0
    failed: int = 0
    p50_ms: int = 0
    p95_ms: int = 0


def page(selected: CallFilter, *, before: int = 0) -> Page[Call]:
    return paging.page(Call, selected.conditions(), before=before)


def every_line(selected: CallFilter) -> Iterator[Any]:
    return paging.every_line(Call, selected.conditions())


def _count(*conditions: Any) -> int:
    return paging.count(Call, *conditions)


def faces() -> list[str]:
    return list(db.session.scalars(select(Call.face).distinct().order_by(Call.face)))


def sources() -> list[str]:
    return list(db.session.scalars(select(Call.source).distinct().order_by(Call.source)))


def reasons() -> list[Reason]:
    known = select(Call.reason).where(Call.reason.is_not(None)).distinct().order_by(Call.reason)
    return [reason for word in db.session.scalars(known) if (reason := _reason(word)) is not None]


def reason_of(call: Any) -> Reason | None:
    return _reason(call.reason)


def _reason(word: str | None) -> Reason | None:
    """A stored value as a reason; None for an unknown one, which another version may have written."""
    return next((reason for reason in Reason if reason.value == word), None)


def went_out(call: Call) -> bool:
    """Whether a request was sent to the upstream."""
    return bool(call.method) and (call.status is not None or call.reason not in _NOT_SENT)


def latest_failures(*, limit: int = 5) -> list[Call]:
    query = select(Call).where(Call.at >= oldest(), Call.reason.is_not(None))
    return list(db.session.scalars(query.order_by(Call.id.desc()).limit(limit)))


# --- figures ---------------------------------------------------------------------------------------------------------


def figures() -> list[Figures]:
    """Every source that was called in the last 24 hours, the ones with the most calls first."""
    counts = select(Call.source, func.count(), func.count(Call.reason)).where(Call.at >= now() - DAY)
    counts = counts.group_by(Call.source).order_by(func.count().desc(), Call.source)
    return [_figures(source, calls, failed) for source, calls, failed in db.session.execute(counts)]


def figures_of(source: str) -> Figures:
    """One source over the last 24 hours, also when it was not called."""
    mine = (Call.source == source, Call.at >= now() - DAY)
    return _figures(source, _count(*mine), _count(*mine, Call.reason.is_not(None)))


def _figures(source: str, calls: int, failed: int) -> Figures:
    return Figures(source, calls, failed, _percentile(source, 0.5), _percentile(source, 0.95))


def outcomes() -> dict[str, Outcomes]:
    """The last success and failure of each source. Calls that the panel itself refused do not count."""
    failed = Call.reason.is_not(None)
    counts = Call.status.is_not(None) | Call.reason.is_(None) | Call.reason.not_in(_REFUSED_BY_US)
    newest = select(Call.source, failed.label("failed"), func.max(Call.at).label("at"))
    last = newest.where(Call.at >= oldest(), counts).group_by(Call.source, failed).subquery()
    same = (Call.source == last.c.source) & (Call.at == last.c.at) & (failed == last.c.failed)
    found: dict[str, Outcomes] = {}
    for call in db.session.scalars(select(Call).join(last, same)):
        known = found.get(call.source, Outcomes())
        outcome = {"failed_at": call.at, "failed_why": reason_of(call)} if call.reason else {"succeeded_at": call.at}
        found[call.source] = replace(known, **outcome)
    return found


def _percentile(source: str, share: float) -> int | None:
    """The percentile ``share`` (0 to 1) of the durations in ms, over the calls that were sent."""
    mine = (Call.source == source, Call.at >= now() - DAY, _SENT)
    count = _count(*mine)
    if not count:
        return None
    rank = math.ceil(count * share) - 1
    return db.session.scalar(select(Call.ms).where(*mine).order_by(Call.ms).offset(rank).limit(1))


def hours(source: str) -> list[Hour]:
    """The last 24 hours of a source, oldest first, including hours without calls."""
    end = now().replace(minute=0, second=0, microsecond=0)
    begins = [end - timedelta(hours=back) for back in range(23, -1, -1)]
    mine = (Call.source == source, Call.at >= begins[0])
    counts = select(_hour(), func.count(), func.count(Call.reason)).where(*mine).group_by(_hour())
    calls = {int(hour): (total, failed) for hour, total, failed in db.session.execute(counts)}
    times: dict[int, list[int]] = {}
    for hour, ms in db.session.execute(_percentiles_by_hour(*mine)):
        times.setdefault(int(hour), []).append(ms)
    return [Hour(begin, *calls.get(begin.hour, (0, 0)), *_ends(times.get(begin.hour, [0]))) for begin in begins]


def _ends(times: list[int]) -> tuple[int, int]:
    return min(times), max(times)


def _percentiles_by_hour(*mine: Any) -> Select[Any]:
    """Two rows for each hour, the median and the 95th percentile; one row where they are the same call."""
    rank = func.row_number().over(partition_by=_hour(), order_by=Call.ms).label("rank")
    count = func.count().over(partition_by=_hour()).label("count")
    ranked = select(_hour().label("hour"), Call.ms, rank, count).where(*mine, _SENT).subquery()
    # The same ranks as in ``_percentile``, in integer arithmetic that both databases have.
    median, late = (ranked.c.count + 1) // 2, (ranked.c.count * 95 + 99) // 100
    return select(ranked.c.hour, ranked.c.ms).where(or_(ranked.c.rank == median, ranked.c.rank == late))


def _hour() -> Any:
    """The hour of the day in UTC, 0 to 23."""
    sqlite = db.engine.dialect.name == "sqlite"
    # A literal, not a parameter: PostgreSQL compares SELECT and GROUP BY expressions, and two parameters differ.
    return extract("hour", Call.at if sqlite else func.timezone(literal_column("'UTC'"), Call.at))
