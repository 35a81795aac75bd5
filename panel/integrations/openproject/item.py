"""Maps OpenProject's JSON of a work package to an Item, and an Item to its row.

A missing or malformed value becomes None: one malformed work package does not affect the rest of a list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from panel.core.domain import Choice, Item
from panel.core.text import one_line
from panel.integrations.openproject.reference import is_number, page_url, target_of

EXCERPT_LENGTH = 500

_UNDISCLOSED = "urn:openproject-org:api:v3:undisclosed"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_SHOWN = ("status", "type", "priority", "assignee", "project")


@dataclass(frozen=True, slots=True)
class Status:
    """Properties of a status that a list entry of a work package lacks."""

    name: str
    is_closed: bool | None
    color: str | None


Statuses = Mapping[str, Status]
"""All statuses of an instance by their number; empty where the account may not read them."""


def to_item(payload: Mapping[str, Any], root: str, statuses: Statuses, *, with_excerpt: bool = False) -> Item:
    """Map a list entry or a full work package. It must have a number (``number_of``)."""
    reference = number_of(payload) or ""
    title = plain(payload.get("subject")) or f"#{reference}"
    status = _status(payload, statuses)
    shown = {name: _shown(payload, name) for name in _SHOWN}
    return Item(
        reference,
        title,
        page_url(root, reference),
        updated=_moment(payload.get("updatedAt")),
        is_closed=status.is_closed if status else None,
        due=_day(payload.get("dueDate")) or _day(payload.get("date")),
        can_update=bool(link(payload, "updateImmediately").get("href")),
        lock_version=_lock_version(payload),
        field_values=_field_values(payload, title, shown),
        facts={
            "displayId": plain(payload.get("displayId")) or reference,
            **shown,
            "statusColor": status.color if status else None,
        },
        excerpt=_excerpt(payload) if with_excerpt else None,
    )


def gone(reference: str, root: str) -> Item:
    """The item of a work package that OpenProject does not show to the account."""
    return Item.gone(reference, page_url(root, reference))


def to_row(item: Item) -> dict[str, Any]:
    """The row, every key always present."""
    facts = item.facts
    return {
        "id": item.reference,
        "reference": item.reference,
        "displayId": facts.get("displayId", item.reference),
        "subject": item.title,
        "title": item.title,
        **{name: facts.get(name) for name in _SHOWN},
        "isClosed": item.is_closed,
        "statusColor": facts.get("statusColor"),
        "dueDate": item.due,
        "url": item.url,
        "updated": item.updated,
        "state": item.state.value,
    }


def number_of(payload: object) -> str | None:
    """The number of a work package as a string, from ``id`` or, failing that, from its own link."""
    if not isinstance(payload, dict):
        return None
    value = payload.get("id")
    written = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if is_number(written):
        return written
    target = target_of(link(payload, "self").get("href"))
    return target[1] if target and target[0] == "work_packages" else None


def status_of(payload: object) -> Status:
    """A status from its own JSON."""
    value = payload if isinstance(payload, dict) else {}
    is_closed = value.get("isClosed")
    return Status(plain(value.get("name")), is_closed if isinstance(is_closed, bool) else None, color_of(value))


def has_own_status(payload: Mapping[str, Any]) -> bool:
    """Whether the status is embedded, as it is in a single work package."""
    return isinstance(_embedded(payload, "status").get("isClosed"), bool)


def link(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One of the ``_links``; empty when it is not there."""
    links = payload.get("_links")
    value = links.get(name) if isinstance(links, dict) else None
    return value if isinstance(value, dict) else {}


def color_of(payload: Mapping[str, Any]) -> str | None:
    """The colour as ``#RRGGBB``; None for any other value."""
    value = payload.get("color")
    return value if isinstance(value, str) and _COLOR.fullmatch(value) else None


def plain(value: object, *, limit: int = 1000) -> str:
    """A text value on one line, without control characters and marks of writing direction; "" for no text."""
    if not isinstance(value, str):
        return ""
    return one_line(value[: 4 * limit], limit)


def _field_values(payload: Mapping[str, Any], title: str, shown: Mapping[str, str | None]) -> dict[str, Choice]:
    values = {"subject": Choice(title, title)}
    for name in ("status", "assignee"):
        target = target_of(link(payload, name).get("href"))
        if target:
            values[name] = Choice(target[1], shown[name] or target[1])
    return values


def _shown(payload: Mapping[str, Any], name: str) -> str | None:
    """The name that a link shows; None when it is unset or undisclosed."""
    target = link(payload, name)
    if target.get("href") in (None, _UNDISCLOSED):
        return None
    return plain(target.get("title")) or plain(_embedded(payload, name).get("name")) or None


def _status(payload: Mapping[str, Any], statuses: Statuses) -> Status | None:
    if has_own_status(payload):
        return status_of(_embedded(payload, "status"))
    target = target_of(link(payload, "status").get("href"))
    return statuses.get(target[1]) if target and target[0] == "statuses" else None


def _embedded(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    embedded = payload.get("_embedded")
    value = embedded.get(name) if isinstance(embedded, dict) else None
    return value if isinstance(value, dict) else {}


def _lock_version(payload: Mapping[str, Any]) -> str | None:
    value = payload.get("lockVersion")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _excerpt(payload: Mapping[str, Any]) -> str:
    description = payload.get("description")
    raw = description.get("raw") if isinstance(description, dict) else None
    return plain(raw, limit=EXCERPT_LENGTH)


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
