"""What the worker process of `make serve` does with connections, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from served import ROOT, free_port, request, served, wait_until_answered

from panel import server

T = TypeVar("T")
Environ = dict[str, Any]
LONG = 32 * 1024 * 1024


class Running:
    """A server in a thread, on an application that answers what ``body`` returns."""

    def __init__(self, body: Callable[[Environ], bytes]) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.server = server.new_server(self._application(body), listener, threads=2, backlog=64)
        self._alive = True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._alive = False
        self.server.pull_trigger()
        self._thread.join(10)
        self.server.stop_listening()
        self.server.task_dispatcher.shutdown(timeout=1)
        for channel in list(self.server.active_channels.values()):
            channel.handle_close()
        self.server.trigger.close()

    def connected(self, sent: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        client.sendall(sent)
        return client

    def _run(self) -> None:
        while self._alive:
            self.server.handle_events(0.05)

    @staticmethod
    def _application(body: Callable[[Environ], bytes]) -> Callable[..., list[bytes]]:
        def application(environ: Environ, start_response: Callable[..., object]) -> list[bytes]:
            text = body(environ)
            if environ["PATH_INFO"] == "/unchanged":
                start_response("304 Not Modified", [("ETag", '"1"')])
                return []
            start_response("200 OK", [("Content-Length", str(len(text)))])
            return [text]

        return application


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Callable[[Callable[[Environ], bytes]], Running]:
    def start(body: Callable[[Environ], bytes]) -> Running:
        running = Running(body)
        request.addfinalizer(running.close)
        return running

    return start


@pytest.fixture
def hello(start: Callable[[Callable[[Environ], bytes]], Running]) -> Running:
    return start(lambda environ: b"hello")


def received(client: socket.socket) -> bytes:
    """All bytes until the server closes the connection."""
    data = b""
    with client, suppress(ConnectionResetError):
        while part := client.recv(65536):
            data += part
    return data


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
    ],
    ids=["idle", "head", "body", "chunks"],
)
def test_an_unfinished_request_is_disconnected(hello: Running, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.3)

    assert received(hello.connected(sent)) == b""


def test_each_request_on_a_connection_has_its_own_time(hello: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with hello.connected(b"") as client:
        (channel,) = wait_for(lambda: list(hello.server.active_channels.values()))
        channel._waiting_since -= server.REQUEST_S - 5
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with client.makefile("rb") as answer:
            assert b"Content-Length: 5\r\n" in list(iter(answer.readline, b"\r\n"))
            assert answer.read(5) == b"hello"
        wait_for(lambda: not channel.requests)

        channel._waiting_since -= server.REQUEST_S - 5
        assert not channel.is_overdue()
        channel._waiting_since -= 6
        assert client.recv(4096) == b""


def test_a_connection_is_kept_after_an_answer_without_a_body(hello: Running) -> None:
    ask, last = b"GET /unchanged HTTP/1.1\r\nHost: x\r\n", b"Connection: close\r\n"
    client = hello.connected((ask + b"\r\n") * 3 + ask + last + b"\r\n")

    answers = received(client)
    assert answers.count(b"HTTP/1.1 304 Not Modified\r\n") == 4
    assert answers.endswith(b"\r\n\r\n")


def test_connections_above_the_limit_replace_the_oldest_ones(hello: Running) -> None:
    hello.server.adj.connection_limit = server.ACCEPTED_AT_ONCE + 10

    with ExitStack() as stack:
        clients = [stack.enter_context(hello.connected(b"GET / HTTP/1.1\r\nX-Slow: ")) for _ in range(30)]
        assert request(hello.port, "GET", "/").status == 200
        assert received(clients[0]) == b""
        clients[-1].sendall(b"1\r\n\r\n")
        assert clients[-1].recv(8) == b"HTTP/1.1"


def test_a_client_that_takes_nothing_of_a_long_answer_frees_its_thread(
    start: Callable[[Callable[[Environ], bytes]], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SENDING_S", 0.3)
    running = start(lambda environ: b"a" * (LONG if environ["PATH_INFO"] == "/long" else 1))

    clients = [running.connected(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 2) for _ in range(2)]

    assert request(running.port, "GET", "/short").status == 200
    for client in clients:
        client.close()


def test_a_request_starts_when_its_body_is_complete(
    start: Callable[[Callable[[Environ], bytes]], Running],
) -> None:
    started = threading.Event()

    def body(environ: Environ) -> bytes:
        started.set()
        return bytes(environ["wsgi.input"].read())

    client = start(body).connected(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")
    assert not started.wait(0.2)
    client.sendall(b"def")

    assert received(client).endswith(b"abcdef")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nsecret-part : 1\r\n\r\n", b"400 Bad Request"),
        (b"GET /secret-part HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * server.HEAD_BYTES, b"431 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"413 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: secret-part\r\n\r\n", b"501 "),
    ],
    ids=["header", "long head", "long body", "coding"],
)
def test_errors_of_the_server_itself_tell_no_details(hello: Running, sent: bytes, status: bytes) -> None:
    head, _, body = received(hello.connected(sent)).partition(b"\r\n\r\n")

    first, *headers = head.split(b"\r\n")
    assert first.partition(b" ")[2].startswith(status)
    assert body.strip() == first.split(b" ", 2)[2]
    assert b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'" in headers
    assert b"waitress" not in head.lower()


def test_a_failing_application_tells_no_details(start: Callable[[Callable[[Environ], bytes]], Running]) -> None:
    def body(environ: Environ) -> bytes:
        raise RuntimeError("secret-part")

    response = request(start(body).port, "GET", "/")

    assert (response.status, response.body) == (500, b"Internal Server Error\n")


@pytest.mark.parametrize(
    ("limits", "connections", "files"),
    [
        ((1024, 524_288), server.CONNECTIONS, 8704),
        ((1024, -1), server.CONNECTIONS, 8704),
        ((65_536, 65_536), server.CONNECTIONS, None),
        ((-1, -1), server.CONNECTIONS, None),
        ((1024, 1024), 256, None),
    ],
)
def test_connections_are_limited_by_the_open_files_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], connections: int, files: int | None
) -> None:
    raised: list[int] = []
    monkeypatch.setattr(server.resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(server.resource, "setrlimit", lambda kind, both: raised.append(both[0]))

    assert server._connection_limit() == connections
    assert raised == ([files] if files else [])


HEAPS_OF_SIX_THREADS = """
import ctypes, sys, threading
from panel.server import limit_heaps
if sys.argv[1] == "limited":
    limit_heaps()
