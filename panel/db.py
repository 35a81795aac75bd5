"""Engine and session: SQLite as an acknowledged write must find it (WAL, synchronous=FULL), or PostgreSQL."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from flask_alembic import Alembic
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import MetaData, create_engine, event
from sqlalchemy.engine import Engine
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


def flask_settings(config: Config) -> dict[str, Any]:
    """What the database extensions read from the application's configuration."""
    options: dict[str, Any] = {"url": config.database_url}
    if not config.database_url.startswith("sqlite"):
        options |= {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 30, "pool_timeout": 5}
    return {"SQLALCHEMY_ENGINES": {"default": options}, "ALEMBIC": {"script_location": str(MIGRATIONS)}}


def own_engine(config: Config) -> Engine:
    """An engine with connections of its own, for work in the middle of a request that holds one already.

    Taken from the same pool, as many requests as it has connections would wait for each other.
    """
    return create_engine(config.database_url, pool_size=2, max_overflow=40, pool_timeout=5, pool_pre_ping=True)


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, record: Any) -> None:
    """An acknowledged link must survive a power cut, hence FULL; readers never wait for a writer, hence WAL."""
    if not isinstance(connection, sqlite3.Connection):
        return
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
