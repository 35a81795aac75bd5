"""The worker process of ``make serve``: gunicorn starts, watches and stops it; waitress reads and writes in it.

One thread reads all connections and gives a request to a worker thread when its head and body are complete. A slow
client therefore occupies a connection and never a thread, and the connection for a limited time only.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import time
from typing import Any

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask

REQUEST_S = 30
"""Seconds for a complete request: from the connection, or from the previous answer on it, to the last byte."""
SENDING_S = 30
"""Seconds after which a client that takes no byte of its answer is disconnected."""
CONNECTIONS = 4096
"""Open connections of one process. Further ones replace those that have been open longest without a request."""
ACCEPTED_AT_ONCE = 64
"""Connections that one pass over all connections accepts. With one, a burst of them would take quadratic time."""
OTHER_FILES = 512
"""Open files for everything else: databases, calls to upstreams, static files."""
HEAD_BYTES = 64 * 1024
BODY_BYTES = 2 * 1024 * 1024
"""Above the application's own limit, so that the application answers a body that is a little too large."""
MEMORY_BYTES = 64 * 1024
"""A longer body waits in a temporary file until it is complete."""
_M_ARENA_MAX = -8
HEAPS = 2
ERROR_HEADERS = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store, private"),
)


class BufferingWorker(Worker):  # type: ignore[misc]
    """A worker class of gunicorn whose threads receive complete requests only."""

    _server: _Server | None = None

    def run(self) -> None:
        limit_heaps()
        # waitress warns whenever a request waits for a thread.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        (listener,) = self.sockets
        server = self._server = new_server(self.wsgi, listener.sock, threads=self.cfg.threads, backlog=self.cfg.backlog)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            server.handle_events(1)
        server.stop_listening()
        end = time.monotonic() + self.cfg.graceful_timeout
        while server.is_busy() and time.monotonic() < end:
            self.notify()
            server.handle_events(0.1)
        server.task_dispatcher.shutdown(timeout=1)

    def handle_exit(self, sig: int, frame: object) -> None:
        super().handle_exit(sig, frame)
        if self._server:
            self._server.pull_trigger()  # ends the wait of `handle_events`


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """Answers a request that the application does not see, without saying what waitress made of it."""

    def execute(self) -> None:
        error = self.request.error
        body = f"{error.reason}\n".encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.extend(ERROR_HEADERS)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Task(WSGITask):  # type: ignore[misc]
    """Keeps the connection after an answer without a body, such as 304: its head is its end. waitress closes it."""

    def set_close_on_finish(self) -> None:
        wants_close = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or wants_close or self.version != "1.1":
            super().set_close_on_finish()


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection, and since when it owes a complete request."""

    task_class = _Task
    error_task_class = _ErrorTask

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._waiting_since = time.monotonic()
        super().__init__(*args, **kwargs)

    def service(self) -> None:
        self._waiting_since = time.monotonic()
        super().service()

    def is_busy(self) -> bool:
        return bool(self.requests or self.total_outbufs_len)

    def is_overdue(self) -> bool:
        """Asked every second, so that the time of a request that takes long does not count."""
        if self.requests:
            self._waiting_since = time.monotonic()
        if self.total_outbufs_len:
            return bool(time.time() - self.last_activity > SENDING_S)
        return time.monotonic() - self._waiting_since > REQUEST_S


class _Server(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel

    def handle_events(self, seconds: float) -> None:
        """Wait up to ``seconds`` for events of the connections, and handle those that are there."""
        wasyncore.loop(seconds, use_poll=True, map=self._map, count=1)

    def handle_accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            # waitress stops accepting at the limit, which would lock everybody out.
            if len(self._map) > self.adj.connection_limit - ACCEPTED_AT_ONCE:
                self._close_oldest_without_request()
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return

    def maintenance(self, now: float) -> None:
        """Called by waitress every ``cleanup_interval`` seconds, in the thread that reads the connections."""
        for channel in list(self.active_channels.values()):
            if channel.is_overdue():
                # Not `will_close`: it waits until the client takes the rest of an answer.
                channel.handle_close()

    def _close_oldest_without_request(self) -> None:
        if channel := next((one for one in self.active_channels.values() if not one.is_busy()), None):
            channel.handle_close()

    def stop_listening(self) -> None:
        """Accept no more connections; requests on those that are open are still answered."""
        self.accepting = False
        self.del_channel()
        self.socket.close()

    def is_busy(self) -> bool:
        return any(channel.is_busy() for channel in self.active_channels.values())


def new_server(application: object, listener: Any, *, threads: int, backlog: int) -> _Server:
    settings = Adjustments(
        threads=threads,
        backlog=backlog,
        connection_limit=_connection_limit(),
        cleanup_interval=1,
        max_request_header_size=HEAD_BYTES,
        max_request_body_size=BODY_BYTES,
        inbuf_overflow=MEMORY_BYTES,
        # The application reads X-Forwarded-For as PANEL_TRUSTED_PROXIES says. Nothing reads the other headers.
        clear_untrusted_proxy_headers=False,
        log_socket_errors=False,
        ident="",
        server_name=listener.getsockname()[0],
    )
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(threads)
    sockinfo = (listener.family, listener.type, listener.proto, listener.getsockname())
    return _Server(
        application, {}, True, listener, dispatcher=dispatcher, adj=settings, bind_socket=False, sockinfo=sockinfo
    )


def limit_heaps() -> None:
    """Let the threads share few heaps. By default each may get one of its own, whose free memory no other can use.

    https://man7.org/linux/man-pages/man3/mallopt.3.html; C libraries without this function have no such heaps.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, HEAPS)


def _connection_limit() -> int:
    """CONNECTIONS, or fewer where this process may not open so many files: a connection and its body take one each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS + OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return min(CONNECTIONS, max(1, (allowed - OTHER_FILES) // 2))
