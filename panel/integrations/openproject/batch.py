"""Fetches many work packages by number in as few requests as OpenProject allows.

OpenProject refuses the whole ``id`` filter for one number that the account may not see, without naming it. Newer
servers can skip such numbers (``valid_subset``). On older servers the list of numbers is split in halves, and what was
found in this way not to be visible is noted, so that the next lists do not search for it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from panel.connector import Answer, Upstream, unexpected
from panel.core.errors import ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Reason
from panel.integrations.openproject.answer import HAL, ask, collection, is_error, is_not_found, refuse_unexpected
from panel.integrations.openproject.item import number_of
from panel.integrations.openproject.reference import API
from panel.integrations.openproject.renewal import renew

CHUNK = 100
"""Numbers per request. Keeps the address below 4 kB, which every proxy accepts."""

SIZES = (CHUNK, 50, 25, 12)
"""Numbers per request. Something in front of OpenProject may refuse the long address of more of them."""
TOO_LONG = "refused sizes"
"""The name of the notes about the sizes that were refused."""
TOO_LONG_S = 600.0
"""How long a refused size is not tried again."""
TOO_LONG_STATUSES = (403, 413, 414, 431)
"""The statuses of such a refusal. Firewalls answer 403."""

_WHERE = "GET /api/v3/work_packages"

ONE_BY_ONE = 3
"""Groups of at most this size are requested one by one and not split further."""

HIDDEN = "not visible"
"""The name of the notes (``Upstream.notes``) about numbers that the account may not see."""
HIDDEN_S = 60.0
"""How long a noted number is not requested. Afterwards it is requested by itself, as few at a time as there are chunks:
then a list takes at most twice the requests of one in which all are visible."""

Found = dict[str, Mapping[str, Any]]
Group = Sequence[str]
Fetch = Callable[[Upstream, Group], Found | None]


def fetch_known(upstream: Upstream, numbers: Sequence[str]) -> Found:
    """The JSON of each work package that the account may see, by number. The account may not see the others.

    Raises ProviderUnavailable for a failure of the source, and for an answer that is shorter than it claims.
    """
    notes = upstream.notes(HIDDEN)
    noted = {} if upstream.fresh else notes.ages(numbers)
    wanted = [number for number in numbers if number not in noted]
    found = _fetch_in_groups(upstream, wanted)
    due = _due(noted, at_least=0 if wanted else 1, at_most=len(_groups(numbers, CHUNK)))
    _fetch_singly(upstream, due, found)
    notes.discard(found)
    return found


def _groups(numbers: Sequence[str], size: int) -> list[Group]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _due(noted: Mapping[str, float], *, at_least: int, at_most: int) -> list[str]:
    """The numbers to request again, those noted longest ago first. ``at_least`` one proves that the source answers."""
    due = [number for number, age in noted.items() if age > HIDDEN_S]
    return due[:at_most] or list(noted)[:at_least]


def _fetch_in_groups(upstream: Upstream, numbers: Sequence[str]) -> Found:
    """Request all numbers in groups of ``CHUNK``, or of the first smaller size whose address is not refused."""
    refused = upstream.notes(TOO_LONG).ages(map(str, SIZES))
    size, *smaller = [size for size in SIZES if refused.get(str(size), TOO_LONG_S) >= TOO_LONG_S] or SIZES[-1:]
    try:
        return _fetch_groups(upstream, _groups(numbers, size))
    except ProviderUnavailable as exc:
        return _fetch_smaller(upstream, numbers, size, smaller, exc)


def _fetch_smaller(
    upstream: Upstream, numbers: Sequence[str], refused: int, sizes: Sequence[int], refusal: ProviderUnavailable
) -> Found:
    """Request one group of each size until one passes, and then the rest in groups of that size.

    Raises ``refusal`` when it does not mean that the address was too long, or no smaller size is left.
    """
    sizes = [size for size in sizes if size < len(numbers)]
    if not sizes or refusal.reason is not Reason.UNEXPECTED_RESPONSE or refusal.status not in TOO_LONG_STATUSES:
        raise refusal
    upstream.notes(TOO_LONG).add([str(refused)])
    size, *smaller = sizes
    try:
        found = _fetch_groups(upstream, [numbers[:size]])
    except ProviderUnavailable as exc:
        return _fetch_smaller(upstream, numbers, size, smaller, exc)
    return found | _fetch_groups(upstream, _groups(numbers[size:], size))


def _fetch_groups(upstream: Upstream, groups: Sequence[Group]) -> Found:
    found: Found = {}
    refused = _gather(upstream, _all_of, groups, found)
    refused = _gather(upstream, _shown_of, refused, found)
    while refused:
        _fetch_singly(upstream, [number for group in refused if len(group) <= ONE_BY_ONE for number in group], found)
        halves = [half for group in refused if len(group) > ONE_BY_ONE for half in _halves(group)]
        refused = _gather(upstream, _all_of, halves, found)
    return found


def _fetch_singly(upstream: Upstream, numbers: Sequence[str], found: Found) -> None:
    """Request each number by itself, add what was found, and note the others."""
    _gather(upstream, _single, [[number] for number in numbers], found)
    upstream.notes(HIDDEN).add(number for number in numbers if number not in found)


def _gather(upstream: Upstream, fetch: Fetch, groups: Sequence[Group], found: Found) -> list[Group]:
    """Request all groups concurrently, add what was found, and return the groups that were refused."""
    answers = upstream.each(lambda group: fetch(upstream, group), groups)
    for answer in answers:
        found.update(answer or {})
    return [group for group, answer in zip(groups, answers, strict=True) if answer is None]


def _all_of(upstream: Upstream, numbers: Group) -> Found | None:
    """All of these, or None when the server refuses the filter because one of them is not visible."""
    elements = _elements(upstream, numbers)
    if elements is None:
        return None
    found = _among(elements, numbers)
    missing = [number for number in numbers if number not in found]
    unreadable = [element for element in elements if number_of(element) is None]
    if len(elements) != len(numbers) or len(missing) != len(unreadable):
        raise unexpected(_("{where} answered with other work packages than requested.", where=_WHERE))
    # An element without a readable number is one that exists. It is shown by its number alone.
    return found | {number: {"id": number} for number in missing}


def _shown_of(upstream: Upstream, numbers: Group) -> Found | None:
    """Those of these that are visible, or None when the answer does not say.

    When none of the numbers is visible, the server drops the filter and lists everything that the account sees. Only
    other numbers therefore mean that none is visible. A mixed answer is inconsistent: the group is split.
    """
    if len(numbers) == 1:
        return _single(upstream, numbers)
    elements = _elements(upstream, numbers, valid_subset="true")
    if elements is None:
        return None
    seen, found = {number_of(element) for element in elements}, _among(elements, numbers)
    is_clear = None not in seen and (not found or len(seen) == len(found))
    return found if is_clear else None


def _single(upstream: Upstream, numbers: Group) -> Found:
    """https://www.openproject.org/docs/api/endpoints/work-packages/#view-work-package"""
    (number,) = numbers
    answer = ask(upstream, "work_packages", number, allow=(404,))
    if is_not_found(answer):
        return {}
    refuse_unexpected(answer)
    body = answer.object()
    if number_of(body) != number:
        raise unexpected(_("{where} did not answer with work package {number}.", where=answer.where, number=number))
    return {number: body}


