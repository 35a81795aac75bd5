"""The rule book: for every route, who may come in and what they must be allowed to do. ``admit`` enforces it.

A route that stands in no row stops the application from starting. What somebody may do to which object is the
principal's to say (``panel/accounts/principal.py``); which proof counts for which route, and which right a route
needs, is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from flask import Flask, g, request

from panel.accounts.embed_tokens import Pass
from panel.accounts.people import principal_of
from panel.accounts.principal import Action, Principal
from panel.core.domain import ObjectRef
from panel.core.errors import Forbidden, InvalidInput
from panel.web.auth.bearer import Unauthorized, embed_pass, presented
from panel.web.auth.session import SignInNeeded, current_user
from panel.web.context import panel
from panel.web.parsing import object_ref


class Proof(StrEnum):
    """How somebody shows who they are."""

    SESSION = "session"
    TOKEN = "API token"  # noqa: S105 (a word, and no secret)
    EMBED = "embed token"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may come through a door. Without proofs everybody may; without a need whoever has a proof may."""

    proofs: frozenset[Proof] = frozenset()
    need: Action | None = None
    by_itself: bool = False
    """Asked by a page on its own, so that it says nothing about whether somebody is still there."""


def _behind(*proofs: Proof, need: Action | None = None, by_itself: bool = False) -> Rule:
    return Rule(frozenset(proofs), need, by_itself)


EVERYBODY = Rule()
SIGNED_IN = _behind(Proof.SESSION)
ADMINISTRATORS = _behind(Proof.SESSION, need=Action.ADMIN)


def _json(need: Action) -> Rule:
    """A signed-in browser only reads here: another site could make it write."""
    proofs = (Proof.TOKEN, Proof.EMBED)
    return _behind(*proofs, Proof.SESSION, need=need) if need is Action.VIEW else _behind(*proofs, need=need)


SOURCES_READ = _behind(Proof.TOKEN, Proof.SESSION, need=Action.ADMIN)
SOURCES_WRITE = _behind(Proof.TOKEN, need=Action.ADMIN)

TAB: Mapping[str, Action] = {
    "GET page": Action.VIEW,
    "GET listing": Action.VIEW,
    "GET excerpt": Action.VIEW,
    "GET search": Action.LINK,
    "POST search": Action.LINK,
    "POST link": Action.LINK,
    "GET new": Action.CREATE,
    "GET new_fields": Action.CREATE,
    "POST create": Action.CREATE,
    "GET edit": Action.UPDATE,
    "POST update": Action.UPDATE,
    "POST unlink": Action.UNLINK,
}
"""The tab has the same rooms behind two doors: one for people who signed in, one for embedding applications."""

RULES: Mapping[str, Rule] = {
    "GET static": EVERYBODY,
    "GET bootstrap.static": EVERYBODY,
    "GET api.openapi": EVERYBODY,
    #
    "GET admin.sign_in": EVERYBODY,
    "POST admin.sign_in": EVERYBODY,
    "POST admin.sign_out": EVERYBODY,
    "GET admin.password": SIGNED_IN,
    "POST admin.password": SIGNED_IN,
    "GET admin.objects": _behind(Proof.SESSION, need=Action.VIEW),
    #
    "GET admin.overview": ADMINISTRATORS,
    "GET admin.integrations": _behind(Proof.SESSION, need=Action.ADMIN, by_itself=True),
    "POST admin.check": ADMINISTRATORS,
    "GET admin.connector": ADMINISTRATORS,
    "POST admin.connector": ADMINISTRATORS,
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
    "GET admin.sources.ladder": ADMINISTRATORS,
    "POST admin.sources.test": ADMINISTRATORS,
    "POST admin.sources.instance": ADMINISTRATORS,
    "GET admin.sources.files.load": ADMINISTRATORS,
    "POST admin.sources.files.load": ADMINISTRATORS,
    "GET admin.sources.files.template": ADMINISTRATORS,
    "POST admin.oauth.connect": ADMINISTRATORS,
    "GET admin.oauth.callback": ADMINISTRATORS,
    "GET admin.calls.index": ADMINISTRATORS,
    "GET admin.calls.download": ADMINISTRATORS,
    "GET admin.audit.index": ADMINISTRATORS,
    "GET admin.audit.as_csv": ADMINISTRATORS,
    "GET admin.audit.as_json": ADMINISTRATORS,
    "GET admin.embedding.index": ADMINISTRATORS,
    "POST admin.embedding.create": ADMINISTRATORS,
    "POST admin.embedding.inspect": ADMINISTRATORS,
    "GET admin.embedding.edit": ADMINISTRATORS,
    "POST admin.embedding.change": ADMINISTRATORS,
    "POST admin.embedding.rotate": ADMINISTRATORS,
    "POST admin.embedding.retire": ADMINISTRATORS,
    "POST admin.embedding.switch": ADMINISTRATORS,
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
    "PATCH api.entity": _json(Action.UPDATE),
    "DELETE api.entity": _json(Action.UNLINK),
    "GET api.older_collection": _json(Action.VIEW),
    "POST api.older_collection": _json(Action.LINK),
    "POST api.older_create": _json(Action.CREATE),
    "GET api.older_entity": _json(Action.VIEW),
    "PATCH api.older_entity": _json(Action.UPDATE),
    "DELETE api.older_entity": _json(Action.UNLINK),
    "GET api.integrations": _json(Action.VIEW),
    "GET api.integration_card": _json(Action.VIEW),
    "GET api.available": _json(Action.VIEW),
    "GET api.health": _behind(Proof.TOKEN, Proof.SESSION, need=Action.VIEW),
    "GET api.sources": SOURCES_READ,
    "POST api.create_source": SOURCES_WRITE,
    "GET api.source": SOURCES_READ,
    "PATCH api.source": SOURCES_WRITE,
    "DELETE api.source": SOURCES_WRITE,
    "POST api.test_source": SOURCES_WRITE,
    #
    "POST mcp.endpoint": _behind(Proof.TOKEN),
    #
    **{name.replace(" ", " objects."): _behind(Proof.SESSION, need=need) for name, need in TAB.items()},
    **{name.replace(" ", " embed."): _behind(Proof.EMBED, need=need) for name, need in TAB.items()},
}

