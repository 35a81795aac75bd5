"""The address guard, end to end: what is judged is what is connected to, whatever names and resolvers say."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from connectors import BASIC, CALLER, KEY, TOKEN, connector, problem_of, source
from faults import FaultServer
from hypothesis import given, settings
from hypothesis import strategies as st

from panel.connector import Auth, Connector
from panel.connector.adapter import GuardedAdapter, OutgoingRequest
from panel.connector.address_guard import AddressGuard
from panel.connector.address_ranges import unwrap_ipv4_mapped
from panel.connector.allowlist import Allowlist
from panel.connector.deadline import Deadline
from panel.connector.endpoint import parse_endpoint
from panel.connector.kept_connections import KeptConnections
from panel.connector.resolve import Resolver
from panel.connector.tls import TlsContexts
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason

ODD_SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0",
    "0.0.0.0",
    "localhost", "LOCALHOST.", "127.0.0.1.", "１２７．０．０．１", "127。0。0。1", "①②⑦.0.0.1", "[::1]", "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "169.254.169.254", "2852039166", "[fe80::1]", "10.0.0.1", "192.168.1.1", "100.64.0.1", "[fd00::1]",
]  # fmt: skip


@pytest.fixture(scope="module")
def canary() -> Iterator[FaultServer]:
    """A server on loopback that nothing may reach unless it is listed."""
    server = FaultServer()
    yield server
    server.close()


@pytest.mark.parametrize("host", ODD_SPELLINGS)
@pytest.mark.parametrize("listed", [[], ["10.99.0.0/16", "other.test:1", "127.0.0.0/8", "::/0"]])
def test_no_spelling_of_an_inside_address_is_reached(canary: FaultServer, host: str, listed: list[str]) -> None:
    listed = [entry for entry in listed if not (entry == "::/0" and host == "[fd00::1]")]
    upstream = connector(*listed).open(source(f"http://{host}:{canary.port}"), CALLER, deadline_s=2)

    problem = problem_of(lambda: upstream.get("ok"))

    assert problem.reason in (Reason.ADDRESS_NOT_ALLOWED, Reason.DNS)
    assert canary.connects == 0


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "[::1]"])
def test_an_inside_address_is_refused_by_what_it_resolves_to(host: str) -> None:
    problem = problem_of(lambda: connector().open(source(f"https://{host}"), CALLER).get("x"))

    assert problem.reason is Reason.ADDRESS_NOT_ALLOWED


def test_the_refusal_names_the_place_and_the_setting_but_no_inside_address() -> None:
    outgoing = connector(lookup=lambda host, port: ["10.1.2.3"])

    problem = problem_of(lambda: outgoing.open(source("https://wiki.test/xwiki"), CALLER).get("x"))

    assert problem.message == (
        "wiki.test:443 is not at a public address. "
        "If that is intended, name wiki.test:443 in PANEL_ALLOWED_PRIVATE_HOSTS."
    )


@pytest.mark.parametrize(
    "addresses",
    [
        ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2a00::1", "::1"], ["8.8.8.8", "2002:7f00:1::"],
        ["8.8.8.8", "10.0.0.1"],
    ],
)  # fmt: skip
def test_one_bad_address_refuses_all(addresses: list[str]) -> None:
    outgoing = connector("10.99.0.0/16", lookup=lambda host, port: addresses)

    problem = problem_of(lambda: outgoing.open(source("https://wiki.test"), CALLER).get("x"))

    assert problem.reason is Reason.ADDRESS_NOT_ALLOWED


def test_an_exact_entry_opens_one_name_and_not_its_address(canary: FaultServer) -> None:
    outgoing = connector(f"127.0.0.1:{canary.port}", lookup=lambda host, port: ["127.0.0.1"])

    problem = problem_of(lambda: outgoing.open(source(f"http://other.test:{canary.port}"), CALLER).get("ok"))

    assert problem.reason is Reason.ADDRESS_NOT_ALLOWED


@pytest.mark.parametrize(
    ("entries", "address", "passes"),
    [
        ("wiki.test:80", "10.1.2.4", True),
        ("wiki.test:80", "93.184.216.34", True),
        ("wiki.test:80", "127.0.0.1", False),
        ("wiki.test:80", "169.254.169.254", False),
        ("wiki.test:80", "100.100.100.200", False),
        ("wiki.test:80", "64:ff9b::a9fe:a9fe", False),
        ("wiki.test:80", "::1", False),
        ("wiki.test:80", "fe80::1", False),
        ("wiki.test:80,127.0.0.1:80", "127.0.0.1", True),
        ("wiki.test:80,127.0.0.1:81", "127.0.0.1", False),
        ("wiki.test:80,[::1]:80", "::1", True),
        ("127.0.0.1:80", "127.0.0.1", True),
        ("169.254.169.254:80", "169.254.169.254", True),
        ("localhost:80", "127.0.0.1", True),
        ("localhost:80", "::1", True),
        ("localhost:80", "169.254.169.254", False),
    ],
)
def test_a_listed_name_opens_no_guarded_address(entries: str, address: str, passes: bool) -> None:
    host = entries.partition(":80")[0]
    guard = AddressGuard(lambda: Allowlist.parse(entries), Resolver(lambda host, port: [address]))
    endpoint = parse_endpoint(f"http://{host}")

    assert guard.is_opened(endpoint, Deadline(2)) is passes
    if passes:
        assert guard.judge(endpoint, Deadline(2), credential=True).opened
    else:
        with pytest.raises(ProviderUnavailable, match="name the address itself") as caught:
            guard.judge(endpoint, Deadline(2), credential=False)
        assert caught.value.reason is Reason.ADDRESS_NOT_ALLOWED


def test_the_list_is_read_anew_for_every_call(faults: FaultServer) -> None:
    listed: list[str] = []
    upstream = Connector(allowed=lambda: listed).open(source(faults.url), CALLER)
    assert problem_of(lambda: upstream.get("ok")).reason is Reason.ADDRESS_NOT_ALLOWED

    listed.append(faults.host_port)

    assert upstream.get("ok").status == 200


@pytest.mark.parametrize("auth", [BASIC, TOKEN, KEY])
def test_a_credential_over_plain_http_needs_an_opened_address(auth: Auth) -> None:
    outgoing = connector(lookup=lambda host, port: ["93.184.216.34"])

    problem = problem_of(lambda: outgoing.open(source("http://wiki.test", auth=auth), CALLER).get("x"))

    assert problem.reason is Reason.ADDRESS_NOT_ALLOWED
    assert "wiki.test:80 would get a credential over plain http" in problem.message


@pytest.mark.parametrize(
    ("url", "credential", "listed", "passes"),
    [
        ("http://wiki.test", False, "", True),
        ("https://wiki.test", True, "", True),
        ("http://wiki.test", True, "93.184.0.0/16", True),
        ("http://wiki.test", True, "wiki.test:80", True),
        ("http://wiki.test:8080", True, "wiki.test:80", False),
        ("http://wiki.test", True, "10.0.0.0/8", False),
    ],
)
def test_who_may_get_a_credential_unencrypted(url: str, credential: bool, listed: str, passes: bool) -> None:
    guard = AddressGuard(lambda: Allowlist.parse(listed), Resolver(lambda host, port: ["93.184.216.34"]))

    try:
        guard.judge(parse_endpoint(url), Deadline(2), credential=credential)
    except ProviderUnavailable:
        assert not passes
    else:
        assert passes


@pytest.mark.parametrize(
    ("listed", "opened"),
    [("", False), ("wiki.test:80", True), ("wiki.test:81", False), ("10.0.0.0/8", True), ("10.1.0.0/16", False)],
)
def test_opened_means_listed(listed: str, opened: bool) -> None:
    outgoing = connector(*filter(None, [listed]), lookup=lambda host, port: ["10.0.0.1"])

    assert outgoing.is_opened("http://wiki.test/oauth/token?x=1", source("http://wiki.test")) is opened


def test_a_name_that_cannot_be_resolved_is_open_only_by_an_exact_entry() -> None:
    outgoing = connector("wiki.test:80", "10.0.0.0/8", lookup=lambda host, port: [])

    assert outgoing.is_opened("http://wiki.test", source("http://wiki.test"))
    assert not outgoing.is_opened("http://other.test", source("http://other.test"))


def test_a_flipping_resolver_never_gets_through(canary: FaultServer) -> None:
    answers = itertools.cycle([["93.184.216.34"], ["127.0.0.1"]])
    asked = 0

    def flip(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return next(answers)

    outgoing = connector("other.test:1", lookup=flip)
    for _ in range(50):
        guard = AddressGuard(lambda: Allowlist.parse("other.test:1"), Resolver(flip))
        try:
            judged = guard.judge(parse_endpoint(f"https://wiki.test:{canary.port}"), Deadline(2), credential=True)
        except ProviderUnavailable:
            continue
        assert judged.addresses == (ip_address("93.184.216.34"),)

    next(answers)  # The next call meets the inside address first.
    assert problem_of(lambda: outgoing.open(source(f"https://wiki.test:{canary.port}"), CALLER).get("ok"))
    assert asked == 51, "a call resolves once"
    assert canary.connects == 0


def numeric_lookup(host: str, port: int) -> list[str]:
    """What the kernel makes of a number-like host, without asking any name service."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [str(entry[4][0]) for entry in found]


