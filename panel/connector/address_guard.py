"""Address guard against server-side request forgery (SSRF).

It resolves a host once and checks every resulting address. Connections go to the checked addresses only, so that a
second lookup cannot return another one (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from panel.connector.address_ranges import Address, AddressClass, address_class
from panel.connector.allowlist import SETTING, Allowlist
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint
from panel.connector.resolve import Resolver, Unresolved
from panel.core.errors import ProviderUnavailable
from panel.core.messages import Message, _
from panel.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class JudgedAddresses:
    """The only addresses that a connection to ``endpoint`` may go to."""

    endpoint: Endpoint
    addresses: tuple[Address, ...]
    opened: bool
    """Whether PANEL_ALLOWED_PRIVATE_HOSTS opened the endpoint. False for a public address."""

    @property
    def is_public(self) -> bool:
        return all(address_class(address) is AddressClass.PUBLIC for address in self.addresses)


class AddressGuard:
    def __init__(self, allowed: Callable[[], Allowlist], resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver

    def judge(self, endpoint: Endpoint, deadline: Deadline, *, credential: bool) -> JudgedAddresses:
        """Resolve ``endpoint`` and return its addresses, all of which are allowed.

        Raises ProviderUnavailable: ``dns`` when the name does not resolve; ``address-not-allowed`` when any address
        is not allowed, or when a credential would be sent over plain http to an endpoint that was not opened.
        """
        allowed = self._allowed()
        judged = self._resolve(endpoint, deadline, allowed)
        if not judged.opened and not allowed.permits(judged.addresses):
            raise _refused(endpoint, _LISTED if allowed.has_endpoint(endpoint) else _NOT_PUBLIC)
        if credential and not endpoint.is_tls and not judged.opened:
            raise _refused(endpoint, _UNENCRYPTED)
        return judged

    def is_opened(self, endpoint: Endpoint, deadline: Deadline) -> bool:
        """Whether the setting opens ``endpoint``. For a name that does not resolve now, only an exact entry counts."""
        allowed = self._allowed()
        try:
            return self._resolve(endpoint, deadline, allowed).opened
        except ProviderUnavailable:
            return allowed.has_endpoint(endpoint)

    def _resolve(self, endpoint: Endpoint, deadline: Deadline, allowed: Allowlist) -> JudgedAddresses:
        try:
            addresses = self._resolver.addresses(endpoint.host, endpoint.port, deadline)
        except Unresolved:
            message = _("The name {host} could not be resolved.", host=endpoint.host)
            raise ProviderUnavailable.because(Reason.DNS, message, field=endpoint.setting or None) from None
        return JudgedAddresses(endpoint, addresses, opened=allowed.opens(endpoint, addresses))


_LISTED = _(
    "{address} is at a loopback, link-local or metadata address, which a host name in {setting} "
    "does not open. If that is intended, name the address itself too."
)
_NOT_PUBLIC = _("{address} is not at a public address. If that is intended, name {address} in {setting}.")
_UNENCRYPTED = _("{address} would get a credential over plain http. Use https, or name {address} in {setting}.")


def _refused(endpoint: Endpoint, why: Message) -> ProviderUnavailable:
    message = why.filled(address=endpoint.host_port, setting=SETTING)
    return ProviderUnavailable.because(Reason.ADDRESS_NOT_ALLOWED, message, field=endpoint.setting or None)
