"""The call log: what is kept of each call, when it is written, and what its figures say."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, func, insert, select
from support import CASE, CASE_PATH, CONSOLE, Upstreams

from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import Action, Principal
from panel.connector import Caller, SourceConfig
from panel.connector.endpoint import outline_of
from panel.core.clock import now
from panel.core.reasons import Reason
from panel.links.visitor import Visitor
from panel.logs import call_query
from panel.logs.calls import CallFilter, CallLog
from panel.services import Panel
from panel.storage.engine import Model, db
from panel.storage.models import Call

WIKI = SourceConfig("s1", "wiki", "Wiki", "https://wiki.example")
ALICE = Caller("tab", "alice", "LP-AAAA-01")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'calls.sqlite3'}")
    Model.metadata.create_all(made)
    yield made
    made.dispose()


def written(engine: Engine) -> list[Call]:
    with engine.connect() as connection:
        return list(connection.execute(select(*Call.__table__.c).order_by(Call.id)))  # type: ignore[arg-type]


def visitor(reference: str = "LP-TEST-01") -> Visitor:
    return Visitor(Principal("alice", "local", frozenset(Action)), Caller("tab", "alice", reference))


def ask(app: Flask, leaf: str = "xwiki", reference: str = "LP-TEST-01") -> None:
    with app.app_context():
        app.extensions["leafpanel"].links.listing(visitor(reference), leaf, CASE)


def log_of(app: Flask) -> list[Call]:
    services: Panel = app.extensions["leafpanel"]
    services.call_log.flush()
    with app.app_context():
        return list(db.session.scalars(select(Call).order_by(Call.id)))


# --- what a line holds -----------------------------------------------------------------------------------------------


def test_a_call_is_kept_with_who_asked_and_how_it_ended(connected: Flask) -> None:
    ask(connected)

    line = log_of(connected)[0]
    assert (line.source, line.face, line.principal, line.request_id) == ("xwiki", "tab", "alice", "LP-TEST-01")
    assert (line.method, line.status, line.reason) == ("GET", 200, None)
    assert "/rest" in line.path
    assert line.size > 0


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/api/v3/statuses", "/api/v3/statuses"),
        ("/work_packages?filters=%5B%7B%22secret%22%7D%5D&pageSize=5", "/work_packages?filters=…&pageSize=…"),
        ("/query?q=canary&q=canary2", "/query?q=…"),
        ("/query?", "/query"),
        ("/query?flag", "/query?flag=…"),
    ],
)
def test_a_query_is_shown_by_its_names_only(target: str, shown: str) -> None:
    assert outline_of(target) == shown


def test_no_value_body_or_credential_reaches_the_log(connected: Flask, tmp_path: Path) -> None:
    with connected.app_context():
        links = connected.extensions["leafpanel"].links
        links.available(visitor(), "xwiki", "canary-search-9f1")
        links.create(visitor(), "openproject", CASE, {"projectId": "1", "subject": "canary-subject-9f1"})
    lines = log_of(connected)

    kept = " ".join(f"{line.path} {line.principal} {line.request_id}" for line in lines)
    assert any(line.method == "POST" for line in lines)
    assert "=…" in kept
    for secret in ("canary-search-9f1", "canary-subject-9f1", "secret", "apikey"):
        assert secret not in kept


def test_a_failure_keeps_its_reason(connected: Flask, upstreams: Upstreams) -> None:
    upstreams.xwiki.fault = "unauthorized"

    ask(connected)

    assert [(line.status, line.reason) for line in log_of(connected)] == [(401, "credentials-rejected")]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("missing", "source-missing"), ("disabled", "source-disabled"), ("off", "connector-disabled")],
)
def test_a_reference_is_found_also_when_nothing_was_sent(
    connected: Flask, upstreams: Upstreams, trouble: str, reason: str
) -> None:
    services: Panel = connected.extensions["leafpanel"]
    with connected.app_context():
        if trouble == "missing":
            services.sources.delete("xwiki", by=CONSOLE)
        if trouble == "disabled":
            services.sources.set_enabled("xwiki", on=False, by=CONSOLE)
        if trouble == "off":
            services.switches.set_connector(on=False, by=CONSOLE)
        token = services.api_tokens.create_token(TokenRequest("script", "read"), by=CONSOLE)

    with upstreams.xwiki.counting() as requests:
        answer = connected.test_client().get(f"{CASE_PATH}/xwiki", headers={"Authorization": f"Bearer {token}"})

    lines = log_of(connected)
    assert requests == []
    assert [(line.request_id, line.reason, line.method) for line in lines] == [
        (answer.headers["X-Request-Id"], reason, "")
    ]


def test_a_failed_call_has_one_line_and_not_two(engine: Engine) -> None:
    calls = CallLog(engine)
    calls.record(WIKI, ALICE, "GET /rest", None, Reason.TIMEOUT, 5000)

    calls.note("wiki", ALICE, Reason.TIMEOUT)
    calls.note("wiki", Caller("JSON", "bob", "LP-BBBB-02"), Reason.TIMEOUT)
    calls.flush()

    assert [(line.request_id, line.method) for line in written(engine)] == [("LP-AAAA-01", "GET"), ("LP-BBBB-02", "")]


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_line_is_written_by_itself_within_moments(engine: Engine) -> None:
    CallLog(engine).record(WIKI, ALICE, "GET /rest", 200, None, 12)

    end = time.monotonic() + 30
    while not written(engine) and time.monotonic() < end:
        time.sleep(0.02)

    assert len(written(engine)) == 1


def test_the_thread_that_writes_ends_when_nothing_is_left(engine: Engine) -> None:
    calls = CallLog(engine)
    calls.record(WIKI, ALICE, "GET /rest", 200, None, 12)
    assert calls._writer is not None
    thread = calls._writer[1]

    thread.join(30)
    calls.record(WIKI, ALICE, "GET /rest", 200, None, 12)

    assert not thread.is_alive()
    assert calls._writer is not None
    calls._writer[1].join(30)
    assert len(written(engine)) == 2


def test_recording_never_waits_for_a_locked_database(engine: Engine) -> None:
    calls = CallLog(engine)
    other = sqlite3.connect(str(engine.url.database))
    other.execute("BEGIN EXCLUSIVE")

    started = time.monotonic()
    for _ in range(500):
        calls.record(WIKI, ALICE, "GET /rest", 200, None, 12)
    took = time.monotonic() - started

    other.rollback()
    other.close()
    calls.flush()
    assert took < 2
    assert len(written(engine)) == 500


def test_what_is_too_much_is_dropped_and_counted(engine: Engine) -> None:
    calls = CallLog(engine, max_waiting=10)
    with calls._writing:
        for _ in range(15):
            calls.record(WIKI, ALICE, "GET /rest", 200, None, 12)
        assert calls.dropped == 5

    calls.flush()
    assert len(written(engine)) == 10


def test_a_database_that_takes_nothing_loses_lines_and_raises_nothing(tmp_path: Path) -> None:
    calls = CallLog(create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'x.sqlite3'}"))
    calls.record(WIKI, ALICE, "GET /rest", 200, None, 12)

    calls.flush()

    assert calls.dropped == 1


def test_many_threads_lose_nothing(engine: Engine) -> None:
    calls = CallLog(engine)
    threads = [
        threading.Thread(target=lambda: [calls.record(WIKI, ALICE, "GET /r", 200, None, 1) for _ in range(200)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls.flush()

    assert (len(written(engine)), calls.dropped) == (1600, 0)


def test_what_waits_is_written_when_the_process_ends(engine: Engine) -> None:
    script = (
        "import sys; from sqlalchemy import create_engine\n"
        "from panel.logs.calls import CallLog; from panel.connector import Caller, SourceConfig\n"
        "calls = CallLog(create_engine(sys.argv[1]))\n"
        "wiki = SourceConfig('s', 'wiki', 'W', 'https://w.example')\n"
        "calls.record(wiki, Caller('tab', 'a', 'x'), 'GET /', 200, None, 1)\n"
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", script, str(engine.url)], check=True, timeout=60, cwd=root)

    assert len(written(engine)) == 1


def test_a_child_of_a_fork_writes_too(engine: Engine) -> None:
    calls = CallLog(engine)
    calls.record(WIKI, ALICE, "GET /parent", 200, None, 1)
    child = os.fork()
    if child == 0:
        calls._waiting.clear()
        engine.dispose(close=False)
        calls.record(WIKI, ALICE, "GET /child", 200, None, 1)
        time.sleep(2)
        os._exit(0)
    os.waitpid(child, 0)
    calls.flush()

    assert sorted(line.path for line in written(engine)) == ["/child", "/parent"]


# --- keeping ---------------------------------------------------------------------------------------------------------


def plant(engine: Engine, **values: object) -> None:
    line = {"at": now(), "source": "wiki", "face": "tab", "principal": "a", "request_id": "LP-X", "method": "GET",
            "path": "/rest", "status": 200, "reason": None, "ms": 10, "size": 5, **values}  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(Call).values(**line))


def test_a_line_is_kept_for_seven_days(engine: Engine) -> None:
    plant(engine, at=now() - timedelta(days=7, minutes=1), path="/over")
    plant(engine, at=now() - timedelta(days=6, hours=23), path="/kept")
    calls = CallLog(engine)
    calls.record(WIKI, ALICE, "GET /new", 200, None, 1)

    calls.flush()

    assert [line.path for line in written(engine)] == ["/kept", "/new"]


def test_the_newest_lines_are_kept_when_there_are_too_many(engine: Engine) -> None:
    calls = CallLog(engine, max_rows=5)
    for number in range(12):
        calls.record(WIKI, ALICE, f"GET /{number}", 200, None, 1)

    calls.flush()

    assert [line.path for line in written(engine)] == ["/7", "/8", "/9", "/10", "/11"]


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(app: Flask) -> Iterator[Engine]:
    """An application's own log, to be planted and read."""
    with app.app_context():
        yield db.engine