NUMBER_LIKE = r"0x[0-9a-f]{1,8}|0[0-7]{1,11}|[0-9]{1,10}|127(\.[0-9]{1,3}){1,3}|0x7f\.[0-9]{1,5}"


@given(st.from_regex(NUMBER_LIKE, fullmatch=True))
@settings(max_examples=300, deadline=None)
def test_a_number_like_host_is_judged_by_what_the_kernel_makes_of_it(text: str) -> None:
    allowed = Allowlist.parse("10.0.0.0/8")
    try:
        kernel = [ip_address(each) for each in numeric_lookup(text, 443)]
    except OSError:
        return

    guard, place = AddressGuard(lambda: allowed, Resolver(numeric_lookup)), parse_endpoint(f"https://{text}")

    if allowed.permits(kernel):
        assert set(guard.judge(place, Deadline(5), credential=True).addresses) == {
            unwrap_ipv4_mapped(each) for each in kernel
        }
    else:
        assert problem_of(lambda: guard.judge(place, Deadline(5), credential=True)).reason is Reason.ADDRESS_NOT_ALLOWED


@given(st.lists(st.ip_addresses(), min_size=1, max_size=4), st.sampled_from(["", "10.0.0.0/8", "0.0.0.0/0,::/0"]))
@settings(max_examples=300, deadline=None)
def test_only_judged_addresses_are_dialled(addresses: list[object], listed: str) -> None:
    """The decision of the guard is the decision on the address that gets the connection."""
    dialled: list[str] = []
    guard = AddressGuard(
        lambda: Allowlist.parse(listed), Resolver(lambda host, port: [str(each) for each in addresses])
    )
    request = OutgoingRequest("GET", parse_endpoint("http://wiki.test"), "/", {})
    adapter = GuardedAdapter(guard, TlsContexts(), KeptConnections(), request, Deadline(2), 1000)

    def connect(self: socket.socket, target: tuple[str, int]) -> None:
        dialled.append(target[0])
        raise OSError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        with pytest.raises((OSError, ProviderUnavailable)):
            adapter.connect()
    adapter.close()

    allowed = Allowlist.parse(listed)
    folded_ones = [unwrap_ipv4_mapped(ip_address(str(each))) for each in addresses]
    assert dialled == ([str(each) for each in dict.fromkeys(folded_ones)] if allowed.permits(folded_ones) else [])


def test_a_connection_to_another_address_than_judged_is_dropped(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", lambda self: ("10.0.0.1", faults.port))
    before = len(faults.seen)

    problem = problem_of(lambda: connector(faults.host_port).open(source(faults.url), CALLER).get("ok"))

    assert problem.reason is Reason.CONNECT
    assert len(faults.seen) == before
