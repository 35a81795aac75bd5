"""Sockets that cannot outlive their deadline, connected only to judged addresses."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from panel.connector.address_ranges import Address
from panel.connector.deadline import Deadline


class TooMuch(Exception):
    """The upstream sent more bytes than an answer within its limits can need."""


class WrongPeer(OSError):
    """The connection leads to another address than the one that was judged."""


class _Bounded:
    """Before every read and write the rest of the time becomes the socket's timeout, so that drips cannot add up."""

    deadline: Deadline | None = None
    budget: int = 0
    """How many bytes may still come in."""
    ended: bool = False
    """Whether the other side closed."""

    def recv_into(self, buffer: Any, *args: int) -> int:
        self._hurry()
        count: int = super().recv_into(buffer, *args)  # type: ignore[misc]
        self.ended = count == 0
        self.budget -= count
        if self.budget < 0:
            raise TooMuch
        return count

    def send(self, data: Any, flags: int = 0) -> int:
        self._hurry()
        return super().send(data, flags)  # type: ignore[misc,no-any-return]

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._hurry()
        super().sendall(data, flags)  # type: ignore[misc]

    def _hurry(self) -> None:
        if self.deadline is not None:
            self.settimeout(self.deadline.remaining())  # type: ignore[attr-defined]


class PlainSocket(_Bounded, socket.socket):
    """A TCP connection with a deadline."""


class TlsSocket(_Bounded, ssl.SSLSocket):  # type: ignore[misc]
    """A TLS connection with a deadline."""


Socket = PlainSocket | TlsSocket


def dial(addresses: Sequence[Address], port: int, deadline: Deadline, *, budget: int) -> PlainSocket:
    """A TCP connection to the first address that answers; each gets its share of the time that is left."""
    last: OSError = OSError("no address")
    for tries_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            return _connected(address, port, deadline, deadline.remaining() / tries_left, budget)
        except OSError as exc:
            last = exc
    raise last


def secure(plain: PlainSocket, host: str, context: ssl.SSLContext) -> TlsSocket:
    """TLS over an open connection, with the certificate checked for ``host`` before anything else is sent."""
    deadline, budget = plain.deadline, plain.budget
    plain._hurry()
    try:
        tls = context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
    assert isinstance(tls, TlsSocket)  # noqa: S101  (the context's own socket class, see trust.py)
    tls.deadline, tls.budget = deadline, budget
    return tls


def _connected(address: Address, port: int, deadline: Deadline, patience: float, budget: int) -> PlainSocket:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    plain = PlainSocket(family, socket.SOCK_STREAM)
    plain.deadline, plain.budget = deadline, budget
    try:
        plain.settimeout(patience)
        plain.connect((str(address), port))
        if ip_address(plain.getpeername()[0]) != address:
            raise WrongPeer
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        plain.close()
        raise
    return plain
