"""Security headers of every response, errors and static files included: CSP, HSTS, Permissions-Policy and others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Flask, Response, g, request

from panel.web.static_files import ENDPOINT

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
}


FEATURES = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "geolocation", "gyroscope", "hid",
    "idle-detection", "magnetometer", "microphone", "midi", "payment", "picture-in-picture",
    "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
"""Browser features that the panel's pages do not use, switched off by Permissions-Policy."""

PERMISSIONS = ", ".join(f"{feature}=()" for feature in FEATURES)

_POLICY, _FRAMES, _SHARING = "Content-Security-Policy", "X-Frame-Options", "Cross-Origin-Resource-Policy"

YEAR_S = 365 * 24 * 3600


def allow_framing_by(origins: str) -> None:
    """Allow the listed origins (space-separated) to frame this response. Only the tab with a valid token does so."""
    g.frame_ancestors = origins


def allow_form_to(origin: str) -> None:
    """Allow a form of this page to be redirected to ``origin``: browsers apply ``form-action`` to redirects too."""
    g.form_target = origin


def _policy(ancestors: str = "'none'", form_target: str = "") -> str:
    rules = {**POLICY, "form-action": f"'self' {form_target}"} if form_target else POLICY
    return "; ".join(f"{name} {value}" for name, value in {**rules, "frame-ancestors": ancestors}.items())


def install(app: Flask) -> None:
    """Add the headers to every response.

    Those that nearly all responses have in common are added to the finished list of headers: a Headers object
    searches all of its entries for each that is set.
    """
    app.after_request(_add_own_headers)
    usual = _usual_headers(is_encrypted=app.extensions["leafpanel"].config.is_encrypted)
    answer = app.wsgi_app

    def with_headers(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            names = {name for name, _ in headers}
            if _POLICY in names:
                names.add(_FRAMES)
            return start_response(status, headers + [each for each in usual if each[0] not in names], *exc_info)

        return answer(environ, start)

    app.wsgi_app = with_headers  # type: ignore[method-assign]


def _usual_headers(*, is_encrypted: bool) -> list[tuple[str, str]]:
    headers = [
        (_POLICY, _policy()),
        (_FRAMES, "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Permissions-Policy", PERMISSIONS),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        (_SHARING, "same-origin"),
    ]
    # HSTS. TLS may end at a proxy, so the decision is by PANEL_PUBLIC_URL and not by the request.
    hsts = ("Strict-Transport-Security", f"max-age={YEAR_S}; includeSubDomains")
    return [*headers, hsts] if is_encrypted else headers


def _add_own_headers(response: Response) -> Response:
    """The headers in which this response differs from the others."""
    if "frame_ancestors" in g or "form_target" in g:
        ancestors = g.get("frame_ancestors", "'none'")
        response.headers[_POLICY] = _policy(ancestors, g.get("form_target", ""))
        if ancestors == "'none'":
            response.headers[_FRAMES] = "DENY"
        else:
            # A host page with an embedder policy frames only documents that have one too.
            response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
            response.headers[_SHARING] = "cross-origin"
    if request.endpoint == ENDPOINT:
        # Files are public, and frames whose sandbox gives them another origin load them.
        response.headers[_SHARING] = "cross-origin"
    else:
        response.headers["Cache-Control"] = "no-store, private"
    return response
