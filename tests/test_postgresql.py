"""The panel on PostgreSQL: the same rules as on SQLite, over any number of processes, and back after an outage."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import time_machine
from admissions import use_up_a_limit, wrong_decisions
from flask import Flask
from servers import Postgresql
from sqlalchemy import Engine, create_engine, event, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError
from support import CASE, CASE_PATH, CONSOLE, MakeApp, Upstreams, signs_in
from test_audit import (
    furnished,
    plant,
    test_an_operator_prunes_as_the_document_says_and_the_rest_stays_locked,
    test_texts_that_are_too_long_are_cut_and_nothing_is_refused,
    test_the_database_refuses_to_change_or_remove_a_line,
    test_unlinking_at_the_same_moment_is_told_once,
    test_with_its_line_it_does,
    test_without_its_line_nothing_changes,
)
from test_instances import (
    leaf,
    linked,
    panel,
    test_a_tracker_without_a_host_name_is_known_by_its_own_name,
    test_an_instance_that_was_accepted_is_the_one_from_now_on,
)
from test_kept_lists import (
    cached,
    others,
    test_a_change_by_one_process_is_seen_by_all_others_at_their_next_answer,
    test_a_commit_that_an_answer_may_depend_on_advances_the_revision,
    test_a_row_that_is_deleted_below_the_panel_advances_it,
    test_the_time_of_the_last_use_of_a_token_does_not,
)
from test_links import (
    links,
    test_a_create_without_an_answer_is_never_sent_twice_under_its_key,
    test_a_key_used_for_another_request_is_refused,
    test_a_listing_keeps_its_pointers_when_the_upstream_is_down,
    test_a_refused_create_leaves_its_key_free,
    test_a_repeated_create_with_the_same_key_answers_with_the_same_thing,
    test_create_makes_the_thing_and_the_pointer,
    test_linking_at_the_same_moment_makes_one_pointer,
    test_links_a_page_by_its_reference_and_lists_it,
    test_paging_walks_over_all_pointers,
    test_the_picker_marks_what_is_linked_already,
    test_unlinking_needs_no_upstream_and_changes_nothing_there,
)
from test_oauth import Children, age, children, given, provider
from test_people import test_those_who_guess_at_the_same_moment_share_one_budget
from test_rotation import test_what_is_saved_during_rotations_is_kept
from test_traffic import (
    ask,
    connector,
    headers,
    source,
    test_a_healed_source_is_served_again_within_ten_seconds,
    test_a_noisy_caller_leaves_half_to_those_who_wait,
    test_a_place_that_was_never_given_back_is_free_again_by_itself,
    test_a_used_up_limit_says_when_to_come_back,
    test_an_open_breaker_and_places_in_use_are_seen,
    test_an_upstreams_own_wait_is_kept,
    test_five_failures_in_a_row_open_the_breaker,
    test_no_more_calls_than_places_are_under_way,
    test_one_of_those_who_waited_looks_whether_the_source_is_back,
    test_saving_the_source_closes_the_breaker,
    test_what_is_left_of_a_limit_counts_down_with_each_call,
    test_who_waits_for_a_place_while_the_breaker_opens_does_not_go_out,
)

from panel import create_app
from panel.config import load
from panel.connector import Connector, SourceConfig
from panel.connector.limiter import Limiter
from panel.core.clock import now
from panel.core.errors import AlreadyLinked, Conflict, NotFound
from panel.core.reasons import Reason
from panel.credentials import readiness
from panel.links.service import Links
from panel.links.visitor import Visitor
from panel.logs.call_query import hours, outcomes
from panel.sandbox.openproject_oauth import OAuthServer
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.migrations import alembic, upgrade
from panel.storage.models import AuditEntry
from panel.storage.postgresql import BoundedConnection, wait_without_limit
from panel.traffic.limits_sql import SqlLimitStore

pytestmark = pytest.mark.servers


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    server = Postgresql()
    yield server
    server.close()


@pytest.fixture(scope="session")
def template(postgresql: Postgresql, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated database, which is copied for each test."""
    url, folder = postgresql.database(), str(tmp_path_factory.mktemp("template"))
    app = create_app(load({"PANEL_DATABASE_URL": url, "PANEL_INSTANCE_DIR": folder}))
    with app.app_context():
        upgrade()
        db.engine.dispose()
    return name_of(url)


