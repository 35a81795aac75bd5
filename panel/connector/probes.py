"""The first steps of Test connection, which are the same for every upstream: address, TLS, HTTP."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from panel.connector.adapter import OutgoingRequest
from panel.connector.address_guard import AddressGuard
from panel.connector.allowlist import SETTING
from panel.connector.classify import problem_of_status, redirect_origin
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint, parse_endpoint
from panel.connector.headers import USER_AGENT, extra_headers
from panel.connector.source import SourceConfig
from panel.connector.transport import RawResponse, Transport
from panel.core.domain import Problem, Step
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.messages import Day, Message, _, all_of
from panel.core.reasons import Reason

Finding = tuple[Step, Problem | None]

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}")
_NAMES = {"application/json": "JSON", "application/hal+json": "JSON", "text/html": "HTML", "application/xml": "XML"}
_TRIED = {
    "address": _("Looking up the address of {origin}."),
    "tls": _("A secure connection to {origin}."),
    "http": _("Asking {origin}."),
}
_PUBLIC = _("{host} is {addresses}, a public address.")
_PRIVATE = _("{host} is {addresses}, a private address, opened by {setting}.")
_SANDBOX = _("{host} is {addresses}, the sandbox of this panel, which is open while it runs.")


class Probes:
    """``sandbox`` returns the host:port of the running sandbox, which no setting opened."""

    def __init__(self, guard: AddressGuard, transport: Transport, sandbox: Callable[[], Iterable[str]] = tuple) -> None:
        self._guard = guard
        self._sandbox = sandbox
        self._transport = transport

    def address(self, source: SourceConfig, deadline: Deadline) -> Finding:
        """Step "address": does the name resolve, and are its addresses allowed?"""

        def check(endpoint: Endpoint) -> str:
            connection = source.connection_endpoint(endpoint)
            judged = self._guard.judge(connection, deadline, credential=source.sends_secret)
            opened = _SANDBOX if connection.host_port in self._sandbox() else _PRIVATE
            found = _PUBLIC if judged.is_public else opened
            addresses = all_of(str(address) for address in judged.addresses[:3])
            message = found.filled(host=connection.host, addresses=addresses, setting=SETTING)
            if not source.connect_to:
                return message
            return _(
                "Connections for {host} go to {address}: {found}",
                host=endpoint.host,
                address=connection.host_port,
                found=message,
            )

        return _step("address", source, check)

    def tls(self, source: SourceConfig, deadline: Deadline) -> Finding:
        """Step "tls": is there a trusted certificate for this host?"""

        def check(endpoint: Endpoint) -> str:
            if not endpoint.is_tls:
                return _("No TLS: plain http.")
            certificate = self._transport.certificate(_bare_request(source, endpoint), deadline)
            until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
            return _(
                "Certificate valid until {day}, issued for this host.", day=Day(until.year, until.month, until.day)
            )

        return _step("tls", source, check)

    def http(self, source: SourceConfig, deadline: Deadline) -> Finding:
        """Step "http": does the server answer HTTP? The request carries no credential."""

        def check(endpoint: Endpoint) -> str:
            raw = self._transport.head(_bare_request(source, endpoint), deadline)
            if raw.status >= 500 or raw.status == 429 or _moved(raw, endpoint):
                raise ProviderUnavailable(problem_of_status(raw.status, raw.headers, endpoint))
            return _answered(raw, f"GET {endpoint.path or '/'}")

        return _step("http", source, check)


# Without the credential, which is not sent before the server is known to be the right product.
def _bare_request(source: SourceConfig, endpoint: Endpoint) -> OutgoingRequest:
    headers = {**extra_headers(source), "User-Agent": USER_AGENT, "Accept": "*/*"}
    connection = source.connection_endpoint(endpoint)
    return OutgoingRequest("GET", endpoint, endpoint.target(()), headers, ca_file=source.ca_file, connection=connection)


def _answered(raw: RawResponse, where: str) -> Message:
    kind = raw.headers.get("content-type", "").partition(";")[0].strip().lower()
    shown = _NAMES.get(kind, kind if _MEDIA_TYPE.fullmatch(kind) else "")
    if not shown:
        return _("{where} answered {status}.", where=where, status=raw.status)
    return _("{where} answered {status} with {kind}.", where=where, status=raw.status, kind=shown)


def _moved(raw: RawResponse, endpoint: Endpoint) -> bool:
    """Whether the server redirects to another origin of the same host (http to https, another port).

    A redirect to another host is accepted here: an unauthenticated request may lead to a sign-in page.
    """
    target = redirect_origin(raw.headers, endpoint) if 300 <= raw.status < 400 else None
    return target is not None and target != endpoint.origin and parse_endpoint(target).host == endpoint.host


def _step(name: str, source: SourceConfig, check: Callable[[Endpoint], str]) -> Finding:
    """Run ``check``, which returns the message of a passed step and raises ProviderUnavailable."""
    started, tried = time.monotonic(), _("Reading the address.")
    try:
        endpoint = source.endpoint
        tried = _TRIED[name].filled(origin=endpoint.origin)
        message, problem = check(endpoint), None
    except InvalidInput as exc:
        message, problem = exc.message, Problem(Reason.SOURCE_INVALID, exc.message, field="location")
    except ProviderUnavailable as exc:
        message, problem = exc.message, exc.problem
    took = round((time.monotonic() - started) * 1000)
    if problem is None:
        return Step(name, True, message, took_ms=took), None
    return Step(name, False, message, tried, message, problem.setting, took), problem
