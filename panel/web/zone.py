"""The time zone of a request: the one that the browser named, else the zone of the server."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from flask import g, has_request_context, request

from panel.core.clock import now

COOKIE = "leafpanel-zone"
"""Set by ``panel/static/theme.js``. It holds no secret and grants nothing, so it needs no prefix ``__Host-``."""
HEADER = "X-Leafpanel-Zone"
"""Sent by the same script with each request for a fragment."""
PARAMETER = "tz"
"""In the address of a frame, which gets no cookie, and in all addresses on its page."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")


@lru_cache(maxsize=256)
def known_zone(name: str) -> ZoneInfo | None:
    """The zone of a name such as ``Europe/Amsterdam``, or None. Without a tz database no name is known."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return None


def zone() -> ZoneInfo | None:
    """The zone of this request. None, as ``astimezone`` takes it, is the zone of the server."""
    if not has_request_context():
        return None
    if "zone" not in g:
        g.zone = _named()
    return cast("ZoneInfo | None", g.zone)


def _named() -> ZoneInfo | None:
    names = (request.headers.get(HEADER, ""), request.args.get(PARAMETER, ""), request.cookies.get(COOKIE, ""))
    return next((found for name in names if name and (found := known_zone(name))), None)


def carried_zone() -> str:
    """The zone that the address of this request names, for the addresses on its page; "" without one."""
    found = known_zone(request.args.get(PARAMETER, ""))
    return found.key if found else ""


def local(moment: datetime) -> datetime:
    """A moment in the zone of this request."""
    return moment.astimezone(zone())


def start_of(day: date) -> datetime:
    """The beginning of a day in the zone of this request."""
    midnight, found = datetime(day.year, day.month, day.day), zone()
    return midnight.replace(tzinfo=found) if found else midnight.astimezone()


def today() -> date:
    return local(now()).date()


def zone_name(moment: datetime) -> str:
    """``Europe/Amsterdam``; the abbreviation, such as ``UTC``, for the zone of the server."""
    found = zone()
    return found.key if found else moment.astimezone().tzname() or "UTC"
