"""The log: a line with a UTC time for each failed sign-in and each refusal, without what was typed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest
from agents import Served
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, post
from support import CONSOLE, signed_in_client

from panel.web.log_lines import UtcFormatter

PASSWORD = "correct horse battery"
ADDRESS = {"REMOTE_ADDR": "192.0.2.9"}

Lines = Callable[[], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The lines as the panel writes them, without the reference of the request."""
    return lambda: [
        re.sub("LP-[0-9A-Z]+-[0-9]{2}", "LP", UtcFormatter().format(record))
        for record in caplog.records
        if record.name == "panel.web.log_lines"
    ]


def test_a_failed_sign_in_leaves_a_line_with_the_known_name(app: Flask, client: FlaskClient, lines: Lines) -> None:
    Behind(app).people.create("Bob", PASSWORD, role="editor", by=CONSOLE)

    post(client, "/admin/sign-in", {"name": "bob", "password": "not it"}, environ_overrides=ADDRESS)

    [line] = lines()
    form = (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING panel\.web\.log_lines: LP 401 POST /admin/sign-in from 192\.0\.2\.9, "
    )
    assert re.fullmatch(form + "wrong password for “Bob”", line)


def test_an_unknown_name_is_never_written(client: FlaskClient, lines: Lines) -> None:
    for name in ("hunter2-canary", "HUNTER2-canary", "another-canary"):
        post(client, "/admin/sign-in", {"name": name, "password": "pw-canary"}, environ_overrides=ADDRESS)

    digests = [re.findall("the unknown name ([0-9a-f]{12})$", line)[0] for line in lines()]
    assert "canary" not in "".join(lines()).lower()
    assert digests[0] == digests[1] != digests[2]


def test_a_throttled_sign_in_and_a_wrong_current_password_leave_a_line(
    app: Flask, client: FlaskClient, lines: Lines
) -> None:
    Behind(app).people.create("bob", PASSWORD, role="editor", by=CONSOLE)
    for n in range(11):
        post(client, "/admin/sign-in", {"name": "bob", "password": f"wrong {n}"}, environ_overrides=ADDRESS)
    alice = signed_in_client(app, "alice", "admin")
    post(alice, "/admin/password", {"current": "wrong", "password": PASSWORD, "again": PASSWORD})

    assert lines()[10].endswith("LP 429 POST /admin/sign-in from 192.0.2.9, too many wrong passwords for “bob”")
    expected = "LP 422 POST /admin/password from 127.0.0.1, by “alice” (session), wrong password for “alice”"
    assert lines()[11].endswith(expected)


def test_a_refused_request_leaves_a_line_without_its_query(
    app: Flask, client: FlaskClient, bearer: Callable[[str], dict[str, str]], lines: Lines
) -> None:
    wrong = {"Authorization": "Bearer lpt_canary"}
    client.get("/api/sources?token=canary", headers=wrong, environ_overrides=ADDRESS)
    client.get("/api/sources", headers=bearer("read"), environ_overrides=ADDRESS)
    signed_in_client(app, "vic", "viewer").get("/admin/people", environ_overrides=ADDRESS)
    client.get("/api/sources", headers=bearer("admin"), environ_overrides=ADDRESS)

    assert [line.partition(": LP ")[2] for line in lines()] == [
        "401 GET /api/sources from 192.0.2.9",
        "403 GET /api/sources from 192.0.2.9, by “read token” (token)",
        "403 GET /admin/people from 192.0.2.9, by “vic” (session)",
    ]


def test_a_path_cannot_add_a_line(client: FlaskClient, lines: Lines) -> None:
    client.get("/api/objects/demo/case/1%0A2026-01-01T00:00:00Z/integrations", environ_overrides=ADDRESS)

    assert "\n" not in "".join(lines())
    assert len(lines()) == 1


def test_every_line_of_the_panel_has_a_utc_time(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("panel.links.service").warning("something")

    shown = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING panel\.links\.service: something\n", shown)


def test_a_call_that_mcp_refuses_inside_an_answer_leaves_a_line(served: Served, lines: Lines) -> None:
    with served.agent(scope="read") as agent:
        agent.failure("link", "xwiki", objectId="1\n2", payload={"reference": "canary"})

    [line] = lines()
    assert line.endswith(": LP 403 MCP link/xwiki/demo/case/1%0A2, by “read agent” (token)")
