"""A server that misbehaves in one way per path, on plain sockets and threads, and records what it was sent."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

DRIP_S = 0.05


@dataclass
class Seen:
    """One request as it arrived."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.headers}

    def header(self, name: str) -> str:
        return next(value for key, value in self.headers if key.lower() == name.lower())


@dataclass
class Peer:
    """The other end of one connection, as a fault sees it."""

    sock: socket.socket
    seen: Seen
    number: int = 1
    """The number of this request on its connection."""
    stays: bool = False
    """Whether the connection stays open after the answer."""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, status: str, body: bytes = b"", **headers: str) -> None:
        lines = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines |= {} if self.stays else {"Connection": "close"}
        lines.update({name.replace("_", "-"): value for name, value in headers.items()})
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        self.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body)

    def drip(self, data: bytes) -> None:
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(DRIP_S)

    def hold(self) -> None:
        """Wait until the client goes away."""
        with suppress(OSError):
            while self.sock.recv(4096):
                pass

    def forever(self, data: bytes) -> None:
        while True:
            self.send(data)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Fault = Callable[[Peer], None]
FAULTS: dict[str, Fault] = {}
OK = b'{"ok": true}'
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
OPEN_CHUNKED = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKED = JSON_HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


def gzipped(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def deflated(data: bytes, *, header: bool) -> bytes:
    packer = zlib.compressobj(wbits=15 if header else -15)
    return packer.compress(data) + packer.flush()


def bomb(start: bytes = GZIP) -> bytes:
    """A megabyte that unpacks to a gigabyte: one block of zeros, repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * 1024


def fault(name: str) -> Callable[[Fault], Fault]:
    def register(work: Fault) -> Fault:
        FAULTS[name] = work
        return work

    return register


def raw(name: str, data: bytes, *, then: Callable[[Peer], None] = lambda peer: None) -> None:
    def work(peer: Peer) -> None:
        peer.send(data)
        then(peer)

    FAULTS[name] = work


def plain(name: str, status: str, body: bytes = b"", **headers: str) -> None:
    FAULTS[name] = lambda peer: peer.answer(status, body, **headers)


@fault("echo")
def _echo(peer: Peer) -> None:
    seen = {"line": peer.seen.line, "headers": peer.seen.headers, "body": peer.seen.body.decode("latin-1")}
    peer.answer("200 OK", json.dumps(seen).encode())


plain("ok", "200 OK", OK)
plain("created", "201 Created", OK)
plain("no-content", "204 No Content", Content_Length="")
plain("cookie", "200 OK", OK, Set_Cookie="JSESSIONID=1; Path=/")
plain("gzip", "200 OK", gzipped(OK), Content_Encoding="gzip")
plain("gzip-members", "200 OK", gzipped(OK[:5]) + gzipped(b"") + gzipped(OK[5:]), Content_Encoding="gzip")
plain("gzip-padded", "200 OK", gzipped(OK) + bytes(512), Content_Encoding="gzip")
plain("gzip-and-identity", "200 OK", gzipped(OK), Content_Encoding="GZIP,, identity")
plain("deflate", "200 OK", deflated(OK, header=True), Content_Encoding="deflate")
plain("deflate-bare", "200 OK", deflated(OK, header=False), Content_Encoding="Deflate")
plain("deflate-padded", "200 OK", deflated(OK, header=True) + bytes(9), Content_Encoding="deflate")
raw("until-close", JSON_HEAD + b"\r\n" + OK)
raw("chunked", CHUNKED + b"c\r\n" + OK + b"\r\n0\r\n\r\n")
raw("early-answer", b"HTTP/1.1 413 Too Big\r\nContent-Length: 0\r\n\r\n")
raw("continue-first", b"HTTP/1.1 100 Continue\r\n\r\n" + JSON_HEAD + b"Content-Length: 12\r\n\r\n" + OK)

FAULTS["hang"] = Peer.hold
FAULTS["close"] = lambda peer: None
FAULTS["reset"] = Peer.reset
FAULTS["status-drip"] = lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\n" * 100)
FAULTS["endless-continue"] = lambda peer: peer.forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
raw("head-drip", b"HTTP/1.1 200 OK\r\n", then=lambda peer: peer.drip(b"X-Slow: yes\r\n" * 100))
raw("body-drip", JSON_HEAD + b"Content-Length: 5000\r\n\r\n", then=lambda peer: peer.drip(b" " * 5000))
raw("chunk-drip", CHUNKED, then=lambda peer: peer.drip(b"1\r\n \r\n" * 1000))
raw("half-then-hang", JSON_HEAD + b"Content-Length: 50\r\n\r\n{", then=Peer.hold)
raw("reset-mid-body", JSON_HEAD + b"Content-Length: 50\r\n\r\n{", then=Peer.reset)
raw("short-body", JSON_HEAD + b"Content-Length: 50\r\n\r\n" + OK)
raw("short-chunk", CHUNKED + b"ff\r\n" + OK)
raw("no-last-chunk", CHUNKED + b"c\r\n" + OK + b"\r\n")
raw("garbage-chunks", CHUNKED + b"zzz\r\nnot a chunk\r\n")
raw("negative-chunk", CHUNKED + b"-1\r\n", then=lambda peer: peer.forever(b" " * 65536))
raw("long-chunk-line", CHUNKED, then=lambda peer: peer.forever(b"1" * 65536))
raw("long-trailer", CHUNKED + b"0\r\n", then=lambda peer: peer.forever(b"x" * 65536))
plain("broken-gzip", "200 OK", b"this is no gzip", Content_Encoding="gzip")
plain("cut-gzip", "200 OK", gzipped(OK)[:-8], Content_Encoding="gzip")
plain("gzip-and-more", "200 OK", gzipped(OK) + b"more", Content_Encoding="gzip")
plain("gzip-after-padding", "200 OK", gzipped(OK) + bytes(9) + gzipped(OK), Content_Encoding="gzip")
plain("gzip-half-member", "200 OK", gzipped(OK) + b"\x1f", Content_Encoding="gzip")
plain("many-members", "200 OK", gzipped(b"") * 5000 + gzipped(OK), Content_Encoding="gzip")
plain("cut-deflate", "200 OK", deflated(OK, header=True)[:-3], Content_Encoding="deflate")
plain("one-byte-deflate", "200 OK", b"x", Content_Encoding="deflate")
plain("deflate-and-more", "200 OK", deflated(OK, header=True) * 2, Content_Encoding="deflate")
plain("layered-gzip", "200 OK", gzipped(gzipped(OK)), Content_Encoding="gzip, gzip")
plain("brotli", "200 OK", b"\x8b\x05\x80", Content_Encoding="br")
FAULTS["gzip-bomb"] = lambda peer: peer.answer("200 OK", bomb(), Content_Encoding="gzip")
FAULTS["second-member-bomb"] = lambda peer: peer.answer("200 OK", gzipped(OK) + bomb(), Content_Encoding="gzip")
FAULTS["deflate-bomb"] = lambda peer: peer.answer("200 OK", bomb(b""), Content_Encoding="deflate")
raw("endless-body", JSON_HEAD + b"\r\n", then=lambda peer: peer.forever(b" " * 65536))
raw("endless-chunks", CHUNKED, then=lambda peer: peer.forever(b"10000\r\n" + b" " * 65536 + b"\r\n"))
raw("announced-too-long", JSON_HEAD + b"Content-Length: 99999999999\r\n\r\n", then=lambda p: p.forever(b" " * 65536))
raw("huge-header", b"HTTP/1.1 200 OK\r\nX-Huge: " + b"a" * 70_000 + b"\r\n\r\n")
raw("endless-header", b"HTTP/1.1 200 OK\r\nX-Huge: ", then=lambda peer: peer.forever(b"a" * 65536))
raw("many-headers", b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n")
raw("odd-header", JSON_HEAD + b"Content-Length: 12\r\nthis is no header\r\n\r\n" + OK)
raw("garbage-status", b"hello, who is there?\r\n\r\n")
raw("old-http", b"<html>hello</html>")
raw("bad-status-number", b"HTTP/1.1 2x0 OK\r\n\r\n")
raw("two-lengths", JSON_HEAD + b"Content-Length: 12\r\nContent-Length: 13\r\n\r\n" + OK)
raw("early-hints", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + JSON_HEAD + b"Content-Length: 12\r\n\r\n" + OK)
FAULTS["endless-hints"] = lambda peer: peer.forever(b"HTTP/1.1 103 Early Hints\r\n\r\n")
plain("part", "206 Partial Content", OK, Content_Range="bytes 0-11/99")
raw("500-drip", b"HTTP/1.1 500 Oops\r\nContent-Length: 5000\r\n\r\n", then=lambda peer: peer.drip(b" " * 5000))
raw("500-endless", b"HTTP/1.1 500 Oops\r\n\r\n", then=lambda peer: peer.forever(b" " * 65536))
raw("401-short", b"HTTP/1.1 401 No\r\nContent-Length: 50\r\n\r\nno")

for code in (400, 401, 403, 404, 405, 409, 410, 418, 422, 429, 500, 501, 502, 503, 504, 599):
    plain(str(code), f"{code} Whatever", b"upstream's own words", Content_Type="text/plain")
plain("429-seconds", "429 Slow", Retry_After="7")
plain("429-reset", "429 Slow", RateLimit_Reset="9")
plain("503-seconds", "503 Busy", Retry_After="9")

plain("301", "301 Moved", Location="https://elsewhere.test/login?secret=1#x")
plain("302", "302 Found", Location="//elsewhere.test:8443/x")
plain("303", "303 See Other", Location="/ok")
plain("307", "307 Temporary", Location="http://user:pw@elsewhere.test/")
plain("308", "308 Permanent", Location="ok")
plain("300", "300 Choices", Location="https://elsewhere.test/")
plain("302-sign-in", "302 Found", Location="/xwiki/bin/signin/<>;jsessionid=secret?user=pw#alert")
plain("302-nowhere", "302 Found")
plain("302-odd", "302 Found", Location="javascript:alert(1)")
plain("302-broken", "302 Found", Location="http://[::1")
plain("302-markup", "302 Found", Location="https://<script>/")
plain("302-bomb", "302 Found", bomb(), Location="/ok", Content_Encoding="gzip")
plain("304", "304 Not Modified", Content_Length="")

plain("login-page", "200 OK", b"<html><form>Log in</form></html>", Content_Type="text/html; charset=utf-8")
plain("wrong-type", "200 OK", OK, Content_Type="text/plain")
plain("markup-type", "200 OK", OK, Content_Type="<script>alert(1)</script>")
plain("no-type", "200 OK", OK, Content_Type="")
plain("latin-1", "200 OK", '{"name": "Zoë"}'.encode("latin-1"), Content_Type="application/json; charset=iso-8859-1")
plain("utf-16", "200 OK", '{"name": "Zoë"}'.encode("utf-16"), Content_Type="application/json; charset=utf-16")
plain("empty", "200 OK")
plain("empty-object", "200 OK", b"{}")
plain("list", "200 OK", b"[]")
plain("cut-json", "200 OK", b'{"items": [')
plain("not-a-number", "200 OK", b'{"count": NaN}')
plain("deep", "200 OK", b"[" * 100_000 + b"]" * 100_000)
plain("big-integer", "200 OK", b'{"count": ' + b"9" * 5000 + b"}")
plain("repeated-key", "200 OK", b'{"id": 1, "id": 2}')
plain("half-character", "200 OK", b'{"title": "a\\ud800b"}')
FAULTS["object-bomb"] = lambda peer: peer.answer("200 OK", b"[" + b"{}," * 1_600_000 + b"{}]")


# Ends of a connection that stays open after an answer.
raw("open-chunked", OPEN_CHUNKED + b"c\r\n" + OK + b"\r\n0\r\n\r\n")
raw("open-ok", JSON_HEAD + b"Content-Length: 12\r\n\r\n" + OK)
raw("surplus", JSON_HEAD + b"Content-Length: 12\r\n\r\n" + OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
raw(
    "two-framings",
    OPEN_CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 12\r\n\r\n") + b"c\r\n" + OK + b"\r\n0\r\n\r\n",
)
raw("http-1.0", JSON_HEAD.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\nContent-Length: 12\r\n\r\n" + OK)
plain("short-idle", "200 OK", OK, Keep_Alive="timeout=1, max=100")
plain("long-idle", "200 OK", OK, Keep_Alive="timeout=60")
plain("says-close", "200 OK", OK, Connection="close")


def once(name: str, again: Callable[[Peer], None]) -> None:
    """Answer the first request of a connection, and do ``again`` with a further one."""
    FAULTS[name] = lambda peer: peer.answer("200 OK", OK) if peer.number == 1 else again(peer)


def _end(peer: Peer) -> None:
    peer.stays = False


once("once-then-close", _end)
once("once-then-reset", Peer.reset)
once("once-then-hang", Peer.hold)
once("once-then-part", lambda peer: (peer.send(b"HTTP/1.1 2"), _end(peer))[1])


class FaultServer:
    """Listens on loopback until ``close``. ``greet`` misbehaves before any request is read.

    With ``stays`` connections stay open after an answer; otherwise each of them serves one request.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        greet: Callable[[socket.socket], None] | None = None,
        stays: bool = False,
        port: int = 0,
    ) -> None:
        self.seen: list[Seen] = []
        self.connects = 0
        self.ends = 0
        """How many connections have ended."""
        self._tls, self._greet, self._stays = tls, greet, stays
        self._listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.host, self.port = host, self._listener.getsockname()[1]
        self.host_port = f"{host}:{self.port}"
        self._open: set[socket.socket] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="fault server", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host_port}"

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connects += 1
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), name="fault", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        connection = sock
        try:
            if self._greet is not None:
                self._greet(sock)
                return
            if self._tls is not None:
                connection = self._tls.wrap_socket(sock, server_side=True)
                self._open.add(connection)
            self._misbehave(connection)
        except (OSError, ValueError):
            pass
        finally:
            self.ends += 1
            for each in {sock, connection}:
                self._open.discard(each)
                each.close()

    def _misbehave(self, connection: socket.socket) -> None:
        number, stays = 0, True
        while stays:
            number += 1
            seen = _read_request(connection)
            if seen is None:
                return
            self.seen.append(seen)
            name = seen.target.partition("?")[0].rsplit("/", 1)[-1]
            peer = Peer(connection, seen, number, self._stays)
            FAULTS.get(name, FAULTS["echo"])(peer)
            stays = peer.stays


