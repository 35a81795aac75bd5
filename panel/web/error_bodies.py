"""The JSON error body, shared by the JSON interface and MCP, and the HTTP status of each failure."""

from __future__ import annotations

import math
from typing import Any

from flask import Response, jsonify

from panel.core.domain import Pointer, Problem
from panel.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotRecorded,
    NotSupported,
    PanelError,
    ProviderUnavailable,
    Rejected,
    Uncertain,
)
from panel.core.messages import _
from panel.core.reasons import Reason
from panel.web.language import error_language
from panel.web.translations import ENGLISH, translated

STATUS: tuple[tuple[type[PanelError], int], ...] = (
    (InvalidInput, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Rejected, 422),
    (NotSupported, 501),
    (Uncertain, 503),
    (NotRecorded, 503),
    (ProviderUnavailable, 503),
)


def status_of(exc: PanelError) -> int:
    return next((status for kind, status in STATUS if isinstance(exc, kind)), 500)


def error_body(exc: PanelError, *, public_url: str) -> dict[str, Any]:
    """The JSON error body, the same in every face."""
    body = plain_body(exc.message, status_of(exc))
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
    """An error body as a response with its own status, in the language that the request asks for."""
    spoken = error_language()
    response = jsonify(in_language(body, spoken))
    response.status_code = body["code"]
    response.headers.update(headers or {})
    name_language(response, spoken)
    return response


def in_language(body: dict[str, Any], spoken: str) -> dict[str, Any]:
    """An error body with its sentences translated. Keys, codes, details and texts of the upstream stay as they are."""
    if spoken == ENGLISH:
        return body
    told: dict[str, Any] = {key: translated(body[key], spoken) for key in ("message", "error")}
    if "fields" in body:
        told["fields"] = {name: translated(text, spoken) for name, text in body["fields"].items()}
    return {**body, **told}


def name_language(response: Response, spoken: str) -> None:
    """Tell caches and clients which language an error body has, and which header decides it."""
    response.headers["Content-Language"] = spoken
    response.vary.add("Accept-Language")


def bug_words(reference: str) -> str:
    """The message for a failure of the panel itself: only the reference to find it in the log."""
    return _("Something went wrong here. Reference: {reference}", reference=reference)


def problem_of(exc: ProviderUnavailable | Uncertain) -> Problem:
    """The problem of an error. For an unanswered create it is the problem that ended the call."""
    if isinstance(exc, ProviderUnavailable):
        return exc.problem
    if isinstance(exc.__cause__, ProviderUnavailable):
        return Problem(exc.__cause__.reason, exc.message)
    return Problem(Reason.TIMEOUT, exc.message)


def details(problem: Problem, integration: str, *, public_url: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "cause": problem.cause.value,
        "reason": problem.reason.value,
        "integration": integration,
        "source": integration,
        "configureUrl": f"{public_url}/admin/sources/{integration}",
    }
    if problem.retry_after is not None:
        body["retryAfter"] = max(1, math.ceil(problem.retry_after))
    return body


def unavailable(problem: Problem, integration: str, pointers: tuple[Pointer, ...]) -> ProviderUnavailable:
    """The problem of a listing as an exception, for responses that cannot show pointers without items."""
    exc = ProviderUnavailable(problem)
    exc.integration, exc.pointers = integration, pointers
    return exc
