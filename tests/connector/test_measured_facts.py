"""Measured faults of the libraries underneath: the connector has none of them. One test for each."""

from __future__ import annotations

import gc
import itertools
import json
import logging
import socket
import traceback
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from connectors import (
    BASIC,
    CALLER,
    DEADLINE,
    KEY,
    LATEST,
    TOKEN,
    connector,
    conversation,
    failure_of,
    listed,
    problem_of,
    source,
    timed,
)
from faults import FAULTS, FaultServer, plain, refused

from panel.connector import Auth
from panel.core.reasons import Reason

AUTHS = [BASIC, TOKEN, KEY]
METHODS = ["GET", "POST"]
REDIRECTS = ["301", "302", "303", "307", "308"]
LOCATIONS = ["http://{other}/ok", "//{other}/ok", "http://{same}/ok", "/ok", "http://a:b@{other}/ok"]
PAIRWISE = [
    (AUTHS[(row + column) % 3], METHODS[(row + column) % 2], status, location)
    for row, status in enumerate(REDIRECTS)
    for column, location in enumerate(LOCATIONS)
]
"""25 of the 150 combinations, in which every two values of different parameters meet."""


def test_every_two_values_meet_in_a_combination() -> None:
    for one, other in itertools.combinations(range(4), 2):
        values = [{case[position] for case in PAIRWISE} for position in (one, other)]
        assert {(case[one], case[other]) for case in PAIRWISE} == set(itertools.product(*values))
    assert [len({case[position] for case in PAIRWISE}) for position in range(4)] == [3, 2, 5, 5]


