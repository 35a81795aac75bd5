"""Key rotation while the panel runs: re-encrypts all credentials and removes the keys that are no longer needed.

A rotation may be killed at any point: the old keys stay available to all processes until every text is re-encrypted,
and another run finishes the work. It does not overwrite a credential that was saved in the meantime.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, bindparam, insert, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import InstrumentedAttribute

from panel.config import Config
from panel.core.errors import Conflict
from panel.core.messages import _
from panel.credentials.vault import AssociatedData, Key, Unreadable, Vault, new_key, read_own_keys, write_own_keys
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.models import AuditEntry, EmbedApp, EmbedKey, OauthAttempt, OauthGrant, Source

BATCH = 500
LOCK_S = 10.0
SETTLE_S = 0.2
"""Time for writers that encrypted with the old key before its removal and waited for the lock to commit."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a rotation, as ids of keys: ``retired`` are deleted, ``removable`` may leave the setting."""

    newest: str
    resealed: int
    retired: tuple[str, ...] = ()
    removable: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    """The sources and embedding applications with a credential that no key opens. It is left unchanged."""


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of encrypted texts, the primary key of its row, and the associated data of a text."""

    column: InstrumentedAttribute[Any]
    key: InstrumentedAttribute[Any]
    owner_id: InstrumentedAttribute[Any]
    associated_data: Callable[[Row[Any]], AssociatedData]
    owner: tuple[InstrumentedAttribute[Any], ...] = (Source.id, Source.slug, Source.auth_kind, Source.secret_origin)
    """The columns of the owner from which the associated data is made; the second is its name, for messages."""
    transient: bool = False
    """Whether rows exist for minutes only, so that an unreadable one is not reported."""

    def not_sealed_with(self, key_id: str) -> Select[Any]:
        """Like ``sealed``, for texts that another key sealed."""
        return self.sealed().where(self.column.not_like(f"v1.{key_id}.%"))

    def sealed(self) -> Select[Any]:
        """Selects ``row_key, sealed, owner`` and the owner's columns of all texts."""
        columns = (self.key.label("row_key"), self.column.label("sealed"), self.owner[1].label("owner"))
        query, owner_id = select(*columns, *self.owner), self.owner[0]
        query = query.join(owner_id.class_, owner_id == self.owner_id) if self.key is not owner_id else query
        return query.where(self.column.is_not(None)).order_by(self.key)


SEALED_COLUMNS = (
    SealedColumn(
        Source.secret, Source.id, Source.id, lambda row: AssociatedData(row.id, row.auth_kind, row.secret_origin)
    ),
    SealedColumn(
        Source.headers_sealed,
        Source.id,
        Source.id,
        lambda row: AssociatedData(row.id, "headers", row.headers_origin),
        owner=(Source.id, Source.slug, Source.headers_origin),
    ),
    SealedColumn(
        OauthGrant.sealed,
        OauthGrant.source_id,
        OauthGrant.source_id,
        lambda row: AssociatedData(row.id, "oauth2-grant", row.secret_origin),
    ),
    SealedColumn(
        OauthAttempt.sealed_verifier,
        OauthAttempt.state_hash,
        OauthAttempt.source_id,
        lambda row: AssociatedData(row.id, "oauth2-attempt", row.secret_origin),
        transient=True,
    ),
    SealedColumn(
        EmbedKey.sealed,
        EmbedKey.kid,
        EmbedKey.app_id,
        lambda row: AssociatedData(row.id, "embed-app", row.row_key),
        owner=(EmbedApp.id, EmbedApp.name),
    ),
)


def unreadable_owners(connection: Connection, vault: Vault) -> tuple[str, ...]:
    """The sources and embedding applications with a credential that no key opens."""
    return tuple(sorted({
        row.owner
        for column in SEALED_COLUMNS if not column.transient
        for row in connection.execute(column.sealed())
        if not _opens(vault, column, row)
    }))  # fmt: skip


def _opens(vault: Vault, column: SealedColumn, row: Row[Any]) -> bool:
    try:
        vault.open(row.sealed, column.associated_data(row))
    except Unreadable:
        return False
    return True


def rotate(engine: Engine, config: Config, *, by: Actor) -> Rotation:
    """Re-encrypt all sealed texts with the newest key: the first of PANEL_ENCRYPTION_KEYS, else a new one.

    Raises Conflict when another rotation is running.
    """
    if config.encryption_keys:
        done = _rotate_to_setting(engine, tuple(Key.of(raw) for raw in config.encryption_keys))
    else:
        with exclusive(config):
            done = _rotate_to_new_key(engine, config)
    line = audit.line(AuditAction.KEYS_ROTATED, by, detail=_audit_detail(done))
    with engine.begin() as connection:
        connection.execute(insert(AuditEntry).values(line))
    return done


