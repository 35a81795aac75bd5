"""The known health of sources: what calls really met, the same on the overview, in the tab strip and in JSON."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import post
from sqlalchemy import text
from support import ALICE, CASE, MakeApp, Upstreams, signed_in_client
from tab_reader import get, leaf

from panel.connector.limiter import FAILURES_TO_OPEN
from panel.core.clock import now
from panel.links.visitor import Visitor
from panel.storage.engine import db
from panel.storage.models import SourceOutcome

PROJECTS = leaf("openproject", "?refresh=1")


@pytest.fixture
def linked(connected: Flask, as_admin: FlaskClient, visitor: Visitor) -> FlaskClient:
    """Alice's browser, with a work package at the object; no check was ever made."""
    with connected.app_context():
        connected.extensions["leafpanel"].links.link(visitor, "openproject", CASE, "101")
    return as_admin


def overview(client: FlaskClient, label: str = "Projects") -> str:
    """The row of the overview, or the empty text."""
    page = client.get("/admin/").text
    found = next(part for part in page.split("<tr>") if f'<th scope="row">{label}<' in part)
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


def known(client: FlaskClient, integration: str = "openproject") -> dict[str, Any]:
    health: dict[str, Any] = client.get(f"/api/integrations/{integration}").json["authStatus"]
    return health


def needs_attention(client: FlaskClient, label: str = "Projects") -> bool:
    """Whether the strip of the other leaf marks this one."""
    tab = next(text for text in get(client, leaf("xwiki")).texts(".lp-tab-link") if label in text)
    return "needs attention" in tab


def agree(client: FlaskClient, word: str, status: str, *, attention: bool) -> None:
    assert re.search(rf"\b{word}\b", overview(client))
    assert known(client)["status"] == status
    assert needs_attention(client) is attention
    assert ("1 connection needs you" in client.get("/admin/").text) is attention


def test_calls_that_fail_show_as_bad_health_without_a_check(linked: FlaskClient, upstreams: Upstreams) -> None:
    post(linked, "/admin/check")
    agree(linked, "OK", "ok", attention=False)

    upstreams.openproject.fault = "unavailable"
    assert get(linked, PROJECTS).status == 503

    agree(linked, "Unavailable", "unavailable", attention=True)


def test_the_next_good_call_ends_bad_health_without_a_check(linked: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "unauthorized"
    post(linked, "/admin/check")
    agree(linked, "Unavailable", "unavailable", attention=True)

    upstreams.openproject.fault = None
    assert get(linked, PROJECTS).status == 200

    agree(linked, "OK", "ok", attention=False)


def test_an_open_breaker_is_bad_health(linked: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.fault = "unavailable"
    for _ in range(FAILURES_TO_OPEN):
        get(linked, PROJECTS)
    upstreams.openproject.fault = None

    assert "Open until" in linked.get("/admin/").text
    agree(linked, "Unavailable", "unavailable", attention=True)


def test_the_notice_states_the_last_answer_that_a_call_got(linked: FlaskClient, upstreams: Upstreams) -> None:
    get(linked, PROJECTS)
    answered = now()
    upstreams.openproject.fault = "unavailable"

    stamp = get(linked, PROJECTS).find(".lp-stamp-idle time")

    assert stamp.attributes["datetime"] is not None
    assert abs(_parsed(stamp.attributes["datetime"]) - answered) < timedelta(seconds=30)


def _parsed(text: str) -> Any:
    return type(now()).fromisoformat(text)


def test_health_without_calls_for_long_is_unknown(connected: Flask, linked: FlaskClient) -> None:
    get(linked, PROJECTS)
    agree(linked, "OK", "ok", attention=False)

    _make_older(connected, timedelta(hours=2))

    agree(linked, "Not checked", "unknown", attention=False)


def test_a_refused_credential_stays_known_until_the_next_call(
    connected: Flask, linked: FlaskClient, upstreams: Upstreams
) -> None:
    upstreams.openproject.fault = "unauthorized"
    get(linked, PROJECTS)

    _make_older(connected, timedelta(hours=2))

    agree(linked, "Unavailable", "unavailable", attention=True)


def _make_older(app: Flask, age: timedelta) -> None:
    """Move all that is known of the sources into the past."""
    with app.app_context():
        app.extensions["leafpanel"].call_log.flush()
        for row in db.session.query(SourceOutcome):
            row.answered_at = row.answered_at and row.answered_at - age
            row.failed_at = row.failed_at and row.failed_at - age
        db.session.execute(text("UPDATE source SET updated_at = '2020-01-01 00:00:00'"))
        db.session.commit()


def test_another_process_sees_what_calls_met(
    make_app: MakeApp, connected: Flask, linked: FlaskClient, upstreams: Upstreams
) -> None:
    upstreams.openproject.fault = "unavailable"
    get(linked, PROJECTS)
    connected.extensions["leafpanel"].call_log.flush()

    other = signed_in_client(make_app(PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port), "carol", "admin")

    agree(other, "Unavailable", "unavailable", attention=True)
    assert known(other) == known(linked)


def test_a_forbidden_write_says_nothing_about_the_source(linked: FlaskClient, upstreams: Upstreams) -> None:
    get(linked, PROJECTS)
    upstreams.openproject.fault = "forbidden"
    upstreams.openproject.fault_only = lambda request: request.method == "PATCH"

    post(linked, leaf("openproject", "/items/101/update"), {"status": "7", "lockVersion": "1"})

    agree(linked, "OK", "ok", attention=False)


def test_settings_that_were_changed_are_not_judged_by_older_calls(
    connected: Flask, linked: FlaskClient, upstreams: Upstreams
) -> None:
    upstreams.openproject.fault = "unauthorized"
    get(linked, PROJECTS)

    with connected.app_context():
        panel = connected.extensions["leafpanel"]
        panel.sources.change("openproject", {"name": "Another name"}, by=ALICE)

    agree(linked, "Not checked", "unknown", attention=False)
