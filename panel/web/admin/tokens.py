"""Pages of API tokens: list, create, revoke. A token is shown once, in the response that creates it."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug import Response

from panel.accounts.api_tokens import TokenRequest
from panel.core.clock import now
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.storage.models import ApiToken
from panel.web.auth.session import own_path
from panel.web.context import acting, panel
from panel.web.formatting import day
from panel.web.parsing import lines

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

ADMIN_DAYS = 90
"""How long an admin token from this page lasts if no number of days is given. The console states its own."""

SCOPES = (
    ("read", _("Read"), _("see linked items")),
    ("write", _("Write"), _("also search, link, create, change and unlink")),
    ("admin", _("Admin"), _("also manage sources and their settings")),
)


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The values of the form, as text."""

    name: str = ""
    scope: str = "read"
    days: str = ""
    registers: str = ""
    integrations: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def from_request(cls) -> TokenForm:
        texts = {name: request.form.get(name, "") for name in ("name", "scope", "days", "registers")}
        return cls(**texts, integrations=tuple(request.form.getlist("integrations")))

    @property
    def request(self) -> TokenRequest:
        """The parsed values. Raises InvalidInput."""
        days = self.days.strip()
        if days and not (days.isascii() and days.isdigit() and len(days) < 9):
            raise InvalidInput("days", _("Write a whole number of days, or leave it empty."))
        usual = ADMIN_DAYS if self.scope == "admin" else None
        return TokenRequest(
            self.name, self.scope, int(days) if days else usual, lines(self.registers), self.integrations
        )


@bp.get("")
def index() -> str:
    return _page()


@bp.post("")
def create() -> tuple[str, int]:
    """Responds with the page instead of a redirect: the token is shown once and stored only as a hash."""
    form = TokenForm.from_request()
    try:
        token = panel().api_tokens.create_token(form.request, by=acting())
    except InvalidInput as exc:
        return _page(form, errors={exc.field: exc.message}), 422
    return _page(created=(form.name.strip(), token)), 201


@bp.get("/<int:token_id>/revoke")
def revoke_question(token_id: int) -> str:
    return render_template("admin/token_revoke.html", token=panel().api_tokens.token(token_id))


@bp.post("/<int:token_id>/revoke")
def revoke(token_id: int) -> Response:
    token = panel().api_tokens.token(token_id)
    name = token.name
    panel().api_tokens.revoke_token(token, by=acting())
    flash(_("The token “{name}” is revoked.", name=name))
    return redirect(own_path(request.form.get("next"), url_for(".index")), 303)


def expiry(token: ApiToken) -> str:
    if token.expires_at is None:
        return _("never")
    ends = day(token.expires_at)
    return _("expired {day}", day=ends) if token.expires_at <= now() else ends


def _page(
    form: TokenForm | None = None, *, errors: dict[str, str] | None = None, created: tuple[str, str] | None = None
) -> str:
    values = {"form": form or TokenForm(), "errors": errors or {}, "created": created}
    leaves = panel().registry.all()
    return render_template(
        "admin/tokens.html", tokens=panel().api_tokens.tokens(), scopes=SCOPES, admin_days=ADMIN_DAYS, leaves=leaves,
        expiry=expiry, **values,
    )  # fmt: skip
