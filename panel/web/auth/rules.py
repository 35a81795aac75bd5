"""The access rules: for every route, the accepted kinds of authentication and the required right.

A route without a rule stops the application from starting. ``admit`` enforces the rules on each request. Which
objects a principal may access is decided in ``panel/accounts/principal.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from flask import Flask, g, request

from panel.accounts.embed_tokens import EmbedGrant
from panel.accounts.people import principal_of
from panel.accounts.principal import CHANGING, SEARCHING, Action, Principal, Right
from panel.core.domain import ObjectRef
from panel.core.errors import Forbidden, InvalidInput
from panel.core.messages import _
from panel.web.auth.bearer import Unauthorized, presented, verify_embed_token
from panel.web.auth.session import PasswordNeeded, SignInNeeded, current_user
from panel.web.context import panel, revision
from panel.web.parsing import object_ref

REFRESHES_ITSELF = "X-Leafpanel-Poll"
"""The header of a request that a page makes by itself. Like a background route it does not extend the session."""


class Proof(StrEnum):
    """A kind of authentication."""

    SESSION = "session"
    TOKEN = "API token"  # noqa: S105 (a label, not a secret)
    EMBED = "embed token"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may use a route. Empty ``proofs`` make it public; without ``need``, any accepted proof is enough."""

    proofs: frozenset[Proof] = frozenset()
    need: Right | None = None
    background: bool = False
    """Whether pages request it without user action, so that it does not extend the session."""
    chooses_password: bool = False
    """Whether it is open to a session that a one-time password began. Nothing else is, apart from signing out."""


def _require(*proofs: Proof, need: Right | None = None, background: bool = False) -> Rule:
    return Rule(frozenset(proofs), need, background)


PUBLIC = Rule()
SIGNED_IN = _require(Proof.SESSION)
CHOOSES_PASSWORD = Rule(frozenset({Proof.SESSION}), chooses_password=True)
ADMINISTRATORS = _require(Proof.SESSION, need=Action.ADMIN)


def _json(need: Right) -> Rule:
    """A JSON route. A browser session is accepted for reading only, because these routes have no CSRF token."""
    proofs = (Proof.TOKEN, Proof.EMBED)
    return _require(*proofs, Proof.SESSION, need=need) if need is Action.VIEW else _require(*proofs, need=need)


SOURCES_READ = _require(Proof.TOKEN, Proof.SESSION, need=Action.ADMIN)
SOURCES_WRITE = _require(Proof.TOKEN, need=Action.ADMIN)

TAB: Mapping[str, Right] = {
    "GET page": Action.VIEW,
    "POST page": Action.VIEW,
    "GET listing": Action.VIEW,
    "POST listing": Action.VIEW,
    "GET excerpt": Action.VIEW,
    "GET search": SEARCHING,
    "POST search": SEARCHING,
    "POST link": Action.LINK,
    "GET new": Action.CREATE,
    "POST new_fields": Action.CREATE,
    "GET new_existing": Action.CREATE,
    "GET new_choices": Action.CREATE,
    "POST create": Action.CREATE,
    "GET edit": Action.UPDATE,
    "POST edit": Action.UPDATE,
    "POST update": Action.UPDATE,
    "POST follow": Action.LINK,
    "POST repoint": Action.LINK,
    "POST undo_change": Action.LINK,
    "GET about": Action.VIEW,
    "POST note": Action.LINK,
    "POST unlink": Action.UNLINK,
}
"""The views of the tab. Each has two routes: ``objects`` for signed-in people, ``embed`` for embedding applications."""

