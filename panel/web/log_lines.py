"""The log lines of the panel: their form with a UTC time, and the line of each refused request.

A line holds no query, no credential, and no name that nobody has: people type passwords into the wrong field.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from urllib.parse import quote

from flask import Flask, Response, g, request
from flask.logging import wsgi_errors_stream

from panel.accounts.principal import Principal
from panel.core.text import fold
from panel.web.context import panel, request_id

log = logging.getLogger(__name__)

_REFUSED = (401, 403)
_LONGEST_PATH = 300
_DIGEST = 12


class UtcFormatter(logging.Formatter):
    """Time in UTC, level, logger and message."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")


def install(app: Flask) -> None:
    """Write the panel's log to standard error, once in a process, and log refused requests of this application."""
    logger = logging.getLogger("panel")
    if not any(isinstance(handler.formatter, UtcFormatter) for handler in logger.handlers):
        handler = logging.StreamHandler(wsgi_errors_stream)  # type: ignore[call-overload]
        handler.setFormatter(UtcFormatter())
        logger.addHandler(handler)
    app.after_request(_log_refusal)


def note_failed_sign_in(name: str, failure: str) -> None:
    """Add a failed sign-in to the log line of this request. An unknown name is replaced by a digest."""
    known = panel().people.known_name(name)
    g.failed_sign_in = f"{failure} for {_quoted(known) if known is not None else f'the unknown name {_digest(name)}'}"


def note_refused_call(principal: Principal, call: str) -> None:
    """Log a call that is refused inside an answer 200, as over MCP. ``call`` names the operation and the object."""
    log.warning("%s 403 %s, by %s (%s)", request_id(), call, _quoted(principal.name), principal.kind)


def _log_refusal(response: Response) -> Response:
    failed = g.get("failed_sign_in", "")
    if response.status_code in _REFUSED or failed:
        principal = g.get("principal")
        facts = [f"from {request.remote_addr}"]
        facts += [f"by {_quoted(principal.name)} ({principal.kind})"] if principal is not None else []
        facts += [failed] if failed else []
        path = quote(request.path[:_LONGEST_PATH])
        log.warning("%s %s %s %s %s", request_id(), response.status_code, request.method, path, ", ".join(facts))
    return response


def _quoted(name: str) -> str:
    return f"“{name}”"


def _digest(name: str) -> str:
    """The same for the same name, and of no use to who does not hold the panel's key."""
    key = panel().config.secret_key.encode()
    return hmac.new(key, fold(name).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGEST]
