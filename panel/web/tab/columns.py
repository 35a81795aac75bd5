"""The columns of a leaf's descriptor, as the rows of the tab and its search results show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from panel.core.domain import Item
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Column
from panel.web.formatting import breadcrumb, color, short_day, short_reference


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as a row shows it."""

    text: str
    label: str = ""
    """Label for screen readers, before the text; "" where the text includes it."""
    strong: bool = False
    color: str = ""


class Columns:
    """Builds the cells of an item. The rows of a leaf with a pill have the layout ``ticket``."""

    def __init__(self, leaf: Integration) -> None:
        columns = leaf.descriptor.columns
        self._leaf = leaf
        self._pill = next((column for column in columns if column.kind == "pill"), None)
        self._number = next((column for column in columns if column.kind == "number"), None)
        self._all = [column for column in columns if column.kind != "number"]

    @property
    def layout(self) -> str:
        return "item" if self._pill is None else "ticket"

    def number(self, item: Item) -> str:
        """The short id that people use: ``#1528``, ``PROJ-51``, or the reference."""
        text = _text(item.facts.get(self._number.name)) if self._number is not None else ""
        text = text or short_reference(item.reference, self._leaf)
        return f"#{text}" if text[:1] in "0123456789" else text

    def pill(self, item: Item) -> Cell | None:
        """The status, or None for an item without one."""
        if self._pill is None:
            return None
        text = _text(item.facts.get(self._pill.name)) or self._pill.empty
        return Cell(text, color=color(item.facts.get(self._pill.color))) if text else None

    def below_title(self, item: Item) -> list[Cell]:
        """The line below the title of a row."""
        return self._cells([column for column in self._all if column is not self._pill], item)

    def in_search(self, item: Item) -> list[Cell]:
        """The line below the title of a search result."""
        return self._cells([column for column in self._all if column.in_search], item)

    def _cells(self, columns: Sequence[Column], item: Item) -> list[Cell]:
        if not self._leaf.descriptor.columns:
            return [Cell(short_reference(item.reference, self._leaf))]
        return list(_cells(columns, item))


def _cells(columns: Sequence[Column], item: Item) -> Iterator[Cell]:
    for column in columns:
        cell = _cell(column, item.facts.get(column.name))
        if cell.text:
            yield cell


def _cell(column: Column, value: Any) -> Cell:
    if column.kind == "breadcrumb":
        return Cell(breadcrumb(value[:-1]) if isinstance(value, list | tuple) else "")
    text = _text(value)
    if column.kind == "priority":
        is_usual = text.casefold().startswith(tuple(word.casefold() for word in column.usual))
        return Cell("" if is_usual or not text else _("{value} {noun}", value=text, noun=column.word), strong=True)
    if column.kind == "date":
        return Cell(_("{label} {day}", label=column.label, day=text) if text else column.empty)
    return Cell(text or column.empty, column.label)


def _text(value: Any) -> str:
    """A fact as text: a date without its time, several values separated by commas, "" for None."""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(_text, value)))
    if isinstance(value, date):
        return short_day(value)
    return "" if value is None else str(value)
