"""Engine and session: SQLite as an acknowledged write must find it (WAL, synchronous=FULL), or PostgreSQL."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from flask_alembic import Alembic
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import MetaData, create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError
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
alembic = Alembic(run_mkdir=False, metadatas=Model.metadata)

# It tells of every plugin and every table that it looks at; only the steps of an upgrade are worth a line.
for _name in ("alembic.runtime.plugins", "alembic.autogenerate"):
    logging.getLogger(_name).setLevel(logging.WARNING)

MIGRATIONS = PROJECT_ROOT / "migrations"

STORAGE_FAILURES = (OperationalError, InternalError, ProgrammingError, NoConnectionLeft)
"""What is raised for a database that is busy, away, read-only, out of connections or not set up."""

_POSTGRESQL = {
    "connect_timeout": 3,
    "tcp_user_timeout": 5000,
    "options": "-c lock_timeout=5s -c statement_timeout=10s -c idle_in_transaction_session_timeout=60s",
}
"""A database that does not answer must not hold a request for ever. What the URL says itself goes before."""
_UPGRADE_LOCK = 0x1EAF


def flask_settings(config: Config) -> dict[str, Any]:
    """What the database extensions read from the application's configuration."""
    options: dict[str, Any] = {"url": config.database_url, **_options(config)}
    if not config.database_url.startswith("sqlite"):
        options |= {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 30, "pool_timeout": 5}
    return {
        "SQLALCHEMY_ENGINES": {"default": options},
        "ALEMBIC": {"script_location": str(MIGRATIONS)},
        "ALEMBIC_CONTEXT": {"include_name": _is_migrated},
    }


def _options(config: Config) -> dict[str, Any]:
    """What every engine of ours has. Parameters are hidden, since the log shows the statement that failed."""
    url = make_url(config.database_url)
    if url.get_backend_name() != "postgresql":
        return {"hide_parameters": True}
    return {
        "hide_parameters": True,
        "connect_args": {key: value for key, value in _POSTGRESQL.items() if key not in url.query},
    }


def _is_migrated(name: str | None, kind: str, _: Any) -> bool:
    """The numbers of traffic make their own tables, wherever they live."""
    return not (kind == "table" and str(name).startswith("traffic_"))


def own_engine(config: Config) -> Engine:
    """An engine with connections of its own, for work in the middle of a request that holds one already.

    Taken from the same pool, as many requests as it has connections would wait for each other.
    """
    return create_engine(
        config.database_url, pool_size=2, max_overflow=40, pool_timeout=5, pool_pre_ping=True, **_options(config)
    )


def upgrade() -> None:
    """Bring the database up to date; on PostgreSQL one process after the other, however many start together."""
    if db.engine.dialect.name != "postgresql":
        alembic.upgrade()
        return
    with db.engine.begin() as turn:
        turn.exec_driver_sql("SET LOCAL lock_timeout = 0")
        turn.exec_driver_sql("SET LOCAL statement_timeout = 0")
        turn.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        turn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        alembic.upgrade()


def is_not_set_up(exc: Exception) -> bool:
    """Whether a failure only says that ``db upgrade`` has not been run."""
    words = str(getattr(exc, "orig", ""))
    return "no such table" in words or ("relation" in words and "does not exist" in words)


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, record: Any) -> None:
    """An acknowledged link must survive a power cut, hence FULL; readers never wait for a writer, hence WAL."""
    if not isinstance(connection, sqlite3.Connection):
        return
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
