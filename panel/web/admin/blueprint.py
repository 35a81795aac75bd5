"""The blueprint of the administration pages: their routes, and the navigation that every page shows."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, request, url_for

from panel.accounts.principal import Action, Principal
from panel.core.messages import _
from panel.web.admin import (
    audit,
    calls,
    connect,
    creates,
    embedding,
    oauth,
    objects,
    overview,
    people,
    sign_in,
    sources,
    tokens,
)
from panel.web.auth.rules import RULES

bp = Blueprint("admin", __name__, url_prefix="/admin")

ROUTES = (
    ("/sign-in", sign_in.sign_in, ("GET", "POST")),
    ("/sign-out", sign_in.sign_out, ("POST",)),
    ("/sign-out-everywhere", sign_in.sign_out_everywhere, ("POST",)),
    ("/password", sign_in.password, ("GET", "POST")),
    ("/", overview.overview, ("GET",)),
    ("/integrations", overview.integrations, ("GET",)),
    ("/check", overview.check, ("POST",)),
    ("/connector", overview.connector, ("GET", "POST")),
    ("/objects", objects.objects, ("GET",)),
)
for _path, _view, _methods in ROUTES:
    bp.add_url_rule(_path, view_func=_view, methods=_methods)
for _section in (sources, audit, calls, connect, creates, embedding, oauth, people, tokens):
    bp.register_blueprint(_section.bp)

NAV = (
    (_("Overview"), "admin.overview", ("admin.overview", "admin.connector", "admin.creates.")),
    (_("Sources"), "admin.sources.index", ("admin.sources.", "admin.connect.", "admin.oauth.", "admin.calls.")),
    (_("Objects"), "admin.objects", ("admin.objects",)),
    (_("Embedding"), "admin.embedding.index", ("admin.embedding.",)),
    (_("API tokens"), "admin.tokens.index", ("admin.tokens.",)),
    (_("People"), "admin.people.index", ("admin.people.",)),
    (_("Audit"), "admin.audit.index", ("admin.audit.",)),
)


@bp.context_processor
def _navigation() -> dict[str, Any]:
    """The variables of the layout. Makes no database query, because error pages use the layout too."""
    principal: Principal | None = g.get("principal")
    if principal is None:
        return {"nav": [], "person": None}
    if g.user is not None and g.user.must_choose:
        return {"nav": [], "person": principal.name}
    endpoint = request.endpoint or ""
    permitted = [page for page in NAV if principal.may(RULES[f"GET {page[1]}"].need or Action.VIEW)]
    nav = [(label, url_for(target), endpoint.startswith(prefixes)) for label, target, prefixes in permitted]
    return {"nav": nav, "person": principal.name}