@pytest.fixture
def close_connections() -> Iterator[None]:
    """Close all connections at the end of the test."""
    opened: list[Any] = []

    def note(connection: Any, record: Any) -> None:
        opened.append(connection)

    event.listen(Engine, "connect", note)
    yield
    event.remove(Engine, "connect", note)
    [connection.close() for connection in opened]


@pytest.fixture
def empty_database_url(postgresql: Postgresql, close_connections: None) -> str:
    """A new database without tables."""
    return postgresql.database()


@pytest.fixture
def database_url(postgresql: Postgresql, template: str, close_connections: None) -> str:
    """A new, migrated database."""
    return postgresql.database(template)


@pytest.fixture
def make_app(make_app: MakeApp, database_url: str) -> Iterator[MakeApp]:
    apps: list[Flask] = []

    def make(**settings: str) -> Flask:
        apps.append(make_app(**{"PANEL_DATABASE_URL": database_url, **settings}))
        return apps[-1]

    yield make
    # What the call log still holds is written now, and not by its thread into a database that is gone.
    [app.extensions["leafpanel"].call_log.flush() for app in apps]


@pytest.fixture
def limit_store(database_url: str) -> SqlLimitStore:
    return SqlLimitStore(lambda: create_engine(database_url, pool_size=32))


def name_of(database_url: str) -> str:
    return make_url(database_url).database or ""


def at_once(count: int, work: Any) -> list[Any]:
    """What ``work`` returns in as many threads that start together."""
    together, found = threading.Barrier(count), []

    def run() -> None:
        together.wait(30)
        found.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    return found


# --- setting up ------------------------------------------------------------------------------------------------------


def test_migrations_make_what_the_models_say_and_take_it_away_again(make_app: MakeApp, connected: Flask) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].links._connector.limiter.epoch(
            source_like()
        )  # the numbers of traffic are there
        assert alembic.compare_metadata() == []

    with connected.app_context():
        alembic.downgrade("base")
    with connected.app_context():
        alembic.upgrade()
        assert alembic.compare_metadata() == []


def source_like() -> SourceConfig:
    return SourceConfig("s1", "openproject", "T", "http://127.0.0.1:1", revision=1)


def _start(url: str, folder: str, ready: Any) -> None:
    app = create_app(load({"PANEL_DATABASE_URL": url, "PANEL_INSTANCE_DIR": folder}))
    ready.wait(60)
    with app.app_context():
        upgrade()
        app.extensions["leafpanel"].people.first_admin_password(by=CONSOLE)


def test_the_last_outcomes_of_calls_are_stored_for_known_sources(connected: Flask) -> None:
    panel: Panel = connected.extensions["leafpanel"]
    met_by_calls = panel.call_log.outcomes
    with connected.app_context():
        source = panel.sources.get("openproject").id
        for reason in (Reason.TIMEOUT, None, Reason.CONNECT):
            met_by_calls.note(source, reason)
            met_by_calls.note("gone", reason)
            panel.call_log.flush()
        known = met_by_calls.of([source, "gone"])

    assert (list(known), panel.call_log.dropped, met_by_calls.take()) == ([source], 0, {})
    met = known[source]
    assert met.failed_why is Reason.CONNECT
    assert met.answered_at is not None
    assert met.failed_at is not None
    assert met.answered_at < met.failed_at


