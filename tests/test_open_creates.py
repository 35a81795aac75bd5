"""Creates whose end is not known: what is said, what stays, and how an administrator settles it."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from support import CASE, Upstreams, api_token, signed_in_client
from web.tab_reader import HTMX, get, leaf, send

from panel import create_app
from panel.config import load
from panel.core.errors import Conflict, Forbidden, Uncertain
from panel.links import open_creates
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.migrations import alembic
from panel.storage.models import CreateIntent, OpenCreate

NEW = {"projectId": "1", "subject": "Canary"}
PATH = "/api/objects/demo/case/1/integrations/openproject"


@pytest.fixture
def services(connected: Flask) -> Iterator[Panel]:
    with connected.app_context():
        yield connected.extensions["leafpanel"]


@pytest.fixture
def admin(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "carol", "admin")


@pytest.fixture
def writer(connected: Flask) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_token(connected, 'write')}"}


@contextmanager
def failing(app: Flask, *statements: str) -> Iterator[None]:
    """The database refuses statements that begin with one of these."""

    def refuse(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(statements):
            raise OperationalError(statement, None, Exception("database is locked"))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", refuse)


def made(upstreams: Upstreams) -> int:
    return len(upstreams.openproject.world.work_packages)


def rows() -> list[OpenCreate]:
    db.session.expire_all()
    return list(open_creates.all_open())


# --- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["INSERT INTO link", "INSERT INTO audit_entry"])
def test_json_says_what_was_created_when_our_storage_fails_afterwards(
    connected: Flask, upstreams: Upstreams, writer: dict[str, str], broken: str
) -> None:
    count, client = made(upstreams), connected.test_client()
    with failing(connected, broken):
        answer = client.post(f"{PATH}/new", json=NEW, headers=writer)

    reference = max(upstreams.openproject.world.work_packages)
    assert (answer.status_code, made(upstreams)) == (503, count + 1)
    assert (answer.json or {})["message"] == (
        f"The work package was created: {reference}. It could not be linked here."
    )
    with connected.app_context():
        assert [row.reference for row in rows()] == [str(reference)]


def test_json_says_that_a_change_was_made_when_our_storage_fails_afterwards(
    connected: Flask, upstreams: Upstreams, writer: dict[str, str]
) -> None:
    client = connected.test_client()
    client.post(PATH, json={"reference": "101"}, headers=writer)
    with failing(connected, "INSERT INTO audit_entry"):
        answer = client.patch(f"{PATH}/101", json={"subject": "New words"}, headers=writer)

    assert answer.status_code == 503
    assert (answer.json or {})["message"] == "The change was made in OpenProject; it could not be recorded here."
    assert upstreams.openproject.world.work_packages[101].subject == "New words"


def test_mcp_says_it_too(connected: Flask, services: Panel, upstreams: Upstreams, visitor: Visitor) -> None:
    from panel.web.mcp.actions import answer

    arguments = {
        "action": "create", "integrationId": "openproject", "register": "demo", "schema": "case", "objectId": "1",
        "payload": NEW,
    }  # fmt: skip
    with connected.test_request_context(), failing(connected, "INSERT INTO link"):
        body, failed = answer(visitor, connected.extensions["leafpanel"].config.mcp_tool_name, arguments)

    assert failed
    assert "was created: " in body["message"], json.dumps(body)


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("broken", "title"),
    [("INSERT INTO link", "This was created, but not linked"), ("INSERT INTO open_create", "This was not created")],
)
def test_the_tab_keeps_what_was_typed_when_our_storage_fails(
    admin: FlaskClient, connected: Flask, upstreams: Upstreams, headers: dict[str, str], broken: str, title: str
) -> None:
    form, count = get(admin, leaf("openproject", "/new")), made(upstreams)
    with failing(connected, broken):
        after = send(admin, form, "#lp-new", {"projectId": "1", "subject": "Kept"}, headers=headers)

    assert after.status == 503
    assert after.texts(".lp-refused h3") == [title]
    assert after.find("#new-subject").attributes["value"] == "Kept"

    again = send(admin, after, "#lp-new", {})
    assert (again.status, made(upstreams)) == (303, count + 1)


def test_a_list_that_cannot_be_shown_hides_no_create(
    admin: FlaskClient, connected: Flask, upstreams: Upstreams
) -> None:
    form, count = get(admin, leaf("openproject", "/new")), made(upstreams)
    with failing(connected, "SELECT link.integration"):
        after = send(admin, form, "#lp-new", {"projectId": "1", "subject": "Made"}, headers=HTMX)

    assert (after.status, made(upstreams)) == (503, count + 1)
    assert "The work package was created and linked." in after.text
    assert "Nothing was" not in after.text


def test_the_drawer_keeps_what_was_typed_when_our_storage_fails(
    admin: FlaskClient, connected: Flask, services: Panel, visitor: Visitor
) -> None:
    services.links.link(visitor, "openproject", CASE, "101")
    form = get(admin, leaf("openproject", "/items/101/edit"))
    with failing(connected, "INSERT INTO audit_entry"):
        after = send(admin, form, ".lp-edit form", {"subject": "Kept"}, headers=HTMX)

    assert after.status == 503
    assert after.texts(".lp-refused h3") == ["This was changed, but not recorded"]
    assert after.find("input[name=subject]").attributes["value"] == "Kept"


def test_a_change_that_may_have_been_made_is_never_called_undone(
    admin: FlaskClient, upstreams: Upstreams, services: Panel, visitor: Visitor
) -> None:
    services.links.link(visitor, "openproject", CASE, "101")
    form = get(admin, leaf("openproject", "/items/101/edit"))
    upstreams.openproject.fault = "server-error"
    upstreams.openproject.fault_only = lambda request: request.method == "PATCH"

    after = send(admin, form, ".lp-edit form", {"subject": "Perhaps"})

    assert "Nothing was changed" not in after.text
    assert "We cannot tell whether it was changed. Check before trying again." in after.text


# --- what stays ------------------------------------------------------------------------------------------------------


def test_a_create_that_ends_leaves_nothing_open(services: Panel, visitor: Visitor) -> None:
    services.links.create(visitor, "openproject", CASE, NEW)
    services.links.create(visitor, "openproject", CASE, NEW, key="k")

    assert rows() == []


def test_a_refused_create_leaves_nothing_open(services: Panel, visitor: Visitor, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "forbidden"
    for key in (None, "k"):
        with pytest.raises(Forbidden):
            services.links.create(visitor, "openproject", CASE, NEW, key=key)

    assert (rows(), db.session.query(CreateIntent).count()) == ([], 0)


def _uncertain(services: Panel, visitor: Visitor, upstreams: Upstreams, key: str | None = None) -> OpenCreate:
    upstreams.openproject.fail_create_after_commit = True
    with pytest.raises(Uncertain):
        services.links.create(visitor, "openproject", CASE, NEW, key=key)
    upstreams.openproject.fail_create_after_commit = False
    (row,) = rows()
    return row


@pytest.mark.parametrize("key", [None, "k"])
def test_a_create_without_an_answer_is_listed(
    services: Panel, visitor: Visitor, upstreams: Upstreams, admin: FlaskClient, key: str | None
) -> None:
    row = _uncertain(services, visitor, upstreams, key)

    page, overview = get(admin, "/admin/creates"), get(admin, "/admin/")

    assert (row.who, row.integration, row.object_id, row.is_unanswered) == ("alice", "openproject", "1", True)
    assert "demo/case/1 alice" in page.text
    assert "No answer" in page.text
    assert "1 create ended without an answer" in overview.text


def test_a_bug_after_the_create_was_sent_is_uncertain(
    services: Panel, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = services.registry.get("openproject")
    real = tracker.create

    def create(upstream: Any, values: Any) -> Any:
        real(upstream, values)
        raise KeyError("bug")

    monkeypatch.setattr(tracker, "create", create)
    with pytest.raises(Uncertain):
        services.links.create(visitor, "openproject", CASE, NEW)

    assert len(rows()) == 1


class Killed(BaseException):
    """As if the process ended."""


def test_a_process_that_ends_while_it_waits_leaves_its_create(
    services: Panel, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, admin: FlaskClient
) -> None:
    tracker = services.registry.get("openproject")

    def create(upstream: Any, values: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tracker, "create", create)
        services.links.create(visitor, "openproject", CASE, NEW)

    (row,) = rows()
    assert "May be under way" in get(admin, "/admin/creates").text
    with pytest.raises(Conflict, match="under way"):
        open_creates.find(row.id)
    row.started_at -= open_creates.LONGEST + timedelta(seconds=1)
    db.session.commit()
    assert open_creates.unknown_count() == 1
    assert "Cut off" in get(admin, "/admin/creates").text


def _create(settings: dict[str, str], visitor: Visitor, key: str | None) -> None:
    app = create_app(load(settings))
    with app.app_context():
        app.extensions["leafpanel"].links.create(visitor, "openproject", CASE, NEW, key=key)


def test_every_create_of_a_killed_process_is_listed(
    connected: Flask, services: Panel, visitor: Visitor, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 between the create and its answer, three times."""
    config, count, spawn = services.config, made(upstreams), multiprocessing.get_context("spawn")
    settings = {
        "PANEL_INSTANCE_DIR": str(config.instance_dir), "PANEL_DATABASE_URL": config.database_url,
        "PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port,
    }  # fmt: skip
    db.session.commit()
    real = upstreams.openproject.answer
    for key in (None, "k1", "k2"):
        created, killed = threading.Event(), threading.Event()

        def commit_and_wait(request: Any, created: Any = created, killed: Any = killed) -> Any:
            response = real(request)
            if request.method == "POST":
                created.set()
                killed.wait(60)
            return response

        monkeypatch.setattr(upstreams.openproject, "answer", commit_and_wait)
        process = spawn.Process(target=_create, args=(settings, visitor, key))
        process.start()
        assert created.wait(60)
        process.kill()
        process.join(60)
        killed.set()

    assert made(upstreams) == count + 3
    assert [(row.who, row.object_id, row.integration) for row in rows()] == [("alice", "1", "openproject")] * 3
    monkeypatch.setattr(upstreams.openproject, "answer", real)
    with pytest.raises(Conflict):
        services.links.create(visitor, "openproject", CASE, NEW, key="k1")