def test_pages_go_back_and_forth_without_gap_or_repeat(log: Engine) -> None:
    for number in range(120):
        plant(log, path=f"/{number}")

    first = call_query.page(CallFilter())
    second = call_query.page(CallFilter(), before=first.older or 0)
    third = call_query.page(CallFilter(), before=second.older or 0)
    back = call_query.page(CallFilter(), before=third.newer or 0)

    paths = [call.path for page in (first, second, third) for call in page.rows]
    assert paths == [f"/{number}" for number in range(119, -1, -1)]
    assert [call.path for call in back.rows] == [call.path for call in second.rows]
    assert (first.newer, second.newer, third.older) == (None, 0, None)
    assert [page.first for page in (first, second, third)] == [1, 51, 101]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (CallFilter(source="wiki"), {"/a", "/b"}),
        (CallFilter(outcome="failed"), {"/b", "/c"}),
        (CallFilter(outcome="ok"), {"/a"}),
        (CallFilter(outcome="timeout"), {"/c"}),
        (CallFilter(face="MCP"), {"/c"}),
        (CallFilter(text="lp-2222"), {"/b"}),
        (CallFilter(text="/A"), {"/a"}),
        (CallFilter(text="%"), set()),
        (CallFilter(since=now() - timedelta(minutes=5)), {"/a", "/b"}),
    ],
)
def test_lines_are_found_by(log: Engine, wanted: CallFilter, found: set[str]) -> None:
    plant(log, path="/a", request_id="LP-1111-01")
    plant(log, path="/b", request_id="LP-2222-02", status=401, reason="credentials-rejected")
    plant(log, path="/c", source="tracker", face="MCP", reason="timeout", at=now() - timedelta(hours=2))

    assert {call.path for call in call_query.page(wanted).rows} == found
    assert {row.path for row in call_query.every_line(wanted)} == found


