"""One HTTP exchange with an upstream: a judged address, one deadline and a bounded answer.

A write has a connection of its own. Reads of one source use connections that earlier reads left open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from panel.connector.adapter import GuardedAdapter, OutgoingRequest
from panel.connector.address_guard import AddressGuard
from panel.connector.body import read_body
from panel.connector.classify import succeeded
from panel.connector.deadline import Deadline
from panel.connector.endpoint import path_of
from panel.connector.kept_connections import KeptConnections
from panel.connector.sockets import TlsSocket
from panel.connector.tls import TlsContexts
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.messages import _

_FRAMING = 1024 * 1024
"""How many bytes headers, chunk sizes and poor compression may add to a body within its limit."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A received response. ``body`` is None when only status and headers could be read."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


class Transport:
    """Holds what all exchanges share: the address guard, the TLS contexts, idle connections and the size limit."""

    def __init__(self, guard: AddressGuard, *, max_bytes: int) -> None:
        self._guard = guard
        self._tls = TlsContexts()
        self.kept = KeptConnections()
        self._max_bytes = max_bytes

    def exchange(self, request: OutgoingRequest, deadline: Deadline, *, allow: Collection[int] = ()) -> RawResponse:
        """Send one request and read its whole answer. Raises ProviderUnavailable with the reason when that fails."""
        with self._response(request, deadline) as (response, adapter):
            body = adapter.attempt(lambda: read_body(response.raw, limit=self._max_bytes))
            if not isinstance(body, Problem):
                adapter.keep()
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
        return GuardedAdapter(self._guard, self._tls, self.kept, request, deadline, budget)

    @contextmanager
    def _response(
        self, request: OutgoingRequest, deadline: Deadline
    ) -> Iterator[tuple[requests.Response, GuardedAdapter]]:
        adapter = self._adapter(request, deadline)
        with closing(adapter):
            response = adapter.attempt(lambda: adapter.send(_prepared(request)))
            if isinstance(response, Problem):
                raise _failed_exchange(response) if adapter.has_sent else ProviderUnavailable(response)
            yield response, adapter


def _prepared(request: OutgoingRequest) -> requests.PreparedRequest:
    """The request for the adapter. It goes there without a session of requests.

    A session would only add what no call may have: cookies, redirects, and proxies, .netrc and CA bundles of the
    environment.
    """
    prepared = requests.PreparedRequest()
    prepared.prepare_method(request.method)
    prepared.prepare_headers({**request.headers, "Connection": "keep-alive" if request.may_share else "close"})
    prepared.prepare_body(request.body, None)
    # Not with prepare_url, which normalises escapes: %2e%2e becomes "..".
    prepared.url = request.endpoint.origin + request.target
    if prepared.path_url != request.target or not f"{path_of(request.target)}/".startswith(f"{request.endpoint.path}/"):
        raise InvalidInput("reference", _("The reference leads outside of the source."))
    return prepared


def _raw_response(response: requests.Response, body: bytes | None) -> RawResponse:
    return RawResponse(response.status_code, {name.lower(): text for name, text in response.headers.items()}, body)


def _failed_exchange(problem: Problem) -> ProviderUnavailable:
    failure = ProviderUnavailable(problem)
    failure.unanswered = True
    return failure
