"""Error handlers: each failure as the JSON error body, an error page, or the sign-in form."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, make_response, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from panel.core.errors import PanelError
from panel.storage.engine import STORAGE_FAILURES
from panel.web.auth import resume_form
from panel.web.auth.same_origin import OtherSite
from panel.web.auth.session import SignInNeeded, here
from panel.web.context import panel, request_id, wants_json
from panel.web.error_bodies import bug_words, error_body, json_error, plain_body, status_of, storage_words
from panel.web.failure_log import log_storage_failure
from panel.web.htmx import wants_fragment

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(SignInNeeded, _sign_in)
    app.register_error_handler(PanelError, _panel_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    for kind in STORAGE_FAILURES:
        app.register_error_handler(kind, _storage_error)
    app.register_error_handler(DataError, _data_error)
    app.register_error_handler(Exception, _bug)


def _answer(message: str, status: int, title: str = "") -> Response | tuple[str, int]:
    if wants_json():
        return json_error(plain_body(message, status))
    return render_template("error.html", title=title or "This did not work", message=message, status=status), status


def _way_back() -> str | None:
    """Where somebody wanted to go. A provider's answer is not kept: it carries a code for the session that asked."""
    if request.endpoint == "admin.oauth.callback":
        return url_for("admin.sources.index")
    return here() if request.method == "GET" else None


def _sign_in(exc: SignInNeeded) -> Any:
    if resume_form.is_kept():
        return _sign_in_and_keep()
    if wants_fragment():
        # A redirect would put the sign-in form where a part of the page was asked for.
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        target = f"{shown.path}?{shown.query}" if shown.query else shown.path
        return Response(status=401, headers={"HX-Redirect": url_for("admin.sign_in", next=target or None)})
    return redirect(url_for("admin.sign_in", next=_way_back()), 303)


def _sign_in_and_keep() -> Any:
    """The sign-in form, around what was typed. A part of a page has no room for it, and asks for the whole."""
    if wants_fragment():
        return Response(status=401, headers={resume_form.WHOLE_HEADER: "yes", "HX-Reswap": "none"})
    return render_template("admin/sign_in.html", sealed=resume_form.seal()), 401


def _panel_error(exc: PanelError) -> Any:
    status = status_of(exc)
    if not wants_json():
        return _answer(str(exc), status)
    body = error_body(exc, public_url=panel().config.public_url)
    wait = body.get("details", {}).get("retryAfter")
    return json_error(body, headers={"Retry-After": str(wait)} if wait else None)


def _csrf_error(exc: CSRFError) -> Any:
    return _answer("This form is no longer valid. Go back, load the page again and try once more.", 400)


def _http_error(exc: HTTPException) -> Any:
    if exc.code is None or exc.code < 400:
        return exc
    if isinstance(exc, OtherSite):
        return _answer(str(exc.description), exc.code)
    words = {
        404: "There is nothing at this address.",
        405: "This address does not take that kind of request.",
        413: "That is too large.",
        415: "The request body must be JSON.",
        429: "Too many tries. Wait a moment.",
    }
    response = make_response(_answer(words.get(exc.code, "The request cannot be understood."), exc.code))
    if isinstance(exc, MethodNotAllowed) and exc.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(exc.valid_methods))
    return response


def _storage_error(exc: Exception) -> Any:
    log_storage_failure(exc)
    return _answer(storage_words(exc), 503)


def _data_error(exc: DataError) -> Any:
    """PostgreSQL takes no text with a NUL in it, and none that is longer than its column."""
    return _answer("Something in this request is too long, or holds a character that cannot be stored.", 400)


def _bug(exc: Exception) -> Any:
    log.exception("%s unexpected failure", request_id())
    return _answer(bug_words(request_id()), 500)
