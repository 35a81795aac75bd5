"""Reading the audit trail: which lines somebody asks for, and what there is to choose from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import literal, or_, select

from panel.storage import paging
from panel.storage.engine import db
from panel.storage.models import AuditEntry, EmbedApp
from panel.storage.paging import Lines


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for. Empty means any."""

    who: str = ""
    """Part of a name, or of the name of the embedding application that somebody came through."""
    deed: str = ""
    object: tuple[str, ...] = ()
    """Register, register and schema, or all three."""
    integration: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    """The beginning of a request's reference, or part of what was changed."""

    def conditions(self) -> list[Any]:
        place = zip((AuditEntry.register, AuditEntry.schema, AuditEntry.object_id), self.object, strict=False)
        found: list[Any] = [column == part for column, part in place]
        for column, word in ((AuditEntry.deed, self.deed), (AuditEntry.integration, self.integration)):
            found += [column == word] if word else []
        found += [AuditEntry.at >= self.since] if self.since is not None else []
        found += [AuditEntry.at < self.until] if self.until is not None else []
        return [*found, *_by(self.who), *_with(self.text)]


def _by(who: str) -> list[Any]:
    if not who:
        return []
    through = select(literal("embed:") + EmbedApp.id).where(EmbedApp.name.icontains(who, autoescape=True))
    return [or_(AuditEntry.who.icontains(who, autoescape=True), AuditEntry.kind.in_(through))]


def _with(text: str) -> list[Any]:
    if not text:
        return []
    in_words = [column.icontains(text, autoescape=True) for column in (AuditEntry.subject, AuditEntry.detail)]
    return [or_(AuditEntry.request_id.istartswith(text, autoescape=True), *in_words)]


def lines(wanted: Wanted, *, before: int = 0) -> Lines[AuditEntry]:
    return paging.lines(AuditEntry, wanted.conditions(), before=before)


def every_line(wanted: Wanted) -> Iterator[Any]:
    return paging.every_line(AuditEntry, wanted.conditions())


def integrations() -> list[str]:
    """Those that lines speak of, also when they are gone."""
    known = select(AuditEntry.integration).where(AuditEntry.integration != "").distinct()
    return list(db.session.scalars(known.order_by(AuditEntry.integration)))
