"""Kept answers and rights: whatever any process changes is seen by every other one at its next answer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from served import Response, Server, request, served
from sqlalchemy import text
from support import CASE, CASE_PATH, CONSOLE, MakeApp, Upstreams, api_token, openproject_values, xwiki_values

from panel.accounts.api_tokens import TokenRequest
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import Model, db
from panel.storage.models import ApiToken, AuditEntry, EmbedApp, EmbedKey, Instance, Link, Source, Switch
from panel.storage.revision import Kept, SqliteRevision, revision_of

INTERLEAVINGS = 1000
NUMBERS = [str(number) for number in range(501, 511)]

# --- the revision ----------------------------------------------------------------------------------------------------

NOTHING = dict.fromkeys(("subject", "register", "schema", "object_id", "integration", "detail"), "")
ROWS: dict[str, Callable[[], Model]] = {
    "api_token": lambda: ApiToken(name="t", token_hash="h", scope="read"),
    "audit_entry": lambda: AuditEntry(deed="link", who="a", kind="k", face="f", request_id="r", **NOTHING),
    "embed_app": lambda: EmbedApp(id="b", name="Other"),
    "embed_key": lambda: EmbedKey(kid="k", app_id="a", sealed="s"),
    "instance": lambda: Instance(integration="xwiki"),
    "link": lambda: Link(register="r", schema="s", object_id="1", integration="x", reference="x", linked_by="a"),
    "source": lambda: Source(slug="other", name="Other", location="https://wiki.example"),
    "switch": lambda: Switch(name="connector", value="off"),
}
"""A row of each table that an answer depends on."""


@pytest.mark.parametrize("table", ROWS)
def test_a_commit_that_an_answer_may_depend_on_advances_the_revision(services: Panel, table: str) -> None:
    db.session.add(EmbedApp(id="a", name="App"))
    db.session.commit()
    revision = revision_of(db.engine)
    before = revision.current()
    db.session.add(ROWS[table]())
    db.session.flush()
    waiting = revision.current()
    db.session.commit()

    assert before is not None
    assert before == waiting
    assert revision.current() != before


def test_a_row_that_is_deleted_below_the_panel_advances_it(services: Panel) -> None:
    db.session.add(Link(register="r", schema="s", object_id="1", integration="x", reference="x", linked_by="a"))
    db.session.commit()
    revision = revision_of(db.engine)
    before = revision.current()
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM link"))

    assert revision.current() != before


def test_the_time_of_the_last_use_of_a_token_does_not(app: Flask) -> None:
    api_token(app, "read")
    with app.app_context():
        revision = revision_of(db.engine)
        before = revision.current()
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE api_token SET last_used_at = '2026-01-01'"))

        assert revision.current() == before


def test_without_the_database_nothing_is_kept(tmp_path: Path) -> None:
    kept: Kept[str] = Kept(SqliteRevision(str(tmp_path / "none.sqlite3")), most=10)
    kept.keep("key", "value", 1)

    assert kept.find("key") is None


# --- what is kept ----------------------------------------------------------------------------------------------------


class Numbered:
    """A revision that the test sets."""

    def __init__(self) -> None:
        self.number: int | None = 1

    def current(self) -> int | None:
        return self.number


def test_a_value_is_kept_while_the_revision_stays(services: Panel) -> None:
    revision, asked = Numbered(), [1, 2, 3]
    kept: Kept[int] = Kept(revision, most=10)
    before = [kept.get("key", lambda: asked.pop(0)) for _ in range(2)]
    revision.number = 2

    assert before == [1, 1]
    assert kept.get("key", lambda: asked.pop(0)) == 2


def test_a_value_that_was_read_before_a_change_is_not_kept_after_it(services: Panel) -> None:
    revision = Numbered()
    kept: Kept[int] = Kept(revision, most=10)
    kept.find("key")
    at = kept.begin()
    revision.number = 2
    kept.find("key")
    kept.keep("key", 1, at)

    assert kept.find("key") is None


def test_what_is_read_in_an_older_transaction_is_not_kept(services: Panel) -> None:
    kept: Kept[int] = Kept(Numbered(), most=10)
    db.session.execute(text("SELECT 1"))
    kept.get("key", lambda: 1)

    assert kept.find("key") is None


def test_the_weight_is_bounded_and_the_oldest_values_go(services: Panel) -> None:
    kept: Kept[str] = Kept(Numbered(), most=10, weigh=len)
    for key in "abc":
        kept.get(key, lambda key=key: key * 5)

    assert [kept.find(key) for key in "abc"] == [None, "bbbbb", "ccccc"]


def test_a_kept_list_is_not_for_those_who_may_not_see_it(cached: Flask) -> None:
    client, reader = cached.test_client(), bearer(api_token(cached, "read"))
    client.post(
        f"{CASE_PATH}/xwiki", json={"reference": "Sandbox.TestPage1"}, headers=bearer(api_token(cached, "write"))
    )
    seen = [client.get(f"{CASE_PATH}/xwiki", headers=reader).status_code for _ in range(2)]
    others = [
        client.get(f"{CASE_PATH}/xwiki", headers=bearer(api_token(cached, "read", "limited", **limits))).status_code
        for limits in ({"registers": ("other",)}, {"integrations": ("openproject",)})
    ]

    assert seen == [200, 200]
    assert others == [404, 404]


def test_a_kept_failure_is_in_the_call_log_each_time(app: Flask) -> None:
    client, reader = app.test_client(), bearer(api_token(app, "read"))
    answers = [client.get(f"{CASE_PATH}/xwiki", headers=reader) for _ in range(3)]
    log = app.extensions["leafpanel"].call_log
    log.flush()
    with app.app_context():
        lines = db.session.execute(text("SELECT reason, request_id FROM call")).all()

    assert [answer.status_code for answer in answers] == [503] * 3
    assert sorted(lines) == sorted(("source-missing", answer.headers["X-Request-Id"]) for answer in answers)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# --- over processes --------------------------------------------------------------------------------------------------


@pytest.fixture
def cached(make_app: MakeApp, upstreams: Upstreams) -> Flask:
    """An application with both sources, whose answers are kept for a minute."""
    app = make_app(PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port, PANEL_CACHE_TTL_S="60")
    with app.app_context():
        services: Panel = app.extensions["leafpanel"]
        services.sources.create(openproject_values(upstreams), by=CONSOLE)
        services.sources.create(xwiki_values(upstreams), by=CONSOLE)
    return app


@pytest.fixture
def others(cached: Flask, upstreams: Upstreams, tmp_path: Path) -> Iterator[Server]:
    """Two further processes on the same instance folder, which answer the polls."""
    config = cached.extensions["leafpanel"].config
    settings = {
        "PANEL_DATABASE_URL": config.database_url,
        "PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port,
        "PANEL_CACHE_TTL_S": "60",
    }
    with served(tmp_path, **settings) as server:
        yield server


class Here:
    """This process, which changes something, and what a poll of another process must answer from then on."""

    def __init__(self, app: Flask, visitor: Visitor, upstreams: Upstreams) -> None:
        self._app, self._visitor = app, visitor
        self._services: Panel = app.extensions["leafpanel"]
        self._tokens, self.retired = [api_token(app, "read", "poller")], ""
        self._linked: dict[str, str] = {}
        self._titles = {number: f"Work package {number}" for number in NUMBERS}
        self._is_connector_on = self._is_source_on = True
        for number in NUMBERS:
            upstreams.openproject.world.add_work_package(self._titles[number], 1, id=int(number), author_id=5)

    @property
    def token(self) -> str:
        return self._tokens[-1]

    @property
    def expected(self) -> tuple[int, dict[str, str] | str]:
        """Status, and the titles by number or the reason."""
        if not self._is_connector_on:
            return 503, "connector-disabled"
        if not self._is_source_on:
            return 503, "source-disabled"
        return 200, dict(self._linked)

    def change(self, rng: random.Random) -> None:
        acts = [self._link_or_unlink, self._link_or_unlink, self._rename, self._connector, self._source, self._token]
        with self._app.app_context():
            rng.choice(acts)(rng)

    def _link_or_unlink(self, rng: random.Random) -> None:
        number, links = rng.choice(NUMBERS), self._services.links
        if number in self._linked:
            links.unlink(self._visitor, "openproject", CASE, number)
            del self._linked[number]
        elif self.expected[0] == 200:
            links.link(self._visitor, "openproject", CASE, number)
            self._linked[number] = self._titles[number]

    def _rename(self, rng: random.Random) -> None:
        if self._linked and self.expected[0] == 200:
            number = rng.choice(sorted(self._linked))
            title = self._titles[number] = self._linked[number] = f"Renamed {rng.randrange(10**6)}"
            self._services.links.update(self._visitor, "openproject", CASE, number, {"subject": title})

    def _connector(self, rng: random.Random) -> None:
        self._is_connector_on = not self._is_connector_on
        self._services.switches.set_connector(on=self._is_connector_on, by=CONSOLE)

    def _source(self, rng: random.Random) -> None:
        self._is_source_on = not self._is_source_on
        self._services.sources.set_enabled("openproject", on=self._is_source_on, by=CONSOLE)

    def _token(self, rng: random.Random) -> None:
        [row] = [row for row in self._services.api_tokens.tokens() if row.name == "poller"]
        self._services.api_tokens.revoke_token(row, by=CONSOLE)
        self.retired = self.token
        self._tokens.append(self._services.api_tokens.create_token(TokenRequest("poller", "read"), by=CONSOLE))


def poll(server: Server, token: str) -> Response:
    return request(server.port, "GET", f"{CASE_PATH}/openproject", headers=bearer(token))


def told(response: Response) -> tuple[int, dict[str, str] | str]:
    body = json.loads(response.body)
    if response.status == 200:
        return 200, {item["id"]: item["title"] for item in body["items"]}
    return response.status, body["details"]["reason"]


def test_a_change_by_one_process_is_seen_by_all_others_at_their_next_answer(
    cached: Flask, others: Server, visitor: Visitor, upstreams: Upstreams
) -> None:
    here, rng = Here(cached, visitor, upstreams), random.Random(5)

    for _ in range(INTERLEAVINGS):
        if rng.random() < 0.5:
            here.change(rng)
        assert told(poll(others, here.token)) == here.expected
        assert not here.retired or poll(others, here.retired).status == 401