def _audit_detail(done: Rotation) -> str:
    retired = f", retired {' '.join(done.retired)}" if done.retired else ""
    return f"key {done.newest}, {done.resealed} sealed anew{retired}"


def _rotate_to_setting(engine: Engine, keys: tuple[Key, ...]) -> Rotation:
    vault, older = Vault(lambda: keys), tuple(key.id for key in keys[1:])
    done = 0
    # Processes with the old setting may still seal with an older key, hence the loop.
    while sealed := _reseal(engine, vault):
        done += sealed
    with engine.connect() as connection:
        _, unreadable = _remaining(connection, vault)
    return Rotation(keys[0].id, done, removable=() if unreadable else older, unreadable=unreadable)


def _rotate_to_new_key(engine: Engine, config: Config) -> Rotation:
    older = read_own_keys(config)
    keys = (new_key(), *older)
    # The new key is stored before anything is sealed with it, so that no crash can lose it.
    write_own_keys(config, keys)
    vault, done = Vault(lambda: keys), 0
    while True:
        done += _reseal(engine, vault)
        with _blocking_writers(engine) as connection:
            openable, unreadable = _remaining(connection, vault)
            if openable:
                continue
            if not unreadable:
                write_own_keys(config, keys[:1])
            break
    # Texts that were sealed with the old key just before it was retired.
    time.sleep(SETTLE_S)
    done += _reseal(engine, vault)
    retired = () if unreadable else tuple(key.id for key in older)
    return Rotation(keys[0].id, done, retired, unreadable=unreadable)


def _reseal(engine: Engine, vault: Vault) -> int:
    """Re-encrypt all columns once, in short transactions. Returns the number of re-encrypted texts."""
    return sum(_reseal_column(engine, vault, column) for column in SEALED_COLUMNS)


def _reseal_column(engine: Engine, vault: Vault, column: SealedColumn) -> int:
    done, after = 0, ""
    while True:
        with engine.connect() as connection:
            query = column.not_sealed_with(vault.newest).where(column.key > after).limit(BATCH)
            rows = connection.execute(query).all()
        if not rows:
            return done
        after = rows[-1].row_key
        changes = [change for row in rows if (change := _change(vault, column, row)) is not None]
        if changes:
            with engine.begin() as connection:
                connection.execute(_swap(column), changes)
        done += len(changes)


def _change(vault: Vault, column: SealedColumn, row: Row[Any]) -> dict[str, str] | None:
    associated_data = column.associated_data(row)
    try:
        return {
            "row": row.row_key,
            "before": row.sealed,
            "after": vault.seal(vault.open(row.sealed, associated_data), associated_data),
        }
    except Unreadable:
        return None


def _swap(column: SealedColumn) -> Any:
    """Replace a text only where it is unchanged (compare and swap). The revision stays, because the value does."""
    table = column.column.class_.__table__
    unchanged = (table.c[column.key.key] == bindparam("row"), table.c[column.column.key] == bindparam("before"))
    return update(table).where(*unchanged).values({column.column.key: bindparam("after")})


def _remaining(connection: Connection, vault: Vault) -> tuple[bool, tuple[str, ...]]:
    """Whether texts are left that an older key opens, and the owners of texts that no key opens."""
    openable, unreadable = False, set()
    for column in SEALED_COLUMNS:
        for row in connection.execute(column.not_sealed_with(vault.newest)):
            if _change(vault, column, row) is not None:
                openable = True
            elif not column.transient:
                unreadable.add(row.owner)
    return openable, tuple(sorted(unreadable))


@contextmanager
def exclusive(config: Config) -> Iterator[None]:
    """Allow one rotation at a time, with a file lock, which the system releases when the process ends."""
    folder = os.open(config.instance_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(_("Another rotation of keys is running.")) from None
        yield
    finally:
        os.close(folder)


@contextmanager
def _blocking_writers(engine: Engine) -> Iterator[Connection]:
    """Block writers. The body sees everything committed before; later writers read the new key file."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            _lock_tables(connection)
        try:
            yield connection
        finally:
            connection.rollback()


def _lock_tables(connection: Connection) -> None:
    """Lock all tables or none. Writers lock them in other orders, so waiting while holding some could deadlock."""
    tables = ", ".join(f'"{table}"' for table in _tables())
    end = time.monotonic() + LOCK_S
    while True:
        try:
            connection.exec_driver_sql(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE NOWAIT")
            return
        except OperationalError:
            # Ends the failed transaction and with it the locks on the other tables.
            connection.rollback()
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def _tables() -> Sequence[str]:
    return list(dict.fromkeys(column.column.class_.__tablename__ for column in SEALED_COLUMNS))
