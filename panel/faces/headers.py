"""Security headers of every answer, errors and static files included."""

from __future__ import annotations

from flask import Response, g, request

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


def allow_framing_by(origins: str) -> None:
    """Let this one answer be framed by the listed origins (space-separated). Only the tab with a valid token asks."""
    g.frame_ancestors = origins


def add_headers(response: Response) -> Response:
    ancestors = g.get("frame_ancestors", "'none'")
    policy = "; ".join(f"{name} {value}" for name, value in POLICY.items())
    response.headers["Content-Security-Policy"] = f"{policy}; frame-ancestors {ancestors}"
    if ancestors == "'none'":
        response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store, private"
    return response
