"""The shared numbers of traffic: rate limits, places, breakers, epochs. Short transactions, seen by all processes.

They are worth seconds, not years: on SQLite they live in a file of their own that is never synced to disk, so that
counting a call costs microseconds; on PostgreSQL they live beside everything else and use the database's clock.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Update,
    cast,
    create_engine,
    event,
    extract,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from panel.connector.limiter import PROBE_EVERY_S, Admission, Counts, Rate
from panel.connector.source import SourceConfig
from panel.core.domain import Reason

CALLER_WINDOW_S = 2.0
"""Somebody who asked within this time counts as waiting, so that nobody else may use more than half of a limit."""

FORGET_EVERY = 0.02
"""How often spending also clears away budgets that are whole again."""

SINGLE = "leafpanel_single"
"""The execution option of connections that run one statement."""

meta = MetaData()


def _whole(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _moment(name: str) -> Column[float]:
    """Seconds since the epoch."""
    return Column(name, Float(53), nullable=False, server_default=text("0"))


sources = Table(
    "traffic_source", meta,
    Column("source_id", String(32), primary_key=True),
    _whole("revision"),
    _moment("due"),
    _moment("hold_until"),
    _whole("failures"),
    _moment("probe_at"),
    _whole("epoch"),
)  # fmt: skip
"""``due``: when the next call would fit evenly (GCRA). ``probe_at``: 0 while the breaker is closed."""
callers = Table(
    "traffic_caller", meta,
    Column("source_id", String(32), primary_key=True),
    Column("principal", String(200), primary_key=True),
    _moment("due"),
    _moment("seen_at"),
)  # fmt: skip
slots = Table(
    "traffic_slot", meta,
    Column("source_id", String(32), primary_key=True),
    Column("slot", Integer, primary_key=True),
    _moment("until"),
)  # fmt: skip
budgets = Table(
    "traffic_budget", meta,
    Column("key", String(64), primary_key=True),
    _moment("due"),
)  # fmt: skip
"""Budgets of people who sign in, by a digest of whose they are. One whose ``due`` is past is whole again."""


_COUNTS = text(
    "SELECT s.*, (SELECT count(*) FROM traffic_slot t WHERE t.source_id = s.source_id AND t.until > :now) AS places"
    " FROM traffic_source s"
)

_DATABASE_NOW: ColumnElement[float] = cast(extract("epoch", func.statement_timestamp()), Float)
"""The clock of the database, by which all machines go."""
_UNSYNCED: ColumnElement[str] = func.set_config("synchronous_commit", "off", True)
"""Makes the commit of its own statement wait for no disk."""

_DUE = text(
    "INSERT INTO traffic_budget (key, due) VALUES (:key, 0)"
    " ON CONFLICT (key) DO UPDATE SET due = traffic_budget.due RETURNING due"
)
"""When a budget is due: a new one now. The row is locked, whether it was there or not."""


def ephemeral_engine(path: Path) -> Engine:
    """SQLite for numbers that a power cut may take."""
    engine = create_engine(f"sqlite:///{path}", pool_size=32, max_overflow=64)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Reading and writing belong together, so the turn is taken before the first read. A single statement is a
        # transaction by itself.
        if not connection.get_execution_options().get(SINGLE):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class SqlLimitStore:
    """The limit_store over SQLAlchemy. Its engine is made at the first call, so that a server may fork before."""

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._known: Engine | None = None
        self._lock = threading.Lock()
        self._turns = threading.Lock()

    @property
    def _engine(self) -> Engine:
        if self._known is None:
            with self._lock:
                if self._known is None:
                    self._known = _prepared(self._make_engine())
        return self._known

    @contextmanager
    def _turn(self) -> Iterator[tuple[Connection, float]]:
        # SQLite makes those who wait sleep longer and longer; the threads of one process need not find that out.
        own = self._turns if self._engine.dialect.name == "sqlite" else nullcontext()
        with own, self._engine.begin() as connection:
            yield connection, self._now(connection)

    @contextmanager
    def _single(self) -> Iterator[Connection]:
        """A connection for one statement, which is a transaction by itself."""
        is_sqlite = self._engine.dialect.name == "sqlite"
        options = {SINGLE: True} if is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with self._engine.connect().execution_options(**options) as connection:
            yield connection

    def _update(self, make: Callable[[ColumnElement[float]], Update], returned: ColumnElement[Any]) -> Any:
        """Run one UPDATE by itself and return ``returned`` of its row, None without one. ``make`` gets the moment."""
        if self._engine.dialect.name == "postgresql":
            with self._single() as connection:
                return connection.execute(make(_DATABASE_NOW).returning(returned, _UNSYNCED)).scalar()
        with self._turns, self._single() as connection:
            return connection.execute(make(literal(time.time(), Float)).returning(returned)).scalar()

    def _now(self, connection: Connection) -> float:
        if connection.dialect.name != "postgresql":
            return time.time()
        # All machines go by the database's clock; nobody waits for its disk, since a crash may take these numbers.
        query = "SELECT extract(epoch FROM clock_timestamp()), set_config('synchronous_commit', 'off', true)"
        return float(connection.exec_driver_sql(query).one()[0])

    # --- before a call -------------------------------------------------------------------------------------------

    def admit(self, source: SourceConfig, principal: str, rate: Rate | None) -> Admission:
        with self._turn() as (connection, now):
            row = self._row(connection, source)
            barred = _barred(row, now)
            if barred is not None:
                return barred
            if rate is not None:
                wait = self._metered(connection, source, principal, rate, row["due"], now)
                if wait > 0:
                    return Admission(wait, Reason.RATE_LIMITED)
            return Admission(probe=self._probes(connection, source, row, now))

    def _probes(self, connection: Connection, source: SourceConfig, row: Mapping[str, Any], now: float) -> bool:
        """Whether the call that is let go now does so through an open breaker; the others wait for what it finds."""
        if row["probe_at"] > 0:
            self._write(connection, source, probe_at=now + PROBE_EVERY_S)
        return bool(row["probe_at"])

    def _metered(
        self, connection: Connection, source: SourceConfig, principal: str, rate: Rate, due: float, now: float
    ) -> float:
        """Seconds until this caller may go; 0 when the call was counted."""
        own = self._seen(connection, source, principal, now)
        wait, half = wait_of(due, rate, now), rate.halved()
        if self._others_wait(connection, source, principal, now):
            wait = max(wait, wait_of(own, half, now))
        if wait > 0:
            return wait
        self._write(connection, source, due=max(due, now) + rate.interval_s)
        spent = callers.update().where(callers.c.source_id == source.id, callers.c.principal == principal[:200])
        connection.execute(spent.values(due=max(own, now) + half.interval_s))
        return 0.0

    def _seen(self, connection: Connection, source: SourceConfig, principal: str, now: float) -> float:
        """Note that somebody asks, and return when his own half of the limit is due."""
        key = (callers.c.source_id == source.id, callers.c.principal == principal[:200])
        known = connection.execute(callers.update().where(*key).values(seen_at=now).returning(callers.c.due)).first()
        if known is not None:
            return float(known[0])
        stale = callers.delete().where(callers.c.source_id == source.id, callers.c.seen_at < now - 86400)
        connection.execute(stale)
        connection.execute(callers.insert().values(source_id=source.id, principal=principal[:200], seen_at=now))
        return 0.0

    def _others_wait(self, connection: Connection, source: SourceConfig, principal: str, now: float) -> bool:
        query = callers.select().where(
            callers.c.source_id == source.id,
            callers.c.principal != principal[:200],
            callers.c.seen_at > now - CALLER_WINDOW_S,
        )
        return connection.execute(query.limit(1)).first() is not None

    # --- slots ---------------------------------------------------------------------------------------------------

    def enter(self, source: SourceConfig, until_s: float) -> int | None:
        slot: int | None = self._update(
            lambda now: _taking(source, now, until_s).where(_is_clear(source, now)), slots.c.slot
        )
        return slot

    def take_slot(self, source: SourceConfig, until_s: float, *, probe: bool = False) -> Admission:
        with self._turn() as (connection, now):
            row = self._row(connection, source)
            barred = _barred(row, now, probe=probe)
            if barred is not None:
                return barred
            taking = _taking(source, literal(now, Float), until_s)
            slot = connection.execute(taking.returning(slots.c.slot)).scalar()
            if slot is None:
                slot = self._new_slot(connection, source, now + until_s)
            if slot is None:
                return Admission()
            return Admission(probe=probe or self._probes(connection, source, row, now), slot=slot)

    def _new_slot(self, connection: Connection, source: SourceConfig, until: float) -> int | None:
        """A slot that was never used; None when all have been. The row of the source is locked for this turn."""
        known = set(connection.execute(select(slots.c.slot).where(slots.c.source_id == source.id)).scalars())
        slot = next((slot for slot in range(source.max_concurrency) if slot not in known), None)
        if slot is not None:
            connection.execute(slots.insert().values(source_id=source.id, slot=slot, until=until))
        return slot

    def free_slot(self, source: SourceConfig, slot: int) -> None:
        self._update(lambda _: _freeing(source, slot), slots.c.slot)

    def finish(self, source: SourceConfig, slot: int) -> None:
        if self._update(lambda _: _freeing(source, slot), _has_failures(source)):
            self.succeeded(source)

    # --- after a call --------------------------------------------------------------------------------------------

    def failed(self, source: SourceConfig, *, open_after: int, probe_every_s: float) -> None:
        with self._turn() as (connection, now):
            failures = self._row(connection, source)["failures"] + 1
            probe_at = now + probe_every_s if failures >= open_after else 0
            self._write(connection, source, failures=failures, probe_at=probe_at)

    def succeeded(self, source: SourceConfig) -> None:
        with self._turn() as (connection, _):
            row = self._row(connection, source)
            if row["failures"] or row["probe_at"]:
                self._write(connection, source, failures=0, probe_at=0)

    def hold_off(self, source: SourceConfig, seconds: float) -> None:
        with self._turn() as (connection, now):
            self._row(connection, source)
            self._write(connection, source, hold_until=now + seconds)

    # --- epochs --------------------------------------------------------------------------------------------------

    def epoch(self, source_id: str) -> int:
        """Grows with every write through the panel, in any process: what was remembered before is old."""
        with self._single() as connection:
            query = sources.select().with_only_columns(sources.c.epoch).where(sources.c.source_id == source_id)
            return int(connection.execute(query).scalar() or 0)

    def advance(self, source: SourceConfig) -> None:
        with self._turn() as (connection, _):
            row = self._row(connection, source)
            self._write(connection, source, epoch=row["epoch"] + 1)

    # --- budgets -------------------------------------------------------------------------------------------------

    def spend(self, wanted: Sequence[tuple[str, Evenly]]) -> float:
        """Take one from each budget, or from none; seconds until all have one left, 0 when taken."""
        with self._turn() as (connection, now):
            due = self._due(connection, wanted)
            wait = max(wait_of(due[key], budget, now) for key, budget in wanted)
            if wait <= 0:
                self._set_due(connection, {key: max(due[key], now) + budget.interval_s for key, budget in wanted})
        if random.random() < FORGET_EVERY:
            self._forget_whole_budgets()
        return wait

    def give_back(self, wanted: Sequence[tuple[str, Evenly]]) -> None:
        with self._turn() as (connection, _):
            due = self._due(connection, wanted)
            self._set_due(connection, {key: due[key] - budget.interval_s for key, budget in wanted})

    def _due(self, connection: Connection, wanted: Sequence[tuple[str, Evenly]]) -> dict[str, float]:
        """When each budget is due, its row locked for this turn; in one order, so that two never wait in a circle."""
        keys = sorted(key for key, _ in wanted)
        return {key: float(connection.execute(_DUE, {"key": key}).scalar_one()) for key in keys}

    def _set_due(self, connection: Connection, due: Mapping[str, float]) -> None:
        for key, moment in due.items():
            connection.execute(budgets.update().where(budgets.c.key == key).values(due=moment))

    def _forget_whole_budgets(self) -> None:
        """Apart from any spending, and past rows that somebody holds: it may be late, but nobody waits for it."""
        with self._turn() as (connection, now):
            whole = budgets.select().with_only_columns(budgets.c.key).where(budgets.c.due < now)
            connection.execute(budgets.delete().where(budgets.c.key.in_(whole.with_for_update(skip_locked=True))))

    # --- reading -------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, Counts]:
        with self._turn() as (connection, now):
            rows = connection.execute(_COUNTS, {"now": now}).mappings()
            return {row["source_id"]: _counts(row, now) for row in rows}

    # --- rows ----------------------------------------------------------------------------------------------------

    def _row(self, connection: Connection, source: SourceConfig) -> dict[str, Any]:
        """The source's row, locked for this turn. A saved source starts afresh: breaker closed, nobody held off."""
        query = sources.select().where(sources.c.source_id == source.id).with_for_update()
        found = connection.execute(query).mappings().first()
        if found is None:
            self._insert(connection, source)
            found = connection.execute(query).mappings().one()
        row = dict(found)
        if source.revision > row["revision"]:
            fresh = {"revision": source.revision, "failures": 0, "probe_at": 0.0, "hold_until": 0.0}
            self._write(connection, source, **fresh)
            row |= fresh
        return row

    def _insert(self, connection: Connection, source: SourceConfig) -> None:
        """Two processes may meet a new source at once; one row is made."""
        statement = (
            "INSERT INTO traffic_source (source_id, revision) VALUES (:s, :r) ON CONFLICT (source_id) DO NOTHING"
        )
        connection.execute(text(statement), {"s": source.id, "r": max(0, source.revision)})

    def _write(self, connection: Connection, source: SourceConfig, **values: float) -> None:
        connection.execute(sources.update().where(sources.c.source_id == source.id).values(**values))