@pytest.mark.parametrize(("auth", "method", "status", "way"), PAIRWISE)
def test_m01_no_redirect_carries_anything_anywhere(
    faults: FaultServer, auth: Auth, method: str, status: str, way: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        location = way.format(other=f"127.0.0.1:{other.getsockname()[1]}", same=faults.host_port)
        plain("moved", f"{status} Moved", Location=location)
        before = len(faults.seen)

        problem = problem_of(lambda: conversation(faults, auth=auth).send(method, "moved", body=b"x"))

        assert problem.reason is Reason.UNEXPECTED_REDIRECT
        assert len(faults.seen) == before + 1
        with pytest.raises(BlockingIOError):
            other.accept()
    del FAULTS["moved"]


@pytest.mark.parametrize(
    ("segment", "wire"),
    [
        ("%2e%2e", "%252e%252e"),
        ("%2e%2e/%2e%2e/admin", "%252e%252e%2F%252e%252e%2Fadmin"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("..%2f", "..%252f"),
        ("%7e~", "%257e~"),
    ],
)
def test_m02_escapes_arrive_as_they_were_built(faults: FaultServer, segment: str, wire: str) -> None:
    upstream = connector(faults.host_port).open(source(f"{faults.url}/r%7Eot/%2a"), CALLER)

    assert upstream.get("api", segment, "echo").object()["line"] == f"GET /r%7Eot/%2a/api/{wire}/echo HTTP/1.1"


@pytest.mark.parametrize("name", ["head-drip", "status-drip", "body-drip", "chunk-drip"])
def test_m03_a_drip_does_not_outlive_the_deadline(faults: FaultServer, name: str) -> None:
    upstream = conversation(faults, seconds=DEADLINE)

    failure, took = timed(lambda: upstream.get(name))

    assert failure.reason is Reason.TIMEOUT
    assert DEADLINE * 0.8 < took < LATEST


@pytest.mark.alone
def test_m03_one_deadline_covers_all_calls_of_a_conversation(faults: FaultServer) -> None:
    upstream = conversation(faults, seconds=DEADLINE)
    upstream.get("ok")
    failure_of(lambda: upstream.get("hang"))

    failure, took = timed(lambda: upstream.get("ok"))

    assert failure.reason is Reason.TIMEOUT
    assert took < 0.25


def test_m04_netrc_and_proxies_of_the_environment_do_not_matter(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1\nlogin evil\npassword evil\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    headers = dict(conversation(faults, auth=TOKEN).get("echo").object()["headers"])
    anonymous = dict(conversation(faults).get("echo").object()["headers"])

    assert headers["Authorization"] == "Bearer canary-token"
    assert "Authorization" not in anonymous


def test_m04_tls_keys_are_not_written_where_the_environment_says(
    tls_faults: FaultServer, ca_file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    conversation(tls_faults, ca_file=ca_file).get("ok")

    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("name", ["gzip-bomb", "302-bomb", "negative-chunk", "endless-header", "object-bomb"])
def test_m05_a_bomb_costs_little_memory(faults: FaultServer, name: str) -> None:
    upstream = conversation(faults)
    gc.collect()
    tracemalloc.start()

    failure_of(lambda: upstream.get(name).json())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 64 * 2**20


def test_m06_no_failure_tells_query_or_credential(faults: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    query = [("q", "canary-query")]
    told = ""

    with refused() as root:
        dead = connector(root.removeprefix("http://")).open(source(root, auth=BASIC), CALLER)
        told += told_by(lambda: dead.get("x", query=query))
    for name in FAULTS:
        upstream = conversation(faults, seconds=0.3, auth=BASIC)
        told += told_by(lambda upstream=upstream, name=name: upstream.get(name, query=query))

    assert len(told) > 10_000
    for text in (told, caplog.text):
        assert "canary" not in text
        assert "YWxpY2U6Y2FuYXJ5" not in text
        assert "own words" not in text


def told_by(work: Callable[[], object]) -> str:
    """Everything that a log, a crash report or a debugger could show of a failure, local variables included."""
    exc: Exception | None = None
    try:
        work()
    except Exception as caught:
        exc = caught
    if exc is None:
        return ""
    assert (exc.__cause__, exc.__context__) == (None, None)
    shown = traceback.TracebackException.from_exception(exc, capture_locals=True)
    frames = [frame for frame in shown.stack if "/panel/connector/" in frame.filename]
    values = [f"{name}={value}" for frame in frames for name, value in (frame.locals or {}).items() if name != "query"]
    return "".join([str(exc), repr(exc), *traceback.format_exception(exc), *values])


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "１２７．０．０．１", "192.0.0.9", "[2002:a00:1::]"],
)
def test_m07_no_spelling_opens_the_inside(host: str) -> None:
    problem = problem_of(lambda: connector().open(source(f"https://{host}"), CALLER).get("x"))

    assert problem.reason is Reason.ADDRESS_NOT_ALLOWED


@pytest.mark.parametrize("name", ["deep", "big-integer", "not-a-number", "repeated-key", "object-bomb", "cut-json"])
def test_m12_json_that_is_none_is_unreadable(faults: FaultServer, name: str) -> None:
    answer = conversation(faults).get(name)

    assert problem_of(answer.json).reason is Reason.UNEXPECTED_RESPONSE


def test_m13_the_address_that_was_checked_is_the_address_that_is_called() -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.setblocking(False)
        answers = [["127.0.0.2"], ["127.0.0.1"]]
        port = inside.getsockname()[1]
        outgoing = connector(*listed(port, "127.0.0.1", "127.0.0.2"), lookup=lambda host, asked: answers.pop(0))

        problem = problem_of(lambda: outgoing.open(source(f"http://wiki.test:{port}"), CALLER).send("POST", "x"))

        assert problem.reason is Reason.CONNECT
        assert answers == [["127.0.0.1"]]
        with pytest.raises(BlockingIOError):
            inside.accept()


def test_an_answer_in_json_is_read_as_it_is(faults: FaultServer) -> None:
    value = {"name": "Zoë", "list": [1, 2.5, None, True], "nested": {"a": {"b": "日本"}}}
    body = json.dumps(value, ensure_ascii=False).encode()
    plain("value", "200 OK", body, Content_Type="application/hal+json; charset=utf-8")

    assert conversation(faults).get("value").object() == value
    del FAULTS["value"]
