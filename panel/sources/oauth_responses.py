"""Parses the response of a token endpoint strictly, into tokens or a refusal with a reason and a message."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from panel.connector import Answer, unexpected
from panel.core.domain import Problem
from panel.core.messages import _
from panel.core.reasons import Reason

_TOKEN = re.compile(r"[\x21-\x7e]{1,8000}", re.ASCII)
_LONGEST_LIFE_S = 10 * 365 * 86400.0

_UNKNOWN_CLIENT = "invalid_client"
_GRANT_ENDED = _("The authorisation has ended: the provider no longer accepts the refresh token. Connect again.")
NOT_RENEWABLE = _("The authorisation has ended, and the provider gave no refresh token. Connect again.")
_REFUSALS: dict[str, Problem] = {
    _UNKNOWN_CLIENT: Problem(
        Reason.CREDENTIALS_REJECTED,
        _("The provider does not know this client id, or the client secret is wrong."),
        field="auth.clientId",
    ),
    "unauthorized_client": Problem(
        Reason.CREDENTIALS_REJECTED, _("The provider does not let this client sign in this way.")
    ),
    "unsupported_grant_type": Problem(Reason.CREDENTIALS_REJECTED, _("The provider does not offer this grant.")),
    "invalid_scope": Problem(
        Reason.FORBIDDEN,
        _("The provider does not give this client the scope that the source asks for."),
        field="auth.scope",
    ),
    "access_denied": Problem(
        Reason.FORBIDDEN, _("The provider denies this client the access that the source asks for.")
    ),
    "invalid_request": Problem(
        Reason.UNEXPECTED_RESPONSE, _("The provider does not understand the request for a token.")
    ),
}
_INVALID_GRANT: dict[str, Problem] = {
    "refresh_token": Problem(Reason.AUTHENTICATION_EXPIRED, _GRANT_ENDED),
    "authorization_code": Problem(
        Reason.AUTHENTICATION_EXPIRED,
        _("The provider refused its code: it has expired, was used before, or belongs to another client."),
    ),
    "client_credentials": Problem(
        Reason.CREDENTIALS_REJECTED, _("The provider gives this client no token."), field="auth.clientId"
    ),
}
"""https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A successful token response. ``life`` is the lifetime in seconds, None when the provider does not state it."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    life: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response. ``is_final`` is True when the refresh token or code can never be accepted again."""

    problem: Problem
    is_final: bool = False


def read_tokens(answer: Answer, grant_type: str) -> Tokens | Refusal:
    """Parse the response to a request with ``grant_type``: https://www.rfc-editor.org/rfc/rfc6749#section-5.

    Raises ProviderUnavailable for anything that is no OAuth response.
    """
    if answer.status >= 400:
        return _refusal(answer, grant_type)
    body = answer.object()
    access, refresh = body.get("access_token"), body.get("refresh_token") or ""
    if not isinstance(access, str) or not _TOKEN.fullmatch(access) or not (refresh == "" or _is_token(refresh)):
        raise unexpected(
            _("{where} answered {status} without a usable token.", where=answer.where, status=answer.status)
        )
    if str(body.get("token_type", "")).lower() != "bearer":
        raise unexpected(_("{where} answered with a token that is no bearer token.", where=answer.where))
    return Tokens(access, refresh, _life(body.get("expires_in"), answer))


def why_ended(stored: str) -> str:
    """The sentence that was stored when an authorisation ended, as a text that can be translated."""
    return next((sentence for sentence in (_GRANT_ENDED, NOT_RENEWABLE) if sentence == stored), stored)


def refuses_client(answer: Answer) -> bool:
    """Whether the provider does not know the client, or knows it by another way of authentication.

    Raises ProviderUnavailable for a body that is no readable JSON object.
    """
    return answer.status >= 400 and _error_of(answer) == _UNKNOWN_CLIENT


def _error_of(answer: Answer) -> Any:
    error = answer.object().get("error") if answer.is_json else None
    return _UNKNOWN_CLIENT if error is None and answer.status == 401 else error


def _refusal(answer: Answer, grant_type: str) -> Refusal:
    error = _error_of(answer)
    known = _INVALID_GRANT.get(grant_type) if error == "invalid_grant" else _REFUSALS.get(str(error))
    if known is None:
        raise unexpected(
            _("{where} answered {status} without an error code of OAuth 2.0.", where=answer.where, status=answer.status)
        )
    return Refusal(known, is_final=error == "invalid_grant")


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _life(value: Any, answer: Answer) -> float | None:
    """The lifetime in seconds. Some providers send it as text."""
    if value is None:
        return None
    try:
        seconds = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = float("nan")
    if seconds != seconds:
        raise unexpected(_("{where} answered with a token whose lifetime is no number.", where=answer.where))
    return min(seconds, _LONGEST_LIFE_S)