def test_figures_count_a_day_and_leave_out_of_the_times_what_was_never_sent(log: Engine) -> None:
    for ms in range(1, 101):
        plant(log, ms=ms)
    for _ in range(50):
        plant(log, ms=0, status=None, reason="circuit-open")
    plant(log, ms=5000, status=None, reason="timeout")
    plant(log, ms=9999, at=now() - timedelta(hours=25))

    found = call_query.figures_of("wiki")

    assert (found.calls, found.failed, found.p50_ms, found.p95_ms) == (151, 51, 51, 96)


def test_the_last_outcomes_of_each_source_are_told_by_their_time(log: Engine) -> None:
    plant(log, at=now() - timedelta(minutes=1), reason="timeout", status=None)
    plant(log, at=now() - timedelta(hours=2), reason="dns", status=None)
    plant(log, at=now() - timedelta(days=2))
    plant(log, source="tracker")
    plant(log, source="old", at=now() - timedelta(days=8))

    found = call_query.outcomes()

    assert set(found) == {"wiki", "tracker"}
    assert found["wiki"].failed_why is Reason.TIMEOUT
    assert now() - timedelta(days=3) < (found["wiki"].succeeded_at or now()) < now() - timedelta(days=1)
    assert (found["tracker"].failed_at, found["tracker"].failed_why) == (None, None)


