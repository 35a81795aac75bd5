"""The statements of the limit store that each call runs, built once: building one takes longer than running it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    String,
    Update,
    bindparam,
    cast,
    exists,
    extract,
    func,
    or_,
    select,
    text,
)

from panel.connector.limiter import CLOCK_TOLERANCE_S, LONGEST_SLOT_S
from panel.connector.source import SourceConfig
from panel.traffic.limits_tables import slots, sources

LATEST_SLOT_S = LONGEST_SLOT_S + CLOCK_TOLERANCE_S

COUNTS = text(
    "SELECT s.*, (SELECT count(*) FROM traffic_slot t WHERE t.source_id = s.source_id"
    " AND t.until > :now AND t.until <= :latest) AS slots FROM traffic_source s"
)
DUE = text(
    "INSERT INTO traffic_budget (key, due) VALUES (:key, 0)"
    " ON CONFLICT (key) DO UPDATE SET due = traffic_budget.due RETURNING due"
)
"""Upserts and locks a budget's row, and returns its ``due``; 0 for a new one."""
NEW_SOURCE = text("INSERT INTO traffic_source (source_id, revision) VALUES (:s, :r) ON CONFLICT (source_id) DO NOTHING")

_SOURCE: ColumnElement[str] = bindparam("source", type_=String)
_SLOT: ColumnElement[int] = bindparam("taken", type_=Integer)
_GIVEN_NOW: ColumnElement[float] = bindparam("now", type_=Float)
_DATABASE_NOW: ColumnElement[float] = cast(extract("epoch", func.statement_timestamp()), Float)
"""The clock of the database, by which all machines go."""
_UNSYNCED: ColumnElement[str] = func.set_config("synchronous_commit", "off", True)
"""Makes the commit of its own statement wait for no disk."""

EPOCH: Select[Any] = select(sources.c.epoch).where(sources.c.source_id == _SOURCE)


def values_of(source: SourceConfig, **others: float) -> dict[str, Any]:
    """The parameters of these statements for one source."""
    return {"source": source.id, "revision": source.revision, "most": source.max_concurrency, **others}


def _taking(now: ColumnElement[float]) -> Update:
    """Take a slot that is free at ``now``. Two callers at once get two slots."""
    each = slots.alias("each")
    free = (
        select(each.c.slot)
        .where(each.c.source_id == _SOURCE, each.c.slot < bindparam("most", type_=Integer))
        .where(or_(each.c.until <= now, each.c.until > now + LATEST_SLOT_S))
        .order_by(each.c.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    taking = slots.update().where(slots.c.source_id == _SOURCE, slots.c.slot == free)
    return taking.values(until=now + bindparam("seconds", type_=Float))


def _is_clear(now: ColumnElement[float]) -> ColumnElement[bool]:
    """Whether nothing stands before a call: no open breaker, no wait of the upstream, no newer settings."""
    known = (sources.c.source_id == _SOURCE, sources.c.revision >= bindparam("revision", type_=Integer))
    return exists(1).where(*known, sources.c.probe_at == 0, sources.c.hold_until <= now)


def _has_failures() -> ColumnElement[bool]:
    row = select(or_(sources.c.failures > 0, sources.c.probe_at > 0)).where(sources.c.source_id == _SOURCE)
    return row.scalar_subquery()


class SlotStatements:
    """Statements on slots in one dialect. Each returns one value as the first of its row."""

    def __init__(self, dialect: str) -> None:
        is_server = dialect == "postgresql"
        now, more = (_DATABASE_NOW, (_UNSYNCED,)) if is_server else (_GIVEN_NOW, ())
        freeing = slots.update().where(slots.c.source_id == _SOURCE, slots.c.slot == _SLOT).values(until=0)
        self.enter = _taking(now).where(_is_clear(now)).returning(slots.c.slot, *more)
        self.free = freeing.returning(slots.c.slot, *more)
        self.finish = freeing.returning(_has_failures(), *more)


TAKE = _taking(_GIVEN_NOW).returning(slots.c.slot)
"""Takes a free slot inside a transaction whose moment is known."""
