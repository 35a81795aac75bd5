"""From OpenProject's JSON of one work package to an Item, and from an Item to its row.

Whatever is missing or of an odd type becomes nothing: one strange work package never spoils a list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from panel.core.domain import Item
from panel.core.text import one_line
from panel.integrations.openproject.reference import is_number, page_url, target_of

EXCERPT_LENGTH = 500

_UNDISCLOSED = "urn:openproject-org:api:v3:undisclosed"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_SHOWN = ("status", "type", "priority", "assignee", "project")


@dataclass(frozen=True, slots=True)
class Status:
    """What a work package's own list entry does not tell of its status."""

    name: str
    is_closed: bool
    color: str | None


Statuses = Mapping[str, Status]
"""All statuses of an instance by their number; empty where the account may not read them."""


def to_item(payload: Mapping[str, Any], root: str, statuses: Statuses, *, with_excerpt: bool = False) -> Item:
    """One work package, from a list entry or from its full form. Its number must be known (``number_of``)."""
    reference = number_of(payload) or ""
    title = plain(payload.get("subject")) or f"#{reference}"
    return Item(
        reference,
        title,
        page_url(root, reference),
        updated=_moment(payload.get("updatedAt")),
        facts=_facts(payload, reference, title, statuses),
        excerpt=_excerpt(payload) if with_excerpt else None,
    )


def gone(reference: str, root: str) -> Item:
    """A pointer whose work package OpenProject no longer shows us."""
    return Item.gone(reference, page_url(root, reference))


def to_row(item: Item) -> dict[str, Any]:
    """The JSON row, every key always present."""
    facts = item.facts
    return {
        "id": item.reference,
        "reference": item.reference,
        "displayId": facts.get("displayId", item.reference),
        "subject": item.title,
        "title": item.title,
        **{name: facts.get(name) for name in _SHOWN},
        "isClosed": bool(facts.get("isClosed")),
        "statusColor": facts.get("statusColor"),
        "dueDate": facts.get("dueDate"),
        "url": item.url,
        "updated": _stamp(item.updated),
        "state": item.state.value,
    }


def number_of(payload: object) -> str | None:
    """The number of a work package as a string, from ``id`` or, failing that, from its own link."""
    if not isinstance(payload, Mapping):
        return None
    value = payload.get("id")
    written = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if is_number(written):
        return written
    target = target_of(link(payload, "self").get("href"))
    return target[1] if target and target[0] == "work_packages" else None


def status_of(payload: object) -> Status:
    """A status from its own JSON."""
    value = payload if isinstance(payload, Mapping) else {}
    return Status(plain(value.get("name")), value.get("isClosed") is True, color_of(value))


def has_own_status(payload: Mapping[str, Any]) -> bool:
    """Whether the status came along in full, as it does with a single work package."""
    return isinstance(_embedded(payload, "status").get("isClosed"), bool)


def link(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One of the ``_links``; empty when it is not there."""
    links = payload.get("_links")
    value = links.get(name) if isinstance(links, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def color_of(payload: Mapping[str, Any]) -> str | None:
    """``#RRGGBB`` or nothing, whatever the upstream calls a colour."""
    value = payload.get("color")
    return value if isinstance(value, str) and _COLOR.fullmatch(value) else None


def plain(value: object, *, limit: int = 1000) -> str:
    """Text for people: on one line, without control characters and without marks that turn its direction."""
    if not isinstance(value, str):
        return ""
    return one_line(value[: 4 * limit], limit)


def _facts(payload: Mapping[str, Any], reference: str, title: str, statuses: Statuses) -> dict[str, Any]:
    status = _status(payload, statuses)
    return {
        "displayId": plain(payload.get("displayId")) or reference,
        "subject": title,
        **{name: _shown(payload, name) for name in _SHOWN},
        "isClosed": status.is_closed if status else False,
        "statusColor": status.color if status else None,
        "statusId": _target_number(payload, "status"),
        "assigneeId": _target_number(payload, "assignee"),
        "dueDate": _day(payload.get("dueDate")) or _day(payload.get("date")),
        "lockVersion": _lock_version(payload),
        "canUpdate": bool(link(payload, "updateImmediately").get("href")),
    }


def _shown(payload: Mapping[str, Any], name: str) -> str | None:
    """The name that a link shows now; nothing when it is unset or not disclosed to us."""
    target = link(payload, name)
    if target.get("href") in (None, _UNDISCLOSED):
        return None
    return plain(target.get("title")) or plain(_embedded(payload, name).get("name")) or None


def _target_number(payload: Mapping[str, Any], name: str) -> str | None:
    target = target_of(link(payload, name).get("href"))
    return target[1] if target else None


def _status(payload: Mapping[str, Any], statuses: Statuses) -> Status | None:
    if has_own_status(payload):
        return status_of(_embedded(payload, "status"))
    target = target_of(link(payload, "status").get("href"))
    return statuses.get(target[1]) if target and target[0] == "statuses" else None


def _embedded(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    embedded = payload.get("_embedded")
    value = embedded.get(name) if isinstance(embedded, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _lock_version(payload: Mapping[str, Any]) -> int | None:
    value = payload.get("lockVersion")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _excerpt(payload: Mapping[str, Any]) -> str:
    description = payload.get("description")
    raw = description.get("raw") if isinstance(description, Mapping) else None
    return plain(raw, limit=EXCERPT_LENGTH)


def _day(value: object) -> str | None:
    try:
        return date.fromisoformat(value).isoformat() if isinstance(value, str) else None
    except ValueError:
        return None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _stamp(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
