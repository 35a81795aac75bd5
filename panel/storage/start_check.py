"""Checks before the migrations: the database is where it was, whole, and not of a newer Leafpanel."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Engine, inspect, select, table
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql import column

from panel.config import COMMAND, KEY_FILES, ConfigError, new_marker

_VERSIONS = table("alembic_version", column("version_num"))


class DatabaseUnusable(ConfigError):
    """The database cannot be migrated as it is. The message says what to do."""


def require_usable(engine: Engine, instance: Path, revisions: Collection[str]) -> None:
    """Raises DatabaseUnusable. ``revisions``: the migrations of this version."""
    file = database_file(engine)
    if file is not None:
        _require_present(engine, file, instance)
        _require_whole(engine, file)
    require_known(engine, revisions)


def database_file(engine: Engine) -> Path | None:
    """The file of an SQLite database."""
    name = engine.url.database
    return Path(name) if engine.dialect.name == "sqlite" and name and name != ":memory:" else None


def _require_present(engine: Engine, file: Path, instance: Path) -> None:
    """Keys without a database mean that the database was lost, unless the folder never had one."""
    if not _has_keys(instance) or new_marker(instance).exists():
        return
    # A missing file is not connected to, which would create it.
    if not file.exists() or (file.is_file() and not file.stat().st_size) or not _tables(engine, file):
        raise DatabaseUnusable(
            f"{instance} holds keys, but the database {file.name} is missing or empty. Restore a backup; or, if an "
            f"empty database is meant, run: {COMMAND} create-database"
        )


def _has_keys(instance: Path) -> bool:
    return any((instance / name).exists() for name in KEY_FILES)


def _tables(engine: Engine, file: Path) -> Collection[str]:
    try:
        return inspect(engine).get_table_names()
    except OperationalError as exc:
        raise _unreadable(file, exc) from None


def _require_whole(engine: Engine, file: Path) -> None:
    if problem := integrity_problem(engine, file):
        raise DatabaseUnusable(problem)


def integrity_problem(engine: Engine, file: Path) -> str:
    """What SQLite's own check finds wrong with the file, as a sentence; empty when it is whole."""
    try:
        with engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    except OperationalError as exc:
        return str(_unreadable(file, exc))
    return "" if found == "ok" else str(_damaged(file))


def _unreadable(file: Path, exc: OperationalError) -> DatabaseUnusable:
    """OperationalError includes DamagedDatabase."""
    name = getattr(exc.orig, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(file)
    if name.startswith("SQLITE_BUSY"):
        return DatabaseUnusable(f"The database {file} is locked by another process.")
    return DatabaseUnusable(
        f"The database {file} cannot be opened for writing. Check the file, its folder and the disk."
    )


def _damaged(file: Path) -> DatabaseUnusable:
    return DatabaseUnusable(f"The database {file} is damaged. Restore a backup.")


def require_known(engine: Engine, revisions: Collection[str]) -> None:
    """Raises DatabaseUnusable for a schema that this version does not know."""
    newer = sorted(set(current_revisions(engine)) - set(revisions))
    if newer:
        raise DatabaseUnusable(
            f"This database is of a newer Leafpanel (schema {newer[0]}). Install that version, or restore a backup."
        )


def current_revisions(engine: Engine) -> list[str]:
    """The revisions of the schema, empty before the first migration."""
    if not inspect(engine).has_table(_VERSIONS.name):
        return []
    with engine.connect() as connection:
        return list(connection.scalars(select(_VERSIONS.c.version_num)))