@pytest.mark.parametrize("reason", ["source-missing", "source-disabled", "connector-disabled", "circuit-open", "busy"])
def test_what_the_panel_held_back_itself_is_no_failure_of_the_source(log: Engine, reason: str) -> None:
    plant(log, at=now() - timedelta(minutes=1))
    plant(log, reason=reason, status=None)

    found = call_query.outcomes()["wiki"]

    assert (found.failed_at, found.failed_why) == (None, None)


def test_figures_agree_with_those_of_all_sources(log: Engine) -> None:
    plant(log, ms=7)
    plant(log, source="tracker", reason="dns", status=None)

    assert call_query.figures() == [call_query.figures_of("tracker"), call_query.figures_of("wiki")]
    assert call_query.figures_of("nothing").p95_ms is None


def test_hours_are_24_and_the_last_is_this_one(log: Engine) -> None:
    plant(log, ms=10)
    plant(log, ms=30, reason="timeout", status=None)
    plant(log, ms=70, at=now() - timedelta(hours=3))
    plant(log, ms=5, at=now() - timedelta(hours=26))

    hours = call_query.hours("wiki")

    assert len(hours) == 24
    assert (hours[-1].calls, hours[-1].failed, hours[-1].p50_ms, hours[-1].p95_ms) == (2, 1, 10, 30)
    assert (hours[-4].calls, hours[-4].p50_ms, hours[-4].p95_ms) == (1, 70, 70)
    assert sum(hour.calls for hour in hours) == 3


def test_a_full_log_is_read_in_a_moment(log: Engine) -> None:
    rows = [
        {"at": now() - timedelta(seconds=n), "source": ("wiki", "tracker")[n % 2], "face": "tab", "principal": "a",
         "request_id": f"LP-{n}", "method": "GET", "path": "/rest", "status": 200, "ms": n % 500,
         "reason": "timeout" if n % 50 == 0 else None}
        for n in range(100_000)
    ]  # fmt: skip
    with log.begin() as connection:
        connection.execute(insert(Call), rows)

    started = time.monotonic()
    call_query.page(CallFilter(outcome="failed"))
    page = time.monotonic()
    call_query.figures()
    call_query.outcomes()
    overview = time.monotonic()
    call_query.hours("wiki")
    print(f"page {page - started:.3f} s, overview {overview - page:.3f} s, chart {time.monotonic() - overview:.3f} s")

    assert time.monotonic() - started < 10
    assert db.session.scalar(select(func.count()).select_from(Call)) == 100_000
