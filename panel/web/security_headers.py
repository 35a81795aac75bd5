"""Security headers of every response, errors and static files included: CSP, HSTS, Permissions-Policy and others."""

from __future__ import annotations

from flask import Response, g, request

from panel.web.context import panel
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


_USUAL_POLICY = _policy()


def add_headers(response: Response) -> Response:
    ancestors = g.get("frame_ancestors", "'none'")
    is_usual = ancestors == "'none'" and "form_target" not in g
    policy = _USUAL_POLICY if is_usual else _policy(ancestors, g.get("form_target", ""))
    response.headers["Content-Security-Policy"] = policy
    if ancestors == "'none'":
        response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Permissions-Policy"] = PERMISSIONS
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    is_framed = ancestors != "'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin" if is_framed or _is_file() else "same-origin"
    if is_framed:
        # A host page with an embedder policy frames only documents that have one too.
        response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
    if panel().config.is_encrypted:
        # HSTS. TLS may end at a proxy, so the decision is by PANEL_PUBLIC_URL and not by the request.
        response.headers["Strict-Transport-Security"] = f"max-age={YEAR_S}; includeSubDomains"
    if not _is_file():
        response.headers["Cache-Control"] = "no-store, private"
    return response


def _is_file() -> bool:
    """Whether the response is a static file: public, and loaded by frames whose sandbox gives them another origin."""
    return request.endpoint == ENDPOINT
