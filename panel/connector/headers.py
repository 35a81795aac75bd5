"""The headers that go out: a short list of our own, the credential, and a source's extra ones within limits."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote_plus

from requests.structures import CaseInsensitiveDict

from panel.connector.caller import Caller
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint
from panel.connector.source import AuthKind, Secret, SourceConfig
from panel.core.domain import Problem, Reason
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.version import VERSION


class Sign(Protocol):
    """Signs in with OAuth2: keeps tokens, and hears which of them an upstream refused."""

    def header(self, source: SourceConfig, deadline: Deadline, caller: Caller) -> str:
        """The value of the Authorization header. Raises ProviderUnavailable when there is none to be had."""

    def refused(self, source: SourceConfig, header: str) -> None:
        """The upstream did not take ``header``: it is not to be given out again."""

    def refusal(self, source: SourceConfig, problem: Problem) -> Problem:
        """What a refused sign-in means for a source whose token was fresh."""


USER_AGENT = f"Leafpanel/{VERSION} (linked content)"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_PRINTABLE = re.compile(r"([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RESERVED = frozenset({
    "accept-encoding", "authorization", "connection", "content-encoding", "content-length", "content-type", "cookie",
    "cookie2", "expect", "host", "keep-alive", "range", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_EACH_CALLS_OWN = "accept"
"""Source files of others name it, so it may stand there; what a call accepts is for that call to say."""
_LONGEST_NAME, _LONGEST_VALUE = 100, 2000


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InvalidInput("headers", …) naming the first extra header that a source must not have."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise InvalidInput("headers", "A name in “headers” may hold only letters, digits and -.")
        if _is_reserved(name):
            raise InvalidInput("headers", f"“headers.{name}” cannot be set: Leafpanel sets or refuses it itself.")
        if not _PRINTABLE.fullmatch(value) or len(value) > _LONGEST_VALUE:
            raise InvalidInput("headers", f"“headers.{name}” is too long or holds characters that cannot be sent.")


def check_token_header(name: str) -> None:
    """Raise InvalidInput("auth.header", …) for a header that cannot carry a token."""
    if not _TOKEN.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InvalidInput("auth.header", "“auth.header” is not the name of a header.")
    if name.lower() == _EACH_CALLS_OWN or (_is_reserved(name) and name.lower() != "authorization"):
        raise InvalidInput("auth.header", "“auth.header” names a header that cannot carry a token.")


def _is_reserved(name: str) -> bool:
    return name.lower() in _RESERVED or name.lower().startswith("proxy-")


def outgoing(source: SourceConfig, *, accept: str, content_type: str | None, more: Mapping[str, str]) -> dict[str, str]:
    """Every header of one call but Host, Content-Length and the credential.

    Later ones win, whatever the case of their names.
    """
    sent = CaseInsensitiveDict(extra_headers(source))
    sent.update(_passed_on(more))
    sent.update(_fixed(accept, content_type))
    return dict(sent)


def signed(
    headers: Mapping[str, str], source: SourceConfig, sign: Sign | None, deadline: Deadline, caller: Caller
) -> dict[str, str]:
    """The headers with the credential."""
    sent = CaseInsensitiveDict(headers)
    sent.update(credential_headers(source, sign, deadline, caller))
    return dict(sent)


def form_headers(source: SourceConfig, endpoint: Endpoint, basic: tuple[str, str] | None) -> dict[str, str]:
    """The headers of a form that goes to another endpoint of the source than its root, such as a token endpoint.

    Extra headers may be credentials of a gateway; they go to the source's own origin only.
    """
    sent = CaseInsensitiveDict(extra_headers(source) if endpoint.origin == source.endpoint.origin else {})
    sent.update(_fixed("application/json", "application/x-www-form-urlencoded"))
    if basic is not None:
        sent["Authorization"] = _pair(*(quote_plus(part) for part in basic))
    return dict(sent)


def _fixed(accept: str, content_type: str | None) -> dict[str, str]:
    fixed = {"User-Agent": USER_AGENT, "Accept": accept, "Accept-Encoding": "gzip", "Connection": "close"}
    return fixed if content_type is None else {**fixed, "Content-Type": content_type}


def _passed_on(headers: Mapping[str, str]) -> Mapping[str, str]:
    """What a leaf read in one answer and sends with the next call (a form token) is the upstream's own text."""
    own = {name: value for name, value in headers.items() if not _is_reserved(name)}
    try:
        check_headers(own)
    except InvalidInput:
        message = "The upstream gave out a token that cannot be sent back."
        raise ProviderUnavailable.because(Reason.UNEXPECTED_RESPONSE, message) from None
    return own


def extra_headers(source: SourceConfig) -> dict[str, str]:
    """The source's own headers, without the one that each call sets for itself."""
    try:
        check_headers(source.headers)
    except InvalidInput as exc:
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, str(exc)) from None
    return {name: value for name, value in source.headers.items() if name.lower() != _EACH_CALLS_OWN}


def credential_headers(source: SourceConfig, sign: Sign | None, deadline: Deadline, caller: Caller) -> dict[str, str]:
    """The one header that carries the credential, or none."""
    auth = source.auth
    if auth.kind is AuthKind.NONE:
        return {}
    if auth.kind is AuthKind.OAUTH2:
        if sign is None:
            raise _invalid(source, "signs in with OAuth2, which is not available")
        return {"Authorization": sign.header(source, deadline, caller)}
    if auth.secret is None:
        raise _invalid(source, "has no credential")
    if auth.kind is AuthKind.BASIC:
        return {"Authorization": _basic(source, auth.username, auth.secret)}
    return {_token_header(source): _token(source, auth.secret)}


def _basic(source: SourceConfig, username: str, secret: Secret) -> str:
    """User name and password as UTF-8, see https://www.rfc-editor.org/rfc/rfc7617."""
    if ":" in username or _CONTROL.search(username) or _CONTROL.search(secret.reveal()):
        raise _invalid(source, "has a user name or password that Basic sign-in cannot carry")
    return _pair(username, secret.reveal())


def _pair(username: str, password: str) -> str:
    pair = f"{username}:{password}".encode(errors="replace")
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def _token_header(source: SourceConfig) -> str:
    try:
        check_token_header(source.auth.header)
    except InvalidInput:
        raise _invalid(source, "sends its token in a header that cannot carry one") from None
    return source.auth.header


def _token(source: SourceConfig, secret: Secret) -> str:
    if not secret.reveal() or not _PRINTABLE.fullmatch(secret.reveal()):
        raise _invalid(source, "has a token with characters that cannot be sent")
    return f"Bearer {secret.reveal()}" if source.auth.header.lower() == "authorization" else secret.reveal()


def _invalid(source: SourceConfig, what: str) -> ProviderUnavailable:
    return ProviderUnavailable.because(Reason.SOURCE_INVALID, f"Source {source.slug!r} {what}.")
