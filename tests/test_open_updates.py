"""Changes that our storage could not record: a record of each stays, and an administrator settles it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support import CASE, CASE_PATH, Upstreams, api_token, signed_in_client
from test_open_creates import Killed, failing
from web.tab_reader import get

from panel.core.errors import Conflict, NotRecorded, PanelError
from panel.links import open_updates
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import AuditEntry, OpenUpdate

CHANGE = {"subject": "New words"}


@pytest.fixture
def services(connected: Flask, visitor: Visitor) -> Any:
    with connected.app_context():
        services: Panel = connected.extensions["leafpanel"]
        services.links.link(visitor, "openproject", CASE, "101")
        yield services


@pytest.fixture
def admin(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "carol", "admin")


def rows() -> list[OpenUpdate]:
    db.session.expire_all()
    return list(open_updates.all_open())


def change(services: Panel, visitor: Visitor) -> None:
    services.links.update(visitor, "openproject", CASE, "101", CHANGE)


def deeds() -> list[str]:
    return [entry.deed for entry in db.session.query(AuditEntry).order_by(AuditEntry.id)]


def settle(admin: FlaskClient, row: OpenUpdate, value: str) -> Any:
    token = get(admin, "/admin/creates").find("input[name=csrf_token]").attributes["value"]
    return admin.post(f"/admin/creates/updates/{row.id}", data={"csrf_token": token, "value": value})


def test_a_recorded_change_leaves_no_record(services: Panel, visitor: Visitor) -> None:
    change(services, visitor)

    assert (rows(), deeds()[-1]) == ([], "update")


def test_a_refused_change_leaves_no_record(services: Panel, visitor: Visitor, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "forbidden"
    with pytest.raises(PanelError):
        change(services, visitor)

    assert (rows(), "update" in deeds()) == ([], False)


def test_a_change_without_an_answer_has_its_line(services: Panel, visitor: Visitor, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "server-error"
    upstreams.openproject.fault_only = lambda request: request.method == "PATCH"
    with pytest.raises(PanelError):
        change(services, visitor)

    assert (rows(), deeds()[-1]) == ([], "update-uncertain")


def unrecorded(connected: Flask, services: Panel, visitor: Visitor, *broken: str) -> OpenUpdate:
    with failing(connected, "INSERT INTO audit_entry", *broken), pytest.raises(NotRecorded):
        change(services, visitor)
    (row,) = rows()
    return row


@pytest.mark.parametrize("settled", ["changed", "unchanged"])
def test_an_unrecorded_change_is_shown_until_it_is_settled(
    connected: Flask, services: Panel, visitor: Visitor, admin: FlaskClient, settled: str
) -> None:
    row = unrecorded(connected, services, visitor)
    assert (row.who, row.object_id, row.reference, row.fields) == ("alice", "1", "101", "subject")

    overview, audit, page = (get(admin, path).text for path in ("/admin/", "/admin/audit", "/admin/creates"))
    doctor = connected.test_cli_runner().invoke(args=["doctor"])
    assert "1 change ended without a record" in overview
    assert "The end of 1 create or change is not recorded." in audit
    assert "Changed, not recorded" in page
    assert "FAIL  changes      1 change ended without a record: " in doctor.output

    assert settle(admin, row, settled).status_code == 303
    assert (rows(), deeds()[-1]) == ([], "update-settled")
    assert "without a record" not in get(admin, "/admin/").text
    assert "is not recorded" not in get(admin, "/admin/audit").text


def test_a_storage_that_fails_altogether_leaves_a_record_and_a_line_in_the_log(
    connected: Flask, services: Panel, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        row = unrecorded(connected, services, visitor, "UPDATE open_update", "DELETE FROM open_update")

    assert not row.is_made
    assert "the audit trail lacks update of" in caplog.text
    with pytest.raises(Conflict):
        open_updates.find(row.id)
    row.started_at -= open_updates.LONGEST + timedelta(seconds=1)
    db.session.commit()
    assert open_updates.unrecorded_count() == 1


def test_a_process_that_ends_while_it_waits_leaves_its_change(
    services: Panel, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(services.registry.get("openproject"), "update", end)
    with pytest.raises(Killed):
        change(services, visitor)

    assert len(rows()) == 1


def test_nothing_is_sent_where_the_record_cannot_be_written(
    connected: Flask, services: Panel, upstreams: Upstreams
) -> None:
    headers = {"Authorization": f"Bearer {api_token(connected, 'write')}"}
    before = upstreams.openproject.world.work_packages[101].subject
    with failing(connected, "INSERT INTO open_update"):
        answer = connected.test_client().patch(f"{CASE_PATH}/openproject/101", json=CHANGE, headers=headers)

    assert answer.status_code == 503
    assert "Nothing was changed" in (answer.json or {})["message"]
    assert upstreams.openproject.world.work_packages[101].subject == before
