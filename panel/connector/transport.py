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
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from panel.connector.address_guard import Guard
from panel.connector.body import Garbled, TooLarge, read_body
from panel.connector.classify import problem_of_failure, succeeded
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Place, path_of, place_of
from panel.connector.sockets import TlsSocket, TooMuch, Wire, dial, secure
from panel.connector.tls import Trust
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
    place: Place
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
    """Holds what all exchanges share: who may be called, whom we trust, how much we accept."""

    def __init__(self, guard: Guard, *, max_bytes: int) -> None:
        self._guard = guard
        self._trust = Trust()
        self._max_bytes = max_bytes

    def exchange(self, call: Call, deadline: Deadline, *, allow: Collection[int] = ()) -> Reply:
        """Send one call and read its whole answer. Raises ProviderUnavailable with the reason when none came."""
        with self._answered(call, deadline) as (response, door):
            body = door.tried(lambda: read_body(response.raw, limit=self._max_bytes), call.place)
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
        """The certificate of the place, trusted and checked for its name. Raises ProviderUnavailable."""
        door = self._door(call, deadline)
        with closing(door):
            wire = door.tried(lambda: door.connected(call.place), call.place)
            if isinstance(wire, Problem):
                raise ProviderUnavailable(wire)
            return wire.getpeercert() or {} if isinstance(wire, TlsSocket) else {}

    def _door(self, call: Call, deadline: Deadline) -> DoorAdapter:
        budget = 2 * self._max_bytes + _FRAMING
        return DoorAdapter(self._guard, self._trust, deadline, budget, credential=call.credential, ca_file=call.ca_file)

    @contextmanager
    def _answered(self, call: Call, deadline: Deadline) -> Iterator[tuple[requests.Response, DoorAdapter]]:
        door = self._door(call, deadline)
        with _session(door) as session:
            response = door.tried(lambda: _sent(session, call), call.place)
            if isinstance(response, Problem):
                raise _unanswered(response) if door.has_sent else ProviderUnavailable(response)
            yield response, door


class DoorAdapter(HTTPAdapter):
    """Lets a requests session reach judged addresses only. For one exchange: the connection ends with it.

    ``credential`` tells whether requests carry one, which plain http may take to opened addresses only.
    """

    has_sent = False
    """Whether a request may have reached the upstream."""

    def __init__(
        self, guard: Guard, trust: Trust, deadline: Deadline, budget: int, *, credential: bool, ca_file: str
    ) -> None:
        super().__init__()
        self._credential = credential
        self._ca_file = ca_file
        self._guard = guard
        self._trust = trust
        self._deadline = deadline
        self._budget = budget
        self._wire: Wire | None = None
        self._open = ExitStack()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """There is no pool: a connection that was judged for one call is not kept for another."""

    def close(self) -> None:
        self._open.close()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        place = place_of(f"{parts.scheme}://{parts.netloc}")
        connection = _Https(place.host, place.port) if place.is_tls else HTTPConnection(place.host, place.port)
        self._open.callback(connection.close)
        # It must never dial by itself: the address that it would find has not been judged.
        connection.auto_open = 0
        connection.sock = self.connected(place)
        self.has_sent = True
        raw = _conversed(connection, request)
        self._open.callback(raw.close)
        return self.build_response(request, raw)

    def connected(self, place: Place) -> Wire:
        """An open connection to ``place``, secured where its scheme says so."""
        context = self._trust.context(self._ca_file) if place.is_tls else None
        judged = self._guard.judge(place, self._deadline, credential=self._credential)
        self._wire = dial(judged.addresses, place.port, self._deadline, budget=self._budget)
        if context is not None:
            self._wire = secure(self._wire, place.host, context)
        self._open.callback(self._wire.close)
        return self._wire

    def tried(self, work: Callable[[], T], place: Place) -> T | Problem:
        """The result of ``work``, or what its failure means.

        The failure itself ends here and is chained to nothing: its text and its request carry whole addresses.
        """
        handled = sys.exception()
        try:
            return work()
        except _FAILURES as exc:
            closed = self._wire is not None and self._wire.ended
            return problem_of_failure(exc, place, within_s=self._deadline.seconds, closed=closed, handled=handled)


class _Https(HTTPConnection):
    """Speaks HTTP over the TLS connection that it is given."""

    default_port = 443  # type: ignore[misc]


class _Session(requests.Session):
    """A session that keeps nothing, reads nothing from the environment and goes nowhere but where it is told."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None of our calls follows a redirect, and requests would read the whole body of one to look ahead."""
        return None


def _session(door: DoorAdapter) -> _Session:
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("http://", door)
    session.mount("https://", door)
    return session


def _sent(session: _Session, call: Call) -> requests.Response:
    prepared = requests.Request(call.method, call.place.origin, headers=dict(call.headers), data=call.body).prepare()
    # Requests decodes escapes when it reads an address (%2e%2e becomes ..); what goes out is exactly what we built.
    prepared.url = call.place.origin + call.target
    if prepared.path_url != call.target or not f"{path_of(call.target)}/".startswith(f"{call.place.path}/"):
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
