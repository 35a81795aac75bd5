"""The form in which a person chooses the language of pages, and the cookie that keeps it."""

from __future__ import annotations

from flask import Flask, current_app, redirect, request, url_for
from werkzeug import Response

from panel.web.auth.session import current_path, own_path, return_path
from panel.web.context import panel
from panel.web.language import COOKIE, supported

FIELD = "language"
COOKIE_S = 365 * 24 * 3600


def install(app: Flask) -> None:
    app.add_url_rule("/language", "language", choose_language, methods=("POST",))
    app.jinja_env.globals["path_after_language"] = path_after


def choose_language() -> Response:
    """Set the cookie and return to the page. A language that the panel does not have is forgotten."""
    response = redirect(own_path(request.form.get("back"), url_for("admin.overview")), 303)
    response.set_cookie(
        panel().config.cookie(COOKIE), supported(request.form.get(FIELD, "")), max_age=COOKIE_S,
        httponly=True, samesite="Lax", secure=current_app.config["SESSION_COOKIE_SECURE"],
    )  # fmt: skip
    return response


def path_after() -> str:
    """The address of this page, to which the form returns; for the answer to a form, that of the empty form."""
    rule = request.url_rule
    has_page = rule is not None and "GET" in (rule.methods or ())
    return return_path() or (current_path() if has_page else url_for("admin.overview"))
