"""Decides whether a place may be called: resolves once, judges every address, and hands on only what it judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from panel.connector.address_ranges import Address, Standing, standing
from panel.connector.allowlist import SETTING, AllowList
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Place
from panel.connector.resolve import Resolver, Unresolved
from panel.core.domain import Reason
from panel.core.errors import ProviderUnavailable


@dataclass(frozen=True, slots=True)
class Judged:
    """The only addresses that a connection to ``place`` may go to."""

    place: Place
    addresses: tuple[Address, ...]
    opened: bool
    """Whether the deployment's setting opened it, rather than its being public."""

    @property
    def is_public(self) -> bool:
        return all(standing(address) is Standing.PUBLIC for address in self.addresses)


class Guard:
    def __init__(self, allowed: Callable[[], AllowList], resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver

    def judge(self, place: Place, deadline: Deadline, *, credential: bool) -> Judged:
        """Resolve ``place`` and return its addresses, all of which are allowed.

        Raises ProviderUnavailable: ``dns``, or ``address-not-allowed`` as soon as one address is not, or when a
        credential would travel unencrypted to a place that was not opened.
        """
        allowed = self._allowed()
        judged = self._look(place, deadline, allowed)
        advice = f"name {place.host_port} in {SETTING}."
        if not judged.opened and not allowed.permits(judged.addresses):
            raise _refused(f"{place.host_port} is not at a public address. If that is intended, {advice}")
        if credential and not place.is_tls and not judged.opened:
            raise _refused(f"{place.host_port} would get a credential over plain http. Use https, or {advice}")
        return judged

    def is_opened(self, place: Place, deadline: Deadline) -> bool:
        """Whether the setting opens ``place``; a name that cannot be resolved now is open only by an exact entry."""
        allowed = self._allowed()
        try:
            return allowed.names(place) or self._look(place, deadline, allowed).opened
        except ProviderUnavailable:
            return False

    def _look(self, place: Place, deadline: Deadline, allowed: AllowList) -> Judged:
        try:
            addresses = self._resolver.addresses(place.host, place.port, deadline)
        except Unresolved:
            message = f"The name {place.host} could not be resolved."
            raise ProviderUnavailable.because(Reason.DNS, message) from None
        return Judged(place, addresses, opened=allowed.names(place) or allowed.lists(addresses))


def _refused(message: str) -> ProviderUnavailable:
    return ProviderUnavailable.because(Reason.ADDRESS_NOT_ALLOWED, message)