def _elements(upstream: Upstream, numbers: Group, **extra: str) -> list[Any] | None:
    """The elements of all pages, or None when the filter was refused.

    If a work package was deleted between two pages, all pages are requested once more.
    """
    try:
        return _pages(upstream, numbers, extra)
    except _ChangedMeanwhile:
        pass
    try:
        return _pages(upstream, numbers, extra, fresh=True)
    except _ChangedMeanwhile:
        raise unexpected(_("{where} answered with a total that keeps changing.", where=_WHERE)) from None


class _ChangedMeanwhile(Exception):
    """The total of a page is another one than that of the page before."""


def _pages(upstream: Upstream, numbers: Group, extra: Mapping[str, str], *, fresh: bool = False) -> list[Any] | None:
    """See ``_elements``. Raises _ChangedMeanwhile.

    A total above the number of requested elements means that the server dropped the filter; one page is enough then.
    """
    elements: list[Any] = []
    total: int | None = None
    for offset in range(1, len(numbers) + 1):
        answer = _page(upstream, numbers, offset, extra, fresh=fresh)
        if _is_refusal(answer):
            return None
        page = collection(answer, "WorkPackageCollection")
        if total not in (None, page.total):
            raise _ChangedMeanwhile
        total = page.total
        elements += page.elements
        is_unfiltered = page.total > len(numbers)
        if page.total == len(elements) or (is_unfiltered and page.elements and extra):
            return elements
        if is_unfiltered or not page.elements:
            break
    raise unexpected(
        _("{where} answered with {elements} elements and ended before its total.", where=_WHERE, elements=len(elements))
    )


def _page(upstream: Upstream, numbers: Group, offset: int, extra: Mapping[str, str], *, fresh: bool) -> Answer:
    """https://www.openproject.org/docs/api/endpoints/work-packages/#list-work-packages"""
    filters = json.dumps([{"id": {"operator": "=", "values": list(numbers)}}], separators=(",", ":"))
    query = {"filters": filters, "pageSize": str(len(numbers)), "offset": str(offset), **extra}
    if fresh:
        return upstream.send("GET", *API, "work_packages", query=tuple(query.items()), accept=HAL, allow=(400, 422))
    return ask(
        upstream, "work_packages", query=query, allow=(400, 422),
        renew=lambda part, former: renew(part, former, numbers),
    )  # fmt: skip


def _is_refusal(answer: Answer) -> bool:
    """Whether the filter was refused. Two bad filters in one request give 422, one gives 400."""
    return is_error(answer, 400, "InvalidQuery") or is_error(answer, 422, "MultipleErrors", "InvalidQuery")


def _among(elements: Sequence[Any], numbers: Group) -> Found:
    """The requested elements by number. Other elements are dropped."""
    requested = set(numbers)
    numbered = ((number_of(element), element) for element in elements)
    return {number: element for number, element in numbered if number in requested}


def _halves(group: Group) -> tuple[Group, Group]:
    middle = len(group) // 2
    return group[:middle], group[middle:]
