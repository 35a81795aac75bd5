"""Headers of outgoing calls: a fixed list, the credential, and the source's extra headers within limits."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Protocol, TypeVar
from urllib.parse import quote_plus

from requests.structures import CaseInsensitiveDict

from panel.connector.caller import Caller
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint
from panel.connector.source import AuthKind, Secret, SourceConfig
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.messages import Message, _
from panel.core.reasons import Reason
from panel.core.version import VERSION


class OauthSigner(Protocol):
    """Provides OAuth 2.0 access tokens, and takes reports of refused ones."""

    def header(self, source: SourceConfig, deadline: Deadline, caller: Caller) -> str:
        """The value of the Authorization header. Raises ProviderUnavailable when no token can be obtained."""

    def refused(self, source: SourceConfig, header: str) -> None:
        """Report that the upstream refused ``header``, so that its token is not used again."""

    def refusal(self, source: SourceConfig, problem: Problem) -> Problem:
        """The problem to report when the upstream refused a new token; ``problem`` is its own refusal."""


T = TypeVar("T")
USER_AGENT = f"Leafpanel/{VERSION} (linked content)"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_PRINTABLE = re.compile(r"([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A source must not set these: they change the framing, the credential or the routing of a request.
_RESERVED = frozenset({
    "accept-encoding", "authorization", "connection", "content-encoding", "content-length", "content-type", "cookie",
    "cookie2", "expect", "host", "keep-alive", "range", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_SET_PER_CALL = "accept"
"""Accepted among extra headers because OpenConnector's source files have it, and dropped: each call sets its own."""
_LONGEST_NAME, _LONGEST_VALUE = 100, 2000


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InvalidInput("headers", …) naming the first extra header that is not allowed."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise InvalidInput("headers", _("A name in “{name}” may hold only letters, digits and -.", name="headers"))
        if _is_reserved(name):
            raise InvalidInput(
                "headers", _("“{name}” cannot be set: Leafpanel sets or refuses it itself.", name=f"headers.{name}")
            )
        if not is_header_value(value) or len(value) > _LONGEST_VALUE:
            raise InvalidInput(
                "headers", _("“{name}” is too long or holds characters that cannot be sent.", name=f"headers.{name}")
            )


def sent_headers(headers: Mapping[str, T]) -> dict[str, T]:
    """The extra headers that calls carry: all but the one that each call sets itself."""
    return {name: value for name, value in headers.items() if name.lower() != _SET_PER_CALL}


def check_token_header(name: str) -> None:
    """Raise InvalidInput("auth.header", …) for a header that cannot carry a token."""
    if not _TOKEN.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InvalidInput("auth.header", _("“{name}” is not the name of a header.", name="auth.header"))
    if name.lower() == _SET_PER_CALL or (_is_reserved(name) and name.lower() != "authorization"):
        raise InvalidInput("auth.header", _("“{name}” names a header that cannot carry a token.", name="auth.header"))


def is_header_value(text: str) -> bool:
    """Whether ``text`` can be the value of a header: printable ASCII without spaces around it."""
    return _PRINTABLE.fullmatch(text) is not None


def _is_reserved(name: str) -> bool:
    return name.lower() in _RESERVED or name.lower().startswith("proxy-")


def request_headers(
    source: SourceConfig, *, accept: str, content_type: str | None, more: Mapping[str, str]
) -> dict[str, str]:
    """All headers of one call except Host, Connection, Content-Length and the credential.

    ``more`` overrides the source's extra headers, and the fixed ones override both. Names compare without case.
    """
    sent = CaseInsensitiveDict(extra_headers(source))
    sent.update(_checked(more))
    sent.update(_fixed(accept, content_type))
    return dict(sent)


def with_credential(
    headers: Mapping[str, str], source: SourceConfig, signer: OauthSigner | None, deadline: Deadline, caller: Caller
) -> dict[str, str]:
    """``headers`` plus the credential. Raises ProviderUnavailable when there is none that can be sent."""
    sent = CaseInsensitiveDict(headers)
    sent.update(credential_headers(source, signer, deadline, caller))
    return dict(sent)


