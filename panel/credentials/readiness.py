"""Whether this process can answer: the database answers and has the schema of this version, and the keys open it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime

from sqlalchemy import Engine

from panel.credentials.rotation import unreadable_owners
from panel.credentials.vault import Vault
from panel.storage.start_check import current_revisions

LONGEST_S = 1.0
"""How long a request waits for the checks. One that takes longer has failed."""
HOLDS_S = 0.5
"""How long a result is used again, so that many requests cost the database no more than a few."""

Check = Callable[[], bool]


class Readiness:
    """Runs the checks in one thread at a time, because a frozen database would hold up the request that asks."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self._lock = threading.Lock()
        self._latest: Future[dict[str, bool]] | None = None
        self._begun = 0.0

    def results(self) -> dict[str, bool]:
        """The result of each check. All are False when they do not end in time."""
        try:
            return self._current().result(LONGEST_S)
        except NotInTime:
            return dict.fromkeys(self._checks, False)

    def _current(self) -> Future[dict[str, bool]]:
        """The checks that are under way, else the recent ones, else new ones."""
        with self._lock:
            latest = self._latest
            if latest is None or (latest.done() and time.monotonic() - self._begun > HOLDS_S):
                self._begun, self._latest = time.monotonic(), (latest := Future())
                threading.Thread(target=self._run, args=(latest,), name="readiness", daemon=True).start()
            return latest

    def _run(self, found: Future[dict[str, bool]]) -> None:
        found.set_result({name: _holds(check) for name, check in self._checks.items()})


def _holds(check: Check) -> bool:
    try:
        return check()
    except Exception:  # whatever fails, this process is not ready
        return False


def database_checks(engine: Engine, heads: Callable[[], Collection[str]], vault: Vault) -> dict[str, Check]:
    """The checks of a panel. ``heads`` returns the revisions of this version's schema."""

    def database() -> bool:
        with engine.connect() as connection:
            return connection.exec_driver_sql("SELECT 1").scalar() == 1

    def migrations() -> bool:
        return set(current_revisions(engine)) == set(heads())

    def keys() -> bool:
        with engine.connect() as connection:
            return not unreadable_owners(connection, vault)

    return {"database": database, "migrations": migrations, "keys": keys}
