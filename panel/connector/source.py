"""A source as the connector uses it: address, credential and limits in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from panel.connector.endpoint import DEFAULT_PORTS, Endpoint, host_of, parse_endpoint, parse_host_port
from panel.core.errors import InvalidInput


class Secret:
    """A credential in memory. ``repr`` hides it and pickling fails; only ``reveal`` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def begins_with(self, text: str) -> bool:
        """Whether the secret is of the kind whose secrets begin with ``text``."""
        return self._value.startswith(text)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not serialised")


class AuthKind(StrEnum):
    NONE = "none"
    BASIC = "basic"
    TOKEN = "token"  # noqa: S105
    OAUTH2 = "oauth2"


class GrantType(StrEnum):
    CLIENT_CREDENTIALS = "client_credentials"
    AUTHORIZATION_CODE = "authorization_code"


@dataclass(frozen=True, slots=True)
class OauthClient:
    """The panel as a client of an OAuth 2.0 provider. The client secret is the source's secret, in ``Auth``."""

    grant: GrantType
    token_url: str
    client_id: str
    authorization_url: str = ""
    scope: str = ""
    origins: str = ""
    """The origins to which stored tokens are bound; empty for settings that are tested but not stored."""


@dataclass(frozen=True, slots=True)
class Auth:
    """Exactly one way of signing in. ``header`` carries the token where the kind is ``token``."""

    kind: AuthKind = AuthKind.NONE
    username: str = ""
    header: str = "Authorization"
    secret: Secret | None = None
    oauth: OauthClient | None = None
    """Set when the kind is ``oauth2``."""


def origin_of(url: str) -> str:
    """Scheme, host and port of an http(s) URL, lower-case, with the default port left out."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower().rstrip(".")
    default = {"http": 80, "https": 443}.get(scheme)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" if parts.port in (None, default) else f"{scheme}://{host}:{parts.port}"


def is_same_host(one: str, other: str) -> bool:
    """Whether two http(s) URLs name one host, whatever their schemes: default ports are equal, and so are spellings.

    For addresses that people paste, of which only a path is read. No request goes to such an address.
    """
    return _host_and_port(one) == _host_and_port(other)


def _host_and_port(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    with suppress(InvalidInput):
        host = host_of(f"[{host}]" if ":" in host else host)
    return host, None if parts.port in DEFAULT_PORTS.values() else parts.port


@dataclass(frozen=True)
class SourceConfig:
    """One source, ready for use. ``root`` is the instance root (no trailing slash): ``https://host/wiki``."""

    id: str
    slug: str
    name: str
    root: str
    auth: Auth = field(default_factory=Auth)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The extra headers, whose values may be secrets of a gateway."""
    options: Mapping[str, str] = field(default_factory=dict)
    rate_limit: str = ""
    max_concurrency: int = 8
    timeout_s: float | None = None
    """Deadline in seconds for one conversation; None means the deployment's default."""
    ca_file: str = ""
    connect_to: str = ""
    """``host:port`` that connections for the origin go to; "" for the origin itself."""
    revision: int = 0
    """Grows with every save and is part of cache keys, so that a change invalidates cached answers."""

    @property
    def origin(self) -> str:
        return origin_of(self.root)

    @cached_property
    def endpoint(self) -> Endpoint:
        """The root, parsed once. Raises InvalidInput("location", …) for anything but a plain http(s) address."""
        return parse_endpoint(self.root)

    def connection_endpoint(self, endpoint: Endpoint) -> Endpoint:
        """Where the connection for a request to ``endpoint`` goes; scheme, Host header and TLS name stay its own.

        Raises InvalidInput for a ``connect_to`` that was not checked.
        """
        if not self.connect_to or endpoint.origin != self.endpoint.origin:
            return endpoint
        host, port = parse_host_port(self.connect_to)
        return replace(endpoint, host=host, port=port, setting="connect_to")

    @property
    def signs_in(self) -> bool:
        return self.auth.kind is not AuthKind.NONE

    @property
    def sends_secret(self) -> bool:
        """Whether a call carries a credential: that of the sign-in, or an extra header."""
        return self.signs_in or bool(self.headers)
