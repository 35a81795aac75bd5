"""The call log as administrators see it, its CSV, and what the overview takes from it."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import links, post
from sqlalchemy import insert
from support import CASE_PATH, Upstreams

from panel.core.clock import now
from panel.core.domain import Problem
from panel.core.reasons import Reason
from panel.storage.engine import db
from panel.storage.models import Call
from panel.web.admin.calls import size
from panel.web.reason_words import remedy_of

LOG = "/admin/calls"


def plant(app: Flask, **values: object) -> None:
    line = {"at": now(), "source": "xwiki", "face": "tab", "principal": "alice", "request_id": "LP-AAAA-01",
            "method": "GET", "path": "/rest", "status": 200, "reason": None, "ms": 142, "size": 18_000,
            **values}  # fmt: skip
    with app.app_context():
        db.session.execute(insert(Call).values(**line))
        db.session.commit()


def words(text: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", text).split()))


def test_an_empty_log_says_so_and_what_it_keeps(as_admin: FlaskClient) -> None:
    page = words(as_admin.get(LOG).text)

    assert 'aria-current="page">Sources</a>' in as_admin.get(LOG).text
    assert "No calls yet Every call to a source gets a line here." in page
    assert "Kept for 7 days. Never logged: bodies, credentials, query values." in page


def test_a_line_tells_what_was_asked_and_how_it_ended(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, path="/rest/wikis/xwiki/query?q=…")

    page = words(as_admin.get(LOG).text)

    assert re.search(
        r"\d\d:\d\d:\d\d\.\d{3} xwiki tab GET /rest/wikis/xwiki/query\?q=… Succeeded: 200, 18 kB 142 ms", page
    )


def test_a_failure_opens_to_its_cause_its_reference_and_what_helps(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, source="openproject", status=401, reason="authentication-expired")

    page = as_admin.get(LOG)

    assert "Cause provider-auth / authentication-expired Request GET /rest Came back 401, 18 kB" in words(page.text)
    assert "Reference LP-AAAA-01 What helps Reconnect the source. Open openproject" in words(page.text)
    assert "/admin/sources/openproject" in links(page)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_remedy_and_is_shown(app: Flask, as_admin: FlaskClient, reason: Reason) -> None:
    plant(app, reason=reason.value, status=None, method="", path="")

    page = words(as_admin.get(LOG).text)

    assert f"Cause {reason.cause.value} / {reason.value} Came back Nothing was sent." in page
    assert f"What helps {remedy_of(Problem(reason, ''))}" in page


def test_the_reference_of_an_answer_is_found(connected: Flask, as_admin: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.xwiki.fault = "server-error"
    answer = as_admin.get(f"{CASE_PATH}/xwiki")
    reference = answer.headers["X-Request-Id"]

    page = words(as_admin.get(f"{LOG}?text={reference}").text)

    assert answer.status_code == 503
    assert f"Reference {reference}" in page
    assert "upstream-service-down / server-error" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("source=xwiki", {"/a", "/c"}),
        ("outcome=failed", {"/b", "/c"}),
        ("outcome=ok", {"/a"}),
        ("outcome=timeout", {"/b"}),
        ("face=MCP", {"/b"}),
        ("text=LP-BB", {"/b"}),
        ("text=/a", {"/a"}),
        ("period=day", {"/a", "/b"}),
        ("period=hour&outcome=failed", {"/b"}),
        ("source=xwiki&outcome=failed&period=", {"/c"}),
        ("source=nowhere", set()),
        ("before=notanumber", {"/a", "/b", "/c"}),
    ],
)
def test_lines_are_chosen_by(app: Flask, as_admin: FlaskClient, query: str, shown: set[str]) -> None:
    plant(app, path="/a")
    plant(app, path="/b", source="openproject", face="MCP", request_id="LP-BBBB-02", status=None, reason="timeout")
    plant(app, path="/c", at=now() - timedelta(days=2), status=500, reason="server-error")

    page = as_admin.get(f"{LOG}?{query}").text
    file = as_admin.get(f"/admin/calls.csv?{query}").text

    assert set(re.findall(r'<span class="ad-by">GET</span> (/\w)<', page)) == shown
    assert {row["path"] for row in csv.DictReader(io.StringIO(file))} == shown


def test_pages_keep_what_was_chosen(app: Flask, as_admin: FlaskClient) -> None:
    for number in range(60):
        plant(app, path=f"/{number}")
    plant(app, source="openproject")

    first = as_admin.get(f"{LOG}?source=xwiki")
    older = next(link for link in links(first) if "before=" in link).replace("&amp;", "&")
    second = as_admin.get(older)

    assert "1–50 of 60" in first.text
    assert "51–60 of 60" in second.text
    assert "/admin/calls?source=xwiki" in links(second)


def test_text_of_a_line_is_no_markup(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, path="/<script>alert(1)</script>", principal="<b>bob</b>", source="<i>x</i>")

    page = as_admin.get(f"{LOG}?text=%3Cscript").text

    assert "<script>alert" not in page
    assert "<b>bob" not in page
    assert "<i>x" not in page


def test_the_page_asks_no_upstream(connected: Flask, as_admin: FlaskClient, upstreams: Upstreams) -> None:
    with upstreams.xwiki.counting() as requests:
        as_admin.get(f"{LOG}?source=xwiki")

    assert requests == []


def test_one_source_shows_its_last_day_in_a_picture_that_the_policy_allows(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, ms=100)
    plant(app, ms=300, status=None, reason="timeout")

    page = as_admin.get(f"{LOG}?source=xwiki").text

    assert "Last 24 hours: 2 calls, 1 failed, slowest hour 300 ms." in page
    assert "<rect " in page
    assert " style=" not in page
    assert "p50 100 ms p95 300 ms" in words(page)


def test_the_picture_and_the_last_failure_stand_beside_the_source(connected: Flask, as_admin: FlaskClient) -> None:
    plant(connected, status=None, reason="timeout")

    page = as_admin.get("/admin/sources/xwiki")

    assert re.search(r"1 call 1 failed Last failure \d\d:\d\d , timeout", words(page.text))
    assert "/admin/calls?source=xwiki" in links(page)


# --- CSV -------------------------------------------------------------------------------------------------------------


def test_the_csv_holds_the_lines_and_no_more(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, source="openproject", status=401, reason="authentication-expired", path="/api/v3?a=…")

    answer = as_admin.get("/admin/calls.csv")
    row = next(csv.DictReader(io.StringIO(answer.text)))

    assert answer.content_type == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert (row["cause"], row["reason"], row["status"]) == ("provider-auth", "authentication-expired", "401")
    assert (row["path"], row["reference"], row["on behalf of"]) == ("/api/v3?a=…", "LP-AAAA-01", "alice")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_csv_is_a_formula(app: Flask, as_admin: FlaskClient, start: str) -> None:
    plant(app, principal=f"{start}HYPERLINK(1)")

    row = next(csv.DictReader(io.StringIO(as_admin.get("/admin/calls.csv").text, newline="")))

    assert row["on behalf of"] == f"'{start}HYPERLINK(1)"


def test_all_lines_come_along_past_one_portion(app: Flask, as_admin: FlaskClient) -> None:
    for _ in range(3):
        with app.app_context():
            line = {"at": now(), "source": "xwiki", "face": "tab", "principal": "a", "request_id": "r",
                    "method": "GET", "path": "/", "ms": 1}  # fmt: skip
            db.session.execute(insert(Call), [line] * 700)
            db.session.commit()

    assert len(as_admin.get("/admin/calls.csv").text.splitlines()) == 2101


# --- overview --------------------------------------------------------------------------------------------------------


def test_the_overview_tells_the_last_day_and_the_latest_failures(app: Flask, as_admin: FlaskClient) -> None:
    plant(app)
    plant(app, ms=240)
    plant(app, source="openproject", status=None, reason="timeout", ms=5000, face="JSON")

    page = words(as_admin.get("/admin/").text)

    assert re.search(r"xwiki 2 0 240 ms openproject 1 1 5\.0 s", page)
    assert re.search(r"Latest failures Call log \d\d:\d\d openproject timeout JSON", page)


def test_the_overview_refreshes_itself_without_asking_anybody(
    connected: Flask, as_admin: FlaskClient, upstreams: Upstreams
) -> None:
    page = as_admin.get("/admin/").text
    with upstreams.xwiki.counting() as wiki, upstreams.openproject.counting() as tracker:
        part = as_admin.get("/admin/integrations", headers={"HX-Request": "true"})

    assert re.search(r'hx-get="/admin/integrations" hx-trigger="every (1[7-9]|2[0-3])s" hx-swap="outerMorph"', page)
    assert part.text.lstrip().startswith('<div id="integrations-now"')
    assert "Vary" in part.headers
    assert (wiki, tracker) == ([], [])
    assert as_admin.get("/admin/integrations").location == "/admin/"


def test_a_check_is_seen_by_the_next_refresh(connected: Flask, as_admin: FlaskClient) -> None:
    before = words(as_admin.get("/admin/integrations", headers={"HX-Request": "true"}).text)

    post(as_admin, "/admin/check")

    after = words(as_admin.get("/admin/integrations", headers={"HX-Request": "true"}).text)
    assert "not checked yet" in before
    assert "not checked yet" not in after


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (18_000, "18 kB"), (999_499, "999 kB"), (1_234_567, "1.2 MB")]
)
def test_sizes_are_short(count: int, shown: str) -> None:
    assert size(count) == shown


# --- served ----------------------------------------------------------------------------------------------------------


def test_a_line_says_how_many_callers_it_served(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, served=12)

    page = words(as_admin.get("/admin/calls").text)
    row = next(csv.DictReader(io.StringIO(as_admin.get("/admin/calls.csv").text)))

    assert "Took Served" in page
    assert "12 callers served" in page
    assert "One request answered 12 callers." in page
    assert row["served"] == "12"


def test_a_line_without_a_call_served_nobody(app: Flask, as_admin: FlaskClient) -> None:
    plant(app, method="", path="", status=None, reason="source-missing")

    assert "served" not in words(as_admin.get("/admin/calls").text.partition("<ol>")[2].partition("</ol>")[0])
