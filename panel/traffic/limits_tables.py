"""The tables of the limit store. Moments are stored in seconds since the epoch."""

from __future__ import annotations

from sqlalchemy import Column, Engine, Float, Integer, MetaData, String, Table, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

meta = MetaData()


def _integer(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _timestamp(name: str) -> Column[float]:
    """Seconds since the epoch."""
    return Column(name, Float(53), nullable=False, server_default=text("0"))


sources = Table(
    "traffic_source", meta,
    Column("source_id", String(32), primary_key=True),
    _integer("revision"),
    _timestamp("due"),
    _timestamp("hold_until"),
    _integer("failures"),
    _timestamp("probe_at"),
    _integer("epoch"),
)  # fmt: skip
"""``due``: the theoretical arrival time of the GCRA. ``probe_at``: when the next probe may go; 0 while closed."""
callers = Table(
    "traffic_caller", meta,
    Column("source_id", String(32), primary_key=True),
    Column("principal", String(200), primary_key=True),
    _timestamp("due"),
    _timestamp("seen_at"),
)  # fmt: skip
slots = Table(
    "traffic_slot", meta,
    Column("source_id", String(32), primary_key=True),
    Column("slot", Integer, primary_key=True),
    _timestamp("until"),
)  # fmt: skip
budgets = Table(
    "traffic_budget", meta,
    Column("key", String(64), primary_key=True),
    _timestamp("due"),
)  # fmt: skip
"""Sign-in budgets, by a digest of their owner. A budget is full when its ``due`` has passed."""


def with_tables(engine: Engine) -> Engine:
    """The engine with its tables."""
    try:
        meta.create_all(engine)
    except (OperationalError, ProgrammingError, IntegrityError):
        # Another process created the tables at the same time; the second attempt finds them.
        meta.create_all(engine)
    return engine
