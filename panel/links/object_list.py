"""The objects that have links: searched by words, limited to one integration, one page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from panel.core.domain import ObjectRef
from panel.storage.engine import db
from panel.storage.models import Link

PAGE_SIZE = 50
_KEY = (Link.register, Link.schema, Link.object_id)


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One page of objects with the number of their links, and where it stands among all that were found."""

    rows: Sequence[tuple[ObjectRef, int]]
    total: int
    number: int

    @property
    def first(self) -> int:
        return (self.number - 1) * PAGE_SIZE + 1

    @property
    def has_next(self) -> bool:
        return self.number * PAGE_SIZE < self.total


def find_objects(words: str, integration: str, number: int) -> ObjectPage:
    """The objects in whose reference every word stands, most links first. ``integration`` "" means all of them."""
    conditions = _conditions(words, integration)
    total = select(func.count()).select_from(select(*_KEY).where(*conditions).distinct().subquery())
    query = (
        select(*_KEY, func.count())
        .where(*conditions)
        .group_by(*_KEY)
        .order_by(func.count().desc(), *_KEY)
        .limit(PAGE_SIZE)
        .offset((number - 1) * PAGE_SIZE)
    )
    rows = [(ObjectRef(r, s, o), n) for r, s, o, n in db.session.execute(query)]
    return ObjectPage(rows, db.session.scalar(total) or 0, number)


def _conditions(words: str, integration: str) -> list[ColumnElement[Any]]:
    reference = Link.register + "/" + Link.schema + "/" + Link.object_id
    found = [reference.icontains(word, autoescape=True) for word in words.split()]
    return [*found, Link.integration == integration] if integration else found
