"""Read the audit trail in tests."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import select

from panel.storage.engine import db
from panel.storage.models import AuditEntry


def entries() -> list[AuditEntry]:
    """All entries, oldest first."""
    return list(db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


def recorded(*, after: int = 0) -> list[tuple[str, str]]:
    """Action and subject of each entry after the first ``after``."""
    return [(entry.deed, entry.subject) for entry in entries()][after:]


def entries_of(app: Flask) -> list[AuditEntry]:
    with app.app_context():
        return entries()


def text_of(entry: AuditEntry) -> str:
    """All values of an entry."""
    return " ".join(str(value) for name, value in vars(entry).items() if not name.startswith("_"))
