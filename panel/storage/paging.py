"""Reading a table of lines that only grows: pages of it, newest first, and all of it in portions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import func, select

from panel.storage.engine import db
from panel.storage.models import AuditEntry, Call

PAGE = 50
PORTION = 1000
_LARGEST = 2**31 - 1

L = TypeVar("L", Call, AuditEntry)


@dataclass(frozen=True, slots=True)
class Lines(Generic[L]):
    """One page, newest first. ``older`` and ``newer`` are the marks of the pages beside it."""

    rows: list[L]
    total: int
    first: int
    older: int | None
    newer: int | None
    """0 leads to the newest page; None means that this is it."""


def lines(model: type[L], conditions: Sequence[Any], *, before: int = 0) -> Lines[L]:
    """The page of lines older than the mark ``before``; the newest page for what is no mark."""
    before = before if 0 < before <= _LARGEST else 0
    page = select(model).where(*conditions, *([model.id < before] if before else []))
    rows = list(db.session.scalars(page.order_by(model.id.desc()).limit(PAGE + 1)))
    total = count(model, *conditions)
    above = count(model, *conditions, model.id >= before) if before else 0
    older = rows[PAGE - 1].id if len(rows) > PAGE else None
    return Lines(rows[:PAGE], total, above + 1, older, _newer(model, conditions, before) if above else None)


def count(model: type[L], *conditions: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model).where(*conditions)) or 0


def _newer(model: type[L], conditions: Sequence[Any], before: int) -> int:
    """The mark of the page that ends just above ``before``."""
    above = select(model.id).where(*conditions, model.id >= before).order_by(model.id).limit(PAGE + 1)
    ids = list(db.session.scalars(above))
    return ids[PAGE] if len(ids) > PAGE else 0


def every_line(model: type[L], conditions: Sequence[Any]) -> Iterator[Any]:
    """All lines as plain rows, newest first. The first portion is read at once: while its failure can be told."""
    return _onwards(model, conditions, _portion(model, conditions))


def _onwards(model: type[L], conditions: Sequence[Any], rows: Sequence[Any]) -> Iterator[Any]:
    while rows:
        yield from rows
        rows = _portion(model, [*conditions, model.id < rows[-1].id]) if len(rows) == PORTION else []


def _portion(model: type[L], conditions: Sequence[Any]) -> Sequence[Any]:
    rows = db.session.execute(
        select(*model.__table__.c).where(*conditions).order_by(model.id.desc()).limit(PORTION)
    ).all()
    # No connection is held while a slow reader takes these.
    db.session.rollback()
    return rows
