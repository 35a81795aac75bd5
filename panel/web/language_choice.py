"""The form in which a person chooses the language of pages, and the cookie that keeps it."""

from __future__ import annotations

from flask import Flask, current_app, redirect, request
from werkzeug import Response

from panel.web.auth.session import current_path, own_path
from panel.web.context import panel
from panel.web.language import COOKIE, supported

FIELD = "language"
COOKIE_S = 365 * 24 * 3600
FIRST_PAGE = "/admin/"


def install(app: Flask) -> None:
    app.add_url_rule("/language", "language", choose_language, methods=("POST",))
    app.jinja_env.globals["path_after_language"] = path_after


def choose_language() -> Response:
    """Set the cookie and return to the page. A language that the panel does not have is forgotten."""
    response = redirect(own_path(request.form.get("back"), FIRST_PAGE), 303)
    response.set_cookie(
        panel().config.cookie(COOKIE), supported(request.form.get(FIELD, "")), max_age=COOKIE_S,
        httponly=True, samesite="Lax", secure=current_app.config["SESSION_COOKIE_SECURE"],
    )  # fmt: skip
    return response


def path_after() -> str:
    """The address of this page, to which the form returns; the first page if a form made it that GET does not show."""
    rule = request.url_rule
    is_shown = request.method in ("GET", "HEAD") or (rule is not None and "GET" in (rule.methods or ()))
    return current_path() if is_shown else FIRST_PAGE