def test_processes_that_start_together_set_up_one_database_and_one_administrator(
    empty_database_url: str, postgresql: Postgresql, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    arguments = (empty_database_url, str(tmp_path), spawn.Barrier(4))
    processes = [spawn.Process(target=_start, args=arguments) for _ in range(4)]

    [process.start() for process in processes]
    [process.join(90) for process in processes]

    assert [process.exitcode for process in processes] == [0] * 4
    people = postgresql.run('SELECT name, role FROM "user"', name_of(empty_database_url))
    assert people == [("admin", "admin")]


def test_the_first_administrator_is_made_once(app: Flask) -> None:
    def first() -> str | None:
        with app.app_context():
            return app.extensions["leafpanel"].people.first_admin_password(by=CONSOLE)

    passwords = [password for password in at_once(6, first) if password]

    with app.app_context():
        services = app.extensions["leafpanel"]
        assert len(passwords) == 1
        assert signs_in(services, "admin", passwords[0])


def test_machines_that_start_at_the_same_time_keep_each_others_one_time_password(app: Flask) -> None:
    def start() -> str | None:
        with app.app_context():
            return app.extensions["leafpanel"].people.first_admin_password(by=CONSOLE)

    with time_machine.travel(now(), tick=False) as clock:
        printed = start()
        clock.shift(30)
        assert [one for one in at_once(6, start) if one] == []
        clock.shift(timedelta(days=1))
        again = [one for one in at_once(6, start) if one]
        with app.app_context():
            services = app.extensions["leafpanel"]
            assert printed is not None
            assert len(again) == 1
            assert signs_in(services, "admin", again[0])


@pytest.mark.parametrize("attempt", range(5))
def test_two_administrators_who_demote_each_other_at_once_leave_one(app: Flask, attempt: int) -> None:
    people = app.extensions["leafpanel"].people
    with app.app_context():
        [people.create(name, "a good password", role="admin", by=CONSOLE) for name in ("alice", "bob")]
    names = iter(("alice", "bob"))

    def demote() -> str:
        with app.app_context():
            try:
                people.set_role(people.named(next(names)), "viewer", by=CONSOLE)
            except (Conflict, OperationalError):
                return "refused"
            return "demoted"

    at_once(2, demote)

    with app.app_context():
        assert [user.role for user in people.all()].count("admin") == 1


def test_two_people_of_one_name_are_not_made(app: Flask) -> None:
    def create() -> str:
        with app.app_context():
            try:
                return (
                    app.extensions["leafpanel"]
                    .people.create("Alice", "a good password", role="editor", by=CONSOLE)
                    .name
                )
            except Conflict:
                return "refused"

    assert sorted(at_once(4, create)) == ["Alice"] + ["refused"] * 3


@pytest.mark.parametrize("url", ["postgresql://panel@db/panel", "postgres://panel@db/panel"])
def test_a_url_without_driver_means_the_one_that_is_installed(url: str, tmp_path: Path) -> None:
    config = load({"PANEL_DATABASE_URL": url, "PANEL_INSTANCE_DIR": str(tmp_path)})

    assert config.database_url == "postgresql+psycopg://panel@db/panel"


# --- rules under contention ------------------------------------------------------------------------------------------


def test_creating_under_one_key_at_the_same_moment_creates_once(
    connected: Flask, visitor: Visitor, upstreams: Upstreams
) -> None:
    def create() -> str:
        with connected.app_context():
            links: Links = connected.extensions["leafpanel"].links
            try:
                values = {"projectId": "1", "subject": "Once"}
                return links.create(visitor, "openproject", CASE, values, key="k1").pointer.reference
            except Conflict:
                return "refused"

    outcomes = at_once(6, create)

    posts = [r for r in upstreams.openproject.requests if r.method == "POST" and r.path.endswith("/work_packages")]
    assert len(posts) == 1
    assert len(set(outcomes) - {"refused"}) == 1


def test_a_moved_page_is_followed_once_at_the_same_moment(
    connected: Flask, visitor: Visitor, upstreams: Upstreams
) -> None:
    services = connected.extensions["leafpanel"]
    upstreams.xwiki.add_page("Sandbox.Draft")
    with connected.app_context():
        services.links.link(visitor, "xwiki", CASE, "Sandbox.Draft")
    for old, new in (("Draft", "Between"), ("Between", "Permit")):
        upstreams.xwiki.rename_page(f"Sandbox.{old}", f"Sandbox.{new}", redirect=True)

    def follow() -> str:
        with connected.app_context():
            try:
                row = services.moves.follow(visitor, "xwiki", CASE, "xwiki:Sandbox.Draft", "Sandbox.Permit")
                return str(row.pointer.reference)
            except NotFound:
                return "refused"

    outcomes = at_once(4, follow)

    assert sorted(outcomes) == ["refused"] * 3 + ["xwiki:Sandbox.Permit"]
    with connected.app_context():
        assert [line.deed for line in db.session.scalars(select(AuditEntry))].count("follow") == 1
        upstreams.xwiki.rename_page("Sandbox.Permit", "Sandbox.Last")
        services.links.link(visitor, "xwiki", CASE, "Sandbox.Last")
        with pytest.raises(AlreadyLinked):
            services.moves.follow(visitor, "xwiki", CASE, "xwiki:Sandbox.Permit", "Sandbox.Last")
        assert services.links.counts(CASE) == {"xwiki": 2}


def test_no_connection_is_held_while_an_upstream_is_waited_for(
    connected: Flask, visitor: Visitor, upstreams: Upstreams
) -> None:
    with connected.app_context():
        links: Links = connected.extensions["leafpanel"].links
        links.link(visitor, "openproject", CASE, "101")
        pool = db.engine.pool
    known = headers(connected)
    upstreams.openproject.fault = "hang"
    thread = threading.Thread(target=lambda: connected.test_client().get(f"{CASE_PATH}/openproject", headers=known))

    thread.start()
    held = []
    end = time.monotonic() + 2
    while time.monotonic() < end:
        held.append(pool.checkedout())  # type: ignore[attr-defined]
        time.sleep(0.01)

    assert thread.is_alive()
    assert held[-100:] == [0] * 100
    thread.join(30)


@pytest.mark.alone
def test_four_processes_share_one_limit_exactly(
    limit_store: SqlLimitStore, upstreams: Upstreams, database_url: str
) -> None:
    assert limit_store.epoch("s1") == 0

    decisions = use_up_a_limit(partial(create_engine, database_url), upstreams)

    assert wrong_decisions(decisions) == []
    assert {decision.is_admitted for decision in decisions} == {True, False}
    assert len(upstreams.openproject.requests) <= sum(decision.is_admitted for decision in decisions)


@pytest.mark.parametrize("before", ["", "SET session_replication_role = replica"])
@pytest.mark.parametrize(
    "statement", ["TRUNCATE audit_entry", "TRUNCATE audit_entry CASCADE", "DELETE FROM audit_entry"]
)
def test_the_audit_trail_is_not_emptied_either(app: Flask, before: str, statement: str) -> None:
    with app.app_context():
        plant()
        with pytest.raises(DBAPIError, match="append-only"), db.engine.begin() as connection:
            connection.exec_driver_sql(before or "SELECT 1")
            connection.exec_driver_sql(statement)

        assert db.session.query(AuditEntry).count() == 1


def test_four_processes_at_expiry_make_one_renewal_each_time(
    services: Panel,
    given: SourceConfig,
    provider: OAuthServer,
    children: Children,
) -> None:
    tokens = set()
    for expiry in (1, 2, 3):
        age()

        printed, ended = children.run("use", threads=5, processes=4)

        assert (ended, len(set(printed))) == ([0] * 4, 1)
        assert provider.counts["refresh_token"] == expiry
        tokens |= set(printed)
    assert len(tokens) == 3


# --- the server away -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["shut down", "crashed"])
def test_without_its_database_the_panel_says_so_and_comes_back_by_itself(
    connected: Flask, visitor: Visitor, postgresql: Postgresql, how: signal.Signals
) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].links.link(visitor, "openproject", CASE, "101")
    client, known = connected.test_client(), headers(connected)
    assert client.get(f"{CASE_PATH}/openproject", headers=known).status_code == 200

    postgresql.stop(how)
    try:
        read = client.get(f"{CASE_PATH}/openproject", headers=known)
        written = client.post(f"{CASE_PATH}/openproject", json={"reference": "102"}, headers=known)
    finally:
        postgresql.start()

    started = time.monotonic()
    assert (read.status_code, written.status_code) == (503, 503)
    assert (read.json or {})["message"].startswith("The panel's own storage does not answer now.")
    while (answer := client.get(f"{CASE_PATH}/openproject", headers=known)).status_code != 200:
        assert time.monotonic() - started < 10
        time.sleep(0.1)
    assert [row["id"] for row in (answer.json or {})["items"]] == ["101"]


