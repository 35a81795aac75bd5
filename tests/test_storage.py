"""The panel's own storage misbehaves: locked, full, read-only or damaged files."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from support import CASE_PATH, CONSOLE, api_token, signed_in_client
from web.tab_reader import HTMX, get, leaf

from panel.connector.limiter import Admission, Rate
from panel.connector.source import SourceConfig
from panel.core.clock import now
from panel.core.reasons import Reason
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.failures import StorageReason, require_rows, storage_reason
from panel.traffic import limits_fallback
from panel.traffic.limits_fallback import FallbackLimitStore
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine
from panel.web.storage_words import storage_words

SOURCE = SourceConfig("s1", "openproject", "T", "http://127.0.0.1:9", revision=1, max_concurrency=2)


@pytest.fixture
def client(connected: Flask) -> Callable[..., Any]:
    """Sends a request with a token that may write."""
    known = {"Authorization": f"Bearer {api_token(connected, 'write')}"}
    test_client = connected.test_client()
    return lambda method, path, **more: test_client.open(path, method=method, headers=known, **more)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def full(path: Path) -> Iterator[None]:
    """New connections to ``path`` get SQLITE_FULL for every page that the file does not have yet."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]

    def limit(connection: Any, record: Any) -> None:
        if connection.execute("PRAGMA database_list").fetchone()[2] == str(path):
            connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(Engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(Engine, "connect", limit)


def garble(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 500)


# --- the store of limits ---------------------------------------------------------------------------------------------


def test_reads_go_on_while_the_store_of_limits_is_locked(
    connected: Flask, client: Callable[..., Any], services: Panel, caplog: pytest.LogCaptureFixture
) -> None:
    assert client("GET", f"{CASE_PATH}/openproject").status_code == 200
    file = services.config.instance_dir / "traffic.sqlite3"

    with locked(file):
        started = time.monotonic()
        answers = [client("GET", f"{CASE_PATH}/openproject").status_code for _ in range(3)]
        linked = client("POST", f"{CASE_PATH}/openproject", json={"reference": "101"})
        took = time.monotonic() - started

    assert (answers, linked.status_code) == ([200] * 3, 201)
    assert took < 4.5
    assert [record.message for record in caplog.records if "store of limits" in record.message] == [
        "the store of limits fails (SQLITE_BUSY): each process applies limits of its own for now"
    ]


@pytest.mark.parametrize("kind", ["garbled", "folder"])
def test_reads_go_on_with_a_store_of_limits_that_cannot_be_used(
    connected: Flask, client: Callable[..., Any], services: Panel, kind: str
) -> None:
    file = services.config.instance_dir / "traffic.sqlite3"
    file.unlink(missing_ok=True)
    garble(file) if kind == "garbled" else file.mkdir()

    assert client("GET", f"{CASE_PATH}/openproject").status_code == 200


def test_without_the_shared_store_the_limits_hold_in_this_process(tmp_path: Path) -> None:
    (tmp_path / "traffic.sqlite3").mkdir()
    store = FallbackLimitStore(SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3")))
    rate = Rate(3, 60)

    admitted = [store.admit(SOURCE, "alice", rate).reason for _ in range(4)]
    slots = [store.take_slot(SOURCE, 5).slot for _ in range(3)]
    store.finish(SOURCE, slots[0] or 0)
    again = store.take_slot(SOURCE, 5).slot
    waits = [store.spend([("key", Rate(2, 60))]) > 0 for _ in range(3)]
    for _ in range(5):
        store.failed(SOURCE, open_after=5, probe_every_s=4)

    assert admitted == [None, None, None, Reason.RATE_LIMITED]
    assert None not in slots[:2]
    assert (slots[2], again) == (None, slots[0])
    assert waits == [False, False, True]
    assert store.admit(SOURCE, "alice", None).reason is Reason.CIRCUIT_OPEN


def test_a_write_that_could_not_be_counted_still_ends_what_was_cached(tmp_path: Path) -> None:
    store = FallbackLimitStore(SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3")))
    store.advance(SOURCE)
    before = store.epoch("s1")

    with locked(tmp_path / "traffic.sqlite3"):
        store.advance(SOURCE)

    assert store.epoch("s1") > before


def test_the_shared_store_is_used_again_once_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_fallback, "RETRY_S", 0.0)
    shared = SqlLimitStore(lambda: ephemeral_engine(tmp_path / "traffic.sqlite3"))
    store = FallbackLimitStore(shared)
    with locked_after_use(store, tmp_path / "traffic.sqlite3"):
        slot = store.take_slot(SOURCE, 5).slot

    store.free_slot(SOURCE, slot or 0)

    assert store.take_slot(SOURCE, 5) == Admission(slot=0)
    assert shared.counts()["s1"].slots == 1


@contextmanager
def locked_after_use(store: FallbackLimitStore, path: Path) -> Iterator[None]:
    store.epoch("s1")
    with locked(path):
        yield


# --- the panel's own database ----------------------------------------------------------------------------------------


def test_a_full_disk_refuses_writes_and_lets_reads_go_on(
    connected: Flask, client: Callable[..., Any], services: Panel
) -> None:
    folder = services.config.instance_dir
    db.session.commit()
    db.engine.dispose()

    with full(folder / "panel.sqlite3"), full(folder / "traffic.sqlite3"):
        read = client("GET", f"{CASE_PATH}/openproject")
        while (written := client("POST", f"{CASE_PATH}/openproject", json={"reference": "101"})).status_code == 201:
            client("DELETE", f"{CASE_PATH}/openproject/101")

    assert (read.status_code, written.status_code) == (200, 503)


def test_a_session_is_valid_while_its_use_cannot_be_stored(services: Panel) -> None:
    alice = services.people.create("alice", "a password of alice", role="viewer", by=CONSOLE)
    proof = services.people.begin_session(alice, by=CONSOLE)
    with time_machine.travel(now() + timedelta(minutes=5)), locked(services.config.instance_dir / "panel.sqlite3"):
        db.session.connection().exec_driver_sql("PRAGMA busy_timeout=1")

        found = services.people.person(proof)

        assert found is not None
        assert found.name == "alice"


def test_a_damaged_database_is_one_sentence(connected: Flask, client: Callable[..., Any], services: Panel) -> None:
    db.session.commit()
    db.engine.dispose()
    file = services.config.instance_dir / "panel.sqlite3"
    for companion in ("-wal", "-shm"):
        Path(f"{file}{companion}").unlink(missing_ok=True)
    garble(file)

    answers = [
        client("GET", f"{CASE_PATH}/openproject"),
        client("POST", f"{CASE_PATH}/openproject", json={"reference": "101"}),
    ]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.json["message"] for answer in answers} == {
        "The panel's database is damaged. Stop the panel and restore a backup."
    }


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_named(connected: Flask, client: Callable[..., Any], services: Panel) -> None:
    folder = services.config.instance_dir
    db.session.commit()
    db.engine.dispose()

    with full(folder / "panel.sqlite3"):
        while (written := client("POST", f"{CASE_PATH}/openproject", json={"reference": "101"})).status_code == 201:
            client("DELETE", f"{CASE_PATH}/openproject/101")

    assert written.json["message"] == (
        "The disk of the panel's own storage is full. Nothing was changed; make room on it and try again."
    )
    assert "Retry-After" not in written.headers


def test_a_lock_is_named_with_a_time_to_try_again(
    connected: Flask, client: Callable[..., Any], services: Panel
) -> None:
    db.session.commit()
    with locked(services.config.instance_dir / "panel.sqlite3"), hurried():
        refused = client("POST", f"{CASE_PATH}/openproject", json={"reference": "101"})

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json["message"] == (
        "The panel's own storage is locked by another process. Nothing was changed; try again."
    )


@contextmanager
def hurried() -> Iterator[None]:
    """Connections wait only a moment for a lock."""

    def shorten(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA busy_timeout=1")

    event.listen(db.engine.pool, "checkout", shorten)
    try:
        yield
    finally:
        event.remove(db.engine.pool, "checkout", shorten)


class _Refusal(Exception):
    """A failure of a driver."""

    def __init__(self, message: str = "", *, sqlite: str | None = None, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlite_errorname, self.sqlstate = sqlite, sqlstate


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (_Refusal(sqlite="SQLITE_FULL"), StorageReason.FULL),
        (_Refusal(sqlstate="53100"), StorageReason.FULL),
        (_Refusal(sqlite="SQLITE_READONLY_DBMOVED"), StorageReason.READ_ONLY),
        (_Refusal(sqlstate="25006"), StorageReason.READ_ONLY),
        (_Refusal(sqlite="SQLITE_BUSY_SNAPSHOT"), StorageReason.LOCKED),
        (_Refusal(sqlstate="55P03"), StorageReason.LOCKED),
        (_Refusal(sqlstate="XX001"), StorageReason.DAMAGED),
        (_Refusal("no such table: link", sqlite="SQLITE_ERROR"), StorageReason.NOT_SET_UP),
        (_Refusal("table link has no column named x", sqlite="SQLITE_ERROR"), StorageReason.OLDER),
        (_Refusal(sqlstate="42P01"), StorageReason.NOT_SET_UP),
        (_Refusal(sqlstate="42703"), StorageReason.OLDER),
        (_Refusal(sqlite="SQLITE_CANTOPEN"), StorageReason.UNAVAILABLE),
        (_Refusal(sqlstate="57P01"), StorageReason.UNAVAILABLE),
    ],
)
def test_the_reason_of_a_failure_is_recognised(cause: _Refusal, reason: StorageReason) -> None:
    assert storage_reason(OperationalError("SELECT 1", None, cause)) is reason


def test_a_connection_that_breaks_during_a_commit_leaves_it_open_what_was_saved() -> None:
    lost = OperationalError(None, None, _Refusal("server closed the connection"), connection_invalidated=True)

    assert storage_reason(lost) is StorageReason.COMMIT_LOST
    assert storage_words(lost).endswith("We cannot tell whether it was saved. Check before trying again.")


@pytest.mark.parametrize("where", ["panel.storage.failures.STORAGE_FACTS", "panel.web.storage_words.STORAGE_WORDS"])
def test_every_reason_has_its_row(where: str) -> None:
    module, name = where.rsplit(".", 1)
    table = dict(getattr(import_module(module), name))
    require_rows(table, where)
    del table[StorageReason.FULL]
    with pytest.raises(LookupError, match="full has no row"):
        require_rows(table, where)


def test_several_references_of_which_the_disk_took_one_say_so(connected: Flask) -> None:
    client, inserted = signed_in_client(connected, "carol", "admin"), []

    def refuse(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT INTO link"):
            inserted.append(statement)
            if len(inserted) > 1:
                raise OperationalError(statement, None, _Refusal(sqlite="SQLITE_FULL"))

    with connected.app_context():
        engine = db.engine
    form = get(client, leaf("openproject")).find("input[name=csrf_token]").attributes["value"]
    event.listen(engine, "before_cursor_execute", refuse)
    try:
        page = client.post(
            leaf("openproject", "/links"), data={"csrf_token": form, "reference": ["101", "102"]}, headers=HTMX
        )
    finally:
        event.remove(engine, "before_cursor_execute", refuse)

    assert "The disk of the panel" in page.text
    assert "102" in page.text
