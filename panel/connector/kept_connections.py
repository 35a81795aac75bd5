"""Connections that stay open for some seconds after a read, for the next read of the same source.

A kept connection saves the handshakes of TCP and TLS. It is used again only for the same version of the source, the
same origin and TLS settings, and only while the address guard still allows the address that it goes to.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from ssl import SSLContext

from panel.connector.address_ranges import Address
from panel.connector.sockets import Socket, TlsSocket

IDLE_S = 4.0
"""How long a connection may be idle. Servers end an idle connection after five seconds or more."""
MOST_PER_SOURCE = 8
"""How many connections to one source may be idle: as many as a conversation uses at once."""


@dataclass(frozen=True, slots=True)
class Route:
    """What two exchanges must have in common to use one connection."""

    source_id: str
    revision: int
    """The version of the source, with its credential and its other settings."""
    origin: str
    goes_to: str
    """The host and port to connect to, which ``connect_to`` of the source may set."""
    context: SSLContext | None
    """The TLS settings; another object after a change of the CA file. None without TLS."""
    process: int
    """The process that opened the connection: none may be used on both sides of a fork."""


@dataclass(frozen=True, slots=True)
class _Idle:
    route: Route
    socket: Socket
    until: float
    """When it is closed, on the monotonic clock."""


class KeptConnections:
    """The idle connections of one process. A thread closes them at their end; it runs only while there are any."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_Idle]] = {}
        """By the id of the source, the one that was used last at the end."""
        self._changed = threading.Condition()
        self._closer: threading.Thread | None = None

    def take(self, route: Route, addresses: Collection[Address]) -> Socket | None:
        """A connection of ``route`` to one of ``addresses``, to be used by one exchange; None when there is none.

        Closes those of the source that can never be used again.
        """
        while (connection := self._pop(route)) is not None:
            if connection.peer in addresses and _is_silent(connection):
                return connection
            connection.close()
        return None

    def put(self, route: Route, connection: Socket, seconds: float) -> None:
        """Keep a connection on which nothing is expected for at most ``seconds``, and at most ``IDLE_S``."""
        entry = _Idle(route, connection, time.monotonic() + min(seconds, IDLE_S))
        with self._changed:
            entries = self._idle.setdefault(route.source_id, [])
            entries.append(entry)
            surplus = entries[:-MOST_PER_SOURCE]
            del entries[:-MOST_PER_SOURCE]
            self._start_closer()
        _close(surplus)

    def close(self, source_id: str | None = None) -> None:
        """Close the idle connections to one source, or all of them."""
        with self._changed:
            ids = list(self._idle) if source_id is None else [source_id]
            closed = [entry for each in ids for entry in self._idle.pop(each, [])]
            self._changed.notify()
        _close(closed)

    def _pop(self, route: Route) -> Socket | None:
        """The connection of ``route`` that was used last, and is not over."""
        with self._changed:
            entries, now = self._idle.get(route.source_id, []), time.monotonic()
            useless = [each for each in entries if each.until <= now or each.route.revision < route.revision]
            entries[:] = [each for each in entries if each not in useless]
            fitting = [each for each in entries if each.route == route][-1:]
            entries[:] = [each for each in entries if each not in fitting]
        _close(useless)
        return fitting[0].socket if fitting else None

    def _start_closer(self) -> None:
        if self._closer is None or not self._closer.is_alive():
            self._closer = threading.Thread(target=self._close_at_end, name="idle connections", daemon=True)
            self._closer.start()

    def _close_at_end(self) -> None:
        while True:
            with self._changed:
                now, ended = time.monotonic(), []
                for source_id, entries in list(self._idle.items()):
                    ended += [each for each in entries if each.until <= now]
                    self._idle[source_id] = [each for each in entries if each.until > now]
                untils = [each.until for entries in self._idle.values() for each in entries]
                if not untils:
                    self._idle.clear()
                    self._closer = None
                elif not ended:
                    self._changed.wait(min(untils) - now)
            _close(ended)
            if not untils:
                return


def _is_silent(connection: Socket) -> bool:
    """Whether nothing arrived meanwhile: neither the end of the connection nor bytes that nobody asked for."""
    if isinstance(connection, TlsSocket) and connection.pending():
        return False
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def _close(entries: Collection[_Idle]) -> None:
    for entry in entries:
        entry.socket.close()
