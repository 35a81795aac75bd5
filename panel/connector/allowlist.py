"""The allowlist of private addresses, PANEL_ALLOWED_PRIVATE_HOSTS.

It is a deployment setting and in no form: an administrator of the panel must not be able to open the internal network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from panel.connector.address_ranges import Address, AddressClass, Network, address_class, layers, own_address_class
from panel.connector.endpoint import Endpoint, host_of
from panel.core.errors import InvalidInput

SETTING = "PANEL_ALLOWED_PRIVATE_HOSTS"


@dataclass(frozen=True, slots=True)
class Allowlist:
    """``endpoints`` are exact pairs of host and port; ``networks`` open whole private ranges."""

    endpoints: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Allowlist:
        """Parse the setting: comma-separated ``host:port`` or CIDR. Raises ValueError naming the invalid entry."""
        return cls.of(tuple(entry.strip() for entry in text.split(",") if entry.strip()))

    # Cached, because the same entries are parsed before every call.
    @staticmethod
    @lru_cache(maxsize=16)
    def of(entries: tuple[str, ...]) -> Allowlist:
        """Parse single entries. Raises ValueError naming the invalid one."""
        endpoints = frozenset(_host_and_port(entry) for entry in entries if "/" not in entry)
        return Allowlist(endpoints, tuple(_network(entry) for entry in entries if "/" in entry))

    def has_endpoint(self, endpoint: Endpoint) -> bool:
        """Whether this host and port are listed. Another name of the same address does not count."""
        return (endpoint.host, endpoint.port) in self.endpoints

    def opens(self, endpoint: Endpoint, addresses: Iterable[Address]) -> bool:
        """Whether the setting opens ``endpoint``, which resolves to ``addresses``.

        A listed host name does not open loopback, link-local or metadata addresses, because the name service decides
        where the name leads. Such an address must be listed itself; ``localhost`` may stand for a loopback address.
        """
        found = tuple(addresses)
        if not self.has_endpoint(endpoint):
            return self.has_addresses(found)
        return _is_address(endpoint.host) or all(self._opens_by_name(endpoint, address) for address in found)

    def _opens_by_name(self, endpoint: Endpoint, address: Address) -> bool:
        if address_class(address) is not AddressClass.GUARDED:
            return True
        if endpoint.host == "localhost" and address.is_loopback:
            return True
        return (address.compressed, endpoint.port) in self.endpoints

    def has_addresses(self, addresses: Iterable[Address]) -> bool:
        """Whether all of the addresses, and the addresses embedded in them, lie in listed networks."""
        return all(self._has_layer(layer) for address in addresses for layer in layers(address))

    def permits(self, addresses: Iterable[Address]) -> bool:
        """Whether each of the addresses, and each embedded in them, is public or lies in a listed network."""
        inner = (layer for address in addresses for layer in layers(address))
        return all(own_address_class(layer) is AddressClass.PUBLIC or self._has_layer(layer) for layer in inner)

    def _has_layer(self, layer: Address) -> bool:
        # A network never opens loopback or link-local: a broad entry must not reach the metadata service.
        return own_address_class(layer) is not AddressClass.GUARDED and any(
            layer in network for network in self.networks
        )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host_and_port(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{SETTING}: {entry!r} is neither host:port nor a network such as 10.0.0.0/8.")
    try:
        return host_of(host), int(port)
    except InvalidInput:
        raise ValueError(f"{SETTING}: {entry!r} has no valid host; IPv6 is written as [::1]:8080.") from None


def _network(entry: str) -> Network:
    try:
        return ip_network(entry)
    except ValueError:
        raise ValueError(f"{SETTING}: {entry!r} is not a network such as 10.0.0.0/8{_hint(entry)}.") from None


def _hint(entry: str) -> str:
    try:
        return f" (did you mean {ip_network(entry, strict=False)}?)"
    except ValueError:
        return ""
