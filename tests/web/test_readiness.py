"""``/healthz`` and ``/readyz`` tell a supervisor whether the process lives and can answer."""

from __future__ import annotations

import threading

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from support import MakeApp, Upstreams

from panel.credentials import readiness
from panel.credentials.readiness import Readiness
from panel.storage.engine import db
from panel.storage.models import Source

WELL = {"database": "ok", "migrations": "ok", "keys": "ok"}


@pytest.fixture(autouse=True)
def always_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request runs the checks, which may take long on a busy machine."""
    monkeypatch.setattr(readiness, "HOLDS_S", -1)
    monkeypatch.setattr(readiness, "LONGEST_S", 30)


def test_both_answer_without_a_token_under_any_name(client: FlaskClient) -> None:
    for path, checks in (("/healthz", {"process": "ok"}), ("/readyz", WELL)):
        answer = client.get(path, headers={"Host": "10.1.2.3:8000"})
        assert (answer.status_code, answer.json) == (200, {"status": "ok", "checks": checks})
        assert "no-store" in answer.headers["Cache-Control"]


def test_other_addresses_still_refuse_an_unknown_name(client: FlaskClient) -> None:
    assert client.get("/admin/", headers={"Host": "10.1.2.3:8000"}).status_code == 400


@pytest.mark.parametrize("revision", ["0001", "9999"])
def test_a_schema_of_another_version_is_not_ready(make_app: MakeApp, revision: str) -> None:
    app = make_app()
    with app.app_context():
        db.session.connection().exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
        db.session.commit()

    answer = app.test_client().get("/readyz")

    assert (answer.status_code, answer.json) == (
        503,
        {"status": "unavailable", "checks": {**WELL, "migrations": "unavailable"}},
    )
    assert app.test_client().get("/healthz").status_code == 200


def test_a_credential_that_no_key_opens_is_not_ready(make_app: MakeApp, connected: Flask) -> None:
    with connected.app_context():
        db.session.execute(update(Source).values(secret="v1.00000000.AAAA"))
        db.session.commit()

    answer = connected.test_client().get("/readyz")

    assert (answer.status_code, answer.json["checks"]) == (503, {**WELL, "keys": "unavailable"})


def test_a_check_that_hangs_ends_the_answer_in_time_and_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LONGEST_S", 0.05)
    begun, end = [], threading.Event()

    def hanging() -> bool:
        begun.append(1)
        return end.wait(10)

    checks = Readiness({"database": hanging, "keys": lambda: True})
    assert [checks.results() for _ in range(3)] == [{"database": False, "keys": False}] * 3
    end.set()
    monkeypatch.setattr(readiness, "LONGEST_S", 10)
    assert checks.results() == {"database": True, "keys": True}
    assert begun == [1]


def test_it_asks_no_upstream(connected: Flask, upstreams: Upstreams) -> None:
    before = len(upstreams.openproject.requests) + len(upstreams.xwiki.requests)
    assert connected.test_client().get("/readyz").status_code == 200
    assert len(upstreams.openproject.requests) + len(upstreams.xwiki.requests) == before
