"""Searches work packages, for the panel's picker with only the values that it shows, where OpenProject selects them.

Selected rows cost the server a sixth. Versions up to 16 cannot select status, type and number: they are asked in full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from panel.connector import Answer, Upstream
from panel.integrations.openproject.answer import ask, collection, is_error, selected_collection
from panel.integrations.openproject.item import number_of

SELECTED = (
    "total,count,elements/id,elements/displayId,elements/subject,elements/self,elements/type,elements/status,"
    "elements/project"
)
REFUSED, REFUSED_S = "select", 3600.0
"""The name of the note that a server refused ``select``, and how long it is not tried again."""

Filters = Sequence[Mapping[str, Any]]
Payloads = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Matches:
    """The first work packages that match, and how many there are."""

    payloads: Payloads
    total: int


def typed(words: str) -> Filters:
    """OpenProject refuses an empty value. Without any filter the list includes closed work packages."""
    return [{"typeahead": {"operator": "**", "values": [words]}}] if words else []


def in_texts(words: str) -> Filters:
    """Work packages with the words in subject, description or comments."""
    return [{"search": {"operator": "**", "values": [words]}}]


def found(upstream: Upstream, filters: Filters, limit: int) -> Matches:
    """Complete work packages that match, those that were changed last first."""
    page = collection(newest(upstream, filters, limit), "WorkPackageCollection")
    return Matches(_numbered(page.elements), page.total)


def suggested(upstream: Upstream, filters: Filters, limit: int) -> Matches:
    """The same work packages as ``found``, with the values that a picker shows."""
    notes = upstream.notes(REFUSED)
    if notes.ages([REFUSED]).get(REFUSED, REFUSED_S) >= REFUSED_S:
        answer = newest(upstream, filters, limit, select=SELECTED, allow=(400,))
        if not is_error(answer, 400, "InvalidSignal"):
            page = selected_collection(answer)
            return Matches(_numbered(page.elements), page.total)
        notes.add([REFUSED])
    return found(upstream, filters, limit)


def newest(upstream: Upstream, filters: Filters, page_size: int, *, allow: tuple[int, ...] = (), **more: str) -> Answer:
    """https://www.openproject.org/docs/api/endpoints/work-packages/#list-work-packages"""
    query = {
        "filters": json.dumps(filters, separators=(",", ":")),
        "sortBy": '[["updatedAt","desc"],["id","desc"]]',
        "pageSize": str(page_size),
        **more,
    }
    return ask(upstream, "work_packages", query=query, allow=allow)


def _numbered(elements: Sequence[Any]) -> Payloads:
    return [element for element in elements if number_of(element) is not None]
