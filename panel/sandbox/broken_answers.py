"""Answers that are lost or broken on their way, after the stand-in has carried out the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from werkzeug.wrappers import Response

_BOTH_DIRECTIONS = 2
"""``socket.SHUT_RDWR``."""
_MANY = 200
"""More informational answers than any client accepts."""
_HTML = b"<!doctype html><title>Log in</title><form><input name=user></form>"


class Connection(Protocol):
    """The part of a socket that is used here."""

    def sendall(self, data: bytes, /) -> None: ...

    def recv(self, size: int, /) -> bytes: ...

    def shutdown(self, how: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Wire:
    """The connection of a request, and the bytes of its answer."""

    connection: Connection
    head: bytes
    """Status line and headers, with the empty line at the end."""
    body: bytes

    def send(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def other(self, status: str, body: bytes = b"", *headers: str, media_type: str = "application/json") -> None:
        """Send another answer."""
        lines = (f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *headers)
        self.send("\r\n".join((*lines, "", "")).encode(), body)

    def hold(self) -> None:
        """Wait until the client goes away."""
        while self.connection.recv(4096):
            pass


def _partly(share: float, *, then: Callable[[Wire], object] = lambda wire: None) -> Callable[[Wire], object]:
    """Send a share of the answer: up to 1 of the head, beyond that of the body."""

    def send(wire: Wire) -> None:
        head, body = min(share, 1), max(share - 1, 0)
        wire.send(wire.head[: int(len(wire.head) * head)], wire.body[: int(len(wire.body) * body)])
        then(wire)

    return send


def _with_body(change: Callable[[bytes], bytes]) -> Callable[[Wire], object]:
    """Send the head with another body, and with its length."""

    def send(wire: Wire) -> None:
        body = change(wire.body)
        lines = [line for line in wire.head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        wire.send(b"\r\n".join([*lines[:-2], b"Content-Length: %d" % len(body), b"", b""]), body)

    return send


def _status(status: str, *headers: str) -> Callable[[Wire], object]:
    return lambda wire: wire.other(status, b"<h1>Oops</h1>", *headers, media_type="text/html")


def _informational(line: str, count: int, *, whole: bool) -> Callable[[Wire], object]:
    return lambda wire: wire.send(f"HTTP/1.1 {line}\r\n\r\n".encode() * count, *((wire.head, wire.body) * whole))


BREAKS: Mapping[str, Callable[[Wire], object]] = {
    "nothing": lambda wire: None,
    "hang": Wire.hold,
    "part-of-head": _partly(0.5),
    "part-of-status-line": lambda wire: wire.send(wire.head[:9]),
    "head-only": _partly(1),
    "head-then-hang": _partly(1, then=Wire.hold),
    "part-of-body": _partly(1.5),
    "part-of-body-then-hang": _partly(1.5, then=Wire.hold),
    "without-last-byte": lambda wire: wire.send(wire.head, wire.body[:-1]),
    "cut-body": _with_body(lambda body: body[: len(body) // 2]),
    "empty-body": _with_body(lambda body: b""),
    "other-body": _with_body(lambda body: b"\x00\xff not what was announced"),
    "empty-object": lambda wire: wire.other("201 Created", b"{}"),
    "list": lambda wire: wire.other("201 Created", b"[]"),
    "login-page": lambda wire: wire.other("200 OK", _HTML, media_type="text/html"),
    "plain-text": lambda wire: wire.other("201 Created", b"created", media_type="text/plain"),
    "no-content": lambda wire: wire.send(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "accepted": lambda wire: wire.other("202 Accepted"),
    "partial": lambda wire: wire.other("206 Partial Content", wire.body, "Content-Range: bytes 0-9/99"),
    "see-other": _status("303 See Other", "Location: /somewhere"),
    "not-modified": lambda wire: wire.send(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "500": _status("500 Internal Server Error"),
    "502": _status("502 Bad Gateway"),
    "503": _status("503 Service Unavailable"),
    "503-with-wait": _status("503 Service Unavailable", "Retry-After: 1"),
    "504": _status("504 Gateway Timeout"),
    "599": _status("599 Whatever"),
    "part-of-500": lambda wire: wire.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 50\r\n\r\nOops"),
    "switching-protocols": lambda wire: wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "hint-then-nothing": _informational("103 Early Hints", 1, whole=False),
    "hints-without-end": _informational("103 Early Hints", _MANY, whole=True),
    "continue-then-nothing": _informational("100 Continue", 3, whole=False),
    "continue-without-end": _informational("100 Continue", 100 * _MANY, whole=False),
    "processing-without-end": _informational("102 Processing", _MANY, whole=False),
    "no-http": lambda wire: wire.send(b"hello\r\n\r\n"),
    "too-many-headers": lambda wire: wire.send(b"HTTP/1.1 201 Created\r\n", b"X: 1\r\n" * 300, b"\r\n"),
    "garbage-chunks": lambda wire: wire.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "no-last-chunk": lambda wire: wire.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "broken-gzip": lambda wire: wire.other("201 Created", b"no gzip", "Content-Encoding: gzip"),
}
"""Ways to break an answer, by name. The connection is closed afterwards."""


class BrokenAnswer(Response):
    """Sends the answer ``whole`` broken in the way ``name``."""

    def __init__(self, whole: Response, name: str) -> None:
        super().__init__(status=whole.status_code)
        self._whole, self._break = whole, BREAKS[name]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Raises ConnectionAbortedError, which ends the request in the server."""
        connection: Connection = environ["werkzeug.socket"]
        headers = self._whole.get_wsgi_headers(environ)
        head = f"HTTP/1.1 {self._whole.status}\r\n{headers}".encode("latin-1")
        with suppress(OSError):
            self._break(Wire(connection, head, self._whole.get_data()))
            # Otherwise the server would wait for another request on this connection.
            connection.shutdown(_BOTH_DIRECTIONS)
        raise ConnectionAbortedError("The stand-in broke its answer.")
