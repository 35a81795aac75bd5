"""Error handlers, which answer with the JSON error body, an error page or the sign-in form."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, make_response, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from werkzeug import Response as AnyResponse
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from panel.core.errors import PanelError
from panel.core.messages import _
from panel.storage.engine import STORAGE_FAILURES
from panel.web.auth import resume_form
from panel.web.auth.plain_http import address_to_sign_in, cannot_sign_in
from panel.web.auth.same_origin import CrossSiteRequest
from panel.web.auth.session import PasswordNeeded, SignInNeeded, return_path
from panel.web.context import panel, request_id, wants_json
from panel.web.error_bodies import bug_words, error_body, json_error, plain_body, status_of
from panel.web.failure_log import log_storage_failure
from panel.web.htmx import wants_fragment
from panel.web.storage_words import retry_header, storage_words

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(SignInNeeded, _sign_in)
    app.register_error_handler(PasswordNeeded, _password_needed)
    app.register_error_handler(PanelError, _panel_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    for kind in STORAGE_FAILURES:
        app.register_error_handler(kind, _storage_error)
    app.register_error_handler(DataError, _data_error)
    app.register_error_handler(Exception, _bug)


def _respond(message: str, status: int, title: str = "") -> Response | tuple[str, int]:
    if wants_json():
        return json_error(plain_body(message, status))
    shown = {"title": title or _("This did not work"), "message": message, "reference": request_id()}
    return render_template("error.html", **shown), status


def _sign_in(exc: SignInNeeded) -> Any:
    if resume_form.is_resumable():
        return _sign_in_with_form()
    return _to_form("admin.sign_in", 401)


def _password_needed(exc: PasswordNeeded) -> Any:
    return _panel_error(exc) if wants_json() else _to_form("admin.password", 403)


def _to_form(endpoint: str, status: int) -> Response | AnyResponse:
    """Lead to a form, and back to this page after it. ``status`` is that of a fragment."""
    if wants_fragment():
        # htmx would follow a redirect and insert the form in place of the fragment.
        current = urlsplit(request.headers.get("HX-Current-URL", ""))
        target = f"{current.path}?{current.query}" if current.query else current.path
        return Response(status=status, headers={"HX-Redirect": url_for(endpoint, next=target or None)})
    return redirect(url_for(endpoint, next=return_path()), 303)


def _sign_in_with_form() -> Any:
    """The sign-in form with the submitted form sealed in it. A fragment request is repeated as a full page load."""
    if wants_fragment():
        return Response(status=401, headers={resume_form.WHOLE_HEADER: "yes", "HX-Reswap": "none"})
    return render_template("admin/sign_in.html", sealed=resume_form.seal(), elsewhere=address_to_sign_in()), 401


def _panel_error(exc: PanelError) -> Any:
    status = status_of(exc)
    if not wants_json():
        return _respond(exc.message, status)
    body = error_body(exc, public_url=panel().config.public_url)
    retry_after = body.get("details", {}).get("retryAfter")
    return json_error(body, headers={"Retry-After": str(retry_after)} if retry_after else None)


def _csrf_error(exc: CSRFError) -> Any:
    again = _("This form is no longer valid. Go back, load the page again and try once more.")
    return _respond(cannot_sign_in() or again, 400)


def _http_error(exc: HTTPException) -> Any:
    if exc.code is None or exc.code < 400:
        return exc
    if isinstance(exc, CrossSiteRequest):
        return _respond(exc.description or "", exc.code)
    messages = {
        404: _("There is nothing at this address."),
        405: _("This address does not accept this method."),
        413: _("The request is too large."),
        415: _("The request body must be JSON."),
        429: _("Too many attempts. Wait a moment."),
    }
    response = make_response(_respond(messages.get(exc.code, _("The request cannot be understood.")), exc.code))
    if isinstance(exc, MethodNotAllowed) and exc.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(exc.valid_methods))
    return response


def _storage_error(exc: Exception) -> Any:
    log_storage_failure(exc)
    response = make_response(_respond(storage_words(exc), 503))
    response.headers.update(retry_header(exc))
    return response


def _data_error(exc: DataError) -> Any:
    """PostgreSQL refuses text with a NUL, and text that is longer than its column."""
    return _respond(_("A value in this request is too long, or has a character that cannot be stored."), 400)


def _bug(exc: Exception) -> Any:
    log.exception("%s unexpected failure", request_id())
    return _respond(bug_words(request_id()), 500)
