"""A number that changes with every commit that an answer may depend on, and values that are kept while it stays.

Triggers of the database advance the number (migration ``revision``), so that a change by any process, or below the
panel, counts.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from panel.storage.engine import db

T = TypeVar("T")

SILENCE_S = 0.5
"""How long the server may be silent before a request goes on without what was kept."""
REST_S = 5.0
"""How long a database server that did not answer is not asked again."""
ASK = -1
"""In place of a revision: read it now."""
_QUERY = "SELECT value FROM revision WHERE id = 1"


class Revision(Protocol):
    """Reads the current number."""

    def current(self) -> int | None:
        """The number of the last commit. None when it cannot be read, so that nothing that was kept may be used."""
        ...


class SqliteRevision:
    """Reads the number from a SQLite file over a connection of its own.

    ``PRAGMA data_version`` tells without a look at the file whether anything was committed since the last question.
    Most commits are lines of the call log, so the number itself is read only then.
    https://www.sqlite.org/pragma.html#pragma_data_version
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._version: Any = None
        self._value: int | None = None

    def current(self) -> int | None:
        with self._lock:
            try:
                return self._read()
            except sqlite3.Error:
                self._connection = None
                return None

    def _read(self) -> int | None:
        connection = self._open()
        version = connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            # Read after the version: a commit in between is seen again at the next question.
            self._value = connection.execute(_QUERY).fetchone()[0]
            self._version = version
        return self._value

    def _open(self) -> sqlite3.Connection:
        """A connection of this process: one that was opened before a fork must not be used after it."""
        if self._connection is None or self._pid != os.getpid():
            self._connection = sqlite3.connect(
                f"file:{self._path}?mode=ro", uri=True, timeout=1, isolation_level=None, check_same_thread=False
            )
            self._pid, self._version = os.getpid(), None
        return self._connection


class ServerRevision:
    """Reads the number from a database server, with one statement.

    A server that does not answer at once is not asked again for a while: requests then go on without what was kept.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine, "connect", _limit_silence)
        self._rests_until = 0.0

    def current(self) -> int | None:
        if time.monotonic() < self._rests_until:
            return None
        try:
            with self._engine.connect() as connection:
                return int(connection.exec_driver_sql(_QUERY).scalar_one())
        except SQLAlchemyError:
            self._rests_until = time.monotonic() + REST_S
            return None


def _limit_silence(connection: Any, _: object) -> None:
    connection.silence_s = SILENCE_S


def revision_of(engine: Engine) -> Revision:
    if engine.dialect.name == "sqlite":
        return SqliteRevision(engine.url.database or "")
    return ServerRevision(engine)


class Kept(Generic[T]):
    """Values of this process that hold while the revision stays, together not heavier than ``most``.

    ``holds`` says of a kept value whether it still holds for other reasons, such as its age.
    """

    def __init__(
        self,
        revision: Revision,
        *,
        most: int,
        weigh: Callable[[T], int] = lambda value: 1,
        holds: Callable[[T], bool] = lambda value: True,
    ) -> None:
        self._revision, self._most, self._weigh, self._holds = revision, most, weigh, holds
        self._lock = threading.Lock()
        self._values: dict[Hashable, T] = {}
        self._weight = 0
        self._at: int | None = None

    def get(self, key: Hashable, read: Callable[[], T | None], *, at: int | None = ASK) -> T | None:
        """The kept value for ``key``, or that of ``read``, which is kept unless it is None."""
        kept = self.find(key, at=at)
        if kept is not None:
            return kept
        at = self.begin()
        value = read()
        if value is not None:
            self.keep(key, value, at)
        return value

    def find(self, key: Hashable, *, at: int | None = ASK) -> T | None:
        """The kept value for ``key``. ``at`` is the revision, if the caller has read it during this request."""
        at = self._revision.current() if at == ASK else at
        with self._lock:
            if at != self._at:
                self._values, self._weight, self._at = {}, 0, at
            kept = self._values.get(key)
        return kept if kept is not None and at is not None and self._holds(kept) else None

    def begin(self) -> int | None:
        """The revision to give to ``keep`` with a value that is read after this call.

        None inside a transaction, which may see an older state than the revision stands for.
        """
        return None if db.session.in_transaction() else self._revision.current()

    def keep(self, key: Hashable, value: T, at: int | None) -> None:
        with self._lock:
            # Another thread may have seen a later revision meanwhile.
            if at is None or at != self._at:
                return
            self._remove(key)
            self._values[key] = value
            self._weight += self._weigh(value)
            while self._weight > self._most:
                self._remove(next(iter(self._values)))

    def _remove(self, key: Hashable) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)
