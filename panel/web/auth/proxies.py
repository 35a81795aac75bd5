"""Tells whether the address of a request may be that of a proxy, behind which many people share it."""

from __future__ import annotations

import ipaddress
import logging

from flask import Flask, request

from panel.web.context import panel

log = logging.getLogger(__name__)

PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
"""Loopback and the networks of one organisation, where a proxy stands."""

UNTRUSTED = (
    "Requests come with X-Forwarded-For and PANEL_TRUSTED_PROXIES is 0, so that all people behind the proxy share its"
    " address. Set PANEL_TRUSTED_PROXIES to the number of proxies in front of the panel."
)


def install(app: Flask) -> None:
    """Warn once in each process when a proxy forwards requests and none is trusted."""
    warned = False

    @app.before_request
    def warn_of_untrusted_proxy() -> None:
        nonlocal warned
        if not warned and _is_forwarded_untrusted():
            warned = True
            log.warning(UNTRUSTED)


def is_shared_address() -> bool:
    """Whether many people may have the address of this request."""
    return _is_forwarded_untrusted() or _is_private(request.remote_addr or "")


def _is_forwarded_untrusted() -> bool:
    return "X-Forwarded-For" in request.headers and panel().config.trusted_proxies == 0


def _is_private(address: str) -> bool:
    """Also true for an address that cannot be read, such as that of a Unix socket, which a proxy uses."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return True
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in network for network in PRIVATE)
