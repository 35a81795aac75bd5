"""Renews a list of work packages: asks which of them have changed since it was read, and reads only these again.

A status, project, type or person that gets another name changes no work package, and neither does a right of the
account: the connector therefore reads the whole list again after a while, whatever OpenProject says here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from panel.connector import Answer, Upstream, unexpected
from panel.core.messages import _
from panel.integrations.openproject.answer import HAL, collection, selected_collection
from panel.integrations.openproject.item import number_of
from panel.integrations.openproject.reference import API

OVERLAP = timedelta(seconds=15)
"""How much earlier than the former answer a change may be and is asked for again. It covers the time that an answer or
a transaction takes, and clocks of the server that differ."""
CLOCK_TOLERANCE = timedelta(seconds=1)
"""Several servers behind one address may differ by this. A clock that went back further is no measure of changes."""

Filters = list[dict[str, Any]]


def renew(part: Upstream, former: Answer, numbers: Sequence[str]) -> Answer | None:
    """The list of ``numbers`` as it is now, made from a ``former`` answer. None when it has to be read in full.

    Raises ProviderUnavailable when OpenProject refuses to tell, as it does once it no longer shows one of them.
    """
    body, read_at = former.object(), _date_of(former)
    listed = [number_of(element) for element in _elements_of(body)]
    known = [number for number in listed if number is not None]
    is_whole = body.get("total") == len(listed) and None not in listed and set(known) <= set(numbers)
    absent = [number for number in numbers if number not in known]
    if read_at is None or not known or not is_whole or (absent and _is_one_shown(part, absent)):
        return None
    told = _ask_changes(part, known, read_at - OVERLAP)
    told_at = _date_of(told)
    if told_at is None or told_at < read_at - CLOCK_TOLERANCE:
        return None
    changed = _changed_in(told, known)
    if len(changed) == len(known):
        return None
    present = json.dumps(_replaced(body, _read(part, changed))).encode() if changed else former.body
    return replace(former, body=present, headers={**former.headers, "date": told.headers["date"]})


def _ask_changes(part: Upstream, numbers: Sequence[str], since: datetime) -> Answer:
    """Which of these have changed.

    https://www.openproject.org/docs/api/endpoints/work-packages/#list-work-packages and, for the operator ``<>d`` with
    an open end, https://www.openproject.org/docs/api/filters/
    """
    changes = {"updatedAt": {"operator": "<>d", "values": [since.strftime("%Y-%m-%dT%H:%M:%SZ"), ""]}}
    return _list(part, [_among(numbers), changes], len(numbers), select="total,elements/id")


def _is_one_shown(part: Upstream, absent: Sequence[str]) -> bool:
    """Whether one of these is visible now. If none is, ``valid_subset`` drops the filter, and another one is listed."""
    page = selected_collection(_list(part, [_among(absent)], 1, valid_subset="true", select="total,elements/id"))
    return any(number_of(element) in absent for element in page.elements)


def _changed_in(told: Answer, known: Sequence[str]) -> list[str]:
    page = selected_collection(told)
    changed = [number for number in map(number_of, page.elements) if number is not None]
    if len(changed) != page.total or not set(changed) <= set(known):
        raise unexpected(_("{where} answered with other work packages than requested.", where=told.where))
    return changed


def _read(part: Upstream, numbers: Sequence[str]) -> dict[str, Any]:
    """The JSON of each of these, which were visible a moment ago."""
    page = collection(_list(part, [_among(numbers)], len(numbers)), "WorkPackageCollection")
    found = {number: element for element in page.elements if (number := number_of(element)) is not None}
    if page.total != len(numbers) or set(found) != set(numbers):
        raise unexpected(_("{where} answered with other work packages than requested.", where=page.where))
    return found


def _list(part: Upstream, filters: Filters, size: int, **more: str) -> Answer:
    query = {"filters": json.dumps(filters, separators=(",", ":")), "pageSize": str(size), "offset": "1", **more}
    return part.send("GET", *API, "work_packages", query=tuple(query.items()), accept=HAL)


def _among(numbers: Sequence[str]) -> dict[str, Any]:
    return {"id": {"operator": "=", "values": list(numbers)}}


def _elements_of(body: Mapping[str, Any]) -> list[Any]:
    embedded = body.get("_embedded")
    elements = embedded.get("elements") if isinstance(embedded, dict) else None
    return elements if isinstance(elements, list) else []


def _replaced(body: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """The former body with the elements that were read again."""
    elements = [changed.get(number_of(element) or "", element) for element in _elements_of(body)]
    return {**body, "_embedded": {**body["_embedded"], "elements": elements}}


def _date_of(answer: Answer) -> datetime | None:
    """When the server made the answer, by its own clock (RFC 9110, section 6.6.1). None without exactly one date."""
    text = answer.headers.get("date", "")
    try:
        moment = parsedate_to_datetime("" if text.count(",") > 1 else text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
