"""The order, the filters and the page of a list, as the addresses of the tab name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from panel.integrations.contract import Integration
from panel.links.arrangement import LINKED, ListQuery, Standing

SORT, FIND, STATE, PERSON, PAGE = "sort", "find", "state", "person", "page"
LIST_PARAMETERS = (SORT, FIND, STATE, PERSON, PAGE)
"""Every address on a page has these, so that an action returns to the same list."""
LONGEST = {SORT: 40, STATE: 20, PAGE: 7}
LONGEST_TEXT = 200
LAST_PAGE = 10**6


def asked_of(leaf: Integration, values: Mapping[str, str], fresh: Iterable[str] = ()) -> ListQuery:
    """The query of an address. An unknown value counts as absent. What was just linked is on the first page."""
    given, linked = list_parameters(values), frozenset(fresh)
    state = given.get(STATE, "")
    return ListQuery(
        _sort(leaf, given.get(SORT, "")),
        given.get(FIND, ""),
        Standing(state) if state in list(Standing) else None,
        given.get(PERSON, "") if leaf.descriptor.person else "",
        1 if linked else _page(given.get(PAGE, "")),
        linked,
    )


def list_parameters(values: Mapping[str, str]) -> dict[str, str]:
    """Those parameters of an address that say which part of the list it shows, cut to their lengths."""
    found = {name: values.get(name, "").strip()[: LONGEST.get(name, LONGEST_TEXT)] for name in LIST_PARAMETERS}
    return {name: value for name, value in found.items() if value}


def _sort(leaf: Integration, requested: str) -> str:
    """The requested order if the leaf has it, else its default. Every list can be shown in stored order."""
    known = list(leaf.descriptor.sorts)
    return requested if requested in (*known, LINKED) else next(iter(known), LINKED)


def _page(text: str) -> int:
    return max(1, int(text)) if text.isascii() and text.isdigit() else 1