RULES: Mapping[str, Rule] = {
    "GET static": PUBLIC,
    "GET front_door": PUBLIC,
    "GET api.openapi": PUBLIC,
    "GET readiness.healthz": PUBLIC,
    "GET readiness.readyz": PUBLIC,
    "POST language": PUBLIC,
    #
    "GET admin.sign_in": PUBLIC,
    "POST admin.sign_in": PUBLIC,
    "POST admin.sign_out": PUBLIC,
    "POST admin.sign_out_everywhere": SIGNED_IN,
    "GET admin.password": CHOOSES_PASSWORD,
    "POST admin.password": CHOOSES_PASSWORD,
    "GET admin.objects": _require(Proof.SESSION, need=Action.VIEW),
    #
    "GET admin.overview": ADMINISTRATORS,
    "GET admin.integrations": _require(Proof.SESSION, need=Action.ADMIN, background=True),
    "POST admin.check": ADMINISTRATORS,
    "GET admin.connector": ADMINISTRATORS,
    "POST admin.connector": ADMINISTRATORS,
    "GET admin.connect.connect": ADMINISTRATORS,
    "POST admin.connect.connect": ADMINISTRATORS,
    "GET admin.sources.index": ADMINISTRATORS,
    "GET admin.sources.new": ADMINISTRATORS,
    "POST admin.sources.new": ADMINISTRATORS,
    "GET admin.sources.address": ADMINISTRATORS,
    "GET admin.sources.edit": ADMINISTRATORS,
    "POST admin.sources.edit": ADMINISTRATORS,
    "POST admin.sources.set_enabled": ADMINISTRATORS,
    "GET admin.sources.delete": ADMINISTRATORS,
    "POST admin.sources.delete": ADMINISTRATORS,
    "GET admin.sources.export": ADMINISTRATORS,
    "GET admin.sources.test_result": ADMINISTRATORS,
    "POST admin.sources.test": ADMINISTRATORS,
    "POST admin.sources.instance": ADMINISTRATORS,
    "GET admin.sources.files.load": ADMINISTRATORS,
    "POST admin.sources.files.load": ADMINISTRATORS,
    "GET admin.sources.files.template": ADMINISTRATORS,
    "POST admin.oauth.connect": ADMINISTRATORS,
    "GET admin.oauth.callback": ADMINISTRATORS,
    "GET admin.calls.index": ADMINISTRATORS,
    "GET admin.calls.download": ADMINISTRATORS,
    "GET admin.creates.index": ADMINISTRATORS,
    "POST admin.creates.link": ADMINISTRATORS,
    "POST admin.creates.absent": ADMINISTRATORS,
    "POST admin.creates.settle_update": ADMINISTRATORS,
    "GET admin.audit.index": ADMINISTRATORS,
    "GET admin.audit.as_csv": ADMINISTRATORS,
    "GET admin.audit.as_json": ADMINISTRATORS,
    "GET admin.embedding.index": ADMINISTRATORS,
    "POST admin.embedding.create": ADMINISTRATORS,
    "POST admin.embedding.inspect": ADMINISTRATORS,
    "GET admin.embedding.edit": ADMINISTRATORS,
    "POST admin.embedding.change": ADMINISTRATORS,
    "POST admin.embedding.limit": ADMINISTRATORS,
    "POST admin.embedding.rotate": ADMINISTRATORS,
    "POST admin.embedding.retire": ADMINISTRATORS,
    "POST admin.embedding.switch": ADMINISTRATORS,
    "POST admin.embedding.try_it": ADMINISTRATORS,
    "GET admin.embedding.delete": ADMINISTRATORS,
    "POST admin.embedding.delete": ADMINISTRATORS,
    "GET admin.tokens.index": ADMINISTRATORS,
    "POST admin.tokens.create": ADMINISTRATORS,
    "GET admin.tokens.revoke_question": ADMINISTRATORS,
    "POST admin.tokens.revoke": ADMINISTRATORS,
    "GET admin.people.index": ADMINISTRATORS,
    "POST admin.people.create": ADMINISTRATORS,
    "GET admin.people.edit": ADMINISTRATORS,
    "POST admin.people.change": ADMINISTRATORS,
    "POST admin.people.switch": ADMINISTRATORS,
    "POST admin.people.reset": ADMINISTRATORS,
    #
    "GET api.collection": _json(Action.VIEW),
    "POST api.collection": _json(Action.LINK),
    "POST api.create": _json(Action.CREATE),
    "GET api.entity": _json(Action.VIEW),
    "PATCH api.entity": _json(CHANGING),
    "DELETE api.entity": _json(Action.UNLINK),
    "GET api.older_collection": _json(Action.VIEW),
    "POST api.older_collection": _json(Action.LINK),
    "POST api.older_create": _json(Action.CREATE),
    "GET api.older_entity": _json(Action.VIEW),
    "PATCH api.older_entity": _json(CHANGING),
    "DELETE api.older_entity": _json(Action.UNLINK),
    "GET api.object_integrations": _json(Action.VIEW),
    "POST api.digest": _require(Proof.TOKEN, Proof.EMBED, need=Action.VIEW),
    "GET api.links": _json(Action.VIEW),
    "GET api.integrations": _json(Action.VIEW),
    "GET api.integration_card": _json(Action.VIEW),
    "GET api.available": _require(Proof.TOKEN, Proof.EMBED, Proof.SESSION, need=SEARCHING),
    "GET api.choices": _require(Proof.TOKEN, Proof.EMBED, Proof.SESSION, need=SEARCHING),
    "GET api.health": _require(Proof.TOKEN, Proof.SESSION, need=Action.VIEW),
    "GET api.sources": SOURCES_READ,
    "POST api.create_source": SOURCES_WRITE,
    "GET api.source": SOURCES_READ,
    "PATCH api.source": SOURCES_WRITE,
    "DELETE api.source": SOURCES_WRITE,
    "POST api.test_source": SOURCES_WRITE,
    #
    "POST mcp.endpoint": _require(Proof.TOKEN),
    #
    **{name.replace(" ", " objects."): _require(Proof.SESSION, need=need) for name, need in TAB.items()},
    **{name.replace(" ", " embed."): _require(Proof.EMBED, need=need) for name, need in TAB.items()},
}

