"""One HTTP exchange with an upstream: a checked address, a connection of its own, one deadline and a bounded answer."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import BadStatusLine, HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from panel.connector.address_guard import AddressGuard
from panel.connector.body import BodyTooLarge, MalformedBody, read_body
from panel.connector.classify import problem_of_failure, succeeded
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint, path_of
from panel.connector.sockets import BudgetExceeded, Socket, TlsSocket, dial, secure
from panel.connector.tls import TlsContexts
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.messages import _

T = TypeVar("T")

# urllib3 logs whole addresses, and queries may hold what people typed.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_FRAMING = 1024 * 1024
"""How many bytes headers, chunk sizes and poor compression may add to a body within its limit."""

_MAX_INFORMATIONAL = 10
"""How many informational answers (1xx) may precede the final one."""

_LIBRARY_FAILURES = (OSError, HTTPException, urllib3.exceptions.HTTPError, requests.RequestException)
_FAILURES = (*_LIBRARY_FAILURES, BodyTooLarge, BudgetExceeded, MalformedBody)


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
    """Where the connection goes, if it does not go to ``endpoint``."""
    reads: bool = False
    """Whether it changes nothing upstream, so that it may be repeated."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A received response. ``body`` is None when only status and headers could be read."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


class Transport:
    """Holds what all exchanges share: the address guard, the TLS contexts and the size limit."""

    def __init__(self, guard: AddressGuard, *, max_bytes: int) -> None:
        self._guard = guard
        self._tls = TlsContexts()
        self._max_bytes = max_bytes

    def exchange(self, request: OutgoingRequest, deadline: Deadline, *, allow: Collection[int] = ()) -> RawResponse:
        """Send one request and read its whole answer. Raises ProviderUnavailable with the reason when that fails."""
        with self._response(request, deadline) as (response, adapter):
            body = adapter.attempt(lambda: read_body(response.raw, limit=self._max_bytes))
            if not isinstance(body, Problem):
                return _raw_response(response, body)
            if succeeded(response.status_code) or response.status_code in allow:
                raise _failed_exchange(body)
            # The status is a failure and more precise than the problem of an unreadable error page.
            return _raw_response(response, None)

    def head(self, request: OutgoingRequest, deadline: Deadline) -> RawResponse:
        """As ``exchange``, for status and headers only."""
        with self._response(request, deadline) as (response, _):
            return _raw_response(response, None)

    def certificate(self, request: OutgoingRequest, deadline: Deadline) -> Mapping[str, Any]:
        """The verified certificate of the endpoint; empty without TLS. Raises ProviderUnavailable."""
        adapter = self._adapter(request, deadline)
        with closing(adapter):
            connection = adapter.attempt(adapter.connect)
            if isinstance(connection, Problem):
                raise ProviderUnavailable(connection)
            return connection.getpeercert() or {} if isinstance(connection, TlsSocket) else {}

    def _adapter(self, request: OutgoingRequest, deadline: Deadline) -> GuardedAdapter:
        budget = 2 * self._max_bytes + _FRAMING
        return GuardedAdapter(
            self._guard,
            self._tls,
            request.endpoint,
            deadline,
            budget,
            credential=request.credential,
            ca_file=request.ca_file,
            connection=request.connection,
        )

    @contextmanager
    def _response(
        self, request: OutgoingRequest, deadline: Deadline
    ) -> Iterator[tuple[requests.Response, GuardedAdapter]]:
        adapter = self._adapter(request, deadline)
        with _session(adapter) as session:
            response = adapter.attempt(lambda: _send_prepared(session, request))
            if isinstance(response, Problem):
                raise _failed_exchange(response) if adapter.has_sent else ProviderUnavailable(response)
            yield response, adapter


