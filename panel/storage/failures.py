"""The reasons of storage failures and their facts: one row for each reason.

A reason without a row stops the start. The texts for people are in ``panel/web/storage_words.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from panel.storage.engine import DamagedDatabase


class StorageReason(StrEnum):
    """Why our own database cannot be used."""

    NOT_SET_UP = "not-set-up"
    OLDER = "older"
    DAMAGED = "damaged"
    FULL = "full"
    READ_ONLY = "read-only"
    LOCKED = "locked"
    COMMIT_LOST = "commit-lost"
    """The connection broke during a commit: the database may have stored the change."""
    UNAVAILABLE = "unavailable"
    """Unreachable, silent, or out of connections; also everything that no other reason describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFacts:
    """How a failure is recognised, and whether waiting helps."""

    sqlite: tuple[str, ...] = ()
    """Beginnings of SQLite's names, https://www.sqlite.org/rescode.html."""
    sqlstates: tuple[str, ...] = ()
    """Codes of PostgreSQL, https://www.postgresql.org/docs/current/errcodes-appendix.html."""
    words: tuple[str, ...] = ()
    """Parts of the driver's message, where its code also stands for something else."""
    retry_after_s: int | None = None
    """Seconds after which another try may succeed; None where somebody has to act first."""


STORAGE_FACTS: Mapping[StorageReason, StorageFacts] = {
    StorageReason.NOT_SET_UP: StorageFacts(sqlstates=("42P01",), words=("no such table",)),
    StorageReason.OLDER: StorageFacts(sqlstates=("42703",), words=("no such column", "has no column named")),
    StorageReason.DAMAGED: StorageFacts(sqlite=("SQLITE_CORRUPT", "SQLITE_NOTADB"), sqlstates=("XX001", "XX002")),
    StorageReason.FULL: StorageFacts(sqlite=("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"), sqlstates=("53100",)),
    StorageReason.READ_ONLY: StorageFacts(sqlite=("SQLITE_READONLY", "SQLITE_PERM"), sqlstates=("25006",)),
    StorageReason.LOCKED: StorageFacts(
        sqlite=("SQLITE_BUSY", "SQLITE_LOCKED"), sqlstates=("55P03", "40P01"), retry_after_s=5
    ),
    StorageReason.COMMIT_LOST: StorageFacts(),
    StorageReason.UNAVAILABLE: StorageFacts(retry_after_s=5),
}


def require_rows(table: Mapping[StorageReason, object], where: str) -> None:
    """Raises LookupError naming the first reason that has no row in ``table``."""
    for reason in StorageReason:
        if reason not in table:
            raise LookupError(f"The storage reason {reason.value} has no row in {where}.")


require_rows(STORAGE_FACTS, "STORAGE_FACTS of panel/storage/failures.py")


def storage_reason(exc: Exception) -> StorageReason:
    """The reason of an exception of ``STORAGE_FAILURES``."""
    if isinstance(exc, DamagedDatabase):
        return StorageReason.DAMAGED
    found = next((reason for reason, facts in STORAGE_FACTS.items() if _is_recognised(exc, facts)), None)
    if found is not None:
        return found
    return StorageReason.COMMIT_LOST if _broke_during_commit(exc) else StorageReason.UNAVAILABLE


def _is_recognised(exc: Exception, facts: StorageFacts) -> bool:
    cause = getattr(exc, "orig", None)
    name, state = getattr(cause, "sqlite_errorname", None) or "", getattr(cause, "sqlstate", None) or ""
    is_named = bool(name) and name.startswith(facts.sqlite) if facts.sqlite else False
    return is_named or state in facts.sqlstates or any(part in str(cause) for part in facts.words)


def _broke_during_commit(exc: Exception) -> bool:
    """SQLAlchemy names the statement of every failure except that of a commit or of a connection attempt."""
    return getattr(exc, "statement", None) is None and bool(getattr(exc, "connection_invalidated", False))
