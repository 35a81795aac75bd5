"""Failures in words: the one JSON error body, and the notice that people see. Every face takes both from here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from flask import Response, jsonify

from panel.core.domain import Pointer, Problem
from panel.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotSupported,
    PanelError,
    ProviderUnavailable,
    Rejected,
    Uncertain,
)
from panel.core.health import AuthStatus
from panel.core.reasons import Cause, Reason
from panel.integrations.contract import Integration
from panel.storage.engine import is_not_set_up

STATUS: tuple[tuple[type[PanelError], int], ...] = (
    (InvalidInput, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Rejected, 422),
    (NotSupported, 501),
    (Uncertain, 503),
    (ProviderUnavailable, 503),
)


def status_of(exc: PanelError) -> int:
    return next((status for kind, status in STATUS if isinstance(exc, kind)), 500)


def error_body(exc: PanelError, *, public_url: str) -> dict[str, Any]:
    """The JSON error body: the same through every face."""
    body = plain_body(str(exc), status_of(exc))
    if isinstance(exc, InvalidInput):
        body["field"] = exc.field
    if isinstance(exc, Rejected):
        body["fields"] = exc.fields
    if isinstance(exc, ProviderUnavailable | Uncertain):
        problem = problem_of(exc)
        body["details"] = details(problem, exc.integration, public_url=public_url)
        body["links"] = [{"reference": p.reference, "url": p.url} for p in exc.pointers]
    return body


def plain_body(message: str, status: int) -> dict[str, Any]:
    return {"message": message, "error": message, "code": status}


def json_error(body: dict[str, Any], *, headers: dict[str, str] | None = None) -> Response:
    """An error body as a response with its own status."""
    response = jsonify(body)
    response.status_code = body["code"]
    response.headers.update(headers or {})
    return response


def storage_words(exc: Exception) -> str:
    if is_not_set_up(exc):
        return "The database is not set up. Run: flask --app wsgi db upgrade"
    return "The panel's own storage does not answer now. Nothing was changed; try again."


def bug_words(reference: str) -> str:
    """What is said of a failure of ours: where it can be found in the log, and nothing else."""
    return f"Something went wrong here. Reference: {reference}"


def problem_of(exc: ProviderUnavailable | Uncertain) -> Problem:
    """Why the upstream could not be used; for an unanswered create, why its answer is missing."""
    if isinstance(exc, ProviderUnavailable):
        return exc.problem
    if isinstance(exc.__cause__, ProviderUnavailable):
        return Problem(exc.__cause__.reason, str(exc))
    return Problem(Reason.TIMEOUT, str(exc))


def details(problem: Problem, integration: str, *, public_url: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cause": problem.cause.value,
        "reason": problem.reason.value,
        "integration": integration,
        "source": integration,
        "configureUrl": f"{public_url}/admin/sources/{integration}",
    }
    if problem.retry_after is not None:
        found["retryAfter"] = max(1, math.ceil(problem.retry_after))
    return found


def unavailable(problem: Problem, integration: str, pointers: tuple[Pointer, ...]) -> ProviderUnavailable:
    """A listing's problem as the exception that a face which cannot show half an answer raises."""
    exc = ProviderUnavailable(problem)
    exc.integration, exc.pointers = integration, pointers
    return exc


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice of the tab. ``severity`` is neutral, amber or red; ``action`` names the button for this reader."""

    severity: str
    icon: str
    title: str
    text: str
    action: str
    """``configure``, ``reconnect``, ``retry``, ``turn-on`` or ``ask``."""
    message: str
    code: str
    """``cause / reason``, for Technical details."""


def notice(problem: Problem, leaf: Integration, *, admin: bool, links: int) -> Notice:
    """What the tab says and offers for a problem, to an administrator or to anybody else."""
    upstream = leaf.descriptor.upstream
    code = f"{problem.cause.value} / {problem.reason.value}"
    kept = " The links are kept." if links else ""
    if problem.cause is Cause.CONNECTOR_DOWN:
        text, action = "Nothing is asked of any upstream now." + kept, "turn-on" if admin else "ask"
        return Notice("neutral", "plug", "Linking is switched off", text, action, problem.message, code)
    if problem.cause is Cause.SOURCE_MISSING:
        title = f"{upstream} connection not configured"
        text = (
            _source_words(problem, leaf)
            if admin
            else f"Ask your administrator to connect {upstream}, and send this reference along:"
        )
        return Notice("neutral", "plug", title, text, "configure" if admin else "ask", problem.message, code)
    if problem.cause is Cause.PROVIDER_AUTH:
        title, text = _auth_words(problem, upstream)
        return Notice("amber", "key", title, text + kept, "reconnect" if admin else "ask", problem.message, code)
    text = _down_words(problem, upstream) + _next_try(problem) + kept
    return Notice("red", "exclamation", f"{upstream} is currently unavailable", text, "retry", problem.message, code)


def _source_words(problem: Problem, leaf: Integration) -> str:
    if problem.reason is Reason.SOURCE_DISABLED:
        return "The source is switched off."
    if problem.reason is Reason.SOURCE_UNREADABLE:
        return "The stored password cannot be read; type it again."
    if problem.reason is Reason.SOURCE_INVALID:
        return problem.message
    upstream, nouns = leaf.descriptor.upstream, leaf.descriptor.noun_plural
    return f"Enter the address and account of your {upstream} once. After that, {nouns} can be linked and created here."


def _auth_words(problem: Problem, upstream: str) -> tuple[str, str]:
    if problem.auth_status is AuthStatus.MISSING:
        return f"{upstream} is not connected yet", "Somebody has to give this source access once."
    if problem.reason is Reason.AUTHENTICATION_EXPIRED:
        return f"Authorisation for {upstream} expired", "Reconnect to see titles and status again."
    if problem.reason is Reason.FORBIDDEN:
        return f"{upstream} authentication failed", f"{upstream} knows the account, but does not let it read this."
    return f"{upstream} authentication failed", f"{upstream} does not accept the account of this source."


def _down_words(problem: Problem, upstream: str) -> str:
    words = {
        Reason.DNS: "Its host name is not known.",
        Reason.ADDRESS_NOT_ALLOWED: "Its address is not allowed here.",
        Reason.CONNECT: "It could not be reached.",
        Reason.TLS: "No secure connection could be made.",
        Reason.TIMEOUT: "No answer in time.",
        Reason.BUSY: "Too many questions are waiting for it.",
        Reason.CIRCUIT_OPEN: "It failed several times and is left alone for a moment.",
        Reason.RATE_LIMITED: "It asks us to wait.",
        Reason.SERVER_ERROR: "It answered with an error of its own.",
        Reason.UNEXPECTED_RESPONSE: f"What came back is not an answer of {upstream}.",
        Reason.UNEXPECTED_REDIRECT: "It sends us to another address.",
        Reason.TOO_LARGE: "Its answer is too large.",
    }
    return words.get(problem.reason, "It did not answer.")


def _next_try(problem: Problem) -> str:
    return f" Next try in {math.ceil(problem.retry_after)} s." if problem.retry_after else ""
