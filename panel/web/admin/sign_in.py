"""Pages for signing in, signing out and changing the password."""

from __future__ import annotations

import math

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug import Response

from panel.accounts.people import Throttled, principal_of
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.storage.models import User
from panel.web.auth import resume_form
from panel.web.auth.plain_http import address_to_sign_in
from panel.web.auth.session import (
    begin_session,
    check_password,
    current_user,
    end_all_sessions,
    end_session,
    open_sessions,
    own_path,
    remember_device,
    sign_in_actor,
)
from panel.web.context import acting, panel
from panel.web.formatting import wait_time

Page = str | tuple[str, int] | Response


def sign_in() -> Page:
    target = own_path(request.values.get("next"), "")
    if request.method == "GET":
        user = current_user()
        return redirect(target or _first_page(user), 303) if user is not None else _sign_in_form(target)
    name, sealed = request.form.get("name", ""), request.form.get(resume_form.FIELD, "")
    try:
        user = check_password(name, request.form.get("password", ""), by=sign_in_actor(name))
    except Throttled as exc:
        return _throttled(_sign_in_form(target, name=name, error=_throttle_message(exc), sealed=sealed), exc)
    if user is None:
        wrong = _("This name and password do not belong together.")
        return _sign_in_form(target, name=name, error=wrong, sealed=sealed), 401
    begin_session(user)
    response = _after_sign_in(user, target or _first_page(user), resume_form.unseal(sealed))
    remember_device(response, user)
    return response


def _after_sign_in(user: User, target: str, form: resume_form.ResumeForm | None) -> Response:
    """Redirect to ``target``, or show the form that was submitted after the previous session had ended."""
    if form is not None:
        return make_response(render_template("admin/resume.html", form=form))
    return redirect(url_for("admin.password", next=target) if user.must_choose else target, 303)


def _first_page(user: User) -> str:
    """The overview for administrators, the list of objects for other users."""
    return url_for("admin.overview" if principal_of(user).is_admin else "admin.objects")


def _sign_in_form(target: str, *, name: str = "", error: str = "", sealed: str = "") -> str:
    """``sealed``: the encoded form to submit after signing in; "" without one."""
    return render_template(
        "admin/sign_in.html", target=target, name=name, error=error, sealed=sealed, elsewhere=address_to_sign_in()
    )


def _throttle_message(exc: Throttled) -> str:
    return _("Too many wrong passwords. Try again in {time}.", time=wait_time(math.ceil(exc.retry_after)))


def _throttled(page: str, exc: Throttled) -> Page:
    response = make_response(page, 429)
    response.headers["Retry-After"] = str(math.ceil(exc.retry_after))
    return response


def sign_out() -> Page:
    end_session()
    return _signed_out()


def sign_out_everywhere() -> Page:
    user = current_user()
    assert user is not None  # noqa: S101  (the route requires a signed-in user)
    end_all_sessions(user)
    return _signed_out()


def _signed_out() -> Page:
    """Lead to the sign-in form, and clear what pages stored in the browser.

    Not the cookies: browsers clear those of all hosts of the domain, and this one also has the device cookie.
    """
    response = redirect(url_for("admin.sign_in"), 303)
    response.headers["Clear-Site-Data"] = '"storage"'
    return response


def password() -> Page:
    user = current_user()
    assert user is not None  # noqa: S101  (the route requires a signed-in user)
    target = own_path(request.values.get("next"), _first_page(user))
    if request.method == "GET":
        return _password_form(user, target)
    try:
        _choose_password(user)
    except InvalidInput as exc:
        return _password_form(user, target, exc), 422
    except Throttled as exc:
        return _throttled(_password_form(user, target, InvalidInput("current", _throttle_message(exc))), exc)
    flash(_("Your password is changed. Your other sessions have ended."))
    return redirect(target, 303)


def _choose_password(user: User) -> None:
    """Raises InvalidInput for the wrong field, and Throttled."""
    new, repeated, people = request.form.get("password", ""), request.form.get("again", ""), panel().people
    current = request.form.get("current", "")
    if not user.must_choose and check_password(user.name, current, by=acting()) is None:
        raise InvalidInput("current", _("This is not your current password."))
    if new != repeated:
        raise InvalidInput("again", _("The two new passwords differ."))
    people.choose_password(user, new, by=acting())
    begin_session(user)


def _password_form(user: User, target: str, error: InvalidInput | None = None) -> str:
    errors = {error.field: error.message} if error else {}
    sessions = [] if user.must_choose else open_sessions(user)
    return render_template(
        "admin/password.html", one_time=user.must_choose, target=target, errors=errors, sessions=sessions
    )
