"""Whom a request was sent to, and which page sent it: strange host names and pages of other sites are refused here."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, redirect, request
from werkzeug import Response as AnyResponse
from werkzeug.exceptions import BadHost, Forbidden
from werkzeug.routing import RequestRedirect

from panel.config import Config
from panel.connector import origin_of
from panel.web.context import panel, wants_json
from panel.web.error_bodies import plain_body

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
ELSEWHERE = frozenset({"cross-site", "same-site"})

STRANGE_HOST = "This panel does not answer under this host name. Its address is set by PANEL_PUBLIC_URL."


class OtherSite(Forbidden):
    description = "This was sent by a page of another site. Nothing was done."


def install(app: Flask, config: Config, *, without_session: Collection[str]) -> None:
    """Look at every request before anything else does.

    Blueprints ``without_session`` heed nothing that a browser sends along by itself, so that it does not matter which
    page sent a request there.
    """
    names = names_of(config)

    @app.before_request
    def refuse_strange_hosts() -> Response | None:
        # HTTP/1.0 may name no host; then there is nothing that could have been forged.
        given = "Host" in request.headers
        is_ours = not given or names is None or _name_in(request.host) in names
        if is_ours and not isinstance(request.routing_exception, BadHost):
            return None
        # No page of ours: under a name that is no name, not even the address of a style sheet can be made.
        told = jsonify(plain_body(STRANGE_HOST, 400)) if wants_json() else Response(STRANGE_HOST, mimetype="text/plain")
        told.status_code = 400
        return told

    @app.before_request
    def stay_here() -> AnyResponse | None:
        """The router's own redirects (a slash too many or too few) would name the host that the request named."""
        found = request.routing_exception
        if not isinstance(found, RequestRedirect):
            return None
        parts = urlsplit(found.new_url)
        path = f"/{parts.path.lstrip('/')}"
        return redirect(f"{path}?{parts.query}" if parts.query else path, found.code)

    @app.before_request
    def refuse_other_sites() -> None:
        if request.method not in READING and request.blueprint not in without_session and _comes_from_elsewhere():
            raise OtherSite


def names_of(config: Config) -> frozenset[str] | None:
    """The host names under which the panel answers; None, for any, while nobody has told it its name.

    Flask's TRUSTED_HOSTS would do, but for addresses of IPv6.
    """
    own = _ascii(urlsplit(config.public_url).hostname or "")
    if _address(own).is_unspecified:
        return None
    bound = _address(config.host)
    is_local = config.host == "localhost" or bound.is_loopback or bound.is_unspecified
    return frozenset({own, config.host.lower()}) | (LOOPBACK if is_local else frozenset())


def _comes_from_elsewhere() -> bool:
    """By what browsers say of themselves, which no page can make them say otherwise.

    Our own pages say ``Origin: null``, since they ask for no referrer; then only the token of the form can tell.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ELSEWHERE
    origin = request.headers.get("Origin", "null").lower()
    return origin not in ("null", origin_of(panel().config.public_url)) and origin.partition("://")[2] != request.host


def _name_in(host: str) -> str:
    """``[::1]:8000`` is ``::1``; "" for what cannot be a host."""
    return (urlsplit(f"//{host}").hostname or "").rstrip(".")


def _ascii(name: str) -> str:
    """A name as browsers send it."""
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """A name counts as an address that is nothing in particular."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return ipaddress.IPv4Address("192.0.2.1")
