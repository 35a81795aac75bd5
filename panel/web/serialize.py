"""Serializers of items, listings and health as JSON values. The JSON interface and MCP share them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from panel.core.domain import Health, Item, Listing, Row, State
from panel.core.health import AuthStatus
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.links.reading import Found
from panel.web.context import panel
from panel.web.error_bodies import unavailable


def moment(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if value else None


def leaf_row_json(leaf: Integration, item: Item) -> dict[str, Any]:
    """The leaf's row of an item, with its dates as text."""
    row = leaf.row(item)
    return row | {key: _date_text(value) for key, value in row.items() if isinstance(value, date)}


def _date_text(value: date) -> str:
    """A date or UTC time as ISO 8601 text, with milliseconds if the upstream sent a fraction of a second."""
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).isoformat(timespec="milliseconds" if value.microsecond else "seconds")
        return utc.replace("+00:00", "Z")
    return value.isoformat()


def row_json(leaf: Integration, row: Row) -> dict[str, Any]:
    """A linked item: the leaf's row, the user who linked it, the time and the note.

    With the remarks about a new item, if it differs from what was asked for.
    """
    leaf_row = leaf_row_json(leaf, row.item) if row.item is not None else {}
    if row.item is not None and row.item.state is State.MOVED:
        leaf_row["movedTo"] = [place.reference for place in row.item.moved_to]
    link = {"linkedBy": row.pointer.linked_by, "linkedAt": moment(row.pointer.linked_at), "note": row.pointer.note}
    body = {**leaf_row, **link}
    return {**body, "warnings": list(row.item.remarks)} if row.item is not None and row.item.remarks else body


def item_json(leaf: Integration, row: Row) -> dict[str, Any]:
    """One linked item with its excerpt."""
    body = row_json(leaf, row)
    if row.item is not None and row.item.excerpt is not None:
        body["content"] = row.item.excerpt
    return body


def list_json(leaf: Integration, listing: Listing) -> dict[str, Any]:
    """The list envelope. Raises ProviderUnavailable with the pointers when the items cannot be fetched."""
    if listing.problem is not None:
        raise unavailable(listing.problem, leaf.id, tuple(row.pointer for row in listing.rows))
    items = [row_json(leaf, row) for row in listing.rows]
    page = {"total": listing.total, "page": listing.page, "limit": listing.limit, "nextCursor": None}
    return {"items": items, "results": items, **page}


def found_json(leaf: Integration, found: Sequence[Found]) -> dict[str, Any]:
    """Search results. Rows have ``linked`` if the search was for an object."""
    rows = []
    for hit in found:
        row = {**leaf_row_json(leaf, hit.item), "title": hit.item.title, "url": hit.item.url}
        rows.append(row if hit.linked is None else {**row, "linked": hit.linked})
    return {"results": rows, "items": rows, "total": len(rows)}


def health_json(health: Health) -> dict[str, Any]:
    body: dict[str, Any] = {"status": health.status, "authStatus": health.auth_status, "message": health.message}
    for key, value in (("reason", health.reason), ("user", health.user), ("version", health.version)):
        if value is not None:
            body[key] = value
    return {**body, "checkedAt": moment(health.checked_at)}


def known_health(leaf: Integration) -> dict[str, Any]:
    """The last known health, without a request to the upstream."""
    source = panel().sources.find(leaf.id)
    if source is None:
        return {"status": "unavailable", "authStatus": "missing", "message": _("There is no source yet.")}
    standing = panel().standings.of(source)
    if panel().sources.consent(source) in (AuthStatus.MISSING, AuthStatus.EXPIRED):
        message = _("An administrator has to connect the source.")
        return {"status": "unavailable", "authStatus": standing.auth, "message": message}
    if standing.status is None:
        return {"status": "unknown", "authStatus": standing.auth, "message": _("Not checked yet.")}
    return {
        "status": standing.status,
        "authStatus": standing.auth,
        "message": None,
        "checkedAt": moment(standing.at),
    }
