"""Latency of the list of one object in databases with a thousand to a million links, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Connection, text

from benchmarks._panel import LINKS, PATH, ROOT, instance
from benchmarks._table import Rounds, Row, at_most, chunks
from panel.storage.engine import db
from panel.storage.postgresql import wait_without_limit

SIZES = {"10³": 1_000, "10⁵": 100_000, "10⁶": 1_000_000}
DATABASES = ("SQLite", "PostgreSQL")
REQUESTS, LIMIT = 60, 1.3
NAMES = tuple(
    f"list of {LINKS} after a change, {size} links, {database}" for database in DATABASES for size in ("10⁵", "10⁶")
)
PER_OBJECT = 20
_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)",
    "postgresql": "WITH n AS (SELECT generate_series(1, :count) AS i)",
}
_LINKS = f"""
INSERT INTO link (register, schema, object_id, integration, reference, linked_by, linked_at)
SELECT 'demo', 'case', 'other-' || i / {PER_OBJECT}, 'openproject', CAST(i AS TEXT), 'benchmark', :at FROM n"""
_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'link'"

Request = Callable[[], float]


def measure() -> Iterator[Row]:
    """Rows for 10⁵ and 10⁶ links, with 10³ as the floor, in alternation."""
    for database in DATABASES:
        with ExitStack() as stack:
            requests = [_requests(stack, database, count) for count in SIZES.values()]
            times = _alternate([*requests, requests[0]])
        floor, again = chunks(times[0]), chunks(times[-1])
        for size, ours in zip(("10⁵", "10⁶"), times[1:3], strict=True):
            rounds = Rounds(chunks(ours), floor, again)
            name = f"list of {LINKS} after a change, {size} links, {database}"
            yield rounds.row(name, "{:.1f} ms", at_most(LIMIT, rounds.cost(), "× {:g}"))


def _alternate(requests: list[Request]) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in requests]
    for number in range(REQUESTS + 5):
        for request, column in zip(requests, times, strict=True):
            took = request()
            if number >= 5:
                column.append(took * 1000)
    return times


def _requests(stack: ExitStack, database: str, count: int) -> Request:
    """A function that makes a change, and then asks for the list. Returns the seconds of the list.

    The upstream's answers are kept, so that what is measured is the panel with its database.
    """
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    url = "" if database == "SQLite" else _postgresql(stack)
    ours = stack.enter_context(instance(Path(folder), PANEL_DATABASE_URL=url))
    app = ours.app()
    with app.app_context():
        engine = db.engine
    with engine.begin() as connection:
        _insert(connection, count)
    stack.callback(engine.dispose)
    client, headers = app.test_client(), {"Authorization": f"Bearer {ours.token}"}

    def request() -> float:
        with engine.begin() as connection:
            connection.execute(text("UPDATE revision SET value = value + 1"))
        started = time.perf_counter()
        answer = client.get(PATH, headers=headers)
        took = time.perf_counter() - started
        assert answer.status_code == 200, answer.text
        return took

    return request


def _insert(connection: Connection, count: int) -> None:
    """Links of other objects, without the triggers, which would advance the revision once for each."""
    backend = connection.dialect.name
    if backend == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        wait_without_limit(connection)
    else:
        triggers = connection.execute(text(_TRIGGERS)).all()
        for name, _ in triggers:
            connection.execute(text(f"DROP TRIGGER {name}"))
    at = connection.execute(text("SELECT max(linked_at) FROM link")).scalar_one()
    connection.execute(text(f"{_NUMBERS[backend]} {_LINKS}"), {"count": count, "at": at})
    if backend == "postgresql":
        connection.execute(text("ANALYZE link"))
    else:
        for _, statement in triggers:
            connection.execute(text(statement))


def _postgresql(stack: ExitStack) -> str:
    """The URL of a new database on a server of its own, which the tests know how to start."""
    sys.path.append(str(ROOT / "tests"))
    from servers import Postgresql

    server = Postgresql()
    stack.callback(server.close)
    return str(server.database())
