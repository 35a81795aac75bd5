"""Moments as people read them, in the server's own time zone."""

from __future__ import annotations

from datetime import datetime

from panel.domain import now


def day(moment: datetime) -> str:
    """``12 Oct 2026``."""
    local = moment.astimezone()
    return f"{local.day} {local:%b %Y}"


def clock(moment: datetime) -> str:
    """``14:06`` for today, ``12 Oct 2026 14:06`` otherwise."""
    local = moment.astimezone()
    time = f"{local:%H:%M}"
    return time if local.date() == now().astimezone().date() else f"{day(moment)} {time}"
