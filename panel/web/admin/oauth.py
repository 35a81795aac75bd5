"""The authorization code grant of a source: redirect to the provider, and the callback from it."""

from __future__ import annotations

import secrets

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from werkzeug import Response

from panel.core.errors import PanelError, ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Cause
from panel.sources.oauth import ConnectFailed, ConsentVisit
from panel.web.auth.session import current_user
from panel.web.context import acting, admitted, panel, visitor

bp = Blueprint("oauth", __name__)

Page = str | tuple[str, int] | Response


@bp.post("/sources/<slug>/connect")
def connect(slug: str) -> Page:
    source = panel().sources.get(slug)
    try:
        config = panel().resolver.config_to_connect(source)
    except ProviderUnavailable as exc:
        return _failed(exc)
    # Binds the grant to this session: a callback in another browser is refused.
    browser = session.setdefault("oauth", secrets.token_urlsafe(24))
    address = panel().oauth.begin(config, user_id=_user_id(), browser=browser, redirect_uri=_callback_address())
    return redirect(address, 303)


@bp.get("/oauth/callback")
def callback() -> Page:
    visit = ConsentVisit(request.args.to_dict(flat=False), _user_id(), session.get("oauth", ""), _callback_address())
    caller = visitor(admitted(), "admin").caller
    try:
        source = panel().oauth.finish(visit, panel().resolver.config_of_id, caller, by=acting())
    except (ConnectFailed, ProviderUnavailable) as exc:
        return _failed(exc)
    flash(_("The source “{slug}” is connected.", slug=source.slug))
    # The connection test runs at once and shows whether the granted access is sufficient.
    session["test"] = source.slug
    return redirect(url_for("admin.sources.test_result", slug=source.slug), 303)


def _callback_address() -> str:
    return f"{panel().config.public_url}/admin/oauth/callback"


def _user_id() -> int:
    user = current_user()
    assert user is not None  # noqa: S101  (the route requires a signed-in user)
    return user.id


def _failed(exc: PanelError) -> tuple[str, int]:
    is_down = isinstance(exc, ProviderUnavailable) and exc.cause is not Cause.PROVIDER_AUTH
    return render_template("admin/not_connected.html", sentence=exc.message), 503 if is_down else 400
