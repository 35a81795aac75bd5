"""The audit trail as administrators see it, its files, and its command."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import links
from sqlalchemy import delete, insert, text
from support import ALICE, CASE, CASE_PATH, signed_in_client

from panel.core.clock import now
from panel.core.domain import ObjectRef
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import db
from panel.storage.models import AuditEntry
from panel.web.admin.audit import LABELS

TRAIL = "/admin/audit"
ANNA = Actor("anna", "session", "tab", "LP-AAAA-01")
AGENT = Actor("agent", "token", "MCP", "LP-BBBB-02")


def plant(
    app: Flask, deed: AuditAction = AuditAction.LINK, by: Actor = ANNA, at: datetime | None = None, **more: Any
) -> None:
    with app.app_context():
        known = {"subject": "101", "obj": CASE, "integration": "openproject", **more}
        line = {**audit.line(deed, by, **known), "at": at or now()}
        db.session.execute(insert(AuditEntry).values(line))
        db.session.commit()


def words(text: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", text).split()))


def shown(page: str) -> set[str]:
    """What the lines of a page speak of."""
    return set(re.findall(r"<dt>What</dt><dd>[^<]*<code>([^<]*)</code>", page))


# --- the page --------------------------------------------------------------------------------------------------------


def test_a_line_tells_who_did_what_to_which_object_and_how(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, AuditAction.UPDATE, detail="status, assignee")

    page = as_admin.get(TRAIL)

    assert re.search(
        r"anna Changed upstream openproject 101 status, assignee demo/case/1 tab Time 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}",
        words(page.text),
    )
    assert "Who anna What openproject 101 Detail status, assignee Object demo/case/1" in words(page.text)
    assert {"/objects/demo/case/1", "/admin/audit?object=demo/case/1", "/admin/calls?text=LP-AAAA-01"} <= set(
        links(page)
    )


def test_the_page_stands_in_the_navigation_and_says_what_it_keeps(as_admin: FlaskClient) -> None:
    page = as_admin.get(TRAIL)

    assert '<a href="/admin/audit" aria-current="page">Audit</a>' in page.text
    assert "The panel never changes or removes a line. Never recorded: secrets, texts and titles." in words(page.text)


def test_a_trail_without_lines_says_so(app: Flask, as_admin: FlaskClient) -> None:
    assert "No matching lines Change the filters above." in words(as_admin.get(f"{TRAIL}?who=nobody").text)


def test_a_new_panel_has_no_lines_yet(app: Flask) -> None:
    alice = signed_in_client(app, "alice", "admin")
    with app.app_context():
        db.session.execute(text("DROP TRIGGER audit_entry_no_delete"))
        db.session.execute(delete(AuditEntry))
        db.session.commit()

    assert "No lines yet Every change is recorded here." in words(alice.get(TRAIL).text)


@pytest.mark.parametrize("deed", AuditAction)
def test_every_action_has_a_label_and_a_filter(app: Flask, as_admin: FlaskClient, deed: AuditAction) -> None:
    plant(app, deed, subject=f"thing-{deed}")
    plant(app, AuditAction.LINK if deed is not AuditAction.LINK else AuditAction.UNLINK, subject="another")

    page = as_admin.get(f"{TRAIL}?deed={deed}")

    assert shown(page.text) == {f"thing-{deed}"}
    assert f'<option value="{deed}" selected>{LABELS[deed]}</option>' in html.unescape(page.text)


def test_an_action_of_a_later_version_is_shown_by_its_identifier(app: Flask, as_admin: FlaskClient) -> None:
    with app.app_context():
        line = {**audit.line(AuditAction.LINK, ANNA), "deed": "moved-house"}
        db.session.execute(insert(AuditEntry).values(line))
        db.session.commit()

    assert "anna moved-house" in words(as_admin.get(TRAIL).text)


def test_a_name_says_who_vouches_for_it(app: Flask, as_admin: FlaskClient) -> None:
    with app.app_context():
        apps = app.extensions["leafpanel"].embed_apps
        apps.create("Cases", ["https://cases.example.org"], by=ALICE)
        kind = f"embed:{apps.named('Cases').id}"
    for by in (
        Actor("alice (Cases)", kind, "embed"),
        Actor("bob", kind, "embed"),
        Actor("eve", "embed:gone", "embed"),
        AGENT,
        Actor("console", "local:root", "console"),
    ):
        plant(app, by=by)

    page = words(as_admin.get(f"{TRAIL}?deed=link").text)

    assert "alice (Cases) Linked" in page
    for who in (
        "alice (Cases), named by an embedding application",
        "bob (Cases), named by an embedding application",
        "eve (a deleted application), named by an embedding application",
        "agent, API token",
        "console, account root",
    ):
        assert f"Who {who} What" in page


def test_text_of_a_line_is_no_markup(app: Flask, as_admin: FlaskClient) -> None:
    evil = Actor("<b>bob", "token", "<i>x", "<u>r")
    plant(
        app,
        by=evil,
        subject="<script>alert(1)",
        detail="<img src=x>",
        obj=ObjectRef("<a>", "<b>", "<p>"),
        integration="<em>",
    )

    page = as_admin.get(TRAIL).text

    for markup in ("<script>alert", "<b>bob", "<i>x", "<u>r", "<img src=x", "<em>", "<p>/"):
        assert markup not in page


@pytest.mark.parametrize("role", ["viewer", "editor", None])
@pytest.mark.parametrize("path", [TRAIL, f"{TRAIL}.csv", f"{TRAIL}.json"])
def test_the_trail_is_for_administrators(app: Flask, client: FlaskClient, role: str | None, path: str) -> None:
    plant(app, subject="canary-7")
    visitor = signed_in_client(app, "bob", role) if role else client

    answer = visitor.get(path)

    assert answer.status_code == (403 if role else 303)
    assert "canary-7" not in answer.text


# --- asking for lines ------------------------------------------------------------------------------------------------

DAY = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.fixture
def trail(app: Flask, as_admin: FlaskClient) -> FlaskClient:
    plant(app, AuditAction.LINK, ANNA, DAY, subject="A")
    plant(
        app,
        AuditAction.CREATE,
        AGENT,
        DAY + timedelta(days=1),
        subject="B",
        integration="xwiki",
        obj=ObjectRef("demo", "case", "a/b"),
    )
    plant(
        app,
        AuditAction.UNLINK,
        ANNA,
        DAY + timedelta(days=2),
        subject="C",
        obj=ObjectRef("other", "case", "1"),
        detail="50%_x",
    )
    return as_admin


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("who=anna", "AC"),
        ("who=ANN", "AC"),
        ("deed=create", "B"),
        ("deed=no-such-deed", ""),
        ("integration=xwiki", "B"),
        ("integration=nowhere", ""),
        ("object=demo", "AB"),
        ("object=demo/case", "AB"),
        ("object=demo/case/1", "A"),
        ("object=demo/case/1/", "A"),
        ("object=demo/case/a%2Fb", "B"),
        ("object=demo/case/a%252Fb", "B"),
        ("object=dem", ""),
        ("object=/", "ABC"),
        ("since=2026-03-15&until=2026-03-16", "BC"),
        ("until=2026-03-14", "A"),
        ("since=2026-03-15&until=2026-03-15", "B"),
        ("since=2026-03-16&until=2026-03-15", ""),
        ("text=LP-BB", "B"),
        ("text=lp-bb", "B"),
        ("text=%25_", "C"),
        ("text=C", "C"),
        ("who=anna&object=other&until=2026-03-16", "C"),
        ("before=notanumber", "ABC"),
        ("before=-3", "ABC"),
        ("before=99999999999999999999999999", "ABC"),
    ],
)
def test_lines_are_chosen_by(trail: FlaskClient, query: str, lines: str) -> None:
    until = "" if "until" in query else "&until=2026-03-20"

    page = trail.get(f"{TRAIL}?{query}{until}").text
    table = csv.DictReader(io.StringIO(trail.get(f"{TRAIL}.csv?{query}{until}").text))
    data = json.loads(trail.get(f"{TRAIL}.json?{query}{until}").text)

    assert shown(page) == set(lines)
    assert [row["subject"] for row in table] == sorted(lines, reverse=True)
    assert [row["subject"] for row in data] == sorted(lines, reverse=True)


def test_a_day_lasts_from_its_midnight_to_the_next(app: Flask, as_admin: FlaskClient) -> None:
    begin = datetime(2026, 3, 14).astimezone()
    for subject, at in (
        ("early", begin),
        ("late", begin + timedelta(days=1, seconds=-1)),
        ("next", begin + timedelta(days=1)),
    ):
        plant(app, subject=subject, at=at)

    assert shown(as_admin.get(f"{TRAIL}?since=2026-03-14&until=2026-03-14").text) == {"early", "late"}


def test_an_application_is_found_by_its_name(app: Flask, as_admin: FlaskClient) -> None:
    with app.app_context():
        apps = app.extensions["leafpanel"].embed_apps
        apps.create("Cases", ["https://cases.example.org"], by=ALICE)
        plant(app, by=Actor("carol", f"embed:{apps.named('Cases').id}", "embed"), subject="through cases")
    plant(app, subject="another")

    assert shown(as_admin.get(f"{TRAIL}?who=cases").text) == {"through cases"}


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-13-01", "0001-01-01", "9999-12-31", "2026-02-30", "1", "' OR 1=1"]
)
@pytest.mark.parametrize("field", ["since", "until"])
def test_a_day_that_is_none_is_said_and_nothing_is_shown(trail: FlaskClient, field: str, value: str) -> None:
    page = trail.get(TRAIL, query_string={field: value})
    file = trail.get(f"{TRAIL}.csv", query_string={field: value})

    assert (page.status_code, shown(page.text)) == (422, set())
    assert "Write the day as 2026-10-31." in page.text
    assert f'id="{field}-error"' in page.text
    assert (file.status_code, "anna" in file.text) == (400, False)


@pytest.mark.parametrize("field", ["who", "deed", "object", "integration", "since", "until", "text", "before"])
@pytest.mark.parametrize("value", ["\x00", "%", "\\", "a" * 5000, "/" * 500, "\ud83d\ude00", "-1", "1e9", "İ"])
def test_no_typed_text_is_a_failure_of_ours(trail: FlaskClient, field: str, value: str) -> None:
    text = value.encode("utf-16", "surrogatepass").decode("utf-16")

    for path in (TRAIL, f"{TRAIL}.csv", f"{TRAIL}.json"):
        assert trail.get(path, query_string={field: text}).status_code in (200, 400, 422)


def test_what_was_asked_for_stays_in_the_form(trail: FlaskClient) -> None:
    page = trail.get(
        f"{TRAIL}?who=%22anna&object=demo/case/1&since=2026-03-01&until=2026-03-31&text=LP&integration=xwiki"
    ).text

    for typed in ('name="who" type="search" value="&#34;anna"', 'value="demo/case/1"', 'value="2026-03-01"', 'value="2026-03-31"',
                 'value="LP"', '<option value="xwiki" selected>'):  # fmt: skip
        assert typed in page


def test_pages_keep_what_was_asked_for_and_lead_back(app: Flask, as_admin: FlaskClient) -> None:
    for number in range(120):
        plant(app, subject=str(number))
    plant(app, AuditAction.UNLINK)

    first = as_admin.get(f"{TRAIL}?deed=link")
    second = as_admin.get(next(link for link in links(first) if "before=" in link).replace("&amp;", "&"))
    marks = [link.replace("&amp;", "&") for link in links(second)]

    assert "1–50 of 120" in first.text
    assert "51–100 of 120" in second.text
    assert f"{TRAIL}?deed=link" in marks
    third = as_admin.get(next(mark for mark in marks if "before=" in mark))
    assert "101–120 of 120" in third.text
    assert shown(third.text) == {str(number) for number in range(20)}


def test_the_reference_of_an_answer_is_found(app: Flask, connected: Flask, as_admin: FlaskClient, bearer: Any) -> None:
    answer = app.test_client().post(f"{CASE_PATH}/openproject", json={"reference": "101"}, headers=bearer("write"))

    page = as_admin.get(f"{TRAIL}?text={answer.headers['X-Request-Id']}")

    assert answer.status_code == 201
    assert "<details open>" in page.text
    assert "write token Linked openproject 101 demo/case/1 JSON" in words(page.text)


# --- files and command -----------------------------------------------------------------------------------------------


def test_the_files_hold_every_field_of_a_line(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, AuditAction.UPDATE, detail="status", at=DAY)

    table = as_admin.get(f"{TRAIL}.csv?deed=update")
    data = as_admin.get(f"{TRAIL}.json?deed=update")

    assert (table.content_type, data.content_type) == ("text/csv; charset=utf-8", "application/json")
    assert 'filename="leafpanel-audit-' in table.headers["Content-Disposition"]
    assert table.text.splitlines() == [
        "time,deed,who,kind,face,reference,register,schema,object id,integration,subject,detail",
        "2026-03-14T12:00:00.000+00:00,update,anna,session,tab,LP-AAAA-01,demo,case,1,openproject,101,status",
    ]
    assert json.loads(data.text) == [
        {"at": "2026-03-14T12:00:00.000+00:00", "deed": "update", "who": "anna", "kind": "session", "face": "tab",
         "requestId": "LP-AAAA-01", "register": "demo", "schema": "case", "objectId": "1", "integration": "openproject",
         "subject": "101", "detail": "status"}
    ]  # fmt: skip


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
@pytest.mark.parametrize("column", ["who", "object id", "subject", "detail"])
def test_no_cell_is_a_formula(app: Flask, as_admin: FlaskClient, start: str, column: str) -> None:
    evil = f"{start}HYPERLINK(1)"
    plant(
        app,
        AuditAction.UPDATE,
        Actor(evil, "session", "tab"),
        obj=ObjectRef(evil, evil, evil),
        subject=evil,
        detail=evil,
    )

    file = as_admin.get(f"{TRAIL}.csv?deed=update").text
    row = next(csv.DictReader(io.StringIO(file, newline="")))

    assert row[column] == f"'{evil}"


@pytest.mark.parametrize("count", [0, 1, 1000, 1001, 2300])
def test_all_lines_come_along_past_one_portion(app: Flask, as_admin: FlaskClient, count: int) -> None:
    with app.app_context():
        lines = [audit.line(AuditAction.UPDATE, ANNA, subject=str(number)) for number in range(count)]
        if lines:
            db.session.execute(insert(AuditEntry), lines)
            db.session.commit()

    data = json.loads(as_admin.get(f"{TRAIL}.json?deed=update").text)
    table = as_admin.get(f"{TRAIL}.csv?deed=update").text

    assert [row["subject"] for row in data] == [str(number) for number in reversed(range(count))]
    assert len(table.splitlines()) == count + 1


def test_a_file_is_sent_while_it_is_read(app: Flask, as_admin: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(insert(AuditEntry), [audit.line(AuditAction.UPDATE, ANNA)] * 1500)
        db.session.commit()

    answer = as_admin.get(f"{TRAIL}.csv?deed=update", buffered=False)
    other = as_admin.get(TRAIL)
    chunks = list(answer.iter_encoded())

    assert answer.is_streamed
    assert len(chunks) == 4
    assert len(b"".join(chunks).splitlines()) == 1501
    assert other.status_code == 200


def test_the_command_prints_what_there_is(app: Flask) -> None:
    plant(app, AuditAction.UPDATE, detail="status", at=datetime(2026, 3, 14, 12, tzinfo=UTC))
    plant(
        app, AuditAction.LINK, Actor("eve\x1b[2J", "token", "MCP"), at=datetime(2026, 5, 1, tzinfo=UTC), subject="x\ny"
    )

    def run(*options: str) -> str:
        result = app.test_cli_runner().invoke(args=["audit", *options])
        assert result.exit_code == 0, result.output
        return result.output

    assert re.search(
        r"2026-03-14 \d\d:\d\d:\d\d\S+ +anna +tab +update +openproject 101 status demo/case/1 LP-AAAA-01\n", run()
    )
    assert [line.split()[3] for line in run().splitlines()] == ["MCP", "tab"]
    assert "\x1b" not in run()
    assert "anna" not in run("--since", "2026-04-01")
    assert [row["deed"] for row in json.loads(run("--json"))] == ["link", "update"]
    assert json.loads(run("--json", "--since", "2027-01-01")) == []


def test_the_command_says_which_moment_it_did_not_understand(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["audit", "--since", "yesterday"])

    assert result.exit_code == 2
    assert "'yesterday'" in result.stderr
