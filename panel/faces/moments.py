"""Moments as people read them, in the server's own time zone."""

from __future__ import annotations

from datetime import datetime

from panel.core.domain import now


def day(moment: datetime) -> str:
    """``12 Oct 2026``."""
    local = moment.astimezone()
    return f"{local.day} {local:%b %Y}"


def clock(moment: datetime) -> str:
    """``14:06`` for today, ``12 Oct 2026 14:06`` otherwise."""
    local = moment.astimezone()
    time = f"{local:%H:%M}"
    return time if local.date() == now().astimezone().date() else f"{day(moment)} {time}"


def instant(moment: datetime) -> str:
    """``14:06:02.418`` for today, with the day before it otherwise: one line of a log."""
    local = moment.astimezone()
    time = f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"
    return time if local.date() == now().astimezone().date() else f"{local.day} {local:%b} {time}"


def waited(seconds: int) -> str:
    """``40 s``, ``3 min``."""
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"


def second(moment: datetime) -> str:
    """``14:06:02``, for a moment that is near."""
    return f"{moment.astimezone():%H:%M:%S}"


def taken(ms: int | None) -> str:
    """``142 ms``, or ``5.0 s`` from a second on."""
    if ms is None:
        return "–"
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
