"""Resolves host names within a deadline.

``getaddrinfo`` cannot be interrupted, so each lookup runs in a thread of its own, which the caller can abandon.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from panel.connector.address_ranges import Address, unwrap_ipv4_mapped
from panel.connector.deadline import Deadline

Lookup = Callable[[str, int], Iterable[str]]


class Unresolved(Exception):
    """The name has no address, or the name service did not answer in time."""


def system_lookup(host: str, port: int) -> list[str]:
    """All addresses of a host, in the system's order of preference."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Resolver:
    """Runs at most ``at_once`` lookups at a time, which bounds the threads that a hanging name service can block.

    The threads are daemons, so that they do not delay the end of the process.
    """

    def __init__(self, lookup: Lookup = system_lookup, *, at_once: int = 32) -> None:
        self._lookup = lookup
        self._slots = threading.BoundedSemaphore(at_once)

    def addresses(self, host: str, port: int, deadline: Deadline) -> tuple[Address, ...]:
        """Every address of ``host``, without repeats. Raises Unresolved."""
        literal = _literal(host)
        if literal is not None:
            return (literal,)
        found = self._lookup_in_thread(host, port, deadline)
        if isinstance(found, Exception) or not found:
            raise Unresolved
        return tuple(dict.fromkeys(found))

    def _lookup_in_thread(self, host: str, port: int, deadline: Deadline) -> list[Address] | Exception:
        if not self._slots.acquire(timeout=deadline.left):
            raise Unresolved
        answer: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()
        thread = threading.Thread(
            target=self._run_lookup, args=(host, port, answer), name=f"resolve {host}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # No thread can be started: the system is out of threads, or the interpreter is shutting down.
            self._slots.release()
            raise Unresolved from None
        try:
            return answer.get(timeout=deadline.left)
        except queue.Empty:
            raise Unresolved from None

    def _run_lookup(self, host: str, port: int, answer: queue.SimpleQueue[list[Address] | Exception]) -> None:
        try:
            answer.put([unwrap_ipv4_mapped(ip_address(text)) for text in self._lookup(host, port)])
        except (OSError, ValueError) as exc:
            answer.put(exc)
        finally:
            # Here and not in the caller, which may have given up: the slot stands for the running thread.
            self._slots.release()


def _literal(host: str) -> Address | None:
    """A literal address in its usual spelling. Other spellings (127.1, 0x7f000001) go to the resolver, as for curl."""
    try:
        return unwrap_ipv4_mapped(ip_address(host))
    except ValueError:
        return None