@pytest.mark.parametrize("failure", ["cut", "500", "503"])
def test_one_key_never_makes_two(
    services: Panel, visitor: Visitor, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    count = made(upstreams)
    real = upstreams.openproject.answer

    def commit_and_fail(request: Any) -> Any:
        response = real(request)
        if request.method == "POST":
            response.status_code = int(failure) if failure.isdigit() else response.status_code
        return response

    monkeypatch.setattr(upstreams.openproject, "answer", commit_and_fail)
    upstreams.openproject.cut_create_answer = failure == "cut"
    for _ in range(3):
        try:
            services.links.create(visitor, "openproject", CASE, NEW, key="k")
        except (Uncertain, Conflict):
            continue

    assert made(upstreams) == count + 1


# --- settling --------------------------------------------------------------------------------------------------------


def _post(admin: FlaskClient, page: str, **form: str) -> Any:
    shown = get(admin, "/admin/creates")
    token = shown.find("input[name=csrf_token]").attributes["value"]
    return admin.post(page, data={"csrf_token": token, **form})


def test_it_can_be_linked(services: Panel, visitor: Visitor, upstreams: Upstreams, admin: FlaskClient) -> None:
    row = _uncertain(services, visitor, upstreams, "k")
    reference = str(max(upstreams.openproject.world.work_packages))

    answer = _post(admin, f"/admin/creates/{row.id}/link", reference=f"#{reference}")

    assert answer.status_code == 303
    assert rows() == []
    assert services.links.counts(CASE) == {"openproject": 1}
    # The key stands for what it made.
    assert services.links.create(visitor, "openproject", CASE, NEW, key="k").pointer.reference == reference


def test_a_reference_that_is_not_there_is_refused_and_kept(
    services: Panel, visitor: Visitor, upstreams: Upstreams, admin: FlaskClient
) -> None:
    row = _uncertain(services, visitor, upstreams)

    answer = _post(admin, f"/admin/creates/{row.id}/link", reference="99999")

    assert answer.status_code == 404
    assert 'value="99999"' in answer.text
    assert len(rows()) == 1


def test_it_can_be_said_not_to_be_there(
    services: Panel, visitor: Visitor, upstreams: Upstreams, admin: FlaskClient
) -> None:
    row, count = _uncertain(services, visitor, upstreams, "k"), made(upstreams)
    with pytest.raises(Conflict):
        services.links.create(visitor, "openproject", CASE, NEW, key="k")

    assert _post(admin, f"/admin/creates/{row.id}/absent").status_code == 303

    assert rows() == []
    services.links.create(visitor, "openproject", CASE, NEW, key="k")
    assert made(upstreams) == count + 1


def test_doctor_tells_creates_without_an_answer(
    services: Panel, visitor: Visitor, upstreams: Upstreams, connected: Flask
) -> None:
    assert "FAIL" not in connected.test_cli_runner().invoke(args=["doctor"]).output

    _uncertain(services, visitor, upstreams)

    result = connected.test_cli_runner().invoke(args=["doctor"])
    assert "FAIL  creates      1 create ended without an answer: " in result.output
    assert result.exit_code == 1


def test_an_upgrade_lists_the_creates_with_a_key_that_never_ended(services: Panel, admin: FlaskClient) -> None:
    alembic.downgrade("0007")
    db.session.add(CreateIntent(principal="token:3", key_hash="a", request_hash="r"))
    db.session.add(CreateIntent(principal="token:3", key_hash="b", request_hash="r", reference="101"))
    db.session.commit()
    alembic.upgrade()

    (row,) = rows()
    assert (row.who, row.object_id, row.is_unanswered) == ("token:3", "", True)
    assert _post(admin, f"/admin/creates/{row.id}/absent").status_code == 303
    assert [one.key_hash for one in db.session.query(CreateIntent)] == ["b"]
