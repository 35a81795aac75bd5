"""Sockets with an absolute deadline and a byte budget, connected only to addresses that the address guard allowed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from panel.connector.address_ranges import Address
from panel.connector.deadline import Deadline


class BudgetExceeded(Exception):
    """The upstream sent more bytes than the largest accepted answer can need."""


class UnexpectedPeer(OSError):
    """The connection's peer is another address than the allowed one."""


class _Bounded:
    """Sets the remaining time as the socket's timeout before every read and write.

    A plain socket timeout restarts with each byte, so that a server which sends slowly could exceed the deadline.
    """

    deadline: Deadline | None = None
    budget: int = 0
    """How many bytes may still be received."""
    ended: bool = False
    """Whether the peer closed the connection."""

    def recv_into(self, buffer: Any, *args: int) -> int:
        self._apply_deadline()
        count: int = super().recv_into(buffer, *args)  # type: ignore[misc]
        self.ended = count == 0
        self.budget -= count
        if self.budget < 0:
            raise BudgetExceeded
        return count

    def send(self, data: Any, flags: int = 0) -> int:
        self._apply_deadline()
        return super().send(data, flags)  # type: ignore[misc,no-any-return]

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._apply_deadline()
        super().sendall(data, flags)  # type: ignore[misc]

    def _apply_deadline(self) -> None:
        if self.deadline is not None:
            self.settimeout(self.deadline.remaining())  # type: ignore[attr-defined]


class PlainSocket(_Bounded, socket.socket):
    """A TCP connection with a deadline."""


class TlsSocket(_Bounded, ssl.SSLSocket):  # type: ignore[misc]
    """A TLS connection with a deadline."""


Socket = PlainSocket | TlsSocket


def dial(addresses: Sequence[Address], port: int, deadline: Deadline, *, budget: int) -> PlainSocket:
    """A TCP connection to the first address that accepts one. Each address gets an equal share of the remaining time.

    Raises OSError of the last attempt.
    """
    last: OSError = OSError("no address")
    for tries_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            return _connect(address, port, deadline, deadline.remaining() / tries_left, budget)
        except OSError as exc:
            last = exc
    raise last


def secure(plain: PlainSocket, host: str, context: ssl.SSLContext) -> TlsSocket:
    """Start TLS on an open connection. Raises ssl.SSLError; the certificate is verified before any request is sent."""
    deadline, budget = plain.deadline, plain.budget
    plain._apply_deadline()
    try:
        tls = context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
    assert isinstance(tls, TlsSocket)  # noqa: S101  (the context's own socket class, see tls.py)
    # wrap_socket creates a new object and detaches the plain one.
    tls.deadline, tls.budget = deadline, budget
    return tls


def _connect(address: Address, port: int, deadline: Deadline, timeout_s: float, budget: int) -> PlainSocket:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    plain = PlainSocket(family, socket.SOCK_STREAM)
    plain.deadline, plain.budget = deadline, budget
    try:
        plain.settimeout(timeout_s)
        plain.connect((str(address), port))
        # Some spellings connect elsewhere (0.0.0.0 to the loopback address, for example).
        if ip_address(plain.getpeername()[0]) != address:
            raise UnexpectedPeer
        # Nagle's algorithm would delay the small writes of a request.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        plain.close()
        raise
    return plain
