"""Classifies failures: maps an exception or an HTTP status to a reason.

Messages are our own. They contain no text of a library or an upstream, which could carry addresses or secrets.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import urllib3.exceptions

from panel.connector.body import BodyTooLarge, MalformedBody
from panel.connector.endpoint import Endpoint, shown_origin, shown_path
from panel.connector.sockets import BudgetExceeded
from panel.core.clock import now
from panel.core.domain import Problem
from panel.core.messages import _
from panel.core.reasons import Reason

_LONGEST_WAIT, _SHORTEST_WAIT = 300.0, 1.0
_UNIX_TIME = 1_000_000_000
"""A larger number is a Unix time, a smaller one is seconds to wait."""

_UNTRUSTED = _("The certificate of {host} comes from an authority that is not trusted here.")
_OTHER_NAME = _("The certificate of {host} is for another name.")
_UNVERIFIED = _("The certificate of {host} could not be verified.")
_CERTIFICATE = {
    9: _("The certificate of {host} is not valid yet."),
    10: _("The certificate of {host} has expired."),
    18: _("The certificate of {host} is self-signed."),
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
"""OpenSSL's verify codes, https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/."""


def problem_of_failure(
    exc: BaseException, endpoint: Endpoint, *, within_s: float, closed: bool, handled: BaseException | None = None
) -> Problem:
    """Why an exchange gave no complete answer.

    ``closed`` says whether the upstream closed the connection. ``handled`` is the exception that the caller was
    handling when it made the call: Python chains it to ``exc`` although it is unrelated, so it is ignored.
    """
    for part in _chain(exc, handled):
        found = _classified(part, endpoint, within_s)
        if found is not None:
            return found
    if closed:
        return _closed(endpoint)
    return _not_http(endpoint)


def _classified(exc: BaseException, endpoint: Endpoint, within_s: float) -> Problem | None:
    # The order matters: several of these classes are subclasses of OSError.
    match exc:
        case TimeoutError():
            return timed_out(endpoint.host, within_s)
        case BodyTooLarge() | BudgetExceeded() | http.client.LineTooLong():
            return _too_large(endpoint)
        case ssl.SSLCertVerificationError():
            found = _CERTIFICATE.get(exc.verify_code, _UNVERIFIED)
            return Problem(Reason.TLS, found.filled(host=endpoint.host))
        case ssl.SSLError():
            return Problem(Reason.TLS, _("No TLS connection could be made to {address}.", address=endpoint.host_port))
        case ConnectionRefusedError():
            message = _("{address} refused the connection.", address=endpoint.host_port)
            return Problem(Reason.CONNECT, message, field=endpoint.setting or None)
        case MalformedBody() | urllib3.exceptions.InvalidChunkLength() | urllib3.exceptions.InvalidHeader():
            return Problem(
                Reason.UNEXPECTED_RESPONSE, _("{host} sent a body that cannot be decoded.", host=endpoint.host)
            )
        case http.client.IncompleteRead() | ConnectionError():
            return _closed(endpoint)
        case http.client.BadStatusLine():
            return _not_http(endpoint)
        case http.client.HTTPException() if type(exc) is http.client.HTTPException:
            # http.client raises the bare class only for too many headers.
            return _too_large(endpoint)
        case OSError():
            message = _("{address} could not be reached.", address=endpoint.host_port)
            return Problem(Reason.CONNECT, message, field=endpoint.setting or None)
    return None


def _too_large(endpoint: Endpoint) -> Problem:
    return Problem(Reason.TOO_LARGE, _("{host} answered with more than is accepted.", host=endpoint.host))


def _not_http(endpoint: Endpoint) -> Problem:
    return Problem(
        Reason.UNEXPECTED_RESPONSE, _("{host} did not answer in HTTP that can be understood.", host=endpoint.host)
    )


def _closed(endpoint: Endpoint) -> Problem:
    return Problem(
        Reason.CONNECT, _("{host} closed the connection before its answer was complete.", host=endpoint.host)
    )


def timed_out(host: str, within_s: float) -> Problem:
    return Problem(Reason.TIMEOUT, _("{host} did not answer within {seconds} s.", host=host, seconds=f"{within_s:g}"))


