"""Which addresses are public, private or guarded: own table, embedded IPv4 included."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panel.connector.address_ranges import AddressClass, address_class, layers, unwrap_ipv4_mapped

_PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0
198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
2001:200:: 2001:4860:4860::8888 2003:: 2606:4700:4700::1111 2a00:1450:4001::1 3ffe::1
::ffff:8.8.8.8 64:ff9b::8.8.8.8 2a00::5efe:808:808
"""
_PRIVATE = """
10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.8 192.0.0.9 192.0.0.170
192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.255
240.0.0.0 250.1.2.3 255.255.255.254
::ffff:10.0.0.1 ::ffff:192.168.1.1 ::ffff:100.64.0.1 64:ff9b::10.0.0.1 64:ff9b::192.0.0.9 64:ff9b:1::8.8.8.8
64:ff9b:1:ffff:ffff:ffff:8.8.8.8 64:ff9b:1::10.0.0.1 ::8.8.8.8 ::10.0.0.1 ::ffff:0:8.8.8.8 ::ffff:0:10.0.0.1
2002:808:808:: 2002:a00:1:: 2001:0:808:808::f7f7:f7f7 2001:0:a00:1::f7f7:f7f7 2001:2::1 2001:10::1
2001:20::1 2001:db8::1 3fff::1 100::1 100:0:0:1::1 200::1 4000::1 5f00::1
8000::1 c000::1 fc00::1 fd00::1 fdff:ffff::1 fec0::1 fe00::1
2a00::5efe:a00:1 2a00::200:5efe:c0a8:101
"""
_GUARDED = """
0.0.0.0 0.1.2.3 127.0.0.1 127.1.2.3 127.255.255.255 169.254.0.1 169.254.169.254 169.254.255.255 224.0.0.1
239.255.255.255 255.255.255.255 100.100.100.200 168.63.129.16 192.0.0.192
:: ::1 ::2 fe80::1 febf::1 ff02::1 ff0e::1 fd00:ec2::254 fd20:ce::254
::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 ::ffff:224.0.0.1 64:ff9b::127.0.0.1 64:ff9b::169.254.169.254
64:ff9b:1::127.0.0.1 ::127.0.0.1 ::ffff:0:127.0.0.1 2002:7f00:1:: 2002:a9fe:a9fe:: 2001:0:7f00:1::f7f7:f7f7
2001:0:808:808::80ff:fffe 2a00::5efe:7f00:1 fe80::5efe:808:808 fe80::1%1
"""
TABLE = [
    *((text, AddressClass.PUBLIC) for text in _PUBLIC.split()),
    *((text, AddressClass.PRIVATE) for text in _PRIVATE.split()),
    *((text, AddressClass.GUARDED) for text in _GUARDED.split()),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_every_address_has_its_standing(text: str, expected: AddressClass) -> None:
    assert address_class(ip_address(text)) is expected


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 100


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_means_the_same_in_every_dress(address: IPv4Address) -> None:
    number = int(address)
    mapped, nat64 = IPv6Address((0xFFFF << 32) | number), IPv6Address((0x64FF9B << 96) | number)

    assert address_class(mapped) is address_class(nat64) is address_class(address)
    assert unwrap_ipv4_mapped(mapped) == address


@given(st.ip_addresses(v=4), st.sampled_from(["::", "::ffff:0:0:0", "64:ff9b:1::"]))
def test_a_carried_address_is_never_better_than_bare(address: IPv4Address, prefix: str) -> None:
    carrying = IPv6Address(int(IPv6Address(prefix)) | int(address))

    assert address_class(carrying) >= max(address_class(address), AddressClass.PRIVATE)


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public_here(address: IPv4Address | IPv6Address) -> None:
    special = address.is_private or address.is_link_local or address.is_multicast or address.is_reserved

    if special and layers(address) == (address,):
        assert address_class(address) is not AddressClass.PUBLIC
