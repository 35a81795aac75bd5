"""Template filters: dates, durations, counts, breadcrumbs and references as the pages show them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import date, datetime

from flask import Flask
from markupsafe import Markup, escape

from panel.core.clock import now
from panel.integrations.contract import Integration

EXCERPT_LENGTH = 140

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def install(app: Flask) -> None:
    """Register the filters for all templates."""
    filters = (
        ago, breadcrumb, clip, clock, color, counted, day, due, duration, highlight, key, overdue, short_day,
        short_reference, timestamp, web,
    )  # fmt: skip
    app.jinja_env.filters.update({function.__name__: function for function in filters})


# --- dates -----------------------------------------------------------------------------------------------------------


def day(moment: datetime) -> str:
    """``12 Oct 2026``."""
    local = moment.astimezone()
    return f"{local.day} {local:%b %Y}"


def clock(moment: datetime) -> str:
    """``14:06`` for today, ``12 Oct 2026 14:06`` otherwise."""
    local = moment.astimezone()
    time = f"{local:%H:%M}"
    return time if local.date() == now().astimezone().date() else f"{day(moment)} {time}"


def timestamp(moment: datetime) -> str:
    """``14:06:02.418`` for today, ``12 Oct 14:06:02.418`` otherwise; for log lines."""
    local = moment.astimezone()
    time = f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"
    return time if local.date() == now().astimezone().date() else f"{local.day} {local:%b} {time}"


def wait_time(seconds: int) -> str:
    """``40 s``, ``3 min``."""
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"


def second(moment: datetime) -> str:
    """``14:06:02``, for moments of today."""
    return f"{moment.astimezone():%H:%M:%S}"


def duration(ms: int | None) -> str:
    """A duration: ``142 ms``, or ``5.0 s`` from one second; ``–`` without one."""
    if ms is None:
        return "–"
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def ago(moment: datetime) -> str:
    """``just now``, ``5 minutes ago``, ``2 hours ago``, ``3 days ago``; after a week the day."""
    seconds = (now() - moment).total_seconds()
    for limit, size, one, many in (
        (3600, 60, "minute", "minutes"),
        (86400, 3600, "hour", "hours"),
        (7 * 86400, 86400, "day", "days"),
    ):
        if seconds < size:
            return "just now"
        if seconds < limit:
            return f"{counted(int(seconds // size), one, many)} ago"
    return day(moment)


def short_day(value: datetime | date | str) -> str:
    """``16 Nov``, with the year unless it is the current one; "" for a value that is not a date."""
    found = _date(value)
    if found is None:
        return ""
    return f"{found.day} {found:%b}" if found.year == _today().year else f"{found.day} {found:%b %Y}"


def due(value: date | str | None) -> str:
    """``Due 4 Dec``, or "" without a due date."""
    return f"Due {short_day(value)}" if value and _date(value) else ""


def overdue(value: date | str | None) -> str:
    """``3 days overdue``, or "" before that."""
    found = _date(value) if value else None
    late = (_today() - found).days if found else 0
    return f"{counted(late, 'day', 'days')} overdue" if late > 0 else ""


def _today() -> date:
    return now().astimezone().date()


def _date(value: datetime | date | str) -> date | None:
    if isinstance(value, datetime):
        return value.astimezone().date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


# --- text ------------------------------------------------------------------------------------------------------------


def counted(number: int, one: str, many: str) -> str:
    """``1 page``, ``5 pages``, ``1,200 pages``."""
    return f"{number:,} {one if number == 1 else many}"


def breadcrumb(parts: Iterable[str]) -> str:
    """A breadcrumb on one line: ``Beleid › Welstand``."""
    return " › ".join(parts)


def short_reference(reference: str, leaf: Integration) -> str:
    """A reference as people read it: ``#1528``, or as the leaf shows it."""
    return f"#{reference}" if leaf.descriptor.reference_kind == "number" else leaf.shown_reference(reference)


def clip(text: str, length: int = EXCERPT_LENGTH) -> str:
    """At most ``length`` characters, cut at a word boundary."""
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    return f"{(cut.rpartition(' ')[0] or cut).rstrip()} …"


def highlight(text: str, query: str) -> Markup:
    """The text with the words of the query in bold."""
    words = sorted({word for word in query.split() if len(word) > 1}, key=len, reverse=True)[:20]
    if not words:
        return escape(text)
    parts = re.split(f"({'|'.join(map(re.escape, words))})", text, flags=re.IGNORECASE)
    return Markup("").join(Markup("<b>{}</b>").format(part) if index % 2 else part for index, part in enumerate(parts))


# --- safe attribute values -------------------------------------------------------------------------------------------


def key(reference: str) -> str:
    """A short hash of a reference, for the id of an element."""
    return hashlib.sha256(reference.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def color(value: object) -> str:
    """``#RRGGBB``, or "" for any other value."""
    return value if isinstance(value, str) and _COLOR.fullmatch(value) else ""


def web(url: str) -> str:
    """The address when its scheme is http or https, else ""."""
    return url if url.lower().startswith(("https://", "http://")) else ""
