"""Carries one prepared request to an upstream, over a connection to an address that the guard allowed."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import BadStatusLine, HTTPException, HTTPResponse
from ssl import SSLContext
from typing import Any, TypeVar

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from panel.connector.address_guard import AddressGuard
from panel.connector.body import BodyTooLarge, MalformedBody
from panel.connector.classify import problem_of_failure
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint
from panel.connector.kept_connections import IDLE_S, KeptConnections, Route
from panel.connector.sockets import BudgetExceeded, Socket, dial, secure
from panel.connector.tls import TlsContexts
from panel.core.domain import Problem

T = TypeVar("T")

# urllib3 logs whole addresses, and queries may hold what people typed.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_MAX_INFORMATIONAL = 10
"""How many informational answers (1xx) may precede the final one."""

_LIBRARY_FAILURES = (OSError, HTTPException, urllib3.exceptions.HTTPError, requests.RequestException)
_FAILURES = (*_LIBRARY_FAILURES, BodyTooLarge, BudgetExceeded, MalformedBody)
_IDLE_TIME = re.compile(r"\btimeout=([0-9]{1,6})\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request to send. ``credential`` says whether its headers carry one."""

    method: str
    endpoint: Endpoint
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    credential: bool = False
    ca_file: str = ""
    connection: Endpoint | None = None
    """Where the connection goes, if it does not go to ``endpoint``. The address guard judges this one."""
    reads: bool = False
    """Whether it changes nothing upstream, so that it may be repeated."""
    shares: tuple[str, int] | None = None
    """Id and version of the source whose idle connections a read may use; None for a connection of its own."""

    @property
    def may_share(self) -> bool:
        """Whether it may use a connection that was idle. A write may not: whether it arrived would be in doubt."""
        return self.reads and self.shares is not None


