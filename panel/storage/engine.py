"""Database engine and session: PostgreSQL, or SQLite with WAL and ``synchronous=FULL`` for durable commits."""

from __future__ import annotations

import sqlite3
from typing import Any

from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import Dialect, MetaData, create_engine, event, make_url
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.orm import DeclarativeBase

from panel.config import PROJECT_ROOT, Config


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


def flask_settings(config: Config) -> dict[str, Any]:
    """The Flask configuration of the database extensions."""
    options: dict[str, Any] = {"url": config.database_url, **_options(config)}
    if not config.database_url.startswith("sqlite"):
        # The ping replaces connections that a restart of the database has closed.
        options |= {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 30, "pool_timeout": 5}
    return {
        "LEAFPANEL_INSTANCE_DIR": config.instance_dir,
        "SQLALCHEMY_ENGINES": {"default": options},
        "ALEMBIC": {"script_location": str(MIGRATIONS), "path_separator": "os", "version_locations": []},
        "ALEMBIC_CONTEXT": {"include_name": _is_migrated, "compare_server_default": True},
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