TOOL: Mapping[str, Right] = {
    "list-integrations": Action.VIEW,
    "list": Action.VIEW,
    "get": Action.VIEW,
    "search": SEARCHING,
    "choices": SEARCHING,
    "health": Action.VIEW,
    "link": Action.LINK,
    "create": Action.CREATE,
    "update": Action.UPDATE,
    "unlink": Action.UNLINK,
    "follow": Action.LINK,
}
"""The right that each action of the MCP tool requires."""


def check(app: Flask) -> None:
    """Raise RuntimeError when a route has no rule, or a rule has no route."""
    routes = {
        f"{method} {rule.endpoint}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    mismatches = routes ^ RULES.keys()
    if mismatches:
        raise RuntimeError(f"The rule book and the routes differ: {', '.join(sorted(mismatches))}")


# --- enforcement -----------------------------------------------------------------------------------------------------


def admit() -> None:
    """Authenticate and authorise this request.

    Raises SignInNeeded, PasswordNeeded, Unauthorized, NotFound or Forbidden.

    It runs after routing and uses the matched endpoint, so that no spelling of an address bypasses it.
    """
    if request.url_rule is None or request.method == "OPTIONS":
        return
    method = "GET" if request.method == "HEAD" else request.method
    rule = RULES[f"{method} {request.endpoint}"]
    if not rule.proofs:
        return
    g.principal = principal = _authenticate(rule)
    obj, integration = _requested_object()
    principal.check_scope(obj, integration)
    if rule.need is not None:
        principal.require(rule.need, obj, integration)


def embed_grant() -> EmbedGrant:
    """What the embed token of this request grants."""
    return g.embed_grant  # type: ignore[no-any-return]


def _authenticate(rule: Rule) -> Principal:
    if rule.proofs == {Proof.SESSION}:
        return _by_session(rule)
    token = presented_token() if rule.proofs == {Proof.EMBED} else presented()
    if token:
        return _by_token(token, rule)
    if current_user() is None or rule.proofs == {Proof.EMBED}:
        raise Unauthorized(_("This needs a token.") if rule.proofs == {Proof.EMBED} else _NEEDS_BEARER)
    if Proof.SESSION not in rule.proofs:
        raise Unauthorized(_("A browser session does not write here; use a token."))
    return _by_session(rule)


_NEEDS_BEARER = _("This needs a token: Authorization: Bearer …")


def _by_session(rule: Rule) -> Principal:
    user = current_user(active=not (rule.background or REFRESHES_ITSELF in request.headers))
    if user is None:
        raise SignInNeeded(_("Sign in first."))
    if user.must_choose and not rule.chooses_password:
        raise PasswordNeeded(_("Choose a password first."))
    return principal_of(user)


def _by_token(token: str, rule: Rule) -> Principal:
    found = panel().api_tokens.by_token(token, revision=revision()) if Proof.TOKEN in rule.proofs else None
    if found is not None:
        return found
    g.embed_grant = grant = verify_embed_token(token)
    if Proof.EMBED not in rule.proofs:
        raise Forbidden(_("This needs an API token."))
    return grant.principal


def presented_token() -> str:
    """The embed token of a frame: in the header, in a form submitted without scripts, or in the first address."""
    in_address = request.args.get("token", "") if request.method in ("GET", "HEAD") else ""
    return presented() or request.form.get("token", "") or in_address


def _requested_object() -> tuple[ObjectRef | None, str]:
    """The object and the integration in the address. An invalid id is refused later, after the limits."""
    named = {**(request.view_args or {}), **g.get("place", {})}
    if "object_id" not in named:
        return None, named.get("integration", "")
    parts = (named["register"], named["schema"], named["object_id"])
    try:
        return object_ref(*parts), named.get("integration", "")
    except InvalidInput:
        return ObjectRef(*parts), named.get("integration", "")
