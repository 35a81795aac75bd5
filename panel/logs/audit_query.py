"""Queries of the audit trail: filtered lines, and the values to filter by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import literal, or_, select

from panel.storage import paging
from panel.storage.engine import db
from panel.storage.models import AuditEntry, EmbedApp
from panel.storage.paging import Page


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Selects lines. Empty fields match any line."""

    who: str = ""
    """Part of a person's name, or of the name of the embedding application through which the person acted."""
    deed: str = ""
    object: tuple[str, ...] = ()
    """Register, register and schema, or all three."""
    integration: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    """The beginning of a request id, or part of the subject or the detail."""

    def conditions(self) -> list[Any]:
        parts = zip((AuditEntry.register, AuditEntry.schema, AuditEntry.object_id), self.object, strict=False)
        found: list[Any] = [column == part for column, part in parts]
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


def page(selected: AuditFilter, *, before: int = 0) -> Page[AuditEntry]:
    return paging.page(AuditEntry, selected.conditions(), before=before)


def every_line(selected: AuditFilter) -> Iterator[Any]:
    return paging.every_line(AuditEntry, selected.conditions())


def integrations() -> list[str]:
    """The integrations that occur in lines, also uninstalled ones."""
    known = select(AuditEntry.integration).where(AuditEntry.integration != "").distinct()
    return list(db.session.scalars(known.order_by(AuditEntry.integration)))