def test_a_restart_of_the_database_between_two_requests_costs_no_answer(
    connected: Flask, postgresql: Postgresql
) -> None:
    client, known = connected.test_client(), headers(connected)
    assert client.get(f"{CASE_PATH}/openproject", headers=known).status_code == 200

    postgresql.stop()
    postgresql.start()

    assert client.get(f"{CASE_PATH}/openproject", headers=known).status_code == 200


def test_a_frozen_server_ends_a_request_within_ten_seconds(
    connected: Flask, postgresql: Postgresql, visitor: Visitor
) -> None:
    with connected.app_context():
        connected.extensions["leafpanel"].links.link(visitor, "openproject", CASE, "101")
    client, known = connected.test_client(), headers(connected)
    assert client.get(f"{CASE_PATH}/openproject", headers=known).status_code == 200

    postgresql.freeze()
    try:
        started = time.monotonic()
        read = client.get(f"{CASE_PATH}/openproject", headers=known)
        took = time.monotonic() - started
    finally:
        postgresql.thaw()

    assert (read.status_code, took < 10) == (503, True), took
    assert client.get(f"{CASE_PATH}/openproject", headers=known).status_code == 200


def test_a_frozen_server_makes_a_panel_not_ready_within_two_seconds_and_ready_again(
    connected: Flask, postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "HOLDS_S", -1)
    client = connected.test_client()
    assert _until(lambda: client.get("/readyz").status_code == 200)

    postgresql.freeze()
    try:
        started = time.monotonic()
        frozen = client.get("/readyz")
        took = time.monotonic() - started
    finally:
        postgresql.thaw()

    assert (frozen.status_code, took < 2) == (503, True), took
    assert _until(lambda: client.get("/readyz").status_code == 200)