class GuardedAdapter(HTTPAdapter):
    """Connects a requests session to the allowed addresses of one endpoint, whatever the URL of its request says.

    Serves one exchange; closing it closes the connection. ``credential`` says whether requests carry one: plain http
    may carry it to opened addresses only. ``budget`` is how many bytes the connection may receive. ``connection`` is
    the endpoint to connect to instead; it is the one that the address guard judges.
    """

    has_sent = False
    """Whether a request may have reached the upstream."""

    def __init__(
        self,
        guard: AddressGuard,
        tls: TlsContexts,
        endpoint: Endpoint,
        deadline: Deadline,
        budget: int,
        *,
        credential: bool,
        ca_file: str,
        connection: Endpoint | None = None,
    ) -> None:
        super().__init__()
        self._connects_to = connection or endpoint
        self._credential = credential
        self._ca_file = ca_file
        self._guard = guard
        self._tls = tls
        self._endpoint = endpoint
        self._deadline = deadline
        self._budget = budget
        self._connection: Socket | None = None
        self._open = ExitStack()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create no pool: the check of an address holds for one exchange, so its connection is not reused."""

    def close(self) -> None:
        self._open.close()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        endpoint = self._endpoint
        connection = (
            _Https(endpoint.host, endpoint.port) if endpoint.is_tls else HTTPConnection(endpoint.host, endpoint.port)
        )
        self._open.callback(connection.close)
        connection.response_class = _FinalResponse
        # Without this, http.client would connect by itself, to an address that the guard has not checked.
        connection.auto_open = 0
        connection.sock = self.connect()
        # Set before sending: a request that fails halfway may still have taken effect.
        self.has_sent = True
        raw = _send(connection, request)
        self._open.callback(raw.close)
        return self.build_response(request, raw)

    def connect(self) -> Socket:
        """An open connection, with TLS for https and for the name of the endpoint."""
        target = self._connects_to
        context = self._tls.context(self._ca_file) if target.is_tls else None
        judged = self._guard.judge(target, self._deadline, credential=self._credential)
        self._connection = dial(judged.addresses, target.port, self._deadline, budget=self._budget)
        if context is not None:
            self._connection = secure(self._connection, self._endpoint.host, context)
        self._open.callback(self._connection.close)
        return self._connection

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

    def begin(self) -> None:
        """Raises BadStatusLine when too many informational answers come."""
        for _answer in range(_MAX_INFORMATIONAL + 1):
            super().begin()
            if not 100 <= self.status < 200 or self.status == 101:
                return
            # http.client reads the next answer only while it has no headers.
            self.headers = self.msg = None  # type: ignore[assignment]
        raise BadStatusLine(str(self.status))


class _Https(HTTPConnection):
    """HTTP over a TLS connection that is already open."""

    default_port = 443  # type: ignore[misc]


class _Session(requests.Session):
    """A session without cookies, environment settings and redirects."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: no redirect is followed, and requests would otherwise read the whole body of a redirect."""
        return None


def _session(adapter: GuardedAdapter) -> _Session:
    session = _Session()
    # No proxy, .netrc or CA bundle of the environment: each of them would bypass a check.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _send_prepared(session: _Session, request: OutgoingRequest) -> requests.Response:
    prepared = requests.Request(
        request.method, request.endpoint.origin, headers=dict(request.headers), data=request.body
    ).prepare()
    # requests normalises escapes (%2e%2e becomes ..), so the target is set after preparing, and checked.
    prepared.url = request.endpoint.origin + request.target
    if prepared.path_url != request.target or not f"{path_of(request.target)}/".startswith(f"{request.endpoint.path}/"):
        raise InvalidInput("reference", _("The reference leads outside of the source."))
    return session.send(prepared, stream=True, allow_redirects=False)


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


def _raw_response(response: requests.Response, body: bytes | None) -> RawResponse:
    return RawResponse(response.status_code, {name.lower(): text for name, text in response.headers.items()}, body)


def _failed_exchange(problem: Problem) -> ProviderUnavailable:
    failure = ProviderUnavailable(problem)
    failure.unanswered = True
    return failure
