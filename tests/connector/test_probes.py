"""The rungs that need no knowledge of the upstream: address, TLS, HTTP."""

from __future__ import annotations

import re

import pytest
from connectors import BASIC, DEADLINE, PATIENT, connector, source
from faults import FAULTS, Baseline, FaultServer, refused

from panel.core.reasons import Reason


def test_a_public_address_is_named() -> None:
    outgoing = connector(lookup=lambda host, port: ["93.184.216.34", "2606:2800:220:1::1"])

    rung, problem = outgoing.probe_address(source("https://wiki.test/xwiki", auth=BASIC), deadline_s=PATIENT)

    assert (rung.name, rung.ok, problem) == ("address", True, None)
    assert rung.message == "wiki.test is 93.184.216.34 and 2606:2800:220:1::1, a public address."
    assert rung.took_ms is not None


def test_a_private_address_is_shown_with_what_opened_it() -> None:
    outgoing = connector("10.0.0.0/8", lookup=lambda host, port: ["10.0.0.7"])

    rung, _ = outgoing.probe_address(source("https://wiki.test"), deadline_s=PATIENT)

    assert rung.message == "wiki.test is 10.0.0.7, a private address, opened by PANEL_ALLOWED_PRIVATE_HOSTS."


def test_the_sandbox_is_named_instead_of_a_setting() -> None:
    outgoing = connector("127.0.0.1:8021", sandbox=lambda: ("127.0.0.1:8021",))

    rung, _ = outgoing.probe_address(source("http://127.0.0.1:8021/xwiki"), deadline_s=PATIENT)

    assert rung.message == "127.0.0.1 is 127.0.0.1, the sandbox of this panel, which is open while it runs."


@pytest.mark.parametrize(
    ("root", "addresses", "reason", "field"),
    [
        ("https://wiki.test", ["10.0.0.7"], Reason.ADDRESS_NOT_ALLOWED, "location"),
        ("http://wiki.test", ["93.184.216.34"], Reason.ADDRESS_NOT_ALLOWED, "location"),
        ("https://wiki.test", [], Reason.DNS, "location"),
        ("https://user:canary@wiki.test", [], Reason.SOURCE_INVALID, "location"),
    ],
)
def test_an_address_that_will_not_do_says_what_to_change(
    root: str, addresses: list[str], reason: Reason, field: str
) -> None:
    outgoing = connector(lookup=lambda host, port: addresses)

    rung, problem = outgoing.probe_address(source(root, auth=BASIC), deadline_s=PATIENT)

    assert problem is not None
    assert (rung.ok, problem.reason, rung.field) == (False, reason, field)
    assert rung.message == rung.came_back == problem.message
    assert rung.tried
    assert "canary" not in repr(rung)


def test_a_certificate_is_shown_with_its_end(tls_faults: FaultServer, ca_file: str) -> None:
    baseline = Baseline()
    config = source(tls_faults.url, ca_file=ca_file)

    rung, problem = connector(tls_faults.host_port).probe_tls(config, deadline_s=PATIENT)

    assert (rung.name, rung.ok, problem) == ("tls", True, None)
    assert re.fullmatch(r"Certificate valid until \d{1,2} [A-Z][a-z]{2} \d{4}, issued for this host\.", rung.message)
    assert baseline.is_back()


def test_plain_http_has_no_tls(faults: FaultServer) -> None:
    rung, problem = connector(faults.host_port).probe_tls(source(faults.url), deadline_s=PATIENT)

    assert (rung.ok, rung.message, problem) == (True, "No TLS: plain http.", None)


@pytest.mark.parametrize(("ca_file", "reason"), [("", Reason.TLS), ("/nowhere", Reason.SOURCE_INVALID)])
def test_a_certificate_nobody_vouches_for_points_at_the_ca_file(
    tls_faults: FaultServer, ca_file: str, reason: Reason
) -> None:
    config = source(tls_faults.url, ca_file=ca_file)

    rung, problem = connector(tls_faults.host_port).probe_tls(config, deadline_s=PATIENT)

    assert problem is not None
    assert (rung.ok, problem.reason, rung.field) == (False, reason, "ca_file")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ok", "GET /ok answered 200 with JSON."), ("login-page", "GET /login-page answered 200 with HTML."),
        ("wrong-type", "GET /wrong-type answered 200 with text/plain."),
        ("markup-type", "GET /markup-type answered 200."),
        ("401", "GET /401 answered 401 with text/plain."), ("404", "GET /404 answered 404 with text/plain."),
        ("301", "GET /301 answered 301 with JSON."), ("303", "GET /303 answered 303 with JSON."),
        ("endless-body", "GET /endless-body answered 200 with JSON."),
    ],
)  # fmt: skip
def test_any_answer_is_http(faults: FaultServer, name: str, message: str) -> None:
    baseline = Baseline()

    rung, problem = connector(faults.host_port).probe_http(source(f"{faults.url}/{name}"), deadline_s=PATIENT)

    assert (rung.ok, rung.message, problem) == (True, message, None)
    assert baseline.is_back()


def test_a_server_that_moved_itself_is_told(faults: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "moved", lambda peer: peer.answer("301 Moved", Location="https://127.0.0.1/x"))

    rung, problem = connector(faults.host_port).probe_http(source(f"{faults.url}/moved"), deadline_s=PATIENT)

    assert problem is not None
    assert problem.reason is Reason.UNEXPECTED_REDIRECT
    assert rung.message == "127.0.0.1 redirects to https://127.0.0.1; redirects are never followed."


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hang", Reason.TIMEOUT), ("close", Reason.CONNECT), ("garbage-status", Reason.UNEXPECTED_RESPONSE),
        ("502", Reason.SERVER_ERROR), ("429-seconds", Reason.RATE_LIMITED),
    ],
)  # fmt: skip
def test_no_answer_is_no_rung(faults: FaultServer, name: str, reason: Reason) -> None:
    rung, problem = connector(faults.host_port).probe_http(source(f"{faults.url}/{name}"), deadline_s=DEADLINE)

    assert problem is not None
    assert (rung.ok, problem.reason) == (False, reason)


def test_nobody_there() -> None:
    with refused() as root:
        rung, problem = connector(root.removeprefix("http://")).probe_http(source(root), deadline_s=PATIENT)

    assert problem is not None
    assert (rung.ok, problem.reason, rung.field) == (False, Reason.CONNECT, "location")


def test_no_rung_sends_the_credential(faults: FaultServer) -> None:
    config = source(f"{faults.url}/ok", auth=BASIC, headers={"X-Tenant": "a"})

    connector(faults.host_port).probe_http(config, deadline_s=PATIENT)

    assert "authorization" not in faults.seen[-1].names
    assert "x-tenant" in faults.seen[-1].names
