"""Address guard against server-side request forgery (SSRF): resolves a host once, judges every address that it
resolves to, and passes on only addresses that it judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from panel.connector.address_ranges import Address, AddressClass, address_class
from panel.connector.allowlist import SETTING, Allowlist
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint
from panel.connector.resolve import Resolver, Unresolved
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class JudgedAddresses:
    """The only addresses that a connection to ``endpoint`` may go to."""

    endpoint: Endpoint
    addresses: tuple[Address, ...]
    opened: bool
    """Whether the deployment's setting opened it, rather than its being public."""

    @property
    def is_public(self) -> bool:
        return all(address_class(address) is AddressClass.PUBLIC for address in self.addresses)


class AddressGuard:
    def __init__(self, allowed: Callable[[], Allowlist], resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver

    def judge(self, endpoint: Endpoint, deadline: Deadline, *, credential: bool) -> JudgedAddresses:
        """Resolve ``endpoint`` and return its addresses, all of which are allowed.

        Raises ProviderUnavailable: ``dns``, or ``address-not-allowed`` as soon as one address is not, or when a
        credential would travel unencrypted to a endpoint that was not opened.
        """
        allowed = self._allowed()
        judged = self._look(endpoint, deadline, allowed)
        advice = f"name {endpoint.host_port} in {SETTING}."
        if not judged.opened and not allowed.permits(judged.addresses):
            raise _refused(f"{endpoint.host_port} is not at a public address. If that is intended, {advice}")
        if credential and not endpoint.is_tls and not judged.opened:
            raise _refused(f"{endpoint.host_port} would get a credential over plain http. Use https, or {advice}")
        return judged

    def is_opened(self, endpoint: Endpoint, deadline: Deadline) -> bool:
        """Whether the setting opens ``endpoint``; a name that cannot be resolved now is open only by an exact entry."""
        allowed = self._allowed()
        try:
            return allowed.names(endpoint) or self._look(endpoint, deadline, allowed).opened
        except ProviderUnavailable:
            return False

    def _look(self, endpoint: Endpoint, deadline: Deadline, allowed: Allowlist) -> JudgedAddresses:
        try:
            addresses = self._resolver.addresses(endpoint.host, endpoint.port, deadline)
        except Unresolved:
            message = f"The name {endpoint.host} could not be resolved."
            raise ProviderUnavailable.because(Reason.DNS, message) from None
        return JudgedAddresses(endpoint, addresses, opened=allowed.names(endpoint) or allowed.lists(addresses))


def _refused(message: str) -> ProviderUnavailable:
    return ProviderUnavailable.because(Reason.ADDRESS_NOT_ALLOWED, message)
