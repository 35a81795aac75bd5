"""Database engine and session: PostgreSQL, or SQLite with WAL and ``synchronous=FULL`` for durable commits."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

from flask import current_app
from flask_alembic import Alembic
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import Connection, Dialect, MetaData, create_engine, event, make_url
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.orm import DeclarativeBase

from panel.config import PROJECT_ROOT, Config, new_marker
from panel.storage.start_check import require_usable


class Model(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy()


class Migrations(Alembic):
    """Migrates only a database that is whole and not of a newer version."""

    def revisions(self) -> set[str]:
        """The migrations of this version."""
        return {script.revision for script in self.script_directory.walk_revisions()}

    def upgrade(self, target: Any = "heads") -> None:
        """Raises DatabaseUnusable."""
        instance: Path = current_app.config["LEAFPANEL_INSTANCE_DIR"]
        require_usable(db.engine, instance, self.revisions())
        _remove_time_limits(self.migration_context.connection)
        super().upgrade(target)
        new_marker(instance).unlink(missing_ok=True)


alembic = Migrations(run_mkdir=False, metadatas=Model.metadata)

# Alembic logs every plugin and table that it looks at. Only the steps of an upgrade are useful in the log.
for _name in ("alembic.runtime.plugins", "alembic.autogenerate"):
    logging.getLogger(_name).setLevel(logging.WARNING)

MIGRATIONS = PROJECT_ROOT / "migrations"


class DamagedDatabase(OperationalError):
    """The database file is damaged, or is no database."""


STORAGE_FAILURES = (OperationalError, InternalError, ProgrammingError, NoConnectionLeft)
"""Exceptions for a database that is locked, unreachable, read-only, damaged, out of connections or not migrated."""

_POSTGRESQL = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,
    "options": "-c lock_timeout=5s -c statement_timeout=6s -c idle_in_transaction_session_timeout=60s",
}
"""Timeouts, so that a hanging database does not block requests without end. Parameters of the URL take precedence."""
_UPGRADE_LOCK = 0x1EAF


def flask_settings(config: Config) -> dict[str, Any]:
    """The Flask configuration of the database extensions."""
    options: dict[str, Any] = {"url": config.database_url, **_options(config)}
    if not config.database_url.startswith("sqlite"):
        # The ping replaces connections that a restart of the database has closed.
        options |= {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 30, "pool_timeout": 5}
    return {
        "LEAFPANEL_INSTANCE_DIR": config.instance_dir,
        "SQLALCHEMY_ENGINES": {"default": options},
        "ALEMBIC": {"script_location": str(MIGRATIONS)},
        "ALEMBIC_CONTEXT": {"include_name": _is_migrated},
    }


def _options(config: Config) -> dict[str, Any]:
    """Options of every engine. Parameters are hidden, because a logged failure shows its statement."""
    url = make_url(config.database_url)
    if url.get_backend_name() != "postgresql":
        return {"hide_parameters": True}
    return {
        "hide_parameters": True,
        "connect_args": {key: value for key, value in _POSTGRESQL.items() if key not in url.query},
    }


def _is_migrated(name: str | None, kind: str, _: Any) -> bool:
    """Whether Alembic manages a table. The traffic tables are created at first use instead."""
    return not (kind == "table" and str(name).startswith("traffic_"))


def own_engine(config: Config, *, ping: bool = True) -> Engine:
    """An engine with its own pool, for work inside a request that already holds a connection.

    With one pool, requests that each hold a connection and wait for a second one could deadlock. Without ``ping``, the
    first statement after a restart of the database fails.
    """
    return create_engine(
        config.database_url, pool_size=2, max_overflow=40, pool_timeout=5, pool_pre_ping=ping, **_options(config)
    )


def upgrade() -> None:
    """Run the migrations. On PostgreSQL, an advisory lock serialises processes that start together."""
    if db.engine.dialect.name != "postgresql":
        alembic.upgrade()
        return
    with db.engine.begin() as lock:
        # The migration of another process may take longer than the usual timeouts allow to wait.
        _remove_time_limits(lock)
        lock.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        alembic.upgrade()


def _remove_time_limits(connection: Connection | None) -> None:
    if connection is not None and connection.dialect.name == "postgresql":
        from panel.storage.postgresql import wait_without_limit

        wait_without_limit(connection)


@event.listens_for(Engine, "handle_error")
def _name_damage(context: ExceptionContext) -> None:
    """Raise DamagedDatabase for damage. SQLite's driver reports it as the base class of all failures of a database."""
    failure = context.sqlalchemy_exception
    if type(failure) is DatabaseError and isinstance(context.original_exception, sqlite3.DatabaseError):
        raise DamagedDatabase(failure.statement, None, context.original_exception, hide_parameters=True) from None


@event.listens_for(Engine, "do_connect")
def _connect(dialect: Dialect, record: Any, args: Any, parameters: Any) -> Any:
    """A connection to PostgreSQL that ends when the server is frozen. Its library is loaded only where it is used."""
    if dialect.name != "postgresql":
        return None
    from panel.storage.postgresql import BoundedConnection

    return BoundedConnection.connect(*args, **parameters)


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, record: Any) -> None:
    """FULL, because an acknowledged link must survive a power cut. WAL, because readers must not wait for a writer."""
    if not isinstance(connection, sqlite3.Connection):
        return
    cursor = connection.cursor()
    # secure_delete overwrites deleted credentials in the file.
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