TOOL: Mapping[str, Action] = {
    "list-integrations": Action.VIEW,
    "list": Action.VIEW,
    "get": Action.VIEW,
    "search": Action.VIEW,
    "health": Action.VIEW,
    "link": Action.LINK,
    "create": Action.CREATE,
    "update": Action.UPDATE,
    "unlink": Action.UNLINK,
}
"""What each action of the agents' tool needs, once a token has opened the door."""


def check(app: Flask) -> None:
    """Raises RuntimeError when a route has no row, or a row has no route."""
    routes = {
        f"{method} {rule.endpoint}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    astray = routes ^ RULES.keys()
    if astray:
        raise RuntimeError(f"The rule book and the routes differ: {', '.join(sorted(astray))}")


# --- letting somebody in ---------------------------------------------------------------------------------------------


def admit() -> None:
    """Find out who asks and let them in, or raise SignInNeeded, Unauthorized, NotFound or Forbidden.

    It runs after routing, so that no spelling of an address leads around it.
    """
    if request.url_rule is None or request.method == "OPTIONS":
        return
    method = "GET" if request.method == "HEAD" else request.method
    rule = RULES[f"{method} {request.endpoint}"]
    if not rule.proofs:
        return
    g.principal = principal = _proved(rule)
    obj, integration = _named()
    principal.check_scope(obj, integration)
    if rule.need is not None:
        principal.require(rule.need, obj, integration)


def embedded() -> Pass:
    """What the embed token of this request lets in."""
    return g.embed_pass  # type: ignore[no-any-return]


def _proved(rule: Rule) -> Principal:
    if rule.proofs == {Proof.SESSION}:
        return _by_session(rule)
    token = presented() or (_token_of_a_frame() if rule.proofs == {Proof.EMBED} else "")
    if token:
        return _by_token(token, rule)
    if current_user() is None or rule.proofs == {Proof.EMBED}:
        raise Unauthorized("This needs a token." if rule.proofs == {Proof.EMBED} else _HOW)
    if Proof.SESSION not in rule.proofs:
        raise Unauthorized("A browser session does not write here; use a token.")
    return _by_session(rule)


_HOW = "This needs a token: Authorization: Bearer …"


def _by_session(rule: Rule) -> Principal:
    user = current_user(active=not rule.by_itself)
    if user is None:
        raise SignInNeeded("Sign in first.")
    return principal_of(user)


def _by_token(token: str, rule: Rule) -> Principal:
    found = panel().access.by_token(token) if Proof.TOKEN in rule.proofs else None
    if found is not None:
        return found
    g.embed_pass = held = embed_pass(token)
    if Proof.EMBED not in rule.proofs:
        raise Forbidden("This needs an API token.")
    return held.principal


def _token_of_a_frame() -> str:
    """The frame's own address brings the token, and forms without scripts do; it is in no other address."""
    in_address = request.args.get("token", "") if request.method in ("GET", "HEAD") else ""
    return request.form.get("token", "") or in_address


def _named() -> tuple[ObjectRef | None, str]:
    """The object and the integration that the address names, before anything else is said about them."""
    named = {**(request.view_args or {}), **g.get("place", {})}
    if "object_id" not in named:
        return None, named.get("integration", "")
    parts = (named["register"], named["schema"], named["object_id"])
    try:
        return object_ref(*parts), named.get("integration", "")
    except InvalidInput:
        return ObjectRef(*parts), named.get("integration", "")