def _until(holds: Callable[[], bool]) -> bool:
    """Whether it holds within 20 seconds."""
    end = time.monotonic() + 20
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_server_that_freezes_during_a_statement_ends_it(database_url: str, postgresql: Postgresql) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        started = time.monotonic()
        postgresql.freeze()
        try:
            with pytest.raises(OperationalError) as caught:
                connection.exec_driver_sql("SELECT 2")
        finally:
            postgresql.thaw()

    assert caught.value.connection_invalidated
    assert time.monotonic() - started < 10
    engine.dispose()


def test_a_migration_may_take_longer_than_a_statement(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "silence_s", 0.3)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        wait_without_limit(connection)

        assert connection.exec_driver_sql("SELECT pg_sleep(1), 1").one()[1] == 1

    engine.dispose()


def test_a_database_that_only_reads_refuses_writes_in_one_sentence(
    connected: Flask, postgresql: Postgresql, database_url: str
) -> None:
    client, known = connected.test_client(), headers(connected)
    name = name_of(database_url)
    postgresql.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _end_sessions(postgresql, name)

    answer = client.post(f"{CASE_PATH}/openproject", json={"reference": "101"}, headers=known)

    assert answer.status_code == 503
    assert (answer.json or {})["message"].startswith("The panel's own storage is read-only.")


def test_a_connection_that_ends_during_a_commit_leaves_it_open_whether_that_was_saved(
    connected: Flask, postgresql: Postgresql
) -> None:
    client, known = connected.test_client(), headers(connected)
    with connected.app_context():
        engine = db.engine
    linking: list[int] = []

    def notice(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT INTO link"):
            linking.append(connection.connection.dbapi_connection.info.backend_pid)

    def end(connection: Any) -> None:
        if linking:
            postgresql.run(f"SELECT pg_terminate_backend({linking.pop()})")

    event.listen(engine, "before_cursor_execute", notice)
    event.listen(engine, "commit", end)
    try:
        answer = client.post(f"{CASE_PATH}/openproject", json={"reference": "101"}, headers=known)
    finally:
        event.remove(engine, "before_cursor_execute", notice)
        event.remove(engine, "commit", end)

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, False)
    assert (answer.json or {})["message"] == (
        "The panel's own storage broke off while it saved. We cannot tell whether it was saved. Check before trying again."
    )


def _end_sessions(postgresql: Postgresql, name: str) -> None:
    postgresql.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_database_that_was_never_set_up_is_told_with_the_command(empty_database_url: str, tmp_path: Path) -> None:
    app = create_app(load({"PANEL_DATABASE_URL": empty_database_url, "PANEL_INSTANCE_DIR": str(tmp_path)}))

    answer = app.test_client().get(f"{CASE_PATH}/xwiki", headers={"Authorization": "Bearer lpt_x"})

    assert (answer.status_code, "db upgrade" in (answer.json or {})["message"]) == (503, True)


def test_what_cannot_be_stored_is_refused_and_no_failure_of_ours(app: Flask) -> None:
    client = app.test_client()
    app.config["WTF_CSRF_ENABLED"] = False

    answer = client.post("/admin/sign-in", data={"name": "a\0b", "password": "x"})

    assert answer.status_code == 400


def test_the_figures_of_the_call_log_are_counted_by_the_hour(links: Links, visitor: Visitor, services: Panel) -> None:
    links.listing(visitor, "xwiki", CASE)
    services.call_log.flush()

    assert [hour.calls for hour in hours("xwiki")] == [0] * 23 + [1]
    assert outcomes()["xwiki"].succeeded_at is not None


def test_the_log_of_a_failed_statement_shows_no_parameters(services: Panel) -> None:
    from sqlalchemy import text

    with pytest.raises(DBAPIError) as caught:
        db.session.execute(text("SELECT :canary / 0"), {"canary": 41414141})

    assert "41414141" not in str(caught.value)
    db.session.rollback()
