"""Base of the stand-ins: recorded requests, fault switches, the ``X-Sandbox`` header, and a real HTTP server.

A stand-in behaves like the real upstream over real HTTP and holds its state in memory. ``make run`` and the tests use
it; the panel itself never imports it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.http import http_date
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One received request, with the status of its response."""

    method: str
    path: str
    """The path as sent, percent-encoded."""
    query: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def params(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)


def _login_page(_: Request) -> Response:
    return Response("<!doctype html><title>Log in</title><form><input name=user></form>", mimetype="text/html")


def _hang(_: Request) -> Response:
    time.sleep(30)
    return Response("late", 200)


FAULTS: dict[str, Callable[[Request], Response]] = {
    "hang": _hang,
    "login-page": _login_page,
    "empty-body": lambda _: Response("", 200, content_type="application/json"),
    "empty-object": lambda _: Response("{}", 200, content_type="application/json"),
    "wrong-type": lambda _: Response("{}", 200, content_type="text/plain"),
    "broken-json": lambda _: Response('{"items": [', 200, content_type="application/json"),
    "not-found": lambda _: Response("<h1>Not Found</h1>", 404, content_type="text/html"),
    "unauthorized": lambda _: Response("", 401),
    "forbidden": lambda _: Response("", 403),
    "wall": lambda _: Response(
        "<title>Just a moment...</title>", 403, {"cf-mitigated": "challenge"}, mimetype="text/html"
    ),
    "rate-limited": lambda _: Response("slow down", 429, {"Retry-After": "7"}),
    "overloaded": lambda _: Response("busy", 503, {"Retry-After": "9"}),
    "server-error": lambda _: Response("<h1>Internal error</h1>", 500, content_type="text/html"),
    "unavailable": lambda _: Response("down", 503),
    "redirect": lambda _: Response("", 302, {"Location": "https://elsewhere.example/login"}),
    "huge": lambda _: Response(b'{"x":"' + b"a" * 12_000_000 + b'"}', 200, content_type="application/json"),
}
"""Faults by name. Each returns a response that replaces the upstream's own; ``wall`` is that of a firewall."""


class StandIn:
    """Base class of the stand-ins. Subclasses implement ``answer(request)`` for paths below their mount point."""

    product = "Upstream"

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.fault: str | None = None
        self.fault_only: Callable[[Request], bool] = lambda request: True
        """Restricts ``fault`` to the requests for which this returns true."""
        self.on_request: Callable[[Request], object] = lambda request: None
        """Called with each request before anything is done."""
        self.finish: Callable[[Request, Response], Response] = lambda request, response: response
        """Called when a request has been carried out. Returns the response to send: this one, or another."""
        self.removed_headers: frozenset[str] = frozenset()
        """Names of response headers that do not arrive, as behind a proxy that lets only known ones pass."""
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def failing(self, fault: str, request: Request) -> Response:
        """The response of a fault. Subclasses send refusals in the form of their product."""
        return FAULTS[fault](request)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        raw = environ.get("REQUEST_URI") or environ.get("RAW_URI") or request.full_path
        path, _, query = raw.partition("?")
        if request.path.startswith("/_sandbox"):
            return self._control(request)(environ, start_response)
        self.on_request(request)
        if self.fault is not None and self.fault_only(request):
            response = self.failing(self.fault, request)
        else:
            response = self.finish(request, self.answer(request))
        response.headers.setdefault("Date", http_date())
        for name in self.removed_headers:
            response.headers.pop(name, None)
        response.headers["X-Sandbox"] = f"Leafpanel stand-in of {self.product}"
        headers = {name.lower(): value for name, value in request.headers.items()}
        record = Recorded(request.method, path, query, response.status_code, headers)
        with self._lock:
            self.requests.append(record)
        return response(environ, start_response)

    @contextmanager
    def counting(self) -> Iterator[list[Recorded]]:
        """Collect the requests received inside the block, also if the block raises."""
        before = len(self.requests)
        seen: list[Recorded] = []
        try:
            yield seen
        finally:
            seen.extend(self.requests[before:])

    def _control(self, request: Request) -> Response:
        """Serve ``/_sandbox/requests`` (recorded requests) and ``POST /_sandbox/fault`` (set the fault ``name``)."""
        if request.path == "/_sandbox/requests":
            return Response(json.dumps([asdict(r) for r in self.requests]), content_type="application/json")
        if request.path == "/_sandbox/fault" and request.method == "POST":
            name = request.form.get("name", "")
            if name and name not in FAULTS:
                return Response(f"Unknown fault. Known: {', '.join(FAULTS)}\n", 400)
            self.fault = name or None
            return Response(f"{self.product}: {name or 'no fault'}\n")
        return Response("Not found\n", 404)


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_header(self, keyword: str, value: str) -> None:
        """Leave ``Date`` to the stand-ins: it is their clock, or missing."""
        if (keyword, value) != ("Date", ""):
            super().send_header(keyword, value)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return ""

    def log(self, *args: object, **kwargs: object) -> None:
        """Log nothing: ``StandIn.requests`` holds every request."""


class RunningServer:
    """Serves a WSGI application over real HTTP on loopback until ``close``."""

    def __init__(self, app: Wsgi, port: int = 0, host: str = "127.0.0.1") -> None:
        self._server: BaseWSGIServer = make_server(host, port, app, threaded=True, request_handler=_QuietHandler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.port: int = self._server.server_port
        self.host_port = f"{host}:{self.port}"
        self.url = f"http://{self.host_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def mounted(**standins: Wsgi) -> Wsgi:
    """Return one WSGI application with each stand-in below its name: ``mounted(xwiki=…, openproject=…)``."""
    missing: Wsgi = Response("Leafpanel sandbox. Try /xwiki/ or /openproject/.\n", 404)
    return DispatcherMiddleware(missing, {f"/{name}": app for name, app in standins.items()})
