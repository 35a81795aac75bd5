"""Sockets with an absolute deadline and a byte budget, connected only to addresses that the address guard allowed."""

from __future__ import annotations

import errno
import io
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
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
    peer: Address | None = None
    """The address that the guard allowed and the connection goes to."""
    ended: bool = False
    """Whether the peer closed the connection."""
    has_heard: bool = False
    """Whether a byte was received since the connection was taken up for an exchange."""
    has_surplus: bool = True
    """Whether bytes after the end of the answer were received. True until the answer was read to its end."""
    is_reused: bool = False
    """Whether it was idle after an earlier exchange."""
    _is_done: bool = False

    def take_up(self, deadline: Deadline | None, budget: int, *, is_reused: bool = False) -> None:
        """Begin an exchange, which has a deadline and a budget of its own."""
        self.deadline, self.budget, self.is_reused = deadline, budget, is_reused
        self.ended, self.has_heard, self.has_surplus, self._is_done = False, False, True, False

    def makefile(self, *args: Any, **kwargs: Any) -> Any:
        """The reader that http.client takes an answer from, and closes at the end of the answer."""
        return _Reader(super().makefile("rb", buffering=0), self)  # type: ignore[misc]

    def look_for_surplus(self, reader: io.BufferedReader) -> None:
        """Note whether ``reader`` holds bytes that were not part of the answer."""
        self._is_done = True
        self.has_surplus = bool(reader.peek(1))

    def recv_into(self, buffer: Any, *args: int) -> int:
        if self._is_done:
            raise BlockingIOError(errno.EAGAIN, "the answer has ended")
        self._apply_deadline()
        count: int = super().recv_into(buffer, *args)  # type: ignore[misc]
        self.ended = count == 0
        self.has_heard = self.has_heard or count > 0
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


class _Reader(io.BufferedReader):
    """Reads ahead, and tells the socket at its end whether it has read beyond the answer."""

    def __init__(self, raw: Any, connection: _Bounded) -> None:
        super().__init__(raw)
        self._connection = connection

    def close(self) -> None:
        if not self.closed:
            with suppress(OSError, ValueError):
                self._connection.look_for_surplus(self)
        super().close()


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
    deadline, budget, peer = plain.deadline, plain.budget, plain.peer
    plain._apply_deadline()
    try:
        tls = context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
    assert isinstance(tls, TlsSocket)  # noqa: S101  (the context's own socket class, see tls.py)
    # wrap_socket creates a new object and detaches the plain one.
    tls.take_up(deadline, budget)
    tls.peer = peer
    return tls


def _connect(address: Address, port: int, deadline: Deadline, timeout_s: float, budget: int) -> PlainSocket:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    plain = PlainSocket(family, socket.SOCK_STREAM)
    plain.take_up(deadline, budget)
    plain.peer = address
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