def _taking(source: SourceConfig, now: ColumnElement[float], until_s: float) -> Update:
    """Take a slot that is free at ``now``. Two callers at once get two slots."""
    each = slots.alias("each")
    free = (
        select(each.c.slot)
        .where(each.c.source_id == source.id, each.c.slot < source.max_concurrency, each.c.until <= now)
        .order_by(each.c.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return slots.update().where(slots.c.source_id == source.id, slots.c.slot == free).values(until=now + until_s)


def _is_clear(source: SourceConfig, now: ColumnElement[float]) -> ColumnElement[bool]:
    """Whether nothing stands before a call: no open breaker, no wait of the upstream, no newer settings."""
    row = select(sources.c.source_id).where(sources.c.source_id == source.id, sources.c.revision >= source.revision)
    return row.where(sources.c.probe_at == 0, sources.c.hold_until <= now).exists()


def _has_failures(source: SourceConfig) -> ColumnElement[bool]:
    row = select(or_(sources.c.failures > 0, sources.c.probe_at > 0)).where(sources.c.source_id == source.id)
    return row.scalar_subquery()


def _freeing(source: SourceConfig, slot: int) -> Update:
    return slots.update().where(slots.c.source_id == source.id, slots.c.slot == slot).values(until=0)


def _barred(row: Mapping[str, Any], now: float, *, probe: bool = False) -> Admission | None:
    """Why no call may go out now, or nothing. A probe may pass the breaker, but not the upstream's own wait."""
    if row["hold_until"] > now:
        return Admission(row["hold_until"] - now, Reason.RATE_LIMITED)
    if row["probe_at"] > now and not probe:
        return Admission(row["probe_at"] - now, Reason.CIRCUIT_OPEN)
    return None


def _counts(row: RowMapping, now: float) -> Counts:
    names = ("revision", "due", "hold_until", "failures", "probe_at", "places")
    return Counts(now, **{name: row[name] for name in names})


def _prepared(engine: Engine) -> Engine:
    """The engine with its tables. Two processes may make them at once; the second finds them made."""
    try:
        meta.create_all(engine)
    except (OperationalError, ProgrammingError, IntegrityError):
        meta.create_all(engine)
    return engine


class Evenly(Protocol):
    """``count`` at once, then one every ``interval_s`` seconds."""

    @property
    def count(self) -> int: ...
    @property
    def interval_s(self) -> float: ...


def wait_of(due: float, rate: Evenly, now: float) -> float:
    """GCRA: seconds until one more call keeps to ``rate``, whose whole count may go out at once."""
    earliest = max(due, now) + rate.interval_s - rate.interval_s * rate.count
    return max(0.0, earliest - now)
