"""A connection to PostgreSQL that ends when the server is silent for too long.

The server's own timeouts do not help when it is frozen, and the kernel of a frozen server still acknowledges what is
sent, so that timeouts of TCP do not help either.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection

T = TypeVar("T")

SILENCE_S = 6.0


class BoundedConnection(psycopg.Connection[Any]):
    """Raises OperationalError and is closed when a statement gets no byte of an answer for ``silence_s`` seconds."""

    silence_s: float | None = SILENCE_S

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: PQGen[T]) -> PQGen[T]:
        # The loop that runs ``gen`` resumes it several times a second, with nothing when no byte came.
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard_at = time.monotonic()
                elif self.silence_s is not None and time.monotonic() - heard_at > self.silence_s:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server was silent for {self.silence_s:.0f} seconds")
                wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result


def wait_without_limit(connection: Connection) -> None:
    """Let statements of this connection take as long as they need."""
    driver = connection.connection.driver_connection
    if isinstance(driver, BoundedConnection):
        driver.silence_s = None
    for timeout in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET {timeout} = 0")
