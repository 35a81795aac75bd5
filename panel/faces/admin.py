"""The administrators' pages: signing in, the overview, the connector's switch and the objects that have links."""

from __future__ import annotations

import math
import random
from typing import Any

from flask import Blueprint, flash, g, make_response, redirect, render_template, request, url_for
from werkzeug import Response

from panel.accounts.people import Throttled, principal_of
from panel.accounts.principal import Action, Principal
from panel.core.errors import InvalidInput
from panel.faces import (
    admin_audit,
    admin_calls,
    admin_embedding,
    admin_oauth,
    admin_people,
    admin_sources,
    admin_tokens,
    kept,
)
from panel.faces.context import acting, admitted, panel, visitor
from panel.faces.htmx import vary_on_fragment, wants_fragment
from panel.faces.moments import waited
from panel.faces.rulebook import RULES
from panel.faces.session import arriving, begin_session, current_user, end_session, knock, own_path, remember_device
from panel.faces.standing import last_checked, standings
from panel.faces.traffic import flows
from panel.logs import call_query
from panel.storage.models import User

bp = Blueprint("admin", __name__, url_prefix="/admin")
bp.register_blueprint(admin_sources.bp)
bp.register_blueprint(admin_audit.bp)
bp.register_blueprint(admin_calls.bp)
bp.register_blueprint(admin_embedding.bp)
bp.register_blueprint(admin_oauth.bp)
bp.register_blueprint(admin_people.bp)
bp.register_blueprint(admin_tokens.bp)

NAV = (
    ("Overview", "admin.overview", ("admin.overview", "admin.connector")),
    ("Sources", "admin.sources.index", ("admin.sources.", "admin.oauth.", "admin.calls.")),
    ("Objects", "admin.objects", ("admin.objects",)),
    ("Embedding", "admin.embedding.index", ("admin.embedding.",)),
    ("API tokens", "admin.tokens.index", ("admin.tokens.",)),
    ("People", "admin.people.index", ("admin.people.",)),
    ("Audit", "admin.audit.index", ("admin.audit.",)),
)

Page = str | tuple[str, int] | Response


@bp.context_processor
def _navigation() -> dict[str, Any]:
    """What the frame of every page shows. It asks no database: it is also drawn around failures."""
    principal: Principal | None = g.get("principal")
    if principal is None:
        return {"nav": [], "person": None}
    endpoint = request.endpoint or ""
    open_to = [page for page in NAV if principal.may(RULES[f"GET {page[1]}"].need or Action.VIEW)]
    nav = [(label, url_for(target), endpoint.startswith(own)) for label, target, own in open_to]
    return {"nav": nav, "person": principal.name}


# --- signing in ------------------------------------------------------------------------------------------------------


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Page:
    target = own_path(request.values.get("next"), "")
    if request.method == "GET":
        user = current_user()
        return redirect(target or _first_page(user), 303) if user is not None else _sign_in_form(target)
    name, sealed = request.form.get("name", ""), request.form.get(kept.FIELD, "")
    try:
        user = panel().people.sign_in(name, request.form.get("password", ""), knock(), by=arriving(name))
    except Throttled as exc:
        return _later(_sign_in_form(target, name=name, error=_told(exc), sealed=sealed), exc)
    if user is None:
        wrong = "This name and password do not belong together."
        return _sign_in_form(target, name=name, error=wrong, sealed=sealed), 401
    begin_session(user)
    response = _go_on(user, target or _first_page(user), kept.unseal(sealed))
    remember_device(response, user)
    return response


def _go_on(user: User, target: str, form: kept.KeptForm | None) -> Response:
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


@bp.post("/sign-out")
def sign_out() -> Page:
    end_session()
    return redirect(url_for("admin.sign_in"), 303)


@bp.route("/password", methods=["GET", "POST"])
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
    if not user.must_choose and people.sign_in(user.name, present, knock(), by=acting()) is None:
        raise InvalidInput("current", "This is not your present password.")
    if new != again:
        raise InvalidInput("again", "The two new passwords differ.")
    people.choose_password(user, new, by=acting())
    begin_session(user)


def _password_form(user: User, target: str, error: InvalidInput | None = None) -> str:
    errors = {error.field: str(error)} if error else {}
    return render_template("admin/password.html", one_time=user.must_choose, target=target, errors=errors)


# --- overview --------------------------------------------------------------------------------------------------------


@bp.get("/")
def overview() -> Page:
    panel().calls.flush()
    return render_template("admin/overview.html", **_integrations(), **_traffic())


@bp.get("/integrations")
def integrations() -> Page:
    """The overview's parts that refresh themselves. They tell what is known and ask no upstream."""
    if not wants_fragment():
        return redirect(url_for("admin.overview"), 303)
    return vary_on_fragment(make_response(render_template("admin/_integrations.html", **_integrations(), **_traffic())))


def _integrations() -> dict[str, Any]:
    rows, switches = standings(panel()), panel().switches
    return {
        "rows": rows,
        "needing": [row for row in rows if row.needs_somebody],
        "checked": last_checked(rows),
        "connector_on": switches.connector_on(),
        "locked_off": switches.locked_off,
        # Pages that were opened together do not come back together.
        "refresh_s": random.randint(17, 23),
    }


def _traffic() -> dict[str, Any]:
    return {
        "flows": flows(panel(), panel().sources.all()),
        "figures": call_query.figures(),
        "failures": call_query.latest_failures(),
    }


@bp.post("/check")
def check() -> Page:
    """Ask every upstream that has a source, now."""
    caller = visitor(admitted(), "admin")
    for leaf in panel().registry.all():
        source = panel().sources.find(leaf.id)
        if source is not None and source.enabled:
            panel().links.health(caller, leaf.id)
    return redirect(url_for("admin.overview"), 303)


@bp.route("/connector", methods=["GET", "POST"])
def connector() -> Page:
    """GET asks whether to turn it off; POST turns it."""
    switches = panel().switches
    if request.method == "GET":
        return render_template("admin/connector.html", on=switches.connector_on(), locked_off=switches.locked_off)
    turn_on = request.form.get("value") == "on"
    if switches.locked_off:
        flash("The connector is locked off by the setting PANEL_CONNECTOR_ENABLED of this server.", "warn")
    else:
        switches.turn_connector(on=turn_on, by=acting())
        flash("The connector is on." if turn_on else "The connector is off.")
    return redirect(url_for("admin.overview"), 303)


# --- objects ---------------------------------------------------------------------------------------------------------

REFERENCE = (("register", "Register"), ("schema", "Schema"), ("object_id", "Object id"))


@bp.get("/objects")
def objects() -> Page:
    """Objects that have links, and a way to any other object."""
    typed = {name: request.args.get(name, "").strip() for name, _ in REFERENCE}
    asked = any(typed.values())
    errors = {name: f"{label} is missing." for name, label in REFERENCE if asked and not typed[name]}
    if asked and not errors:
        return redirect(url_for("objects.page", **typed), 303)  # type: ignore[arg-type]
    found = panel().links.objects()
    shown = {"typed": typed, "errors": errors, "fields": REFERENCE}
    return render_template("admin/objects.html", found=found, **shown), 422 if errors else 200
