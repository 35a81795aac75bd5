"""Signing in and out, and choosing a password."""

from __future__ import annotations

import math

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug import Response

from panel.accounts.people import Throttled, principal_of
from panel.core.errors import InvalidInput
from panel.storage.models import User
from panel.web.auth import resume_form
from panel.web.auth.session import (
    begin_session,
    current_user,
    end_session,
    own_path,
    remember_device,
    sign_in_actor,
    sign_in_attempt,
)
from panel.web.context import acting, panel
from panel.web.formatting import waited

Page = str | tuple[str, int] | Response


def sign_in() -> Page:
    target = own_path(request.values.get("next"), "")
    if request.method == "GET":
        user = current_user()
        return redirect(target or _first_page(user), 303) if user is not None else _sign_in_form(target)
    name, sealed = request.form.get("name", ""), request.form.get(resume_form.FIELD, "")
    try:
        user = panel().people.sign_in(name, request.form.get("password", ""), sign_in_attempt(), by=sign_in_actor(name))
    except Throttled as exc:
        return _later(_sign_in_form(target, name=name, error=_told(exc), sealed=sealed), exc)
    if user is None:
        wrong = "This name and password do not belong together."
        return _sign_in_form(target, name=name, error=wrong, sealed=sealed), 401
    begin_session(user)
    response = _go_on(user, target or _first_page(user), resume_form.unseal(sealed))
    remember_device(response, user)
    return response


def _go_on(user: User, target: str, form: resume_form.ResumeForm | None) -> Response:
    """To where somebody wanted to go, or to the form that their last session did not live to see."""
    if form is not None:
        return make_response(render_template("admin/resume.html", kept=form))
    return redirect(url_for("admin.password", next=target) if user.must_choose else target, 303)


def _first_page(user: User) -> str:
    """Administrators begin with what needs them; others with the objects."""
    return url_for("admin.overview" if principal_of(user).is_admin else "admin.objects")


def _sign_in_form(target: str, *, name: str = "", error: str = "", sealed: str = "") -> str:
    """``sealed``: a form that is to be sent once somebody has signed in."""
    return render_template("admin/sign_in.html", target=target, name=name, error=error, sealed=sealed)


def _told(exc: Throttled) -> str:
    return f"Too many wrong passwords. The next one is looked at in {waited(math.ceil(exc.retry_after))}."


def _later(page: str, exc: Throttled) -> Page:
    response = make_response(page, 429)
    response.headers["Retry-After"] = str(math.ceil(exc.retry_after))
    return response


def sign_out() -> Page:
    end_session()
    return redirect(url_for("admin.sign_in"), 303)


def password() -> Page:
    user = current_user()
    assert user is not None  # noqa: S101  (the guard has let somebody in)
    target = own_path(request.values.get("next"), _first_page(user))
    if request.method == "GET":
        return _password_form(user, target)
    try:
        _choose_password(user)
    except InvalidInput as exc:
        return _password_form(user, target, exc), 422
    except Throttled as exc:
        return _later(_password_form(user, target, InvalidInput("current", _told(exc))), exc)
    flash("Your password is changed. Your other sessions have ended.")
    return redirect(target, 303)


def _choose_password(user: User) -> None:
    """Raises InvalidInput naming the field."""
    new, again, people = request.form.get("password", ""), request.form.get("again", ""), panel().people
    present = request.form.get("current", "")
    if not user.must_choose and people.sign_in(user.name, present, sign_in_attempt(), by=acting()) is None:
        raise InvalidInput("current", "This is not your present password.")
    if new != again:
        raise InvalidInput("again", "The two new passwords differ.")
    people.choose_password(user, new, by=acting())
    begin_session(user)


def _password_form(user: User, target: str, error: InvalidInput | None = None) -> str:
    errors = {error.field: str(error)} if error else {}
    return render_template("admin/password.html", one_time=user.must_choose, target=target, errors=errors)
