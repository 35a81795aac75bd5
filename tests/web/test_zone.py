"""Times are printed in the time zone of the reader, which is named beside them."""

from __future__ import annotations

import sys
import zoneinfo
from datetime import UTC, datetime

import pytest
import time_machine
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from routes import OWN

from panel.web import formatting
from panel.web.zone import known_zone

LATE = datetime(2026, 11, 23, 23, 30, 5, tzinfo=UTC)
TOKYO, AMSTERDAM = "Asia/Tokyo", "Europe/Amsterdam"


def test_a_time_names_date_time_and_zone_in_full(app: Flask) -> None:
    with time_machine.travel(LATE, tick=False), app.test_request_context("/", headers={"X-Leafpanel-Zone": AMSTERDAM}):
        assert formatting.clock_time(LATE) == (
            '<time datetime="2026-11-24T00:30:05+01:00" title="24 Nov 2026 00:30:05 Europe/Amsterdam">00:30</time>'
        )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"headers": {"X-Leafpanel-Zone": TOKYO}, "query_string": {"tz": AMSTERDAM}}, "08:30:05"),
        ({"query_string": {"tz": TOKYO}, "headers": {"Cookie": f"leafpanel-zone={AMSTERDAM}"}}, "08:30:05"),
        ({"headers": {"Cookie": f"leafpanel-zone={TOKYO}"}}, "08:30:05"),
        ({"query_string": {"tz": "../../etc/passwd"}, "headers": {"Cookie": f"leafpanel-zone={TOKYO}"}}, "08:30:05"),
        ({"query_string": {"tz": "Europe"}, "headers": {"X-Leafpanel-Zone": "Nowhere/Land"}}, None),
        ({}, None),
    ],
)
def test_the_zone_is_that_of_header_address_or_cookie(app: Flask, asked: dict[str, object], said: str | None) -> None:
    with app.test_request_context("/", **asked):
        assert formatting.second(LATE) == (said or f"{LATE.astimezone():%H:%M:%S}")


def test_outside_of_a_request_the_zone_is_that_of_the_server() -> None:
    assert formatting.second(LATE) == f"{LATE.astimezone():%H:%M:%S}"


@pytest.mark.parametrize(("zone", "said"), [("UTC", ""), (TOKYO, "1 day overdue")])
def test_a_day_ends_in_the_zone_of_the_reader(app: Flask, zone: str, said: str) -> None:
    with time_machine.travel(LATE, tick=False), app.test_request_context("/", query_string={"tz": zone}):
        assert formatting.overdue("2026-11-23") == said


@pytest.mark.parametrize("name", ["", "/etc/localtime", "..", "a" * 65, "Europe/Amsterdam\n", "\x00", "Europe", "é"])
def test_a_name_that_is_no_zone_is_not_looked_up_or_unknown(name: str) -> None:
    assert known_zone(name) is None


def test_without_a_tz_database_no_name_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    known_zone.cache_clear()
    try:
        assert known_zone(AMSTERDAM) is None
    finally:
        zoneinfo.reset_tzpath()
        known_zone.cache_clear()


def test_a_frame_carries_the_zone_in_its_addresses(
    connected: Flask, as_admin: FlaskClient, client: FlaskClient
) -> None:
    made = embedding_app(as_admin)
    page = client.get(f"/embed/demo/case/1?token={token_of(made, OWN)}&tz={TOKYO}").text
    assert "tz=Asia/Tokyo" in page or "tz=Asia%2FTokyo" in page
    assert "tz=" not in client.get(f"/embed/demo/case/1?token={token_of(made, OWN)}&tz=Nowhere").text
