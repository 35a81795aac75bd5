"""PANEL_ALLOWED_PRIVATE_HOSTS: what an entry opens, what it never opens, and how a wrong one is named."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from panel.connector.allowlist import Allowlist
from panel.connector.endpoint import parse_endpoint


@pytest.mark.parametrize(
    "entry",
    [
        "wiki.test", "127.0.0.1", "wiki.test:", ":80", "wiki.test:0", "wiki.test:65536", "wiki.test:8a",
        "wiki.test:-1",
        "wiki.test:８０", "http://wiki.test:80", "*:80", "*.test:80", "wiki test:80", "::1:80", "[::1", "[::1%lo]:80",
        "10.0.0.0/33", "10.0.0.1/8", "10/8/8", "wiki.test/24", "fe80::/200", "user@wiki.test:80",
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="PANEL_ALLOWED_PRIVATE_HOSTS") as caught:
        Allowlist.parse(f"10.0.0.0/8, {entry}")

    assert repr(entry) in str(caught.value)


def test_a_network_with_host_bits_is_corrected_in_words() -> None:
    with pytest.raises(ValueError, match=r"did you mean 10\.0\.0\.0/8\?"):
        Allowlist.parse("10.0.0.1/8")


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_nothing_opens_nothing(text: str) -> None:
    assert Allowlist.parse(text) == Allowlist()


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("wiki.test:80", "http://wiki.test"), ("Wiki.Test:443", "https://wiki.test./x"),
        ("wiki.test.:8080", "http://WIKI.test:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"), ("[::1]:80", "http://[::1]/"), ("[0:0::1]:80", "http://[::1]"),
        ("wiki.münchen.test:443", "https://wiki.xn--mnchen-3ya.test"),
    ],
)  # fmt: skip
def test_an_exact_entry_opens_its_host_and_port(entry: str, url: str) -> None:
    assert Allowlist.parse(entry).has_endpoint(parse_endpoint(url))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8081", "https://127.0.0.1", "http://localhost:8080", "http://127.1:8080",
        "http://127.0.0.2:8080",
        "http://2130706433:8080", "http://0x7f000001:8080", "http://[::ffff:127.0.0.1]:8080",
        "http://x127.0.0.1:8080",
    ],
)  # fmt: skip
def test_an_exact_entry_opens_nothing_else(url: str) -> None:
    assert not Allowlist.parse("127.0.0.1:8080").has_endpoint(parse_endpoint(url))


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("10.0.0.0/8", "10.1.2.3"), ("10.0.0.0/8", "::ffff:10.1.2.3"), ("10.0.0.0/8", "64:ff9b::10.1.2.3"),
        ("fd00::/8", "fd12::1"), ("0.0.0.0/0", "192.168.1.1"), ("100.64.0.0/10", "100.64.0.1"),
        ("8.8.8.0/24", "8.8.8.8"),
    ],
)  # fmt: skip
def test_a_network_opens_what_lies_in_it(network: str, address: str) -> None:
    allowed = Allowlist.parse(network)

    assert allowed.has_addresses([ip_address(address)])
    assert allowed.permits([ip_address(address)])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16",
        "::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:127.0.0.1", "64:ff9b::169.254.169.254",
        "2002:7f00:1::", "64:ff9b:1::7f00:1",
    ],
)  # fmt: skip
def test_no_network_opens_what_is_guarded(address: str) -> None:
    allowed = Allowlist.parse("0.0.0.0/0, ::/0, 127.0.0.0/8, 169.254.169.254/32, fe80::/10, ::1/128, 64:ff9b:1::/48")

    assert not allowed.has_addresses([ip_address(address)])
    assert not allowed.permits([ip_address(address)])


def test_one_address_outside_spoils_all() -> None:
    allowed = Allowlist.parse("10.0.0.0/8")

    assert not allowed.permits([ip_address("10.0.0.1"), ip_address("8.8.8.8"), ip_address("192.168.0.1")])
    assert allowed.permits([ip_address("10.0.0.1"), ip_address("8.8.8.8")])
    assert not allowed.has_addresses([ip_address("10.0.0.1"), ip_address("8.8.8.8")])
