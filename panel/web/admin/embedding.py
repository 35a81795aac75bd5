"""Pages of embedding applications: list, create, change origins and limits, rotate secrets, inspect an embed address.

A secret is shown once, in the response that creates it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug import Response

from panel.accounts.embed_tokens import GRANTABLE, BadToken, Secret, unverified
from panel.core.domain import ObjectRef
from panel.core.errors import Conflict, InvalidInput
from panel.core.messages import _
from panel.storage.models import EmbedApp
from panel.web.admin.objects import EXAMPLE
from panel.web.admin.snippets import LANGUAGES, SnippetRequest, snippet
from panel.web.auth.session import own_path
from panel.web.context import acting, panel
from panel.web.object_paths import parts_of
from panel.web.parsing import lines
from panel.web.static_files import host_script

TRY_S = 300
"""How long the tab of **Try it** is valid."""

bp = Blueprint("embedding", __name__, url_prefix="/embedding")

Page = str | tuple[str, int] | Response


@dataclass(frozen=True, slots=True)
class AppForm:
    """The values of the forms of an application, as text."""

    name: str = ""
    origins: str = ""
    registers: str = ""
    integrations: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def from_request(cls) -> AppForm:
        texts = {name: request.form.get(name, "") for name in ("name", "origins", "registers")}
        return cls(**texts, integrations=tuple(request.form.getlist("integrations")))

    @classmethod
    def of(cls, app: EmbedApp) -> AppForm:
        origins, registers = "\n".join(app.origins), "\n".join(app.registers or [])
        return cls(app.name, origins, registers, tuple(app.integrations or []))


@bp.get("")
def index() -> Page:
    return _index()


@bp.post("")
def create() -> Page:
    form = AppForm.from_request()
    limits: dict[str, Any] = {"registers": lines(form.registers), "integrations": form.integrations}
    try:
        created = panel().embed_apps.create(form.name, form.origins.split(), **limits, by=acting())
    except InvalidInput as exc:
        return _index(form, errors={exc.field: exc.message}), 422
    except Conflict as exc:
        return _index(form, errors={"name": exc.message}), 409
    return _index(created=created), 201


@bp.post("/inspect")
def inspect() -> Page:
    """Uses POST so that the token does not appear in the address of this page."""
    return _index(inspected=inspect_address(request.form.get("address", "").strip()[:8000]))


@bp.get("/<app_id>")
def edit(app_id: str) -> Page:
    return _app(panel().embed_apps.get(app_id))


@bp.post("/<app_id>")
def change(app_id: str) -> Page:
    app = panel().embed_apps.get(app_id)
    form = replace(AppForm.of(app), origins=request.form.get("origins", ""))
    try:
        panel().embed_apps.set_origins(app, form.origins.split(), by=acting())
    except InvalidInput as exc:
        return _app(app, form, errors={exc.field: exc.message}), 422
    flash(_("The origins of {app} are saved.", app=app.name))
    return redirect(url_for(".edit", app_id=app.id), 303)


@bp.post("/<app_id>/limits")
def limit(app_id: str) -> Page:
    """Apart from the origins, so that a form without the limits cannot remove them."""
    app, typed = panel().embed_apps.get(app_id), AppForm.from_request()
    form = replace(AppForm.of(app), registers=typed.registers, integrations=typed.integrations)
    try:
        panel().embed_apps.set_limits(app, lines(form.registers), form.integrations, by=acting())
    except InvalidInput as exc:
        return _app(app, form, errors={exc.field: exc.message}), 422
    flash(_("The limits of {app} are saved.", app=app.name))
    return redirect(url_for(".edit", app_id=app.id), 303)


@bp.post("/<app_id>/rotate")
def rotate(app_id: str) -> Page:
    app = panel().embed_apps.get(app_id)
    return _app(app, created=panel().embed_apps.rotate(app, by=acting())), 201


@bp.post("/<app_id>/retire")
def retire(app_id: str) -> Page:
    app = panel().embed_apps.get(app_id)
    panel().embed_apps.retire(app, by=acting())
    flash(_("The old secret of {app} is retired: tokens signed with it are refused.", app=app.name))
    return redirect(url_for(".edit", app_id=app.id), 303)


@bp.route("/<app_id>/delete", methods=["GET", "POST"])
def delete(app_id: str) -> Page:
    """GET shows the confirmation; POST deletes."""
    app = panel().embed_apps.get(app_id)
    if request.method == "GET":
        return render_template("admin/embedding_delete.html", app=app)
    name = app.name
    panel().embed_apps.remove(app, by=acting())
    flash(_("The application {app} is deleted: its tokens are refused.", app=name))
    return redirect(url_for(".index"), 303)


@bp.post("/<app_id>/switch")
def switch(app_id: str) -> Page:
    app, on = panel().embed_apps.get(app_id), request.form.get("value") == "on"
    panel().embed_apps.switch(app, on=on, by=acting())
    done = _("{app} is enabled and can show the tab.") if on else _("{app} is disabled: its tokens are refused.")
    flash(done.filled(app=app.name))
    return redirect(own_path(request.form.get("next"), url_for(".edit", app_id=app.id)), 303)


@bp.post("/<app_id>/try")
def try_it(app_id: str) -> Page:
    """Open the tab as the application would show it, on an example object of its registers, for looking only."""
    app = panel().embed_apps.get(app_id)
    obj = replace(EXAMPLE, register=(app.registers or [EXAMPLE.register])[0])
    try:
        token = panel().embed_apps.sign(app, obj, subject=acting().name, can=["view"], seconds=TRY_S)
    except InvalidInput as exc:
        flash(exc.message, "warn")
        return redirect(url_for(".edit", app_id=app.id), 303)
    place = {"register": obj.register, "schema": obj.schema, "object_id": obj.object_id}
    return redirect(url_for("embed.page", **place, token=token), 303)  # type: ignore[arg-type]


def _index(
    form: AppForm | None = None, *, errors: Mapping[str, str] | None = None, created: Secret | None = None,
    inspected: Inspection | None = None,
) -> str:  # fmt: skip
    apps = panel().embed_apps.all()
    return render_template(
        "admin/embedding.html", apps=[(app, panel().embed_apps.keys(app)) for app in apps], form=form or AppForm(),
        errors=errors or {}, created=created, inspected=inspected, leaves=panel().registry.all(),
        unlimited=[app.name for app in apps if not app.registers and not app.disabled],
    )  # fmt: skip


def _app(
    app: EmbedApp,
    form: AppForm | None = None,
    *,
    errors: Mapping[str, str] | None = None,
    created: Secret | None = None,
) -> str:
    keys = panel().embed_apps.keys(app)
    values: dict[str, Any] = {"app": app, "keys": keys, "form": form or AppForm.of(app), "created": created}
    values["leaves"] = panel().registry.all()
    errors = dict(errors or {})
    code = _snippet(keys[0].kid, errors)
    return render_template(
        "admin/embedding_app.html",
        **values,
        **code,
        errors=errors,
        panel_url=panel().config.public_url,
        script=host_script(),
    )


def _snippet(kid: str, errors: dict[str, str]) -> dict[str, Any]:
    """The requested snippet and the values of its form. An invalid choice is added to ``errors``."""
    args = request.args
    language, register, schema = (args.get(name, "").strip() for name in ("language", "register", "schema"))
    can = tuple(args.getlist("can")) if args else tuple(GRANTABLE)
    typed = {"language": language or "python", "register": register, "schema": schema, "can": can}
    try:
        requested = SnippetRequest(language or "python", register or "register", schema or "schema", can)
    except InvalidInput as exc:
        errors[exc.field] = exc.message
        return {"typed": typed, "code": "", "languages": LANGUAGES, "rights": tuple(GRANTABLE)}
    code = snippet(requested, kid=kid, panel_url=panel().config.public_url)
    return {"typed": typed, "code": code, "languages": LANGUAGES, "rights": tuple(GRANTABLE)}


# --- the inspector ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inspection:
    """The contents of an embed address. ``refused`` is the reason for refusing it, "" when it is accepted."""

    refused: str = ""
    app: str = ""
    claims: str = ""
    lifetime: str = ""
    origins: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    """Names in the claim ``prefill`` that no create form has."""


def inspect_address(address: str) -> Inspection:
    try:
        parts = urlsplit(address) if "://" in address else None
    except ValueError:
        return Inspection(_("This is not a valid address."))
    token = parse_qs(parts.query).get("token", [""])[0] if parts else address
    if not token:
        return Inspection(_("The address contains no token: it must end in ?token=…"))
    try:
        _header, claims = unverified(token)
    except BadToken as exc:
        return Inspection(exc.message)
    text, lifetime = json.dumps(claims, indent=2, ensure_ascii=False), _lifetime(claims.get("exp"))
    try:
        granted = panel().embed_apps.verify(token)
    except BadToken as exc:
        return Inspection(exc.message, claims=text, lifetime=lifetime)
    refused = granted.outside or (_path_mismatch(parts.path, granted.object) if parts else "")
    return Inspection(refused, granted.app, text, lifetime, granted.origins, _unused(granted.prefill))


def _unused(prefill: Iterable[str]) -> tuple[str, ...]:
    fields = [one for leaf in panel().registry.all() for one in leaf.descriptor.create]
    known = {name for one in fields for name in (one.name, *one.aliases)}
    return tuple(name for name in prefill if name not in known)


def _lifetime(exp: object) -> str:
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not abs(exp) < 10**12:
        return ""
    seconds = round(exp - time.time())
    minutes, rest = divmod(abs(seconds), 60)
    left = _("{minutes} min {seconds} s left") if seconds > 0 else _("expired {minutes} min {seconds} s ago")
    return left.filled(minutes=minutes, seconds=rest)


def _path_mismatch(path: str, obj: ObjectRef) -> str:
    parts = parts_of(path.partition("/embed/")[2])[:3]
    if parts == [obj.register, obj.schema, obj.object_id]:
        return ""
    return _("The path and the token name different objects: register, schema and objectId of both must be equal.")
