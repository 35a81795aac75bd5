"""From statuses and headers to a reason, a sentence and a wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import time_machine
from connectors import conversation, problem_of
from faults import FaultServer

from panel.connector.classify import problem_of_status, retry_after
from panel.connector.endpoint import parse_endpoint
from panel.core.reasons import Reason

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WIKI = parse_endpoint("https://wiki.test")

WAITS = [
    ("7", 7), ("0", 1), ("-5", 1), ("+8", 8), ("1.5", 1.5), (" 9 ", 9), ("301", 300), ("999999999", 300),
    ("9" * 5000, 300),
    (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
    (format_datetime(NOW - timedelta(days=1), usegmt=True), 1),
    (format_datetime(NOW + timedelta(days=400), usegmt=True), 300), ("Tue, 24 Nov 2026 12:00:30", 30),
    ("Tuesday, 24-Nov-26 12:00:20 GMT", 20), ("", None), ("soon", None), ("1e3", None), ("nan", None), ("inf", None),
    ("٧", None),
    ("Tue, 99 Nov 2026 12:00:30 GMT", None), ("Tue, 24 Nov 99999999999 12:00:30 GMT", None), ("0x10", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), WAITS)
def test_retry_after_in_every_form(text: str, seconds: float | None) -> None:
    with time_machine.travel(NOW, tick=False):
        assert retry_after({"retry-after": text}) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit-reset": str(int(NOW.timestamp()) + 40)}, 40),
        ({"ratelimit-reset": "40"}, 40),
        ({"ratelimit-reset": str(int(NOW.timestamp()) - 40)}, 1),
        ({"ratelimit-reset": "40", "retry-after": "7"}, 7),
        ({"ratelimit-reset": "40", "retry-after": "soon"}, 40),
        ({}, None),
    ],
)
def test_a_429_may_say_when_its_limit_resets(headers: dict[str, str], seconds: float | None) -> None:
    with time_machine.travel(NOW, tick=False):
        problem = problem_of_status(429, headers, WIKI)

    assert (problem.reason, problem.retry_after) == (Reason.RATE_LIMITED, seconds)


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (503, {"retry-after": "9"}, Reason.RATE_LIMITED), (503, {}, Reason.SERVER_ERROR),
        (503, {"retry-after": "soon"}, Reason.SERVER_ERROR),
        (500, {"retry-after": "9"}, Reason.SERVER_ERROR), (502, {}, Reason.SERVER_ERROR),
        (503, {"ratelimit-reset": "9"}, Reason.SERVER_ERROR),
    ],
)  # fmt: skip
def test_only_a_503_that_names_a_wait_is_a_limit(status: int, headers: dict[str, str], reason: Reason) -> None:
    assert problem_of_status(status, headers, WIKI).reason is reason


@pytest.mark.parametrize("status", ["401", "403", "500", "502", "503"])
def test_refusals_have_one_sentence(faults: FaultServer, status: str) -> None:
    problem = problem_of(lambda: conversation(faults).get(status))

    assert problem.message == f"Upstream service answered HTTP {status}."


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("301", "to https://elsewhere.test;"), ("302", "to http://elsewhere.test:8443;"),
        ("303", "redirects to another path of itself, /ok: most often a sign-in page or a missing slash;"),
        ("302-sign-in", "to another path of itself, /xwiki/bin/signin/%3C%3E:"),
        ("307", "to http://elsewhere.test;"), ("302-odd", "to an address that cannot be read;"),
        ("302-markup", "to an address that cannot be read;"), ("302-nowhere", "to an address that cannot be read;"),
    ],
)  # fmt: skip
def test_a_redirect_shows_where_to_and_nothing_more(faults: FaultServer, name: str, shown: str) -> None:
    message = problem_of(lambda: conversation(faults).get(name)).message

    assert shown in message
    assert not any(word in message for word in ("login", "secret", "user", "pw", "script", "alert"))


def test_a_failure_inside_somebody_elses_failure_has_its_own_reason(faults: FaultServer) -> None:
    try:
        raise TimeoutError("of another matter")
    except TimeoutError:
        problem = problem_of(lambda: conversation(faults).get("short-body"))

    assert problem.reason is Reason.CONNECT