def _read_request(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (text.partition(":") for text in lines)]
    seen = Seen(line, headers, body)
    length = int({name.lower(): value for name, value in headers}.get("content-length", 0))
    if seen.target.endswith("/early-answer"):
        return seen
    while len(seen.body) < length:
        seen.body += connection.recv(65536)
    return seen


@contextmanager
def black_hole(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """An address whose backlog is full: connecting to it neither works nor fails."""
    listener = socket.create_server((host, port), backlog=0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        with suppress(BlockingIOError):
            filler.connect(listener.getsockname())
        fillers.append(filler)
    yield f"http://{host}:{listener.getsockname()[1]}"
    for sock in (*fillers, listener):
        sock.close()


@contextmanager
def refused() -> Iterator[str]:
    """An address without a listener, reserved while it is used."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    sock.close()


@dataclass
class Baseline:
    """Threads and open files before something, to be compared with those after it."""

    threads: int = field(default_factory=lambda: _threads())
    files: int = field(default_factory=lambda: len(os.listdir("/proc/self/fd")))

    def is_back(self, within_s: float = 10.0) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if _threads() <= self.threads and len(os.listdir("/proc/self/fd")) <= self.files:
                return True
            time.sleep(0.01)
        return False


def _threads() -> int:
    return sum(thread.name != "fault" for thread in threading.enumerate())