def form_headers(source: SourceConfig, endpoint: Endpoint, basic: tuple[str, str] | None) -> dict[str, str]:
    """The headers of a form that goes to an endpoint outside the source's root, such as a token endpoint.

    Extra headers may be credentials of a gateway, so they are sent to the source's own origin only.
    """
    sent = CaseInsensitiveDict(extra_headers(source) if endpoint.origin == source.endpoint.origin else {})
    sent.update(_fixed("application/json", "application/x-www-form-urlencoded"))
    if basic is not None:
        # Client id and secret are form-encoded first: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
        sent["Authorization"] = _basic_value(*(quote_plus(part) for part in basic))
    return dict(sent)


def _fixed(accept: str, content_type: str | None) -> dict[str, str]:
    fixed = {"User-Agent": USER_AGENT, "Accept": accept, "Accept-Encoding": "gzip"}
    return fixed if content_type is None else {**fixed, "Content-Type": content_type}


def _checked(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers of one call. Their values may be text of the upstream (a form token), hence the check."""
    own = {name: value for name, value in headers.items() if not _is_reserved(name)}
    try:
        check_headers(own)
    except InvalidInput:
        message = _("The upstream issued a token that cannot be sent back.")
        raise ProviderUnavailable.because(Reason.UNEXPECTED_RESPONSE, message) from None
    return own


def extra_headers(source: SourceConfig) -> dict[str, str]:
    """The source's extra headers, without the one that each call sets."""
    try:
        check_headers(source.headers)
    except InvalidInput as exc:
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, exc.message, field="headers") from None
    return sent_headers(source.headers)


def credential_headers(
    source: SourceConfig, signer: OauthSigner | None, deadline: Deadline, caller: Caller
) -> dict[str, str]:
    """The header with the credential; empty for a source without sign-in."""
    auth = source.auth
    if auth.kind is AuthKind.NONE:
        return {}
    if auth.kind is AuthKind.OAUTH2:
        if signer is None:
            raise _invalid(source, _("Source {source} signs in with OAuth2, which is not available."))
        return {"Authorization": signer.header(source, deadline, caller)}
    if auth.secret is None:
        raise _invalid(source, _("Source {source} has no credential."))
    if auth.kind is AuthKind.BASIC:
        return {"Authorization": _basic(source, auth.username, auth.secret)}
    return {_token_header(source): _token(source, auth.secret)}


def _basic(source: SourceConfig, username: str, secret: Secret) -> str:
    """User name and password as UTF-8, see https://www.rfc-editor.org/rfc/rfc7617."""
    if ":" in username:
        # Its rest would be read as the beginning of the password.
        raise _invalid(source, _("Source {source} has a user name with a colon, which Basic sign-in cannot carry."))
    if _CONTROL.search(username) or _CONTROL.search(secret.reveal()):
        raise _invalid(source, _("Source {source} has a user name or password that Basic sign-in cannot carry."))
    return _basic_value(username, secret.reveal())


def _basic_value(username: str, password: str) -> str:
    pair = f"{username}:{password}".encode(errors="replace")
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def _token_header(source: SourceConfig) -> str:
    try:
        check_token_header(source.auth.header)
    except InvalidInput:
        raise _invalid(source, _("Source {source} sends its token in a header that cannot carry one.")) from None
    return source.auth.header


def _token(source: SourceConfig, secret: Secret) -> str:
    if not secret.reveal() or not is_header_value(secret.reveal()):
        raise _invalid(source, _("Source {source} has a token with characters that cannot be sent."))
    return f"Bearer {secret.reveal()}" if source.auth.header.lower() == "authorization" else secret.reveal()


def _invalid(source: SourceConfig, why: Message) -> ProviderUnavailable:
    message = why.filled(source=repr(source.slug))
    return ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="auth")
