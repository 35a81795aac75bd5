"""Template filters: dates, durations, counts, breadcrumbs and references as the pages show them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import date, datetime

from flask import Flask
from markupsafe import Markup, escape

from panel.core.clock import now
from panel.core.messages import Message, _, _n
from panel.integrations.contract import Integration
from panel.web.language import language
from panel.web.translations import ENGLISH, number, translated
from panel.web.zone import local, today, zone_name

EXCERPT_LENGTH = 140

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def install(app: Flask) -> None:
    """Register the filters for all templates."""
    filters = (
        ago, breadcrumb, clip, clock, clock_time, color, count, counted, day, due, duration, full_time, highlight,
        initial, key, local, overdue, short_day, short_reference, timestamp_time, web,
    )  # fmt: skip
    app.jinja_env.filters.update({function.__name__: function for function in filters})


def _told(message: Message) -> str:
    """The text in the language of this request."""
    return translated(message, language())


# --- dates and times, in the zone of this request --------------------------------------------------------------------


def day(moment: datetime) -> str:
    """``12 Oct 2026``."""
    return _date_words(local(moment).date(), with_year=True)


def _date_words(value: date, *, with_year: bool) -> str:
    """``12 Oct 2026`` or ``12 Oct``: in Dutch ``12 okt 2026``, in German ``12. Okt. 2026``."""
    spoken = language()
    if spoken == ENGLISH:
        return f"{value.day} {value:%b %Y}" if with_year else f"{value.day} {value:%b}"
    # Babel takes 40 ms to import, which commands and the JSON interface need not wait for.
    from babel.dates import format_skeleton

    return format_skeleton("yMMMd" if with_year else "MMMd", value, locale=spoken)


def clock(moment: datetime) -> str:
    """``14:06`` for today, ``12 Oct 2026 14:06`` otherwise."""
    return _with_day(moment, f"{local(moment):%H:%M}", with_year=True)


def timestamp(moment: datetime) -> str:
    """``14:06:02.418`` for today, ``12 Oct 14:06:02.418`` otherwise; for log lines."""
    return _with_day(moment, f"{second(moment)}.{moment.microsecond // 1000:03}", with_year=False)


def _with_day(moment: datetime, time: str, *, with_year: bool) -> str:
    date_of = local(moment).date()
    return time if date_of == today() else f"{_date_words(date_of, with_year=with_year)} {time}"


def second(moment: datetime) -> str:
    """``14:06:02``, for moments of today."""
    return f"{local(moment):%H:%M:%S}"


def second_time(moment: datetime) -> Markup:
    """``second`` as an element that names the full date, the time and the zone."""
    return _time_element(moment, second(moment))


def full_time(moment: datetime) -> str:
    """``12 Oct 2026 14:06:02 Europe/Amsterdam``."""
    return f"{day(moment)} {second(moment)} {zone_name(moment)}"


def clock_time(moment: datetime) -> Markup:
    """``clock`` as an element that names the full date, the time and the zone."""
    return _time_element(moment, clock(moment))


def timestamp_time(moment: datetime) -> Markup:
    """``timestamp`` as such an element."""
    return _time_element(moment, timestamp(moment))


def _time_element(moment: datetime, text: str) -> Markup:
    element = Markup('<time datetime="{}" title="{}">{}</time>')
    return element.format(local(moment).isoformat(), full_time(moment), text)


def wait_time(seconds: int) -> str:
    """``40 s``, ``3 min``."""
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"


def duration(ms: int | None) -> str:
    """A duration: ``142 ms``, or ``5.0 s`` from one second; ``–`` without one."""
    if ms is None:
        return "–"
    return f"{ms} ms" if ms < 1000 else f"{_tenths(ms / 1000)} s"


def _tenths(value: float) -> str:
    spoken = language()
    if spoken == ENGLISH:
        return f"{value:.1f}"
    from babel.numbers import format_decimal

    return format_decimal(value, format="0.0", locale=spoken)


def ago(moment: datetime) -> str:
    """``just now``, ``5 minutes ago``, ``2 hours ago``, ``3 days ago``; after a week the day."""
    seconds = int((now() - moment).total_seconds())
    if seconds < 60:
        return _told(_("just now"))
    if seconds < 3600:
        return _told(_n("{n} minute ago", "{n} minutes ago", seconds // 60))
    if seconds < 86400:
        return _told(_n("{n} hour ago", "{n} hours ago", seconds // 3600))
    if seconds < 7 * 86400:
        return _told(_n("{n} day ago", "{n} days ago", seconds // 86400))
    return day(moment)


def short_day(value: datetime | date | str) -> str:
    """``16 Nov``, with the year unless it is the current one; "" for a value that is not a date."""
    found = _date(value)
    return _date_words(found, with_year=found.year != today().year) if found else ""


def due(value: date | str | None) -> str:
    """``Due 4 Dec``, or "" without a due date."""
    return _told(_("Due {day}", day=short_day(value))) if value and _date(value) else ""


def overdue(value: date | str | None) -> str:
    """``3 days overdue``, or "" before that."""
    found = _date(value) if value else None
    late = (today() - found).days if found else 0
    return _told(_n("{n} day overdue", "{n} days overdue", late)) if late > 0 else ""


def _date(value: datetime | date | str) -> date | None:
    if isinstance(value, datetime):
        return local(value).date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


# --- text ------------------------------------------------------------------------------------------------------------


def initial(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def count(value: int) -> str:
    """A number with separators: ``1,200``."""
    return number(value, language())


def counted(value: int, one: str, many: str) -> str:
    """``1 page``, ``5 pages``, ``1,200 pages``. The words are the nouns of a leaf."""
    return _told(_n("{n} {noun}", "{n} {nouns}", value, noun=one, nouns=many))


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
