"""Tags of a list and its rows, by which an open tab tells whether anything that it shows has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from panel.core.clock import now
from panel.core.version import VERSION
from panel.web.zone import today

if TYPE_CHECKING:
    from panel.web.tab.list_view import ListView
    from panel.web.tab.view_models import RowView, Tab
    from panel.web.tab.visit import Visit

EVERY_S = 30
"""How often an open tab refreshes itself, in seconds."""


def row_tag(row: RowView) -> str:
    """Changes with everything that the row shows. Words such as "overdue" change with the day."""
    return _tag(row.pointer, row.item, row.changeable, row.places, today(), _hours_since(row.updated))


def _hours_since(moment: datetime | None) -> int | None:
    """Full hours: a row that says how old its item is does not change every minute."""
    return int((now() - moment).total_seconds() // 3600) if moment is not None else None


def list_tag(visit: Visit, shown: ListView, tabs: Sequence[Tab]) -> str:
    """Changes with everything that the tab shows of this list. Empty while the list has a problem."""
    if shown.notice is not None:
        return ""
    rights = sorted(visit.principal.can)
    rows = [(row.pointer.reference, row_tag(row)) for row in shown.rows]
    return _tag(
        rows, shown.total, shown.other_instance, shown.pages, shown.filters, shown.tally, shown.remark, tabs, rights
    )


def _tag(*shown: Any) -> str:
    return hashlib.sha256(repr((VERSION, shown)).encode(errors="surrogatepass")).hexdigest()[:16]
