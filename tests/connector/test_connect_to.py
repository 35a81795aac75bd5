"""``connect_to``: the connection goes to an inner address, and everything else stays that of the location."""

from __future__ import annotations

from typing import Any

import pytest
from connectors import BASIC, CALLER, PATIENT, connector, problem_of, source
from faults import FaultServer

from panel.connector import Connector, Deadline, Upstream
from panel.core.reasons import Reason

OUTER = "http://tracker.example"


def inner_only(inner: str, *, address: str = "127.0.0.1") -> Connector:
    """A connector that allows the inner address only. The name service knows no outer name."""

    def lookup(host: str, port: int) -> list[str]:
        return {"inner.test": [address], "127.0.0.1": [address]}[host]

    return connector(inner, lookup=lookup)


def open_at(outgoing: Connector, root: str, inner: str, **changes: Any) -> Upstream:
    return outgoing.open(source(root, connect_to=inner, **changes), CALLER, deadline_s=PATIENT)


def test_only_the_connection_goes_to_the_inner_address(faults: FaultServer) -> None:
    inner = faults.host_port

    seen = open_at(inner_only(inner), f"{OUTER}:8080/op", inner, auth=BASIC).get("echo").object()

    headers = dict(seen["headers"])
    assert seen["line"] == "GET /op/echo HTTP/1.1"
    assert headers["Host"] == "tracker.example:8080"
    assert headers["Authorization"].startswith("Basic ")


def test_the_certificate_is_that_of_the_outer_name(tls_faults: FaultServer, ca_file: str) -> None:
    inner = tls_faults.host_port
    outgoing = inner_only(inner)

    assert open_at(outgoing, "https://wiki.test", inner, ca_file=ca_file).get("ok").status == 200
    other = problem_of(lambda: open_at(outgoing, "https://other.test", inner, ca_file=ca_file).get("ok"))
    assert (other.reason, other.message) == (Reason.TLS, "The certificate of other.test is for another name.")


def test_a_private_inner_address_needs_an_entry_of_its_own(faults: FaultServer) -> None:
    outgoing = connector("tracker.example:80")

    problem = problem_of(lambda: open_at(outgoing, OUTER, faults.host_port).get("ok"))

    assert (problem.reason, problem.setting) == (Reason.ADDRESS_NOT_ALLOWED, "connect_to")
    assert f"{faults.host_port} is not at a public address." in problem.message


def test_a_public_inner_address_gets_no_credential_over_plain_http() -> None:
    outgoing = inner_only("other.test:80", address="93.184.216.34")

    problem = problem_of(lambda: open_at(outgoing, OUTER, "inner.test:80", auth=BASIC).get("ok"))

    assert (problem.reason, problem.setting) == (Reason.ADDRESS_NOT_ALLOWED, "connect_to")
    assert "inner.test:80 would get a credential over plain http" in problem.message


def test_a_failed_connection_names_the_inner_address() -> None:
    closed, unknown = inner_only("127.0.0.1:9"), connector("nowhere.test:80", lookup=lambda host, port: [])

    refused = problem_of(lambda: open_at(closed, OUTER, "127.0.0.1:9").get("ok"))
    unresolved = problem_of(lambda: open_at(unknown, OUTER, "nowhere.test:80").get("ok"))

    assert (refused.reason, refused.setting) == (Reason.CONNECT, "connect_to")
    assert refused.message == "127.0.0.1:9 refused the connection."
    assert (unresolved.reason, unresolved.setting) == (Reason.DNS, "connect_to")


def test_a_token_request_to_the_same_origin_goes_the_same_way(faults: FaultServer) -> None:
    inner = faults.host_port
    outgoing, config = inner_only(inner), source(f"{OUTER}/op", connect_to=inner)

    def post(url: str) -> Any:
        return outgoing.post_form(url, "a=b", config, CALLER, Deadline(PATIENT)).object()

    assert dict(post(f"{OUTER}/oauth/echo")["headers"])["Host"] == "tracker.example"
    assert problem_of(lambda: post("http://inner.test:81/oauth/echo")).setting == "location"


def test_the_address_step_says_where_connections_go(faults: FaultServer) -> None:
    inner = faults.host_port
    config = source(OUTER, connect_to=inner)

    step, problem = inner_only(inner).probe_address(config, deadline_s=PATIENT)

    assert problem is None
    assert step.message.startswith(f"Connections for tracker.example go to {inner}: 127.0.0.1 is 127.0.0.1, a private")
    assert inner_only(inner).probe_http(config, deadline_s=PATIENT)[0].ok


@pytest.mark.parametrize(("connect_to", "opened"), [("", False), ("127.0.0.1:8080", True), ("127.0.0.1:81", False)])
def test_opened_means_the_address_that_connections_go_to(connect_to: str, opened: bool) -> None:
    outgoing = connector("127.0.0.1:8080", lookup=lambda host, port: ["93.184.216.34"])

    assert outgoing.is_opened(f"{OUTER}/oauth/token?x=1", source(OUTER, connect_to=connect_to)) is opened
