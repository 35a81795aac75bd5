"""API tokens: list, make, revoke. A token is shown once, in the answer that made it."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug import Response

from panel.errors import InvalidInput, NotFound
from panel.faces.context import panel
from panel.faces.session import signed_in
from panel.models import ApiToken

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

SCOPES = (
    ("read", "Read", "see linked things"),
    ("write", "Write", "also link, create, change and unlink"),
    ("admin", "Admin", "also sources and their settings"),
)


@bp.get("")
def index() -> str:
    return _page()


@bp.post("")
def create() -> tuple[str, int]:
    """The answer itself shows the token: nothing keeps it until a next page."""
    name, scope = request.form.get("name", ""), request.form.get("scope", "")
    try:
        token = panel().access.create_token(name, scope, by=signed_in().name)
    except InvalidInput as exc:
        return _page(name=name, scope=scope, errors={exc.field: str(exc)}), 422
    return _page(made=(name.strip(), token)), 201


@bp.get("/<int:token_id>/revoke")
def revoke_question(token_id: int) -> str:
    return render_template("admin/token_revoke.html", token=_token(token_id))


@bp.post("/<int:token_id>/revoke")
def revoke(token_id: int) -> Response:
    token = _token(token_id)
    name = token.name
    panel().access.revoke_token(token_id)
    flash(f"The token “{name}” is revoked.")
    return redirect(url_for(".index"), 303)


def _token(token_id: int) -> ApiToken:
    """Raises NotFound."""
    token = next((token for token in panel().access.tokens() if token.id == token_id), None)
    if token is None:
        raise NotFound("There is no such API token.")
    return token


def _page(
    *, name: str = "", scope: str = "read", errors: dict[str, str] | None = None, made: tuple[str, str] | None = None
) -> str:
    return render_template(
        "admin/tokens.html",
        tokens=panel().access.tokens(),
        scopes=SCOPES,
        name=name,
        scope=scope,
        errors=errors or {},
        made=made,
    )