at_once = threading.Barrier(7)
def allocate():
    kept = bytearray(10_000)
    at_once.wait()
    at_once.wait()
threads = [threading.Thread(target=allocate) for _ in range(6)]
[thread.start() for thread in threads]
at_once.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
output = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, output)
libc.fflush(output)
at_once.wait()
"""


def test_the_threads_of_a_process_share_few_heaps() -> None:
    def heaps(how: str) -> int:
        command = [sys.executable, "-c", HEAPS_OF_SIX_THREADS, how]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.count("<heap nr")

    assert heaps("limited") == server.HEAPS
    assert heaps("unlimited") > server.HEAPS


# --- the end of `make serve` -----------------------------------------------------------------------------------------


def test_a_request_that_was_received_is_answered_after_sigterm(tmp_path: Path) -> None:
    port = free_port()
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "waiting_app:app", "--bind", f"127.0.0.1:{port}", "--workers", "1",
         "--worker-class", "panel.server.BufferingWorker", "--no-control-socket", "--log-level", "warning"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])},
    )  # fmt: skip
    try:
        wait_until_answered(port, gunicorn)
        idle = socket.create_connection(("127.0.0.1", port), timeout=30)
        with idle, socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(f"GET /?{tmp_path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            wait_for(lambda: list(tmp_path.glob("started")))
            gunicorn.terminate()
            wait_for(lambda: is_refused(port))
            (tmp_path / "go on").touch()
            assert received(client).endswith(b"done")
        assert gunicorn.wait(30) == 0
    finally:
        (tmp_path / "go on").touch()
        gunicorn.kill()
        gunicorn.wait(30)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with served(tmp_path, WEB_CONCURRENCY="1") as panel:
        (gunicorn,) = children_of(panel.process.pid)
        (worker,) = children_of(gunicorn)
        os.kill(worker, signal.SIGKILL)

        wait_for(lambda: [pid for pid in children_of(gunicorn) if pid != worker])
        assert panel.get().status == 200


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def children_of(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_for(value: Callable[[], T]) -> T:
    """The first value that is true or not empty."""
    end = time.monotonic() + 20
    while not (found := value()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found
