"""The limit store that goes on without its database, with limits of this process alone.

Counting calls is not worth a failed read. While the shared store fails (disk full, read-only, locked, damaged), each
process counts in its own memory, and tries the shared store again every ``RETRY_S`` seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from panel.connector.limiter import Admission, Counts, Rate
from panel.connector.source import SourceConfig
from panel.storage.engine import STORAGE_FAILURES
from panel.traffic.limits_rows import RefillRate
from panel.traffic.limits_sql import SqlLimitStore, memory_engine

log = logging.getLogger(__name__)

RETRY_S = 5.0
_OWN_SLOTS = 10_000
"""Slots of the own store are numbered from here, so that each slot is freed in the store that it was taken from."""

T = TypeVar("T")


class FallbackLimitStore:
    """The ``LimitStore`` over ``shared``, or over the memory of this process while ``shared`` fails."""

    def __init__(self, shared: SqlLimitStore) -> None:
        self._shared = shared
        self._own = SqlLimitStore(memory_engine)
        self._lock = threading.Lock()
        self._retry_at: float | None = None
        """When the shared store is tried again, on the monotonic clock; None while it works."""
        self._epochs: dict[str, int] = {}
        self._own_advances: dict[str, int] = {}

    # --- the choice of the store ---------------------------------------------------------------------------------

    def _run(self, work: Callable[[SqlLimitStore], T]) -> T:
        """``work`` with the shared store, or with the own one when that fails."""
        done, result = self._try_shared(work)
        return result if done else work(self._own)  # type: ignore[return-value]

    def _try_shared(self, work: Callable[[SqlLimitStore], T]) -> tuple[bool, T | None]:
        """Whether the shared store did the work, and the result."""
        if not self._may_use_shared():
            return False, None
        try:
            result = work(self._shared)
        except STORAGE_FAILURES as exc:
            self._note_failure(exc)
            return False, None
        self._note_success()
        return True, result

    def _may_use_shared(self) -> bool:
        """During an outage, one call in ``RETRY_S`` tries the shared store; the others do not wait for it."""
        with self._lock:
            if self._retry_at is None:
                return True
            moment = time.monotonic()
            if moment < self._retry_at:
                return False
            self._retry_at = moment + RETRY_S
            return True

    def _note_failure(self, exc: Exception) -> None:
        with self._lock:
            is_new = self._retry_at is None
            self._retry_at = time.monotonic() + RETRY_S
        if is_new:
            cause = getattr(exc, "orig", None) or exc
            name = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
            log.error("the store of limits fails (%s): each process applies limits of its own for now", name)

    def _note_success(self) -> None:
        if self._retry_at is None:
            return
        with self._lock:
            self._retry_at = None
        log.warning("the store of limits works again: limits are shared by all processes")

    # --- the store -----------------------------------------------------------------------------------------------

    def admit(self, source: SourceConfig, principal: str, rate: Rate | None) -> Admission:
        return self._run(lambda store: store.admit(source, principal, rate))

    def enter(self, source: SourceConfig, until_s: float) -> int | None:
        done, slot = self._try_shared(lambda store: store.enter(source, until_s))
        return slot if done else _own_slot(self._own.enter(source, until_s))

    def take_slot(self, source: SourceConfig, until_s: float, *, probe: bool = False) -> Admission:
        done, admission = self._try_shared(lambda store: store.take_slot(source, until_s, probe=probe))
        if done and admission is not None:
            return admission
        own = self._own.take_slot(source, until_s, probe=probe)
        return Admission(own.wait_s, own.reason, own.probe, _own_slot(own.slot))

    def free_slot(self, source: SourceConfig, slot: int) -> None:
        if slot >= _OWN_SLOTS:
            self._own.free_slot(source, slot - _OWN_SLOTS)
        else:
            # A slot that is not freed expires.
            self._try_shared(lambda store: store.free_slot(source, slot))

    def finish(self, source: SourceConfig, slot: int) -> None:
        if slot >= _OWN_SLOTS:
            self._own.finish(source, slot - _OWN_SLOTS)
        else:
            self._try_shared(lambda store: store.finish(source, slot))

    def failed(self, source: SourceConfig, *, open_after: int, probe_every_s: float) -> None:
        self._run(lambda store: store.failed(source, open_after=open_after, probe_every_s=probe_every_s))

    def succeeded(self, source: SourceConfig) -> None:
        self._run(lambda store: store.succeeded(source))

    def hold_off(self, source: SourceConfig, seconds: float) -> None:
        self._run(lambda store: store.hold_off(source, seconds))

    def epoch(self, source_id: str) -> int:
        """The shared epoch as last read, and the writes of this process that it could not count."""
        done, epoch = self._try_shared(lambda store: store.epoch(source_id))
        if done and epoch is not None:
            self._epochs[source_id] = epoch
        return self._epochs.get(source_id, 0) + self._own_advances.get(source_id, 0)

    def advance(self, source: SourceConfig) -> None:
        done, _ = self._try_shared(lambda store: store.advance(source))
        if not done:
            with self._lock:
                self._own_advances[source.id] = self._own_advances.get(source.id, 0) + 1

    def counts(self) -> Mapping[str, Counts]:
        return self._run(lambda store: store.counts())

    def spend(self, charges: Sequence[tuple[str, RefillRate]]) -> float:
        return self._run(lambda store: store.spend(charges))

    def give_back(self, charges: Sequence[tuple[str, RefillRate]]) -> None:
        self._run(lambda store: store.give_back(charges))


def _own_slot(slot: int | None) -> int | None:
    return None if slot is None else slot + _OWN_SLOTS
