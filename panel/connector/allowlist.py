"""PANEL_ALLOWED_PRIVATE_HOSTS: which private addresses the server's owner opened. Never set through a form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network

from panel.connector.address_ranges import Address, AddressClass, Network, layers, own_address_class
from panel.connector.endpoint import Endpoint, host_of
from panel.core.errors import InvalidInput

SETTING = "PANEL_ALLOWED_PRIVATE_HOSTS"


@dataclass(frozen=True, slots=True)
class Allowlist:
    """``places`` are exact hosts with a port, as spelled in an address; ``networks`` open whole private ranges."""

    places: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Allowlist:
        """Read the setting: comma-separated ``host:port`` or CIDR. Raises ValueError naming the entry that is wrong."""
        return cls.of(tuple(entry.strip() for entry in text.split(",") if entry.strip()))

    @staticmethod
    @lru_cache(maxsize=16)
    def of(entries: tuple[str, ...]) -> Allowlist:
        """Read single entries. Raises ValueError naming the one that is wrong."""
        places = frozenset(_place(entry) for entry in entries if "/" not in entry)
        return Allowlist(places, tuple(_network(entry) for entry in entries if "/" in entry))

    def names(self, place: Endpoint) -> bool:
        """Whether exactly this host and port is listed. Another name of the same address is not."""
        return (place.host, place.port) in self.places

    def lists(self, addresses: Iterable[Address]) -> bool:
        """Whether all of the addresses lie in listed networks, with everything that is carried inside them."""
        return all(self._lists(layer) for address in addresses for layer in layers(address))

    def permits(self, addresses: Iterable[Address]) -> bool:
        """Whether all of the addresses are public or lie in listed networks."""
        inner = (layer for address in addresses for layer in layers(address))
        return all(own_address_class(layer) is AddressClass.PUBLIC or self._lists(layer) for layer in inner)

    def _lists(self, layer: Address) -> bool:
        return own_address_class(layer) is not AddressClass.GUARDED and any(
            layer in network for network in self.networks
        )


def _place(entry: str) -> tuple[str, int]:
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
