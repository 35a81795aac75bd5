"""The people who sign in: list, add, change roles, keep out, and give a new one-time password, which is shown once."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug import Response

from panel.core.clock import now
from panel.core.errors import Conflict, InvalidInput
from panel.storage.models import User
from panel.web.context import acting, panel

bp = Blueprint("people", __name__, url_prefix="/people")

ROLES = (
    ("viewer", "Viewer", "sees linked things"),
    ("editor", "Editor", "also links, creates, changes and unlinks"),
    ("admin", "Administrator", "also sources, applications, tokens and people"),
)
NAMES = {value: label for value, label, _ in ROLES}

Page = str | tuple[str, int] | Response


@bp.get("")
def index() -> Page:
    return _index()


@bp.post("")
def create() -> Page:
    """The answer itself shows the one-time password: nothing keeps it until a next page."""
    name, role = request.form.get("name", ""), request.form.get("role", "")
    try:
        made = panel().people.invite(name, role=role, by=acting())
    except InvalidInput as exc:
        return _index(name=name, role=role, errors={exc.field: str(exc)}), 422
    except Conflict as exc:
        return _index(name=name, role=role, errors={"name": str(exc)}), 409
    return _index(made=made), 201


@bp.get("/<int:user_id>")
def edit(user_id: int) -> Page:
    return _person(panel().people.get(user_id))


@bp.post("/<int:user_id>")
def change(user_id: int) -> Page:
    user, role = panel().people.get(user_id), request.form.get("role", "")
    try:
        panel().people.set_role(user, role, by=acting())
    except InvalidInput as exc:
        return _person(user, errors={exc.field: str(exc)}), 422
    except Conflict as exc:
        return _person(user, errors={"role": str(exc)}), 409
    flash(f"{user.name} is {NAMES[user.role].lower()} from now on.")
    return redirect(url_for(".index"), 303)


@bp.post("/<int:user_id>/switch")
def switch(user_id: int) -> Page:
    user, on = panel().people.get(user_id), request.form.get("value") == "on"
    try:
        panel().people.switch(user, on=on, by=acting())
    except Conflict as exc:
        return _person(user, errors={"switch": str(exc)}), 409
    flash(f"{user.name} may sign in again." if on else f"{user.name} is signed out everywhere and kept out.")
    return redirect(url_for(".index"), 303)


@bp.post("/<int:user_id>/reset")
def reset(user_id: int) -> Page:
    user = panel().people.get(user_id)
    return _person(user, password=panel().people.reset(user, by=acting())), 201


def _index(
    *, name: str = "", role: str = "editor", errors: dict[str, str] | None = None, made: tuple[User, str] | None = None
) -> str:
    shown = {"name": name, "role": role, "errors": errors or {}, "made": made}
    return render_template("admin/people.html", people=panel().people.all(), roles=ROLES, names=NAMES, now=now, **shown)


def _person(user: User, *, errors: dict[str, str] | None = None, password: str = "") -> str:
    return render_template("admin/person.html", user=user, roles=ROLES, errors=errors or {}, password=password)
