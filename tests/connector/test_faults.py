"""Every way in which an upstream can fail: in time, with the right reason, and with nothing left behind."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from connectors import BASIC, CALLER, DEADLINE, LATEST, connector, conversation, listed, serving, source, timed
from faults import Baseline, FaultServer, black_hole, refused

from panel.connector.deadline import Deadline
from panel.connector.resolve import Resolver, Unresolved
from panel.core.reasons import Reason

GONE = [
    ("close", Reason.CONNECT), ("reset", Reason.CONNECT), ("reset-mid-body", Reason.CONNECT),
    ("short-body", Reason.CONNECT), ("short-chunk", Reason.CONNECT), ("no-last-chunk", Reason.CONNECT),
]  # fmt: skip
SLOW = [
    (name, Reason.TIMEOUT) for name in ("hang", "status-drip", "head-drip", "body-drip", "chunk-drip", "half-then-hang")
]
GARBLED = [
    (name, Reason.UNEXPECTED_RESPONSE)
    for name in (
        "garbage-chunks", "broken-gzip", "cut-gzip", "gzip-and-more", "gzip-after-padding", "gzip-half-member",
        "many-members", "cut-deflate", "one-byte-deflate", "deflate-and-more", "layered-gzip", "brotli",
        "garbage-status", "old-http", "bad-status-number", "two-lengths", "endless-hints", "part", "304",
    )
]  # fmt: skip
ENDLESS = [
    (name, Reason.TOO_LARGE)
    for name in (
        "gzip-bomb", "second-member-bomb", "deflate-bomb", "endless-body", "endless-chunks", "announced-too-long", "negative-chunk", "huge-header",
        "endless-header", "many-headers",
    )
]  # fmt: skip
LONG_LINES = [(name, Reason.UNEXPECTED_RESPONSE) for name in ("long-chunk-line", "long-trailer")]
REDIRECTS = [
    (name, Reason.UNEXPECTED_REDIRECT)
    for name in (
        "300", "301", "302", "303", "307", "308", "302-sign-in", "302-nowhere", "302-odd", "302-broken", "302-markup", "302-bomb",
    )
]  # fmt: skip
STATUSES = [
    *((name, Reason.SERVER_ERROR) for name in ("500", "501", "502", "503", "504", "599", "500-drip", "500-endless")),
    *((name, Reason.UNEXPECTED_RESPONSE) for name in ("400", "404", "405", "409", "410", "418", "422", "early-answer")),
    *((name, Reason.RATE_LIMITED) for name in ("429", "429-seconds", "429-reset", "503-seconds")),
    ("401", Reason.CREDENTIALS_REJECTED), ("401-short", Reason.CREDENTIALS_REJECTED), ("403", Reason.FORBIDDEN),
]  # fmt: skip
UNREADABLE = [
    (name, Reason.UNEXPECTED_RESPONSE)
    for name in (
        "login-page", "wrong-type", "markup-type", "no-type", "latin-1", "utf-16", "empty", "list", "cut-json",
        "not-a-number", "deep", "big-integer", "repeated-key", "object-bomb", "no-content",
    )
]  # fmt: skip
ON_THE_WAY = [*GONE, *SLOW, *GARBLED, *ENDLESS, *LONG_LINES]


@pytest.fixture(autouse=True)
def nothing_left_behind(faults: FaultServer, tls_faults: FaultServer) -> Iterator[None]:
    baseline = Baseline()
    yield
    assert baseline.is_back(), "a thread or a socket was left behind"


@pytest.mark.parametrize(("name", "reason"), [*ON_THE_WAY, *REDIRECTS, *STATUSES])
def test_every_fault_has_its_reason_in_time(faults: FaultServer, name: str, reason: Reason) -> None:
    upstream = conversation(faults, seconds=DEADLINE)

    failure, took = timed(lambda: upstream.get(name))

    assert (failure.reason, took < LATEST) == (reason, True), (failure.problem, took)


@pytest.mark.parametrize("is_tls", [False, True])
def test_an_endless_100_ends_with_the_time_or_with_the_bytes(
    faults: FaultServer, tls_faults: FaultServer, ca_file: str, is_tls: bool
) -> None:
    """Which of the two limits comes first depends on the machine."""
    server, authority = (tls_faults, ca_file) if is_tls else (faults, "")
    upstream = conversation(server, seconds=DEADLINE, ca_file=authority)

    failure, took = timed(lambda: upstream.get("endless-continue"))

    assert failure.reason in (Reason.TIMEOUT, Reason.TOO_LARGE)
    assert took < LATEST


# Garbled responses are recognised above the socket, so TLS makes no difference to them.
@pytest.mark.parametrize(("name", "reason"), [*GONE, *SLOW, *ENDLESS])
def test_faults_of_the_socket_have_the_same_reason_behind_tls(
    tls_faults: FaultServer, ca_file: str, name: str, reason: Reason
) -> None:
    upstream = conversation(tls_faults, seconds=DEADLINE, ca_file=ca_file)

    failure, took = timed(lambda: upstream.get(name))

    assert (failure.reason, took < LATEST) == (reason, True), (failure.problem, took)


@pytest.mark.parametrize(("name", "reason"), UNREADABLE)
def test_a_whole_answer_that_is_no_json_object_is_unreadable(faults: FaultServer, name: str, reason: Reason) -> None:
    answer = conversation(faults).get(name)

    failure, _ = timed(answer.object)

    assert failure.reason is reason


@pytest.mark.parametrize(
    "name",
    [
        "ok", "gzip", "gzip-members", "gzip-padded", "gzip-and-identity", "deflate", "deflate-bare", "deflate-padded",
        "chunked", "until-close", "continue-first", "early-hints",
    ],
)  # fmt: skip
def test_good_answers_are_read(faults: FaultServer, name: str) -> None:
    assert conversation(faults).get(name).object() == {"ok": True}


def test_an_empty_object_is_an_answer(faults: FaultServer) -> None:
    assert conversation(faults).get("empty-object").object() == {}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("name", ["created", "no-content"])
def test_writes_are_answered_too(faults: FaultServer, method: str, name: str) -> None:
    answer = conversation(faults).send(method, name, body=b"{}", content_type="application/json")

    assert answer.status in (201, 204)


def test_an_upstream_that_answers_before_reading_everything_is_heard(faults: FaultServer) -> None:
    answer = conversation(faults).send("POST", "early-answer", body=b"x" * 3_000_000, allow=(413,))

    assert answer.status == 413


def test_nobody_listens() -> None:
    with refused() as root:
        upstream = connector(root.removeprefix("http://")).open(source(root), CALLER, deadline_s=DEADLINE)

        failure, took = timed(lambda: upstream.get("x"))

    assert (failure.reason, failure.unanswered) == (Reason.CONNECT, False)
    assert took < LATEST


def test_a_black_hole_ends_with_the_deadline() -> None:
    with black_hole() as root:
        upstream = connector(root.removeprefix("http://")).open(source(root), CALLER, deadline_s=DEADLINE)

        failure, took = timed(lambda: upstream.get("x"))

    assert (failure.reason, failure.unanswered) == (Reason.TIMEOUT, False)
    assert took < LATEST


def test_a_dead_address_leaves_time_for_the_next_one(faults: FaultServer) -> None:
    outgoing = connector(
        *listed(faults.port, "127.0.0.1", "127.0.0.9"), lookup=lambda host, port: ["127.0.0.9", "127.0.0.1"]
    )

    with black_hole("127.0.0.9", faults.port):
        answer = outgoing.open(source(f"http://wiki.test:{faults.port}"), CALLER, deadline_s=2).get("ok")

    assert answer.status == 200


def test_a_name_service_that_hangs_ends_with_the_deadline() -> None:
    over = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        over.wait(30)
        return ["127.0.0.1"]

    upstream = connector("wiki.test:80", lookup=hanging).open(source("http://wiki.test"), CALLER, deadline_s=DEADLINE)

    failure, took = timed(lambda: upstream.get("x"))
    over.set()

    assert failure.reason is Reason.DNS
    assert took < LATEST


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL])
def test_a_name_that_is_not_known(code: int) -> None:
    def lookup(host: str, port: int) -> list[str]:
        raise socket.gaierror(code, "canary words of the system")

    failure, _ = timed(lambda: connector(lookup=lookup).open(source("https://wiki.test"), CALLER).get("x"))

    assert failure.problem.message == "The name wiki.test could not be resolved."


def test_a_crowd_of_hanging_lookups_is_bounded() -> None:
    over = threading.Event()
    resolver = Resolver(lambda host, port: [str(over.wait(30))], at_once=2)
    before = threading.active_count()

    for _ in range(5):
        with pytest.raises(Unresolved):
            resolver.addresses("wiki.test", 80, Deadline(0.05))

    assert threading.active_count() - before <= 2
    over.set()


def test_tls_that_never_starts_ends_with_the_deadline(ca_file: str) -> None:
    def mute(sock: socket.socket) -> None:
        while sock.recv(4096):
            pass

    server = FaultServer(greet=mute)
    upstream = connector(server.host_port).open(
        source(f"https://{server.host_port}", ca_file=ca_file, auth=BASIC), CALLER, deadline_s=DEADLINE
    )

    failure, took = timed(lambda: upstream.get("x"))
    server.close()

    assert (failure.reason, failure.unanswered) == (Reason.TIMEOUT, False)
    assert took < LATEST


def test_tls_that_drips_ends_with_the_deadline(ca_file: str) -> None:
    def drip(sock: socket.socket) -> None:
        for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 400:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)

    server = FaultServer(greet=drip)
    upstream = connector(server.host_port).open(
        source(f"https://{server.host_port}", ca_file=ca_file), CALLER, deadline_s=DEADLINE
    )

    failure, took = timed(lambda: upstream.get("x"))
    server.close()

    assert failure.reason is Reason.TIMEOUT
    assert took < LATEST


@pytest.mark.parametrize("hello", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_https_to_something_that_speaks_no_tls(ca_file: str, hello: bytes) -> None:
    server = FaultServer(greet=lambda sock: sock.sendall(hello))
    upstream = connector(server.host_port).open(source(f"https://{server.host_port}", ca_file=ca_file), CALLER)

    failure, _ = timed(lambda: upstream.get("x"))
    server.close()

    assert failure.reason is Reason.TLS


def test_http_to_something_that_speaks_tls(tls_faults: FaultServer) -> None:
    config = source(f"http://{tls_faults.host_port}")
    upstream = connector(tls_faults.host_port).open(config, CALLER, deadline_s=DEADLINE)

    failure, _ = timed(lambda: upstream.get("ok"))

    assert failure.reason in (Reason.CONNECT, Reason.UNEXPECTED_RESPONSE)


def expired(authority: trustme.CA) -> ssl.SSLContext:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return serving(authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=9), not_after=yesterday))


def self_signed(authority: trustme.CA) -> ssl.SSLContext:
    stranger = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with stranger.cert_pem.tempfile() as cert, stranger.private_key_pem.tempfile() as key:
        context.load_cert_chain(cert, key)
    return context


CERTIFICATES = [
    (expired, "has expired"),
    (self_signed, "is self-signed"),
    (lambda _: serving(trustme.CA().issue_cert("127.0.0.1")), "comes from an authority that is not trusted here"),
    (lambda authority: serving(authority.issue_cert("other.test")), "is for another name"),
    (lambda authority: serving(authority.issue_cert("127.0.0.2")), "is for another name"),
]


@pytest.mark.parametrize(("served", "sentence"), CERTIFICATES)
def test_a_bad_certificate_gets_no_credential(
    authority: trustme.CA, ca_file: str, served: Callable[[trustme.CA], ssl.SSLContext], sentence: str
) -> None:
    server = FaultServer(tls=served(authority))

    failure, _ = timed(lambda: conversation(server, auth=BASIC, ca_file=ca_file).get("ok"))
    server.close()

    assert failure.reason is Reason.TLS
    assert failure.problem.message == f"The certificate of 127.0.0.1 {sentence}."
    assert server.seen == []


def test_the_certificate_must_be_for_the_name_and_not_for_the_address(authority: trustme.CA, ca_file: str) -> None:
    server = FaultServer(tls=serving(authority.issue_cert("127.0.0.1")))
    outgoing = connector(*listed(server.port, "127.0.0.1"), lookup=lambda host, port: ["127.0.0.1"])
    config = source(f"https://wiki.test:{server.port}", ca_file=ca_file)

    failure, _ = timed(lambda: outgoing.open(config, CALLER).get("ok"))
    server.close()

    assert failure.problem.message == "The certificate of wiki.test is for another name."


def test_host_header_and_certificate_keep_the_name(tls_faults: FaultServer, ca_file: str) -> None:
    outgoing = connector(*listed(tls_faults.port, "127.0.0.1"), lookup=lambda host, port: ["127.0.0.1"])
    config = source(f"https://Wiki.Test.:{tls_faults.port}", ca_file=ca_file)

    outgoing.open(config, CALLER).get("ok")

    assert tls_faults.seen[-1].header("Host") == f"wiki.test:{tls_faults.port}"
