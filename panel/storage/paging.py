"""Keyset pagination of an append-only table: single pages, newest first, and all lines in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import func, select

from panel.storage.engine import db
from panel.storage.models import AuditEntry, Call

PAGE_SIZE = 50
BATCH_SIZE = 1000
# Beyond it, PostgreSQL refuses the comparison with an INTEGER column.
_LARGEST = 2**31 - 1

L = TypeVar("L", Call, AuditEntry)


@dataclass(frozen=True, slots=True)
class Page(Generic[L]):
    """One page, newest first. ``older`` and ``newer`` are the cursors of the adjacent pages."""

    rows: list[L]
    total: int
    first: int
    older: int | None
    newer: int | None
    """0 is the cursor of the newest page; None means that this is the newest page."""


def page(model: type[L], conditions: Sequence[Any], *, before: int = 0) -> Page[L]:
    """The page of lines older than the cursor ``before``; the newest page for an invalid cursor."""
    before = before if 0 < before <= _LARGEST else 0
    query = select(model).where(*conditions, *([model.id < before] if before else []))
    # One row more than the page shows whether there is an older page.
    rows = list(db.session.scalars(query.order_by(model.id.desc()).limit(PAGE_SIZE + 1)))
    total = count(model, *conditions)
    above = count(model, *conditions, model.id >= before) if before else 0
    older = rows[PAGE_SIZE - 1].id if len(rows) > PAGE_SIZE else None
    return Page(rows[:PAGE_SIZE], total, above + 1, older, _newer(model, conditions, before) if above else None)


def count(model: type[L], *conditions: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model).where(*conditions)) or 0


def _newer(model: type[L], conditions: Sequence[Any], before: int) -> int:
    """The cursor of the page that ends just above ``before``."""
    above = select(model.id).where(*conditions, model.id >= before).order_by(model.id).limit(PAGE_SIZE + 1)
    ids = list(db.session.scalars(above))
    return ids[PAGE_SIZE] if len(ids) > PAGE_SIZE else 0


def every_line(model: type[L], conditions: Sequence[Any]) -> Iterator[Any]:
    """All lines as plain rows, newest first.

    The first batch is read before the iterator is returned, while a failure can still become an error response.
    """
    return _following(model, conditions, _batch(model, conditions))


def _following(model: type[L], conditions: Sequence[Any], rows: Sequence[Any]) -> Iterator[Any]:
    while rows:
        yield from rows
        rows = _batch(model, [*conditions, model.id < rows[-1].id]) if len(rows) == BATCH_SIZE else []


def _batch(model: type[L], conditions: Sequence[Any]) -> Sequence[Any]:
    rows = db.session.execute(
        select(*model.__table__.c).where(*conditions).order_by(model.id.desc()).limit(BATCH_SIZE)
    ).all()
    # Release the connection: a slow client may take minutes to download these rows.
    db.session.rollback()
    return rows