class GuardedAdapter(HTTPAdapter):
    """Sends a request to the allowed addresses of one endpoint, whatever the URL of the request says.

    Serves one exchange; closing it closes the connection, unless ``keep`` has put it aside. Plain http may carry a
    credential to opened addresses only. ``budget`` is how many bytes the connection may receive.
    """

    has_sent = False
    """Whether a request may have reached the upstream."""

    def __init__(
        self,
        guard: AddressGuard,
        tls: TlsContexts,
        kept: KeptConnections,
        request: OutgoingRequest,
        deadline: Deadline,
        budget: int,
    ) -> None:
        super().__init__()
        self._connects_to = request.connection or request.endpoint
        self._guard, self._tls, self._kept = guard, tls, kept
        self._request, self._endpoint = request, request.endpoint
        self._deadline, self._budget = deadline, budget
        self._connection: Socket | None = None
        self._answer: _FinalResponse | None = None
        self._route: Route | None = None
        self._open = ExitStack()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create no pool: that of urllib3 does not know which addresses are allowed."""

    def close(self) -> None:
        self._open.close()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        connection = self.connect(may_be_idle=self._request.may_share)
        try:
            return self._send_over(connection, request)
        except _LIBRARY_FAILURES as exc:
            if not self._was_closed_while_idle(connection, exc):
                raise
        self._open.close()
        return self._send_over(self.connect(), request)

    def _was_closed_while_idle(self, connection: Socket, failure: Exception) -> bool:
        """Whether a kept connection ended without a byte of an answer, as one does that the server closes."""
        return connection.is_reused and not connection.has_heard and not isinstance(failure, TimeoutError)

    def _send_over(self, connection: Socket, request: requests.PreparedRequest) -> requests.Response:
        endpoint = self._endpoint
        http = (_Https if endpoint.is_tls else HTTPConnection)(endpoint.host, endpoint.port)
        http.response_class = self._new_answer  # type: ignore[assignment]
        # Without this, http.client would connect by itself, to an address that the guard has not checked.
        http.auto_open = 0
        http.sock = connection
        # Set before sending: a request that fails halfway may still have taken effect.
        self.has_sent = True
        raw = _send(http, request)
        self._open.callback(raw.close)
        return self.build_response(request, raw)

    def _new_answer(self, *args: Any, **kwargs: Any) -> _FinalResponse:
        self._answer = _FinalResponse(*args, **kwargs)
        return self._answer

    def connect(self, *, may_be_idle: bool = False) -> Socket:
        """An open connection, with TLS for https and for the name of the endpoint; a kept one if it may be idle.

        Its address is judged now in either case.
        """
        target = self._connects_to
        context = self._tls.context(self._request.ca_file) if target.is_tls else None
        judged = self._guard.judge(target, self._deadline, credential=self._request.credential)
        self._route = self._shared_route(context)
        connection = self._kept.take(self._route, judged.addresses) if self._route and may_be_idle else None
        if connection is None:
            connection = self._connection = dial(judged.addresses, target.port, self._deadline, budget=self._budget)
            if context is not None:
                connection = secure(connection, self._endpoint.host, context)
        else:
            connection.take_up(self._deadline, self._budget, is_reused=True)
        self._connection = connection
        self._open.callback(connection.close)
        return connection

    def _shared_route(self, context: SSLContext | None) -> Route | None:
        """What another exchange must have in common to use this connection; None for one of its own."""
        if self._request.shares is None or not self._request.reads:
            return None
        return Route(*self._request.shares, self._endpoint.origin, self._connects_to.host_port, context, os.getpid())

    def keep(self) -> None:
        """Put the connection aside for the next read, if it certainly holds nothing more of this answer."""
        seconds = self._answer.idle_s() if self._answer is not None else 0.0
        if self._route is None or self._connection is None or self._connection.has_surplus or seconds <= 0:
            return
        self._open.pop_all()
        self._kept.put(self._route, self._connection, seconds)

    def attempt(self, work: Callable[[], T]) -> T | Problem:
        """The result of ``work``, or its classified failure.

        The exception is not re-raised or chained, because its text and its request hold whole addresses.
        """
        handled = sys.exception()
        try:
            return work()
        except _FAILURES as exc:
            closed = self._connection is not None and self._connection.ended
            within_s = self._deadline.seconds
            # Until there is a connection, the failure is one of the address that it goes to.
            endpoint = self._connects_to if self._connection is None else self._endpoint
            return problem_of_failure(exc, endpoint, within_s=within_s, closed=closed, handled=handled)


class _FinalResponse(HTTPResponse):
    """Skips informational answers, such as 103 Early Hints; http.client itself skips only 100.

    https://www.rfc-editor.org/rfc/rfc9110#section-15.2. A 101 is final: no request asks to switch protocols.
    """

    _status_lines = 0
    """How many answers were begun, informational ones included. http.client skips each 100 inside ``begin``."""

    def begin(self) -> None:
        """Raises BadStatusLine when too many informational answers come."""
        for _ in range(_MAX_INFORMATIONAL + 1):
            super().begin()
            if not 100 <= self.status < 200 or self.status == 101:
                return
            # http.client reads the next answer only while it has no headers.
            self.headers = self.msg = None  # type: ignore[assignment]
        raise BadStatusLine(str(self.status))

    def _read_status(self) -> tuple[str, int, str]:
        self._status_lines += 1
        return super()._read_status()  # type: ignore[misc,no-any-return]

    def idle_s(self) -> float:
        """How long the connection may be idle after this answer; 0 when it must not be used again.

        That takes a first and final answer of HTTP/1.1 which was read to its end, and of which one header tells the
        length. A server may say that it closes the connection earlier than usual (``Keep-Alive: timeout=2``).
        """
        is_whole = self.isclosed() and self._status_lines == 1 and 200 <= self.status < 500
        headers = self.headers
        framings = len(headers.get_all("Content-Length", [])) + len(headers.get_all("Transfer-Encoding", []))
        if not is_whole or self.will_close or self.version != 11 or framings > 1:
            return 0.0
        said = _IDLE_TIME.search(headers.get("Keep-Alive", ""))
        return min(IDLE_S, int(said[1]) - 1) if said else IDLE_S


class _Https(HTTPConnection):
    """HTTP over a TLS connection that is already open."""

    default_port = 443  # type: ignore[misc]


def _send(connection: HTTPConnection, request: requests.PreparedRequest) -> BaseHTTPResponse:
    """Send the request and read status and headers."""
    body = request.body.encode() if isinstance(request.body, str) else request.body
    # The upstream may answer and close before it has read the whole request; its answer is still readable.
    with suppress(ConnectionError):
        connection.request(
            str(request.method), request.path_url, body=body, headers=dict(request.headers),
            preload_content=False, decode_content=False,
        )  # fmt: skip
    return connection.getresponse()
