"""Endpoints: scheme, host, port and path of an address, parsed strictly, and the request targets built from them.

The address guard, the connection, the Host header and the certificate check all use the same parsed endpoint, so that
they cannot disagree about the host (a parser differential is a way around an SSRF guard).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

import idna

from panel.core.errors import InvalidInput
from panel.core.messages import _

DEFAULT_PORTS = {"http": 80, "https": 443}

_SHAPE = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[^\]]*\]|[^/?#:\[\]]*)(?P<port>:[0-9]*)?(?P<path>/[^?#]*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ROOT_SAFE = "/%:@!$&'()*+,;=~"
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``host`` is ASCII, lower-case and without a trailing dot; IPv6 stands without brackets. ``path`` may be empty."""

    scheme: str
    host: str
    port: int
    path: str = ""
    setting: str = field(default="", compare=False)
    """The setting of the source that names this endpoint; "" for the location."""

    @property
    def host_port(self) -> str:
        return host_port_text(self.host, self.port)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host) if self.is_default_port else self.host_port}"

    @property
    def is_default_port(self) -> bool:
        return self.port == DEFAULT_PORTS[self.scheme]

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    def target(self, segments: Sequence[str], query: Sequence[tuple[str, str]] = ()) -> str:
        """The request target of ``root/segments…``, each segment encoded by itself.

        Raises InvalidInput("reference", …) for a segment that could lead elsewhere.
        """
        path = self.path + "".join(f"/{_encoded(segment)}" for segment in segments)
        encoded = urlencode(query, quote_via=quote, errors="replace")
        return f"{path or '/'}?{encoded}" if encoded else path or "/"


def parse_endpoint(root: str) -> Endpoint:
    """Parse an instance root. Raises InvalidInput("location", …) for anything but a plain http(s) address."""
    # Parsers disagree about these characters: browsers, for example, treat a backslash as a slash.
    if any(char.isspace() or unicodedata.category(char) == "Cc" or char == "\\" for char in root):
        raise _bad(_("The address holds spaces, backslashes or control characters."))
    if "#" in root:
        raise _bad(_("The address must not carry a fragment (#…)."))
    if "?" in root:
        raise _bad(_("The address must not carry a query (?…)."))
    if "@" in root.partition("://")[2].partition("/")[0]:
        raise _bad(_("The address must not carry a user name or password; they belong in the sign-in fields."))
    shape = _SHAPE.fullmatch(root)
    if shape is None or shape["scheme"].lower() not in DEFAULT_PORTS:
        raise _bad(_("The address must begin with http:// or https:// and a host name."))
    scheme = shape["scheme"].lower()
    port = _port_of(shape["port"], DEFAULT_PORTS[scheme])
    return Endpoint(scheme, host_of(shape["host"]), port, _path_of(shape["path"]))


def check_root(url: str) -> None:
    """Raise InvalidInput("location", …) when ``url`` cannot be the root of a source."""
    parse_endpoint(url)


def parse_host_port(text: str) -> tuple[str, int]:
    """The canonical host and the port of ``host:port``. Raises InvalidInput("location", …)."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise _bad(_("The address has no port."))
    if not re.fullmatch("[0-9]+", port, re.ASCII):
        raise _bad(_("The port of the address must be a number from 1 to 65535."))
    return host_of(host), _port_of(f":{port}", 0)


def host_port_text(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def host_of(text: str) -> str:
    """The canonical spelling of a host: ASCII, lower-case, no trailing dot, no brackets. Raises InvalidInput."""
    if text.startswith("["):
        return _ipv6_of(text)
    host = text if text.isascii() else _to_ascii(text)
    # A trailing dot names the same host, but matches neither a certificate nor an entry of the allowlist.
    host = host.lower().removesuffix(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _bad(_("The address has no valid host name."))
    return host


def _ipv6_of(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        raise _bad(_("The address has no valid IPv6 address in its brackets.")) from None
    if address.scope_id is not None:
        raise _bad(_("The address must not name a network interface (%…)."))
    return address.compressed


def _to_ascii(host: str) -> str:
    """Encode an internationalised name. UTS 46 also maps full-width digits and dots, which a resolver would accept."""
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise _bad(_("The address has no valid host name.")) from None


def _port_of(text: str | None, default: int) -> int:
    if text is None:
        return default
    digits = text[1:]
    if not 1 <= len(digits) <= 5 or not 1 <= int(digits) <= 65535:
        raise _bad(_("The port of the address must be a number from 1 to 65535."))
    return int(digits)


def _path_of(text: str | None) -> str:
    path = (text or "").rstrip("/")
    # Servers decode a path before they resolve its dots, so the decoded form is checked.
    decoded = unquote(path)
    if "//" in path or any(segment in (".", "..") for segment in decoded.split("/")):
        raise _bad(_("The path of the address must not hold empty, . or .. parts."))
    if _BROKEN_ESCAPE.search(path) or any(unicodedata.category(char) == "Cc" for char in decoded) or "\\" in decoded:
        raise _bad(_("The path of the address holds characters that cannot be sent."))
    return quote(path, safe=_ROOT_SAFE)


def _encoded(segment: str) -> str:
    if segment in ("", ".", ".."):
        raise InvalidInput("reference", _("A reference must not hold empty, . or .. parts."))
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in segment):
        raise InvalidInput("reference", _("A reference must not hold control characters."))
    return quote(segment, safe="")


def path_of(target: str) -> str:
    """A request target without its query, for messages."""
    return target.partition("?")[0]


def outline_of(target: str) -> str:
    """A request target with the names of its query parameters but not their values, for the call log."""
    path, _, query = target.partition("?")
    names = dict.fromkeys(pair.partition("=")[0] for pair in query.split("&") if pair)
    return path + ("?" + "&".join(f"{name}=…" for name in names) if names else "")


def shown_origin(url: str) -> str | None:
    """Scheme and host of an absolute address from an upstream; None when it cannot be parsed."""
    plain = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    scheme, separator, rest = plain.partition("://")
    authority = re.split(r"[/\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    try:
        return parse_endpoint(f"{scheme}{separator}{authority}").origin
    except InvalidInput:
        return None


def shown_path(url: str) -> str:
    """The path of an absolute address from an upstream, without query and session id; a long one is shortened."""
    rest = url.partition("://")[2]
    path = quote("/" + re.split(r"[?#;]", rest, maxsplit=1)[0].partition("/")[2], safe="/%~:@+")
    return path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}…"


def _bad(message: str) -> InvalidInput:
    return InvalidInput("location", message)
