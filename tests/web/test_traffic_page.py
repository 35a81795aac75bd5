"""How calls to each source stand, on the overview and on the source's page: known without asking anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, insert, update
from support import CASE, Upstreams

from panel.connector import SourceConfig
from panel.connector.limiter import FAILURES_TO_OPEN, PROBE_EVERY_S
from panel.core.clock import now
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import Call, Source
from panel.traffic.limits_fallback import FallbackLimitStore


@pytest.fixture
def panel(connected: Flask) -> Iterator[Panel]:
    with connected.app_context():
        yield connected.extensions["leafpanel"]


@pytest.fixture
def limit_store(panel: Panel) -> FallbackLimitStore:
    found = panel.sources._connector.limiter._limit_store  # type: ignore[union-attr]
    assert isinstance(found, FallbackLimitStore)
    return found


def config(panel: Panel, leaf: str = "openproject") -> SourceConfig:
    return panel.resolver.resolve(panel.registry.get(leaf)).ready()


def limit(text: str) -> None:
    db.session.execute(update(Source).values(rate_limit=text))
    db.session.commit()


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def row(client: FlaskClient, slug: str = "openproject") -> str:
    """The text of a source's row among the traffic."""
    table = client.get("/admin/").text.partition('<h2 id="traffic">')[2].partition("</table>")[0]
    return next(text for part in table.split("<tr>") if (text := text_of(part)).startswith(f"{slug} "))


def break_down(limit_store: FallbackLimitStore, source: SourceConfig) -> None:
    for _ in range(FAILURES_TO_OPEN):
        limit_store.failed(source, open_after=FAILURES_TO_OPEN, probe_every_s=PROBE_EVERY_S)


def test_a_source_that_was_never_called_is_whole(panel: Panel, as_admin: FlaskClient) -> None:
    assert row(as_admin) == "openproject Calls go out No limit 0 of 8 None None"


def test_an_open_breaker_says_until_when_and_why(
    panel: Panel, limit_store: FallbackLimitStore, as_admin: FlaskClient
) -> None:
    break_down(limit_store, config(panel))

    assert re.match(r"openproject Open until \d\d:\d\d:\d\d 5 failures in a row", row(as_admin))
    assert "Calls go out" in row(as_admin, "xwiki")


def test_a_call_that_looks_whether_the_source_is_back_is_called_probing(
    panel: Panel, limit_store: FallbackLimitStore, as_admin: FlaskClient
) -> None:
    source = config(panel)
    break_down(limit_store, source)

    limit_store.take_slot(source, 30, probe=True)

    assert "Probing one test call, after 5 failures" in row(as_admin)
    assert "1 of 8" in row(as_admin)


def test_what_is_left_of_a_limit_is_told(
    panel: Panel, as_admin: FlaskClient, visitor: Visitor, upstreams: Upstreams
) -> None:
    limit("60/hour")
    panel.links.health(visitor, "openproject")
    panel.links.listing(visitor, "openproject", CASE)
    spent = len(upstreams.openproject.requests)

    assert f"{60 - spent} of 60 left this hour" in row(as_admin)
    assert spent > 0


def test_an_upstream_that_asked_to_wait_is_held(
    panel: Panel, limit_store: FallbackLimitStore, as_admin: FlaskClient
) -> None:
    limit_store.hold_off(config(panel), 40)

    assert re.search(r"Held until \d\d:\d\d:\d\d requested by the upstream", row(as_admin))


def test_saving_the_source_shows_a_closed_breaker(
    panel: Panel, limit_store: FallbackLimitStore, as_admin: FlaskClient
) -> None:
    break_down(limit_store, config(panel))

    db.session.execute(update(Source).values(revision=Source.revision + 1))
    db.session.commit()

    assert "Calls go out" in row(as_admin)


def test_nothing_is_asked_of_a_source_that_is_switched_off(panel: Panel, as_admin: FlaskClient) -> None:
    db.session.execute(update(Source).where(Source.slug == "xwiki").values(enabled=False))
    db.session.commit()

    assert "Not called the source is switched off" in row(as_admin, "xwiki")


def plant(**values: object) -> None:
    line = {"at": now(), "source": "openproject", "face": "tab", "principal": "a", "request_id": "LP-X",
            "method": "GET", "path": "/api", "status": 200, "reason": None, **values}  # fmt: skip
    db.session.execute(insert(Call).values(**line))
    db.session.commit()


def test_the_last_success_and_the_last_failure_with_its_cause_are_told(panel: Panel, as_admin: FlaskClient) -> None:
    plant(at=now() - timedelta(days=3))
    plant(at=now() - timedelta(minutes=2), status=None, reason="timeout")
    plant(at=now() - timedelta(days=1), status=500, reason="server-error")

    assert re.search(r"0 of 8 \d+ \w+ \d{4} \d\d:\d\d \S.* timeout$", row(as_admin))
    assert "timeout</code>" in as_admin.get("/admin/sources/openproject").text


def test_what_we_held_back_ourselves_is_no_failure_of_the_source(panel: Panel, as_admin: FlaskClient) -> None:
    plant(at=now() - timedelta(minutes=2), status=None, reason="dns")
    for reason in ("circuit-open", "busy", "rate-limited", "connector-disabled", "source-disabled"):
        plant(status=None, reason=reason, method="")

    assert row(as_admin).endswith(" dns")


def test_a_wait_that_the_upstream_asked_for_is_a_failure(panel: Panel, as_admin: FlaskClient) -> None:
    plant(status=429, reason="rate-limited")

    assert row(as_admin).endswith(" rate-limited")


def test_the_sources_page_tells_the_same(panel: Panel, limit_store: FallbackLimitStore, as_admin: FlaskClient) -> None:
    limit("10/day")
    break_down(limit_store, config(panel))

    page = text_of(as_admin.get("/admin/sources/openproject").text)

    assert re.search(r"Breaker Open until \d\d:\d\d:\d\d , 5 failures in a row", page)
    assert "Rate limit 10 of 10 left this day Under way 0 of 8" in page


def test_traffic_is_read_without_asking_an_upstream_and_in_one_query(
    panel: Panel, limit_store: FallbackLimitStore, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    limit_store.epoch("s1")  # the tables are there
    said: list[str] = []
    event.listen(
        limit_store._shared._engine, "before_cursor_execute", lambda c, cursor, statement, *rest: said.append(statement)
    )

    with upstreams.openproject.counting() as tracker, upstreams.xwiki.counting() as wiki:
        as_admin.get("/admin/")

    assert (tracker, wiki) == ([], [])
    assert [statement.split()[0] for statement in said] == ["BEGIN", "SELECT"]


def test_the_overview_refreshes_the_traffic_too(
    panel: Panel, limit_store: FallbackLimitStore, as_admin: FlaskClient
) -> None:
    break_down(limit_store, config(panel))

    part = as_admin.get("/admin/integrations", headers={"HX-Request": "true"}).text

    assert "Open until" in part
