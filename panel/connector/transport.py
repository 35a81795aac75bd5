"""One exchange with an upstream: judged address, own connection, one deadline, bounded answer, nothing remembered."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from panel.connector.address_guard import AddressGuard
from panel.connector.body import Garbled, TooLarge, read_body
from panel.connector.classify import problem_of_failure, succeeded
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint, path_of
from panel.connector.sockets import Socket, TlsSocket, TooMuch, dial, secure
from panel.connector.tls import TlsContexts
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, ProviderUnavailable

T = TypeVar("T")

# It writes whole addresses, queries included, into its log lines.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_FRAMING = 1024 * 1024
"""What headers, chunk lines and a badly packed body may add to a body within its limit, besides its own length."""

_LIBRARY_FAILURES = (OSError, HTTPException, urllib3.exceptions.HTTPError, requests.RequestException)
_FAILURES = (*_LIBRARY_FAILURES, TooLarge, TooMuch, Garbled)


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be sent. ``credential`` tells whether the headers carry one."""

    method: str
    endpoint: Endpoint
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    credential: bool = False
    ca_file: str = ""
    reads: bool = False
    """Whether it changes nothing, so that it may be sent again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; ``body`` is None when only status and headers were read whole."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


class Transport:
    """Holds what all exchanges share: who may be called, whom we tls, how much we accept."""

    def __init__(self, guard: AddressGuard, *, max_bytes: int) -> None:
        self._guard = guard
        self._tls = TlsContexts()
        self._max_bytes = max_bytes

    def exchange(self, call: Call, deadline: Deadline, *, allow: Collection[int] = ()) -> Reply:
        """Send one call and read its whole answer. Raises ProviderUnavailable with the reason when none came."""
        with self._answered(call, deadline) as (response, adapter):
            body = adapter.tried(lambda: read_body(response.raw, limit=self._max_bytes))
            if not isinstance(body, Problem):
                return _reply(response, body)
            if succeeded(response.status_code) or response.status_code in allow:
                raise _unanswered(body)
            # The status is a failure by itself, and says more than its unreadable error page.
            return _reply(response, None)

    def head(self, call: Call, deadline: Deadline) -> Reply:
        """Like ``exchange``, for status and headers alone."""
        with self._answered(call, deadline) as (response, _):
            return _reply(response, None)

    def certificate(self, call: Call, deadline: Deadline) -> Mapping[str, Any]:
        """The certificate of the endpoint, tlsed and checked for its name. Raises ProviderUnavailable."""
        adapter = self._adapter(call, deadline)
        with closing(adapter):
            wire = adapter.tried(adapter.connected)
            if isinstance(wire, Problem):
                raise ProviderUnavailable(wire)
            return wire.getpeercert() or {} if isinstance(wire, TlsSocket) else {}

    def _adapter(self, call: Call, deadline: Deadline) -> GuardedAdapter:
        budget = 2 * self._max_bytes + _FRAMING
        return GuardedAdapter(
            self._guard,
            self._tls,
            call.endpoint,
            deadline,
            budget,
            credential=call.credential,
            ca_file=call.ca_file,
        )

    @contextmanager
    def _answered(self, call: Call, deadline: Deadline) -> Iterator[tuple[requests.Response, GuardedAdapter]]:
        adapter = self._adapter(call, deadline)
        with _session(adapter) as session:
            response = adapter.tried(lambda: _sent(session, call))
            if isinstance(response, Problem):
                raise _unanswered(response) if adapter.has_sent else ProviderUnavailable(response)
            yield response, adapter


class GuardedAdapter(HTTPAdapter):
    """Lets a requests session reach the judged addresses of one endpoint only, whatever the URL of its request says.

    It is for one exchange: the connection ends with it.
    ``credential`` tells whether requests carry one, which plain http may take to opened addresses only.
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
    ) -> None:
        super().__init__()
        self._credential = credential
        self._ca_file = ca_file
        self._guard = guard
        self._tls = tls
        self._endpoint = endpoint
        self._deadline = deadline
        self._budget = budget
        self._wire: Socket | None = None
        self._open = ExitStack()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """There is no pool: a connection that was judged for one call is not kept for another."""

    def close(self) -> None:
        self._open.close()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        endpoint = self._endpoint
        connection = (
            _Https(endpoint.host, endpoint.port) if endpoint.is_tls else HTTPConnection(endpoint.host, endpoint.port)
        )
        self._open.callback(connection.close)
        # It must never dial by itself: the address that it would find has not been judged.
        connection.auto_open = 0
        connection.sock = self.connected()
        self.has_sent = True
        raw = _conversed(connection, request)
        self._open.callback(raw.close)
        return self.build_response(request, raw)

    def connected(self) -> Socket:
        """An open connection to the endpoint, secured where its scheme says so."""
        endpoint = self._endpoint
        context = self._tls.context(self._ca_file) if endpoint.is_tls else None
        judged = self._guard.judge(endpoint, self._deadline, credential=self._credential)
        self._wire = dial(judged.addresses, endpoint.port, self._deadline, budget=self._budget)
        if context is not None:
            self._wire = secure(self._wire, endpoint.host, context)
        self._open.callback(self._wire.close)
        return self._wire

    def tried(self, work: Callable[[], T]) -> T | Problem:
        """The result of ``work``, or what its failure means.

        The failure itself ends here and is chained to nothing: its text and its request carry whole addresses.
        """
        handled = sys.exception()
        try:
            return work()
        except _FAILURES as exc:
            closed = self._wire is not None and self._wire.ended
            within_s = self._deadline.seconds
            return problem_of_failure(exc, self._endpoint, within_s=within_s, closed=closed, handled=handled)


class _Https(HTTPConnection):
    """Speaks HTTP over the TLS connection that it is given."""

    default_port = 443  # type: ignore[misc]


class _Session(requests.Session):
    """A session that keeps nothing, reads nothing from the environment and goes nowhere but where it is told."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None of our calls follows a redirect, and requests would read the whole body of one to look ahead."""
        return None


def _session(adapter: GuardedAdapter) -> _Session:
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _sent(session: _Session, call: Call) -> requests.Response:
    prepared = requests.Request(call.method, call.endpoint.origin, headers=dict(call.headers), data=call.body).prepare()
    # Requests decodes escapes when it reads an address (%2e%2e becomes ..); what goes out is exactly what we built.
    prepared.url = call.endpoint.origin + call.target
    if prepared.path_url != call.target or not f"{path_of(call.target)}/".startswith(f"{call.endpoint.path}/"):
        raise InvalidInput("reference", "The reference leads outside of the source.")
    return session.send(prepared, stream=True, allow_redirects=False)


def _conversed(connection: HTTPConnection, request: requests.PreparedRequest) -> BaseHTTPResponse:
    """Send the request and read status and headers."""
    body = request.body.encode() if isinstance(request.body, str) else request.body
    # The upstream may have answered, and closed, before it read all of the request.
    with suppress(ConnectionError):
        connection.request(
            str(request.method), request.path_url, body=body, headers=dict(request.headers),
            preload_content=False, decode_content=False,
        )  # fmt: skip
    return connection.getresponse()


def _reply(response: requests.Response, body: bytes | None) -> Reply:
    return Reply(response.status_code, {name.lower(): text for name, text in response.headers.items()}, body)


def _unanswered(problem: Problem) -> ProviderUnavailable:
    failure = ProviderUnavailable(problem)
    failure.unanswered = True
    return failure
