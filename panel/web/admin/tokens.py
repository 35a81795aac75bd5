"""API tokens: list, make, revoke. A token is shown once, in the answer that made it."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug import Response

from panel.accounts.api_tokens import TokenRequest
from panel.core.clock import now
from panel.core.errors import InvalidInput
from panel.storage.models import ApiToken
from panel.web.context import acting, panel
from panel.web.formatting import day

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

SCOPES = (
    ("read", "Read", "see linked things"),
    ("write", "Write", "also link, create, change and unlink"),
    ("admin", "Admin", "also sources and their settings"),
)


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was filled in."""

    name: str = ""
    scope: str = "read"
    days: str = ""
    registers: str = ""
    integrations: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def from_request(cls) -> Typed:
        texts = {name: request.form.get(name, "") for name in ("name", "scope", "days", "registers")}
        return cls(**texts, integrations=tuple(request.form.getlist("integrations")))

    @property
    def request(self) -> TokenRequest:
        """Raises InvalidInput."""
        days = self.days.strip()
        if days and not (days.isascii() and days.isdigit() and len(days) < 9):
            raise InvalidInput("days", "Write a whole number of days, or leave it empty.")
        registers = tuple(line.strip() for line in self.registers.splitlines() if line.strip())
        return TokenRequest(self.name, self.scope, int(days) if days else None, registers, self.integrations)


@bp.get("")
def index() -> str:
    return _page()


@bp.post("")
def create() -> tuple[str, int]:
    """The answer itself shows the token: nothing keeps it until a next page."""
    typed = Typed.from_request()
    try:
        token = panel().access.create_token(typed.request, by=acting())
    except InvalidInput as exc:
        return _page(typed, errors={exc.field: str(exc)}), 422
    return _page(made=(typed.name.strip(), token)), 201


@bp.get("/<int:token_id>/revoke")
def revoke_question(token_id: int) -> str:
    return render_template("admin/token_revoke.html", token=panel().access.token(token_id))


@bp.post("/<int:token_id>/revoke")
def revoke(token_id: int) -> Response:
    token = panel().access.token(token_id)
    name = token.name
    panel().access.revoke_token(token, by=acting())
    flash(f"The token “{name}” is revoked.")
    return redirect(url_for(".index"), 303)


def ends(token: ApiToken) -> str:
    if token.expires_at is None:
        return "never"
    return f"ended {day(token.expires_at)}" if token.expires_at <= now() else day(token.expires_at)


def _page(
    typed: Typed | None = None, *, errors: dict[str, str] | None = None, made: tuple[str, str] | None = None
) -> str:
    shown = {"typed": typed or Typed(), "errors": errors or {}, "made": made}
    leaves = panel().registry.all()
    return render_template(
        "admin/tokens.html", tokens=panel().access.tokens(), scopes=SCOPES, leaves=leaves, ends=ends, **shown
    )
