"""Filters, orders, counts and pages of the linked items of an object, without a request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from panel.core.domain import Item, Row, State

LINKED = "linked"
"""The order in which pointers are stored: the newest first. Every leaf has it."""
NEWEST_FIRST = ("updated", LINKED)
NOBODY = "-"
"""In ``ListQuery.person``: items without a person."""


class Standing(StrEnum):
    """What a list can be filtered by beside words."""

    OPEN = "open"
    CLOSED = "closed"
    OVERDUE = "overdue"
    MOVED = "moved"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The order, the filters and the page that somebody asked for."""

    sort: str = LINKED
    text: str = ""
    standing: Standing | None = None
    person: str = ""
    page: int = 1
    fresh: frozenset[str] = frozenset()
    """References that were just linked: they come first, and pass every filter."""

    @property
    def filters(self) -> bool:
        return bool(self.text.strip() or self.standing or self.person)

    @property
    def is_stored_order(self) -> bool:
        """Whether a page of pointers is a page of the list."""
        return self.sort == LINKED and not self.filters


@dataclass(frozen=True, slots=True)
class Tally:
    """How many items of a list have each standing."""

    counted: int
    numbers: dict[Standing, int]
    live: int
    undecided: int
    """Live items of which it is not known whether they are closed."""

    def of(self, standing: Standing) -> int:
        return self.numbers[standing]


@dataclass(frozen=True, slots=True)
class Arranged:
    """One page of the rows that pass the filters, and what is true of all rows."""

    rows: tuple[Row, ...]
    page: int
    matching: int
    """How many rows pass the filters."""
    tally: Tally
    people: tuple[str, ...]
    """The persons of all items, in alphabetical order."""


def arrange(rows: Sequence[Row], query: ListQuery, limit: int, today: date, person_fact: str = "") -> Arranged:
    """One page of ``rows``, which come in stored order. ``person_fact`` names the fact that the persons are in.

    A page past the last one is the last one.
    """
    matching = ordered([row for row in rows if _passes(row, query, today, person_fact)], query)
    page = max(1, min(query.page, -(-len(matching) // limit)))
    people = sorted({name for row in rows if (name := _person(row.item, person_fact))}, key=str.casefold)
    start = (page - 1) * limit
    return Arranged(tuple(matching[start : start + limit]), page, len(matching), tally(rows, today), tuple(people))


def tally(rows: Iterable[Row], today: date) -> Tally:
    items = [row.item for row in rows if row.item is not None]
    numbers = {standing: sum(has_standing(item, standing, today) for item in items) for standing in Standing}
    live = [item for item in items if item.state is State.LIVE]
    return Tally(len(items), numbers, len(live), sum(item.is_closed is None for item in live))


def has_standing(item: Item, standing: Standing, today: date) -> bool:
    """Only an item that is there and known to be open is open or overdue."""
    if standing is Standing.MOVED:
        return item.state is State.MOVED
    if standing is Standing.GONE:
        return item.state is State.GONE
    if item.state is not State.LIVE:
        return False
    if standing is Standing.CLOSED:
        return item.is_closed is True
    is_late = item.due is not None and item.due < today
    return item.is_closed is False and (is_late or standing is Standing.OPEN)


def matches(row: Row, words: Sequence[str]) -> bool:
    """Whether every one of the folded words is in the title, the reference, the facts or the note."""
    item = row.item
    known = [item.title, *item.facts.values(), item.due] if item is not None else []
    shown = (row.pointer.reference, row.pointer.note, *known)
    text = " ".join(str(value) for value in shown if isinstance(value, str | date)).casefold()
    return all(word in text for word in words)


def words_of(text: str) -> list[str]:
    """The folded words of typed text; the mark of ``#1528`` is no part of a number."""
    return [word.removeprefix("#") for word in text.casefold().split()]


def ordered(rows: Sequence[Row], query: ListQuery) -> list[Row]:
    """The rows in the order of the query. Those that were just linked come first, gone ones last."""
    known = [row for row in rows if _sort_value(row, query.sort) is not None]
    unknown = [row for row in rows if _sort_value(row, query.sort) is None]
    known.sort(key=lambda row: _sort_value(row, query.sort), reverse=query.sort in NEWEST_FIRST)
    return sorted([*known, *unknown], key=lambda row: (row.pointer.reference not in query.fresh, _is_gone(row)))


def _is_gone(row: Row) -> bool:
    return row.item is not None and row.item.state is State.GONE


def _passes(row: Row, query: ListQuery, today: date, person_fact: str) -> bool:
    if row.pointer.reference in query.fresh or not query.filters:
        return True
    if query.standing and (row.item is None or not has_standing(row.item, query.standing, today)):
        return False
    if query.person and (_person(row.item, person_fact) or NOBODY) != query.person:
        return False
    return matches(row, words_of(query.text))


def _person(item: Item | None, person_fact: str) -> str:
    value = item.facts.get(person_fact) if item is not None and person_fact else None
    return value if isinstance(value, str) else ""


def _sort_value(row: Row, sort: str) -> Any:
    """The value to sort a row by: a time, a date, its title, or the text of the fact of this name."""
    if sort == LINKED:
        return row.pointer.linked_at
    item = row.item
    if item is None:
        return None
    if sort == "updated":
        return item.updated
    if sort == "title":
        return item.title.casefold()
    value = item.due if sort == "due" else item.facts.get(sort)
    return value.casefold() if isinstance(value, str) else value if isinstance(value, date) else None