def _chain(exc: BaseException, handled: BaseException | None) -> Iterator[BaseException]:
    """The exception and everything chained to or wrapped in it, innermost first: that is where the cause is."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [exc]
    while todo:
        part = todo.pop()
        if part is None or part is handled or part in seen:
            continue
        seen.append(part)
        todo += [part.__cause__, part.__context__, *(arg for arg in part.args if isinstance(arg, BaseException))]
    return reversed(seen)


def succeeded(status: int) -> bool:
    """Whether a status means a whole answer. 206 is partial, and no request asks for a range."""
    return 200 <= status < 300 and status != 206


def refuses(status: int) -> bool:
    """Whether a status proves that a write changed nothing. A 5xx does not: it may come after the change.

    A redirect counts as a refusal, because the panel follows none. Those that may come after the change are 300, 303
    and 304, https://www.rfc-editor.org/rfc/rfc9110#section-15.4.
    """
    return 300 <= status < 500 and status not in (300, 303, 304)


def problem_of_status(status: int, headers: Mapping[str, str], endpoint: Endpoint) -> Problem:
    """The failure that a complete answer with this status means."""
    plain = _("Upstream service answered HTTP {status}.", status=status)
    if status == 429:
        return Problem(Reason.RATE_LIMITED, plain, retry_after(headers, with_reset=True))
    if status >= 500:
        # A 503 with Retry-After is load shedding, which must not open the breaker.
        wait = retry_after(headers) if status == 503 else None
        return Problem(Reason.SERVER_ERROR if wait is None else Reason.RATE_LIMITED, plain, wait)
    if status == 401:
        return Problem(Reason.CREDENTIALS_REJECTED, plain)
    if status == 403:
        # https://www.rfc-editor.org/rfc/rfc6750#section-3.1
        lacking = "insufficient_scope" in headers.get("www-authenticate", "")
        scope = _("Upstream service answered HTTP {status}: the token lacks a scope.", status=status)
        return Problem(Reason.FORBIDDEN, scope if lacking else plain)
    if 300 <= status < 400 and status != 304:
        return _redirected(headers, endpoint)
    return Problem(
        Reason.UNEXPECTED_RESPONSE,
        _("{host} answered HTTP {status}, which was not expected here.", host=endpoint.host, status=status),
    )


_TO_ITSELF = _(
    "{host} redirects to another path of itself, {path}: most often a sign-in page or a missing slash; "
    "redirects are never followed."
)
_TO_ANOTHER = _("{host} redirects to {target}; redirects are never followed.")
_TO_NOWHERE = _("{host} redirects to an address that cannot be read; redirects are never followed.")


def _redirected(headers: Mapping[str, str], endpoint: Endpoint) -> Problem:
    target = redirect_origin(headers, endpoint)
    if target == endpoint.origin:
        path = shown_path(urljoin(f"{endpoint.origin}/", headers["location"]))
        message = _TO_ITSELF.filled(host=endpoint.host, path=path)
    else:
        message = (_TO_ANOTHER if target else _TO_NOWHERE).filled(host=endpoint.host, target=target)
    return Problem(Reason.UNEXPECTED_REDIRECT, message)


def redirect_origin(headers: Mapping[str, str], endpoint: Endpoint) -> str | None:
    """Scheme and host of the Location header. Its query may hold secrets and is never shown."""
    location = headers.get("location", "")
    try:
        return shown_origin(urljoin(f"{endpoint.origin}/", location)) if location else None
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str], *, with_reset: bool = False) -> float | None:
    """Seconds to wait, from 1 to 300; None when the headers hold no readable value.

    Retry-After holds seconds or a date (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). Some servers send
    RateLimit-Reset instead, which holds a Unix time or seconds.
    """
    wait = _seconds(headers.get("retry-after", ""))
    if wait is None and with_reset:
        wait = _seconds(headers.get("ratelimit-reset", ""))
    return None if wait is None else min(max(wait, _SHORTEST_WAIT), _LONGEST_WAIT)


def _seconds(text: str) -> float | None:
    text = text.strip()
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?", text, re.ASCII):
        number = float(text)
        return number - now().timestamp() if _UNIX_TIME < number < 100 * _UNIX_TIME else number
    try:
        moment = parsedate_to_datetime(text)
        return (_aware(moment) - now()).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
