"""Clients of the benchmarks: bare sockets, so that the client costs little beside the server."""

from __future__ import annotations

import selectors
import socket
import time

CONNECTIONS = 8
BETWEEN_S = 0.02
"""Seconds between two new connections."""


def request(path: str, token: str, *, etag: str = "", body: bytes = b"", host: str = "localhost") -> bytes:
    """The bytes of a GET, or of a POST with a JSON body."""
    method = "POST" if body else "GET"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}"]
    lines += [f"If-None-Match: {etag}"] if etag else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._received = b""

    def get(self, sent: bytes, status: bytes = b"200") -> bytes:
        """The whole answer. Raises AssertionError for another status."""
        self.socket.sendall(sent)
        while (answer := self.receive()) is None:
            pass
        assert answer[9:12] == status, answer[:600]
        return answer

    def receive(self) -> bytes | None:
        """An answer, once it is complete. Raises ConnectionError where the server has closed the connection."""
        received = self.socket.recv(262144)
        if not received:
            raise ConnectionError("the server closed the connection")
        self._received += received
        length = _length(self._received)
        if length is None or len(self._received) < length:
            return None
        answer, self._received = self._received[:length], self._received[length:]
        return answer

    def close(self) -> None:
        self.socket.close()


def _length(received: bytes) -> int | None:
    """The bytes of the answer whose beginning was received, or None while its head is not complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    at = head.find(b"content-length: ")
    return end + 4 + (int(head[at + 16 : end].split(b"\r", 1)[0]) if at >= 0 else 0)


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def header_of(answer: bytes, name: str) -> str:
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.lower().startswith(f"{name.lower()}: "))


def rate(port: int, sent: bytes, status: bytes, seconds: float) -> float:
    """Answers per second to clients that ask again as soon as they are answered.

    They connect one after the other while the first ones poll: connections that come at the same moment would all reach
    one process of the server.
    """
    clients: list[Client] = []
    with selectors.DefaultSelector() as waiting:
        for _ in range(CONNECTIONS):
            clients.append(client := Client(port))
            waiting.register(client.socket, selectors.EVENT_READ, client)
            client.socket.sendall(sent)
            _answers(waiting, sent, status, time.perf_counter() + BETWEEN_S)
        started = time.perf_counter()
        answers = _answers(waiting, sent, status, started + seconds)
        took = time.perf_counter() - started
    for client in clients:
        client.close()
    return answers / took


def _answers(waiting: selectors.BaseSelector, sent: bytes, status: bytes, end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        for key, _ in waiting.select(0.01):
            answer = key.data.receive()
            if answer is not None:
                assert answer[9:12] == status, answer[:600]
                count += 1
                key.data.socket.sendall(sent)
    return count
