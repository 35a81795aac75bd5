"""Classifies IP addresses as public, private or guarded.

The table is our own because ``is_global`` of the standard library misses some special-purpose ranges.
Sources: the IANA special-purpose registries
https://www.iana.org/assignments/iana-ipv4-special-registry/ and https://www.iana.org/assignments/iana-ipv6-special-registry/
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class AddressClass(IntEnum):
    """Ordered by strictness: of several addresses, the strictest class applies."""

    PUBLIC = 0
    PRIVATE = 1
    """Opened by an exact entry or by a listed network."""
    GUARDED = 2
    """Loopback, link-local, metadata and the like: opened by an exact entry only, never by a network."""


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_GUARDED = _networks(
    "0.0.0.0/8",  # "this host"
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, cloud metadata
    "224.0.0.0/4",  # multicast
    "255.255.255.255/32",  # broadcast
    "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",  # metadata of Alibaba, Azure, Oracle
    "::/128", "::1/128", "fe80::/10", "ff00::/8",
    "fd00:ec2::/32", "fd20:ce::/32",  # metadata of Amazon, Google
)  # fmt: skip
_PRIVATE = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
    "100.64.0.0/10",  # shared by carriers
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays, withdrawn
    "198.18.0.0/15",  # benchmarks
    "240.0.0.0/4",  # reserved
    "2001::/23",  # protocol assignments, Teredo and ORCHID among them
    "2001:db8::/32", "3fff::/20",  # documentation
    "2002::/16",  # 6to4
)  # fmt: skip
_UNICAST = IPv6Network("2000::/3")
"""The only IPv6 range that IANA allocates for global unicast. Unique-local, site-local and the rest lie outside."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SAME_AS_IPV4 = (_MAPPED, _NAT64)
_LOW_32_BITS = (
    IPv6Network("::/96"),  # IPv4-compatible
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated
    IPv6Network("64:ff9b:1::/48"),  # NAT64 for local use
)
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
# An interface identifier that starts like this ends with an IPv4 address: https://www.rfc-editor.org/rfc/rfc5214
_ISATAP = (0x00005EFE, 0x02005EFE)


def layers(address: Address) -> tuple[Address, ...]:
    """Every address that a packet to ``address`` may reach: itself, and any IPv4 address embedded in it."""
    if isinstance(address, IPv4Address):
        return (address,)
    number = int(address)
    low = IPv4Address(number & 0xFFFFFFFF)
    if any(address in network for network in _SAME_AS_IPV4):
        # The packet is translated, so the IPv6 address itself is never reached.
        return (low,)
    if any(address in network for network in _LOW_32_BITS) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return (address, low)
    if address in _TEREDO:
        # The server's address, and the client's with all bits inverted: https://www.rfc-editor.org/rfc/rfc4380#section-4
        return (address, IPv4Address((number >> 64) & 0xFFFFFFFF), IPv4Address(~number & 0xFFFFFFFF))
    if address in _6TO4:
        return (address, IPv4Address((number >> 80) & 0xFFFFFFFF))
    return (address,)


def unwrap_ipv4_mapped(address: Address) -> Address:
    """Unwrap an IPv4-mapped IPv6 address, because the kernel connects to it over IPv4. Returns others unchanged."""
    if isinstance(address, IPv6Address) and address in _MAPPED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def address_class(address: Address) -> AddressClass:
    """The strictest class among the layers of ``address``."""
    return max(own_address_class(layer) for layer in layers(address))


def own_address_class(address: Address) -> AddressClass:
    """The class of one layer, without the addresses embedded in it."""
    if any(address in network for network in _GUARDED):
        return AddressClass.GUARDED
    if any(address in network for network in _PRIVATE):
        return AddressClass.PRIVATE
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return AddressClass.PRIVATE
    return AddressClass.PUBLIC
