"""Refuses unknown Host headers (DNS rebinding) and cross-site requests that change something (CSRF).

The check of ``Sec-Fetch-Site`` and ``Origin`` is in addition to the CSRF tokens of forms.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from flask import Flask, Response, redirect, request
from werkzeug import Response as AnyResponse
from werkzeug.exceptions import BadHost, Forbidden
from werkzeug.routing import RequestRedirect

from panel.config import Config
from panel.connector import origin_of
from panel.core.messages import _
from panel.web.context import panel, wants_json
from panel.web.error_bodies import json_error, plain_body

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CROSS_SITE = frozenset({"cross-site", "same-site"})

UNKNOWN_HOST = _("This panel does not answer under this host name. Its address is set by PANEL_PUBLIC_URL.")


class CrossSiteRequest(Forbidden):
    description = _("This was sent by a page of another site. Nothing was done.")


def install(
    app: Flask, config: Config, *, without_session: Collection[str], under_any_name: Collection[str] = ()
) -> None:
    """Register the checks, which run before every other hook.

    Blueprints in ``without_session`` are exempt from the CSRF check: they accept no cookie for a write, and another
    site cannot send a bearer token. Endpoints in ``under_any_name`` answer under every host name: a probe uses the
    address of a machine.
    """
    names = own_host_names(config)

    @app.before_request
    def refuse_unknown_hosts() -> Response | None:
        # An HTTP/1.0 request may have no Host header, and then no forged one.
        has_host = "Host" in request.headers
        is_own = not has_host or request.endpoint in under_any_name or _host_name(request.host) in names
        if is_own and not isinstance(request.routing_exception, BadHost):
            return None
        # Plain text, because a page needs url_for, which fails for an invalid host name.
        if wants_json():
            return json_error(plain_body(UNKNOWN_HOST, 400))
        return Response(UNKNOWN_HOST, 400, mimetype="text/plain")

    @app.before_request
    def redirect_by_path() -> AnyResponse | None:
        """Replace the router's redirects (for slashes) by relative ones: they would repeat a forged Host header."""
        found = request.routing_exception
        if not isinstance(found, RequestRedirect):
            return None
        parts = urlsplit(found.new_url)
        path = f"/{parts.path.lstrip('/')}"
        return redirect(f"{path}?{parts.query}" if parts.query else path, found.code)

    @app.before_request
    def refuse_cross_site_requests() -> None:
        if request.method not in SAFE_METHODS and request.blueprint not in without_session and _is_cross_site():
            raise CrossSiteRequest


def own_host_names(config: Config) -> frozenset[str]:
    """The host names under which the panel answers.

    Flask's TRUSTED_HOSTS is not used, because it does not support IPv6 addresses.
    """
    own = _ascii(urlsplit(config.public_url).hostname or "").rstrip(".")
    bound = _address(config.host)
    is_local = config.host == "localhost" or bound.is_loopback or bound.is_unspecified
    return frozenset({own, config.host.lower()}) | (LOOPBACK if is_local else frozenset())


def _is_cross_site() -> bool:
    """Whether a page of another site sent this request, by headers that browsers set and pages cannot change.

    ``Origin: null`` is accepted: our own pages send it because of their referrer policy. The CSRF token of the form
    covers that case.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in CROSS_SITE
    origin = request.headers.get("Origin", "null").lower()
    return origin not in ("null", origin_of(panel().config.public_url)) and origin.partition("://")[2] != request.host


@lru_cache(maxsize=64)
def _host_name(host: str) -> str:
    """The name in a Host header: ``::1`` for ``[::1]:8000``, and "" for an invalid one."""
    return (urlsplit(f"//{host}").hostname or "").rstrip(".")


def canonical_host(host: str) -> str:
    """A Host header in one spelling: lower-case, without the dot of a full name, with the port that it has.

    A name beyond ASCII gets the form that browsers send (IDNA).
    """
    name, colon, port = host.rpartition(":") if re.search(r":[0-9]*$", host) else (host, "", "")
    return f"{_ascii(name.lower()).rstrip('.')}{colon}{port}"


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a literal. A name gives a documentation address, which is neither loopback nor unspecified."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return ipaddress.IPv4Address("192.0.2.1")
