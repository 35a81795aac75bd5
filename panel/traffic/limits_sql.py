"""The limit store in SQL: rate limits (GCRA), concurrency slots, circuit breakers with half-open probes, cache epochs.

All processes share it, through short transactions. Losing the state costs seconds of limits, so it need not be
durable: on SQLite it is in a file of its own that is not synced to disk, and a call costs microseconds. On PostgreSQL
it is in the panel's database and uses the database's clock.

Moments are stored in seconds since the epoch. The clock may be set back: a moment further ahead than the longest wait
that could have been written counts as over.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Update, create_engine, event, select
from sqlalchemy.exc import TimeoutError as WaitedTooLong
from sqlalchemy.pool import QueuePool

from panel.connector.limiter import (
    CLOCK_TOLERANCE_S,
    LONGEST_HOLD_S,
    PROBE_EVERY_S,
    Admission,
    Counts,
    Rate,
    in_force,
)
from panel.connector.source import SourceConfig
from panel.core.reasons import Reason
from panel.traffic.limits_rows import RefillRate, counts_of, refusal_of, wait_of, waits_of
from panel.traffic.limits_statements import (
    COUNTS,
    DUE,
    EPOCH,
    LATEST_SLOT_S,
    NEW_SOURCE,
    TAKE,
    SlotStatements,
    values_of,
)
from panel.traffic.limits_tables import budgets, callers, slots, sources, with_tables

CALLER_WINDOW_S = 2.0
"""A caller seen within this time counts as waiting; meanwhile each other caller may use only half of a limit."""

PRUNE_PROBABILITY = 0.02
"""The share of ``spend`` calls that also delete full budgets."""

BUSY_S = 1.0
"""How long a transaction waits for others: for threads of this process, and then for other processes."""

SINGLE = "leafpanel_single"
"""The execution option of connections that run one statement."""


def ephemeral_engine(path: Path) -> Engine:
    """An SQLite engine for state that a power cut may destroy."""
    return _prepare_connections(create_engine(f"sqlite:///{path}", pool_size=32, max_overflow=64))


def memory_engine() -> Engine:
    """An SQLite engine for state of this process alone. Its one connection holds the data."""
    arguments = {"check_same_thread": False}
    engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args=arguments)
    return _prepare_connections(engine)


def _prepare_connections(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_S * 1000:.0f}", "journal_mode=WAL", "synchronous=OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Every transaction reads and then writes. Taking the write lock at once avoids a failing lock upgrade. A single
        # statement is a transaction by itself.
        if not connection.get_execution_options().get(SINGLE):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class SqlLimitStore:
    """The ``LimitStore`` over SQLAlchemy. Creates its engine at the first use, after a server has forked."""

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._created_engine: Engine | None = None
        self._engine_lock = threading.Lock()
        self._write_lock = threading.Lock()

    @property
    def _engine(self) -> Engine:
        if self._created_engine is None:
            with self._engine_lock:
                if self._created_engine is None:
                    self._created_engine = with_tables(self._make_engine())
        return self._created_engine

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, float]]:
        """A transaction, and its time in seconds since the epoch."""
        # SQLite's busy handler sleeps ever longer between attempts. Threads of this process wait on a lock instead.
        turn = self._turn() if self._engine.dialect.name == "sqlite" else nullcontext()
        with turn, self._engine.begin() as connection:
            yield connection, self._now(connection)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One writer of this process at a time. Raises WaitedTooLong, as for a connection."""
        if not self._write_lock.acquire(timeout=BUSY_S):
            raise WaitedTooLong("the lock of the limit store is taken")
        try:
            yield
        finally:
            self._write_lock.release()

    def _single(self) -> Connection:
        """A connection for one statement, which is a transaction by itself."""
        return self._engine_for_one.connect()

    @cached_property
    def _engine_for_one(self) -> Engine:
        is_sqlite = self._engine.dialect.name == "sqlite"
        return self._engine.execution_options(**({SINGLE: True} if is_sqlite else {"isolation_level": "AUTOCOMMIT"}))

    @cached_property
    def _statements(self) -> SlotStatements:
        return SlotStatements(self._engine.dialect.name)

    def _run(self, statement: Callable[[SlotStatements], Update], source: SourceConfig, **others: float) -> Any:
        """Run one statement on slots by itself. Returns the first value of its row, None without one."""
        on_server = self._engine.dialect.name == "postgresql"
        values = values_of(source, **others) if on_server else values_of(source, now=time.time(), **others)
        with nullcontext() if on_server else self._turn(), self._single() as connection:
            return connection.execute(statement(self._statements), values).scalar()

    def _now(self, connection: Connection) -> float:
        if connection.dialect.name != "postgresql":
            return time.time()
        # The database's clock is the same for all machines. A crash may lose this state: commits do not wait for disk.
        query = "SELECT extract(epoch FROM clock_timestamp()), set_config('synchronous_commit', 'off', true)"
        return float(connection.exec_driver_sql(query).one()[0])

    # --- before a call -------------------------------------------------------------------------------------------

    def admit(self, source: SourceConfig, principal: str, rate: Rate | None) -> Admission:
        with self._transaction() as (connection, now):
            row = self._row(connection, source, now)
            refusal = refusal_of(row, now)
            if refusal is not None:
                return refusal
            if rate is not None:
                wait = self._charge(connection, source, principal, rate, row["due"], now)
                if wait > 0:
                    return Admission(wait, Reason.RATE_LIMITED)
            return Admission(probe=self._claim_probe(connection, source, row, now))

    def _claim_probe(self, connection: Connection, source: SourceConfig, row: Mapping[str, Any], now: float) -> bool:
        """Whether the admitted call is the probe of a half-open breaker. Postpones the next probe."""
        if row["probe_at"] > 0:
            self._write(connection, source, probe_at=now + PROBE_EVERY_S)
        return bool(row["probe_at"])

    def _charge(
        self, connection: Connection, source: SourceConfig, principal: str, rate: Rate, due: float, now: float
    ) -> float:
        """Count one call. Returns 0, or the seconds to wait when the limit is exhausted and nothing was counted."""
        half = rate.halved()
        due = in_force(due, now, rate.period_s)
        own = in_force(self._note_caller(connection, source, principal, now), now, half.period_s)
        wait = wait_of(due, rate, now)
        if self._others_wait(connection, source, principal, now):
            wait = max(wait, wait_of(own, half, now))
        if wait > 0:
            return wait
        self._write(connection, source, due=max(due, now) + rate.interval_s)
        spent = callers.update().where(callers.c.source_id == source.id, callers.c.principal == principal[:200])
        # A caller that used more than its half, while nobody else waited, has used up its half and no more.
        connection.execute(spent.values(due=min(max(own, now) + half.interval_s, now + half.period_s)))
        return 0.0

    def _note_caller(self, connection: Connection, source: SourceConfig, principal: str, now: float) -> float:
        """Record that the caller is active, and return the ``due`` of its own half of the limit."""
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
            callers.c.seen_at <= now + CLOCK_TOLERANCE_S,
        )
        return connection.execute(query.limit(1)).first() is not None

    # --- slots ---------------------------------------------------------------------------------------------------

    def enter(self, source: SourceConfig, until_s: float) -> int | None:
        slot: int | None = self._run(lambda statements: statements.enter, source, seconds=until_s)
        return slot

    def take_slot(self, source: SourceConfig, until_s: float, *, probe: bool = False) -> Admission:
        with self._transaction() as (connection, now):
            row = self._row(connection, source, now)
            refusal = refusal_of(row, now, probe=probe)
            if refusal is not None:
                return refusal
            slot = connection.execute(TAKE, values_of(source, now=now, seconds=until_s)).scalar()
            if slot is None:
                slot = self._new_slot(connection, source, now + until_s)
            if slot is None:
                return Admission()
            return Admission(probe=probe or self._claim_probe(connection, source, row, now), slot=slot)

    def _new_slot(self, connection: Connection, source: SourceConfig, until: float) -> int | None:
        """A slot that was never used; None when all have been. The row of the source is locked for this turn."""
        known = set(connection.execute(select(slots.c.slot).where(slots.c.source_id == source.id)).scalars())
        slot = next((slot for slot in range(source.max_concurrency) if slot not in known), None)
        if slot is not None:
            connection.execute(slots.insert().values(source_id=source.id, slot=slot, until=until))
        return slot

    def free_slot(self, source: SourceConfig, slot: int) -> None:
        self._run(lambda statements: statements.free, source, taken=slot)

    def finish(self, source: SourceConfig, slot: int) -> None:
        if self._run(lambda statements: statements.finish, source, taken=slot):
            self.succeeded(source)

    # --- after a call --------------------------------------------------------------------------------------------

    def failed(self, source: SourceConfig, *, open_after: int, probe_every_s: float) -> None:
        with self._transaction() as (connection, now):
            failures = self._row(connection, source, now)["failures"] + 1
            probe_at = now + probe_every_s if failures >= open_after else 0
            self._write(connection, source, failures=failures, probe_at=probe_at)

    def succeeded(self, source: SourceConfig) -> None:
        with self._transaction() as (connection, now):
            row = self._row(connection, source, now)
            if row["failures"] or row["probe_at"]:
                self._write(connection, source, failures=0, probe_at=0)

    def hold_off(self, source: SourceConfig, seconds: float) -> None:
        with self._transaction() as (connection, now):
            self._row(connection, source, now)
            self._write(connection, source, hold_until=now + min(seconds, LONGEST_HOLD_S))

    # --- epochs --------------------------------------------------------------------------------------------------

    def epoch(self, source_id: str) -> int:
        with self._single() as connection:
            return int(connection.execute(EPOCH, {"source": source_id}).scalar() or 0)

    def advance(self, source: SourceConfig) -> None:
        with self._transaction() as (connection, now):
            row = self._row(connection, source, now)
            self._write(connection, source, epoch=row["epoch"] + 1)

    # --- budgets -------------------------------------------------------------------------------------------------

    def spend(self, charges: Sequence[tuple[str, RefillRate]]) -> float:
        """Charge one to every budget, or to none when one is exhausted. Returns 0, or the seconds to wait."""
        with self._transaction() as (connection, now):
            found = self._due(connection, charges)
            due = {key: in_force(found[key], now, budget.count * budget.interval_s) for key, budget in charges}
            wait = max(wait_of(due[key], budget, now) for key, budget in charges)
            if wait <= 0:
                self._set_due(connection, {key: max(due[key], now) + budget.interval_s for key, budget in charges})
        if random.random() < PRUNE_PROBABILITY:
            self._prune_full_budgets()
        return wait

    def give_back(self, charges: Sequence[tuple[str, RefillRate]]) -> None:
        with self._transaction() as (connection, _):
            due = self._due(connection, charges)
            self._set_due(connection, {key: due[key] - budget.interval_s for key, budget in charges})

    def _due(self, connection: Connection, charges: Sequence[tuple[str, RefillRate]]) -> dict[str, float]:
        """The ``due`` of each budget, with its row locked. Rows are locked in one order, which prevents deadlocks."""
        keys = sorted(key for key, _ in charges)
        return {key: float(connection.execute(DUE, {"key": key}).scalar_one()) for key in keys}

    def _set_due(self, connection: Connection, due: Mapping[str, float]) -> None:
        for key, moment in due.items():
            connection.execute(budgets.update().where(budgets.c.key == key).values(due=moment))

    def _prune_full_budgets(self) -> None:
        """Delete full budgets in a transaction of its own. Locked rows are skipped, so that it never waits."""
        with self._transaction() as (connection, now):
            full = budgets.select().with_only_columns(budgets.c.key).where(budgets.c.due < now)
            connection.execute(budgets.delete().where(budgets.c.key.in_(full.with_for_update(skip_locked=True))))

    # --- reading -------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, Counts]:
        with self._transaction() as (connection, now):
            rows = connection.execute(COUNTS, {"now": now, "latest": now + LATEST_SLOT_S}).mappings()
            return {row["source_id"]: counts_of(dict(row), now) for row in rows}

    # --- rows ----------------------------------------------------------------------------------------------------

    def _row(self, connection: Connection, source: SourceConfig, now: float) -> dict[str, Any]:
        """The source's row, locked. A newer revision resets it: saving closes the breaker and ends any wait.

        An open breaker whose next probe is too far ahead admits a probe now.
        """
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
        return row | waits_of(row, now)

    def _insert(self, connection: Connection, source: SourceConfig) -> None:
        """Insert the source's row, unless another process has just done so."""
        connection.execute(NEW_SOURCE, {"s": source.id, "r": max(0, source.revision)})

    def _write(self, connection: Connection, source: SourceConfig, **values: float) -> None:
        connection.execute(sources.update().where(sources.c.source_id == source.id).values(**values))
