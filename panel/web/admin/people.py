"""Pages of users: list, create, change the role, disable, and reset the password to a one-time password."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug import Response

from panel.core.clock import now
from panel.core.errors import Conflict, InvalidInput
from panel.core.messages import _
from panel.storage.models import User
from panel.web.access_left import access_left
from panel.web.admin.tokens import expiry
from panel.web.context import acting, panel

bp = Blueprint("people", __name__, url_prefix="/people")

ROLES = (
    ("viewer", _("Viewer"), _("sees linked items")),
    ("editor", _("Editor"), _("also links, creates, changes and unlinks")),
    ("admin", _("Administrator"), _("also manages sources, applications, tokens and people")),
)
ROLE_LABELS = {value: label for value, label, _hint in ROLES}
CHANGED = {
    "viewer": _("{name} is viewer now."),
    "editor": _("{name} is editor now."),
    "admin": _("{name} is administrator now."),
}

Page = str | tuple[str, int] | Response


@bp.get("")
def index() -> Page:
    return _index()


@bp.post("")
def create() -> Page:
    """Responds with the page instead of a redirect: the one-time password is shown once and stored nowhere."""
    name, role = request.form.get("name", ""), request.form.get("role", "")
    try:
        created = panel().people.invite(name, role=role, by=acting())
    except InvalidInput as exc:
        return _index(name=name, role=role, errors={exc.field: exc.message}), 422
    except Conflict as exc:
        return _index(name=name, role=role, errors={"name": exc.message}), 409
    return _index(created=created), 201


@bp.get("/<int:user_id>")
def edit(user_id: int) -> Page:
    return _person(panel().people.get(user_id))


@bp.post("/<int:user_id>")
def change(user_id: int) -> Page:
    user, role = panel().people.get(user_id), request.form.get("role", "")
    try:
        panel().people.set_role(user, role, by=acting())
    except InvalidInput as exc:
        return _person(user, errors={exc.field: exc.message}), 422
    except Conflict as exc:
        return _person(user, errors={"role": exc.message}), 409
    flash(CHANGED[user.role].filled(name=user.name))
    return redirect(url_for(".index"), 303)


@bp.post("/<int:user_id>/switch")
def switch(user_id: int) -> Page:
    user, on = panel().people.get(user_id), request.form.get("value") == "on"
    try:
        panel().people.switch(user, on=on, by=acting())
    except Conflict as exc:
        return _person(user, errors={"switch": exc.message}), 409
    still_valid = "" if on else access_left(user.name)
    done = _("{name} is enabled and can sign in again.") if on else _("{name} is disabled and signed out everywhere.")
    flash(done.filled(name=user.name))
    if still_valid:
        valid = _("Created by {name} and still valid: {items}. Revoke them below.", name=user.name, items=still_valid)
        flash(valid, "warn")
        return redirect(url_for(".edit", user_id=user.id), 303)
    return redirect(url_for(".index"), 303)


@bp.post("/<int:user_id>/reset")
def reset(user_id: int) -> Page:
    user = panel().people.get(user_id)
    return _person(user, password=panel().people.reset(user, by=acting())), 201


def _index(
    *,
    name: str = "",
    role: str = "editor",
    errors: dict[str, str] | None = None,
    created: tuple[User, str] | None = None,
) -> str:
    values = {"name": name, "role": role, "errors": errors or {}, "created": created}
    return render_template(
        "admin/people.html", people=panel().people.all(), roles=ROLES, role_labels=ROLE_LABELS, now=now, **values
    )


def _person(user: User, *, errors: dict[str, str] | None = None, password: str = "") -> str:
    return render_template(
        "admin/person.html", user=user, roles=ROLES, errors=errors or {}, password=password, expiry=expiry,
        tokens=panel().api_tokens.created_by(user.name), apps=panel().embed_apps.known_to(user.name),
    )  # fmt: skip
