"""The audit trail: a line is there exactly when its change is, tells no secret, and is never taken back."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from audit_lines import entries, entries_of, recorded
from flask import Flask
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from support import ALICE, CASE, CONSOLE, Upstreams, xwiki_values

from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import Action, Principal
from panel.core.errors import Conflict, NotFound, NotRecorded, PanelError, ProviderUnavailable, Uncertain
from panel.links.visitor import Visitor
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.services import Panel
from panel.storage.engine import Model, db
from panel.storage.models import AuditEntry

OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"
NEW = {"projectId": "1", "subject": "Canary of the north"}


@pytest.fixture
def services(connected: Flask) -> Iterator[Panel]:
    with connected.app_context():
        yield connected.extensions["leafpanel"]


@pytest.fixture
def before(services: Panel) -> int:
    """How many lines there are before the test does anything."""
    return len(entries())


def plant(**changes: Any) -> None:
    line = {**audit.line(AuditAction.LINK, ALICE, subject="101", obj=CASE, integration="openproject"), **changes}
    db.session.execute(insert(AuditEntry).values(line))
    db.session.commit()


# --- together with the change ----------------------------------------------------------------------------------------


def test_a_line_waits_for_the_commit_of_its_change(services: Panel, before: int) -> None:
    audit.record(AuditAction.CONNECTOR_ON, ALICE)
    db.session.rollback()

    assert len(entries()) == before


def test_texts_that_are_too_long_are_cut_and_nothing_is_refused(app: Flask) -> None:
    long = Actor("n" * 500, "k" * 500, "f" * 500, "r" * 500)
    with app.app_context():
        audit.record(AuditAction.LINK, long, subject="s" * 3000, obj=CASE, integration="i" * 500, detail="d" * 3000)
        db.session.commit()

    (line,) = entries_of(app)
    assert [len(part) for part in (line.who, line.kind, line.face, line.request_id, line.integration)] == [
        200,
        60,
        20,
        20,
        63,
    ]
    assert (len(line.subject), len(line.detail)) == (1000, 500)


REFUSED: dict[str, Callable[[Panel, Visitor], object]] = {
    "linked already": lambda s, v: s.links.link(v, "openproject", CASE, "101"),
    "unknown upstream": lambda s, v: s.links.link(v, "openproject", CASE, "4711"),
    "nothing to unlink": lambda s, v: s.links.unlink(v, "openproject", CASE, "102"),
    "refused create": lambda s, v: s.links.create(v, "openproject", CASE, {"projectId": "1", "subject": ""}),
    "refused create under a key": lambda s, v: s.links.create(v, "openproject", CASE, {"projectId": "1"}, key="k"),
    "refused update": lambda s, v: s.links.update(v, "openproject", CASE, "101", {"status": "No such status"}),
    "update of what is not linked": lambda s, v: s.links.update(v, "openproject", CASE, "102", {"subject": "x"}),
    "update that nobody knows": lambda s, v: s.links.update(v, "openproject", CASE, "101", {"colour": "red"}),
    "may not": lambda s, v: s.links.unlink(
        Visitor(Principal("eve", "token", frozenset({Action.VIEW})), v.caller), "openproject", CASE, "101"
    ),
    "source that is there": lambda s, v: s.sources.create(
        {"slug": "xwiki", "location": "https://w.example", "auth": {"type": "none"}}, by=ALICE
    ),
    "secret to be typed again": lambda s, v: s.sources.change(
        "xwiki", {"location": "https://elsewhere.example", "enabled": False}, by=ALICE
    ),
    "source that moved on": lambda s, v: s.sources.change("xwiki", {"name": "X"}, by=ALICE, revision=77),
    "source that is not there": lambda s, v: s.sources.delete("nowhere", by=ALICE),
    "application of that name": lambda s, v: s.embed_apps.create("cases", ["https://c.example"], by=ALICE),
    "no older secret": lambda s, v: s.embed_apps.retire(s.embed_apps.named("Cases"), by=ALICE),
    "no origin": lambda s, v: s.embed_apps.set_origins(s.embed_apps.named("Cases"), ["x"], by=ALICE),
    "integration that is none": lambda s, v: s.embed_apps.set_limits(
        s.embed_apps.named("Cases"), ["demo"], ["jira"], by=ALICE
    ),
    "token without a scope": lambda s, v: s.api_tokens.create_token(TokenRequest("t", "all"), by=ALICE),
    "person of no role": lambda s, v: s.people.create("dora", "a good password", role="king", by=ALICE),
}


@pytest.fixture
def furnished(connected: Flask, visitor: Visitor) -> Iterator[Panel]:
    """One link and one application beside the two sources."""
    services: Panel = connected.extensions["leafpanel"]
    with connected.app_context():
        services.links.link(visitor, "openproject", CASE, "101")
        services.embed_apps.create("Cases", ["https://cases.example.org"], by=ALICE)
        yield services


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_no_line(furnished: Panel, visitor: Visitor, name: str) -> None:
    count = len(entries())

    with pytest.raises(PanelError):
        REFUSED[name](furnished, visitor)
    # Whatever the request commits after its failure must not bring the line along.
    db.session.commit()

    assert len(entries()) == count


DONE: dict[str, Callable[[Panel, Visitor], object]] = {
    "link": lambda s, v: s.links.link(v, "openproject", CASE, "102"),
    "create": lambda s, v: s.links.create(v, "openproject", CASE, NEW),
    "unlink": lambda s, v: s.links.unlink(v, "openproject", CASE, "101"),
    "source created": lambda s, v: s.sources.create(
        {"slug": "other", "location": "https://o.example", "auth": {"type": "none"}}, by=ALICE
    ),
    "source changed": lambda s, v: s.sources.change("xwiki", {"name": "Other"}, by=ALICE),
    "secret": lambda s, v: s.sources.change("xwiki", {"auth": {"password": "new"}}, by=ALICE),
    "source off": lambda s, v: s.sources.set_enabled("xwiki", on=False, by=ALICE),
    "source deleted": lambda s, v: s.sources.delete("xwiki", by=ALICE),
    "application": lambda s, v: s.embed_apps.create("Other", ["https://o.example"], by=ALICE),
    "origins": lambda s, v: s.embed_apps.set_origins(s.embed_apps.named("Cases"), ["https://o.example"], by=ALICE),
    "limits": lambda s, v: s.embed_apps.set_limits(s.embed_apps.named("Cases"), ["demo"], [], by=ALICE),
    "rotated": lambda s, v: s.embed_apps.rotate(s.embed_apps.named("Cases"), by=ALICE),
    "application off": lambda s, v: s.embed_apps.switch(s.embed_apps.named("Cases"), on=False, by=ALICE),
    "application removed": lambda s, v: s.embed_apps.remove(s.embed_apps.named("Cases"), by=ALICE),
    "connector": lambda s, v: s.switches.set_connector(on=False, by=ALICE),
    "token": lambda s, v: s.api_tokens.create_token(TokenRequest("t", "read"), by=ALICE),
    "person": lambda s, v: s.people.create("dora", "a good password", role="viewer", by=ALICE),
}


APART = ("audit_entry", "create_intent", "open_create", "open_update", "call")
"""The trail itself, what an unfinished write leaves on purpose, and the call log, which is written by and by."""


def rows() -> dict[str, list[Any]]:
    """Everything else that is stored."""
    db.session.rollback()
    tables = [table for table in Model.metadata.sorted_tables if table.name not in APART]
    return {table.name: [tuple(row) for row in db.session.execute(select(table))] for table in tables}


@pytest.mark.parametrize("name", DONE)
def test_without_its_line_nothing_changes(furnished: Panel, visitor: Visitor, name: str) -> None:
    stored = rows()
    db.session.execute(text("ALTER TABLE audit_entry RENAME TO gone"))
    db.session.commit()

    with pytest.raises((DBAPIError, NotRecorded)):
        DONE[name](furnished, visitor)

    assert rows() == stored


@pytest.mark.parametrize("name", DONE)
def test_with_its_line_it_does(furnished: Panel, visitor: Visitor, name: str) -> None:
    stored, count = rows(), len(entries())

    DONE[name](furnished, visitor)

    assert rows() != stored
    assert len(entries()) == count + 1


SAME: dict[str, Callable[[Panel], object]] = {
    "source saved as it was": lambda s: s.sources.change("xwiki", {"name": "Wiki", "enabled": True}, by=ALICE),
    "source on that is on": lambda s: s.sources.set_enabled("xwiki", on=True, by=ALICE),
    "connector on that is on": lambda s: s.switches.set_connector(on=True, by=ALICE),
    "application on that is on": lambda s: s.embed_apps.switch(s.embed_apps.named("Cases"), on=True, by=ALICE),
    "same origins": lambda s: s.embed_apps.set_origins(
        s.embed_apps.named("Cases"), ["https://cases.example.org/"], by=ALICE
    ),
    "same limits": lambda s: s.embed_apps.set_limits(s.embed_apps.named("Cases"), [], [], by=ALICE),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_nothing_has_no_line(furnished: Panel, name: str) -> None:
    count = len(entries())

    SAME[name](furnished)

    assert len(entries()) == count


def test_unlinking_at_the_same_moment_is_told_once(connected: Flask, visitor: Visitor) -> None:
    services: Panel = connected.extensions["leafpanel"]
    with connected.app_context():
        services.links.link(visitor, "openproject", CASE, "101")
    together, outcomes = threading.Barrier(4), []

    def unlink() -> None:
        with connected.app_context():
            together.wait(30)
            try:
                outcomes.append(services.links.unlink(visitor, "openproject", CASE, "101").reference)
            except NotFound as exc:
                outcomes.append(exc)

    threads = [threading.Thread(target=unlink) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]

    assert len(outcomes) == 4
    assert outcomes.count("101") == 1
    assert [entry.deed for entry in entries_of(connected)].count("unlink") == 1


# --- creating and changing upstream ----------------------------------------------------------------------------------


def test_a_repeated_create_is_told_once(services: Panel, visitor: Visitor, before: int) -> None:
    first = services.links.create(visitor, "openproject", CASE, NEW, key="k1")
    services.links.create(visitor, "openproject", CASE, NEW, key="k1")

    assert recorded(after=before) == [("create", first.pointer.reference)]


def test_a_repeated_create_that_links_again_is_told_as_a_link(services: Panel, visitor: Visitor, before: int) -> None:
    reference = services.links.create(visitor, "openproject", CASE, NEW, key="k1").pointer.reference
    services.links.unlink(visitor, "openproject", CASE, reference)
    services.links.create(visitor, "openproject", CASE, NEW, key="k1")

    assert recorded(after=before) == [("create", reference), ("unlink", reference), ("link", reference)]


@pytest.mark.parametrize("key", [None, "k1"])
def test_a_create_without_an_answer_is_told_as_such(
    services: Panel, visitor: Visitor, upstreams: Upstreams, before: int, key: str | None
) -> None:
    upstreams.openproject.cut_create_answer = True

    with pytest.raises(Uncertain):
        services.links.create(visitor, "openproject", CASE, NEW, key=key)

    (line,) = entries()[before:]
    assert (line.deed, line.subject, line.object_id, line.integration) == ("create-uncertain", "", "1", "openproject")
    assert "Canary" not in str(vars(line))


def test_a_key_that_waits_for_its_answer_is_told_no_second_time(
    services: Panel, visitor: Visitor, upstreams: Upstreams, before: int
) -> None:
    upstreams.openproject.cut_create_answer = True
    for _ in range(3):
        with pytest.raises((Uncertain, Conflict)):
            services.links.create(visitor, "openproject", CASE, NEW, key="k1")

    assert recorded(after=before) == [("create-uncertain", "")]


def test_a_create_without_an_answer_is_said_even_when_the_trail_takes_no_line(
    services: Panel, visitor: Visitor, upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    upstreams.openproject.cut_create_answer = True
    db.session.execute(text("ALTER TABLE audit_entry RENAME TO gone"))
    db.session.commit()

    with pytest.raises(Uncertain):
        services.links.create(visitor, "openproject", CASE, NEW)

    assert "the audit trail lacks create-uncertain" in caplog.text


def test_a_thing_that_was_made_stays_the_one_of_its_key_when_the_trail_takes_no_line(
    services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    db.session.execute(text("ALTER TABLE audit_entry RENAME TO gone"))
    db.session.commit()
    with upstreams.openproject.counting() as asked:
        with pytest.raises(NotRecorded, match=r"The work package was created: [0-9]+"):
            services.links.create(visitor, "openproject", CASE, NEW, key="k1")
        db.session.execute(text("ALTER TABLE gone RENAME TO audit_entry"))
        db.session.commit()
        services.links.create(visitor, "openproject", CASE, NEW, key="k1")

    assert len([request for request in asked if request.method == "POST"]) == 1


@pytest.mark.parametrize(
    ("fault", "lines"),
    [
        ("server-error", [("update-uncertain", "101")]),
        ("login-page", [("update-uncertain", "101")]),
        ("forbidden", []),
        ("rate-limited", []),
        ("unauthorized", []),
    ],
)
def test_a_change_that_may_have_been_made_is_told_as_such(
    services: Panel, visitor: Visitor, upstreams: Upstreams, fault: str, lines: list[tuple[str, str]]
) -> None:
    services.links.link(visitor, "openproject", CASE, "101")
    count = len(entries())
    upstreams.openproject.fault = fault
    upstreams.openproject.fault_only = lambda request: request.method == "PATCH"

    with pytest.raises(PanelError):
        services.links.update(visitor, "openproject", CASE, "101", {"subject": "Canary"})

    assert recorded(after=count) == lines
    assert [entry.detail for entry in entries()[count:]] == ["subject" for _ in lines]


def test_a_change_that_never_left_is_no_doubt(services: Panel, visitor: Visitor, upstreams: Upstreams) -> None:
    services.links.link(visitor, "openproject", CASE, "101")
    count = len(entries())
    upstreams.openproject.fault = "login-page"

    with pytest.raises(ProviderUnavailable):
        services.links.update(visitor, "openproject", CASE, "101", {"subject": "Canary"})

    assert len(entries()) == count


# --- what is written of a source -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"name": "X", "rate_limit": "60/minute"}, [("source-changed", "name, rate_limit")]),
        ({"headers": {"X-Canary": "canary-31"}}, [("source-changed", "headers")]),
        ({"enabled": False}, [("source-disabled", "")]),
        ({"auth": {"username": "bob"}}, [("source-changed", "auth.username")]),
        ({"auth": {"password": "canary-31"}}, [("secret-set", "auth.password replaced, for {origin}")]),
        ({"auth": {"type": "none"}}, [("source-changed", "auth.type, auth.username"), ("secret-removed", "")]),
        (
            {"auth": {"type": "token", "token": "canary-31"}},
            [
                ("source-changed", "auth.type, auth.username, auth.header"),
                ("secret-set", "auth.token replaced, for {origin}"),
            ],
        ),
    ],
)
def test_names_of_fields_are_told_and_no_values(
    services: Panel, upstreams: Upstreams, before: int, change: dict[str, Any], lines: list[tuple[str, str]]
) -> None:
    services.sources.change("xwiki", change, by=ALICE)

    found = [(entry.deed, entry.detail) for entry in entries()[before:]]
    assert found == [(deed, detail.format(origin=upstreams.server.url)) for deed, detail in lines]
    assert all((entry.subject, entry.integration) == ("xwiki", "xwiki") for entry in entries()[before:])


def test_an_import_is_told_also_when_it_changes_only_the_secret(
    services: Panel, upstreams: Upstreams, before: int
) -> None:
    text = services.sources.export("xwiki")

    services.sources.import_file(text, by=CONSOLE, environ={"XWIKI_PASSWORD": "canary-31"})

    assert [entry.deed for entry in entries()[before:]] == ["source-imported", "secret-set"]
    assert "canary" not in " ".join(entry.detail for entry in entries())


def test_addresses_are_told_without_path_or_query(services: Panel, upstreams: Upstreams) -> None:
    values = xwiki_values(upstreams, slug="other", location=f"{upstreams.xwiki_url}/canary-path")

    services.sources.create(values, by=ALICE)

    assert "canary" not in " ".join(entry.detail for entry in entries())


# --- never taken back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET who = 'nobody'",
        "UPDATE audit_entry SET who = who",
        "DELETE FROM audit_entry",
        "DELETE FROM audit_entry WHERE id = (SELECT max(id) FROM audit_entry)",
        "INSERT INTO audit_entry SELECT * FROM audit_entry WHERE true ON CONFLICT (id) DO UPDATE SET who = 'nobody'",
    ],
)
def test_the_database_refuses_to_change_or_remove_a_line(app: Flask, statement: str) -> None:
    with app.app_context():
        plant()

        with pytest.raises(DBAPIError, match="append-only"):
            db.session.execute(text(statement))
        db.session.rollback()

        assert [entry.who for entry in entries()] == ["alice"]


def test_a_line_is_not_replaced_by_another_of_its_number(app: Flask) -> None:
    with app.app_context():
        plant()
        replacing = "INSERT OR REPLACE INTO audit_entry SELECT id, at, deed, 'nobody', " + ", ".join(
            column.name for column in list(AuditEntry.__table__.columns)[4:]
        )

        with pytest.raises(DBAPIError, match="append-only"):
            db.session.execute(text(f"{replacing} FROM audit_entry"))
        db.session.rollback()

        assert [entry.who for entry in entries()] == ["alice"]


def pruning(dialect: str) -> list[str]:
    """The statements that the document gives, for lines before 2026."""
    found = re.findall(r"```sql\n(.*?)```", OPERATIONS.read_text("utf-8"), re.DOTALL)
    block = next(
        block for block in found if "audit_entry" in block and ("DROP TRIGGER" in block) == (dialect == "sqlite")
    )
    joined = re.sub(r";\s*END;", "; END ;", block)
    parts = re.split(r";\s*\n", joined)
    return [part.strip().rstrip(";") for part in parts if part.strip()]


def test_an_operator_prunes_as_the_document_says_and_the_rest_stays_locked(app: Flask) -> None:
    with app.app_context():
        plant(at=datetime(2025, 12, 31, 12, tzinfo=UTC), subject="old")
        plant(at=datetime(2026, 1, 2, tzinfo=UTC), subject="kept")

        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in pruning(db.engine.dialect.name):
                connection.exec_driver_sql(statement)

        assert [entry.subject for entry in entries()] == ["kept"]
        with pytest.raises(DBAPIError, match="append-only"):
            db.session.execute(text("DELETE FROM audit_entry"))
        db.session.rollback()


def test_deeds_that_are_in_old_lines_keep_their_words() -> None:
    assert len({deed.value for deed in AuditAction}) == len(AuditAction)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", deed.value) and len(deed.value) <= 40 for deed in AuditAction)
