"""Connections that stay open: for reads of one version of a source, to an address that is allowed now, for seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import trustme
from connectors import BASIC, CALLER, DEADLINE, LATEST, PATIENT, connector, failure_of, listed, serving, source, timed
from faults import Baseline, FaultServer
from flask import Flask
from support import ALICE, CASE_PATH, MakeApp, api_token

from panel.connector import Connector
from panel.connector import kept_connections as kept
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.services import Panel


@pytest.fixture
def lasting() -> Iterator[FaultServer]:
    server = FaultServer(stays=True)
    yield server
    server.close()


@pytest.fixture
def outgoing(lasting: FaultServer) -> Iterator[Connector]:
    connected = connector(lasting.host_port)
    yield connected
    connected.close_connections()


def read(outgoing: Connector, server: FaultServer, name: str = "ok", **changes: Any) -> None:
    config = source(changes.pop("root", server.url), **changes)
    assert outgoing.open(config, CALLER, deadline_s=PATIENT).get(name).status == 200


def within(seconds: float, check: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("name", ["ok", "open-chunked", "gzip", "long-idle", "open-ok", "no-content"])
def test_reads_of_a_source_share_a_connection(lasting: FaultServer, outgoing: Connector, name: str) -> None:
    for _ in range(3):
        outgoing.open(source(lasting.url), CALLER, deadline_s=PATIENT).send("GET", name, allow=(204,))

    assert (lasting.connects, len(lasting.seen)) == (1, 3)


def test_a_refusal_keeps_the_connection(lasting: FaultServer, outgoing: Connector) -> None:
    upstream = outgoing.open(source(lasting.url), CALLER, deadline_s=PATIENT)
    for _ in range(2):
        assert failure_of(lambda: upstream.get("403")).reason is Reason.FORBIDDEN

    assert lasting.connects == 1


def test_tls_is_set_up_once(authority: trustme.CA, ca_file: str) -> None:
    server = FaultServer(tls=serving(authority.issue_cert("127.0.0.1")), stays=True)
    outgoing = connector(server.host_port)

    for _ in range(3):
        read(outgoing, server, ca_file=ca_file, auth=BASIC)

    assert (server.connects, len(server.seen)) == (1, 3)
    outgoing.close_connections()
    server.close()


@pytest.mark.parametrize(
    "name", ["surplus", "two-framings", "http-1.0", "short-idle", "says-close", "continue-first", "early-hints"]
)
def test_a_doubtful_end_of_an_answer_ends_the_connection(lasting: FaultServer, outgoing: Connector, name: str) -> None:
    read(outgoing, lasting, name)
    read(outgoing, lasting, name)

    assert lasting.connects == 2
    assert within(5, lambda: lasting.ends == 2)


@pytest.mark.parametrize(
    "name",
    [
        "short-body",
        "garbage-chunks",
        "broken-gzip",
        "cut-gzip",
        "gzip-bomb",
        "announced-too-long",
        "500",
        "two-lengths",
    ],
)
def test_a_broken_answer_ends_the_connection(lasting: FaultServer, outgoing: Connector, name: str) -> None:
    upstream = outgoing.open(source(lasting.url), CALLER, deadline_s=1)
    failure_of(lambda: upstream.send("POST", name, reads=True))
    outgoing.retries._left = 0
    calls = lasting.connects

    read(outgoing, lasting)

    assert lasting.connects == calls + 1
    assert within(5, lambda: lasting.ends == calls)


@pytest.mark.parametrize("name", ["once-then-close", "once-then-reset"])
def test_a_read_on_a_closed_connection_goes_out_again(lasting: FaultServer, outgoing: Connector, name: str) -> None:
    outgoing.retries._left = 0
    read(outgoing, lasting, name)

    read(outgoing, lasting, name)

    assert (lasting.connects, len(lasting.seen)) == (2, 3)


def test_a_read_that_was_half_answered_does_not_go_out_again(lasting: FaultServer, outgoing: Connector) -> None:
    outgoing.retries._left = 0
    read(outgoing, lasting, "once-then-part")

    failure_of(lambda: read(outgoing, lasting, "once-then-part"))

    assert (lasting.connects, len(lasting.seen)) == (1, 2)


def test_the_deadline_holds_for_a_kept_connection_too(lasting: FaultServer, outgoing: Connector) -> None:
    read(outgoing, lasting, "once-then-hang")
    upstream = outgoing.open(source(lasting.url), CALLER, deadline_s=DEADLINE)

    failure, took = timed(lambda: upstream.get("once-then-hang"))

    assert (failure.reason, took < LATEST, lasting.connects) == (Reason.TIMEOUT, True, 1)


@pytest.mark.parametrize("name", ["ok", "close", "reset", "hang"])
def test_a_write_goes_out_once_on_a_connection_of_its_own(lasting: FaultServer, outgoing: Connector, name: str) -> None:
    read(outgoing, lasting)
    writing = outgoing.open(source(lasting.url), CALLER, deadline_s=1)

    with nullcontext() if name == "ok" else pytest.raises(ProviderUnavailable):
        writing.send("POST", name, body=b"{}", content_type="application/json")

    assert [seen.line.split()[0] for seen in lasting.seen] == ["GET", "POST"]
    assert lasting.connects == 2
    read(outgoing, lasting)
    assert lasting.connects == 2


def test_another_version_of_the_source_does_not_use_it(lasting: FaultServer, outgoing: Connector) -> None:
    read(outgoing, lasting, revision=1)
    read(outgoing, lasting, revision=2)

    assert lasting.connects == 2
    assert within(5, lambda: lasting.ends == 1)


def test_another_source_or_another_place_does_not_use_it(lasting: FaultServer, outgoing: Connector) -> None:
    other = f"http://wiki.test:{lasting.port}"
    named = connector(lasting.host_port, *listed(lasting.port, "127.0.0.1"), lookup=lambda host, port: ["127.0.0.1"])
    read(named, lasting)

    read(named, lasting, id="2")
    read(named, lasting, root=other)
    read(named, lasting, root=other, connect_to=lasting.host_port)

    assert lasting.connects == 4
    named.close_connections()


def test_a_test_makes_connections_of_its_own(lasting: FaultServer, outgoing: Connector) -> None:
    read(outgoing, lasting)

    outgoing.open(source(lasting.url), CALLER, deadline_s=PATIENT, test=True).get("ok")

    assert lasting.connects == 2


def test_a_connection_to_an_address_that_the_name_no_longer_has_is_closed(lasting: FaultServer) -> None:
    addresses = ["127.0.0.1"]
    moved = FaultServer(host="127.0.0.2", stays=True, port=lasting.port)
    outgoing = connector(*listed(lasting.port, "127.0.0.1", "127.0.0.2"), lookup=lambda host, port: addresses)
    root = f"http://wiki.test:{lasting.port}"
    read(outgoing, lasting, root=root)

    addresses[:] = ["127.0.0.2"]
    read(outgoing, lasting, root=root)

    assert (lasting.connects, moved.connects) == (1, 1)
    assert within(5, lambda: lasting.ends == 1)
    outgoing.close_connections()
    moved.close()


def test_an_address_that_is_not_allowed_any_more_is_not_used(lasting: FaultServer) -> None:
    allowed = [lasting.host_port]
    outgoing = Connector(allowed=lambda: allowed)
    read(outgoing, lasting)

    allowed.clear()
    failure = failure_of(lambda: read(outgoing, lasting))

    assert (failure.reason, len(lasting.seen)) == (Reason.ADDRESS_NOT_ALLOWED, 1)
    outgoing.close_connections()


def test_a_changed_ca_file_is_checked_by_a_new_connection(authority: trustme.CA, tmp_path: Any) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    server = FaultServer(tls=serving(authority.issue_cert("127.0.0.1")), stays=True)
    outgoing = connector(server.host_port)
    read(outgoing, server, ca_file=str(bundle))

    trustme.CA().cert_pem.write_to_path(str(bundle))
    failure = failure_of(lambda: read(outgoing, server, ca_file=str(bundle)))

    assert failure.reason is Reason.TLS
    outgoing.close_connections()
    server.close()


def test_an_idle_connection_ends_by_itself_and_leaves_no_thread(
    lasting: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "IDLE_S", 0.2)
    baseline, outgoing = Baseline(), connector(lasting.host_port)

    read(outgoing, lasting)

    assert within(5, lambda: lasting.ends == 1)
    assert baseline.is_back()


def test_idle_connections_of_a_source_are_few(lasting: FaultServer, outgoing: Connector) -> None:
    upstream = outgoing.open(source(lasting.url), CALLER, deadline_s=PATIENT)

    upstream.each(lambda number: upstream.get("ok", query=[("n", str(number))]), range(40), at_once=20)

    assert lasting.connects - lasting.ends <= 20
    assert within(5, lambda: lasting.connects - lasting.ends <= kept.MOST_PER_SOURCE)


def test_all_connections_can_be_closed_at_once(lasting: FaultServer, outgoing: Connector) -> None:
    read(outgoing, lasting)
    read(outgoing, lasting, id="2")

    outgoing.close_connections("2")
    assert within(5, lambda: lasting.ends == 1)
    outgoing.close_connections()

    assert within(5, lambda: lasting.ends == 2)


def test_no_cookie_is_kept_with_the_connection(lasting: FaultServer, outgoing: Connector) -> None:
    read(outgoing, lasting, "cookie")
    read(outgoing, lasting, "echo")

    assert lasting.connects == 1
    assert "cookie" not in lasting.seen[-1].names


def test_a_forked_process_uses_none_of_its_parent(
    lasting: FaultServer, outgoing: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(outgoing, lasting)
    other = os.getpid() + 1

    monkeypatch.setattr(os, "getpid", lambda: other)
    read(outgoing, lasting)

    assert lasting.connects == 2


# --- a whole application ---------------------------------------------------------------------------------------------


@pytest.fixture
def polled(lasting: FaultServer, make_app: MakeApp) -> Iterator[Flask]:
    """An application that has just asked its source and has connections open since then."""
    app = make_app(PANEL_ALLOWED_PRIVATE_HOSTS=lasting.host_port)
    values = {"slug": "openproject", "name": "T", "location": lasting.url, "auth": {"type": "token", "token": "T"}}
    with app.app_context():
        app.extensions["leafpanel"].sources.create(values, by=ALICE)
        headers = {"Authorization": f"Bearer {api_token(app, 'read')}"}
        assert app.test_client().get(f"{CASE_PATH}/openproject", headers=headers).status_code == 503
        assert lasting.connects > lasting.ends
        yield app


CLOSING: dict[str, Callable[[Panel], object]] = {
    "source saved": lambda services: services.sources.change("openproject", {"name": "New"}, by=ALICE),
    "source switched off": lambda services: services.sources.set_enabled("openproject", on=False, by=ALICE),
    "source deleted": lambda services: services.sources.delete("openproject", by=ALICE),
    "connector off": lambda services: services.switches.set_connector(on=False, by=ALICE),
}


@pytest.mark.parametrize("close", CLOSING.values(), ids=CLOSING)
def test_a_change_of_the_source_or_of_the_switch_closes_at_once(
    lasting: FaultServer, polled: Flask, close: Callable[[Panel], object]
) -> None:
    close(polled.extensions["leafpanel"])

    assert within(kept.IDLE_S / 2, lambda: lasting.ends == lasting.connects)
