"""Who reaches which route: the expectations stand here, route by route, and are not read from the rules themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from applications import REGISTRY, Applications
from embedders import token_of
from flask import Flask, url_for
from flask.testing import FlaskClient
from support import CONSOLE, api_token, signed_in_client
from werkzeug.test import TestResponse

from panel.accounts.principal import Action
from panel.core.domain import ObjectRef
from panel.web.auth.rules import RULES, TOOL, Proof, check
from panel.web.mcp.tool import ACTIONS

OWN, FOREIGN = ObjectRef("demo", "case", "1"), ObjectRef("other", "case", "1")
REACHED = 299

VALUES = {
    "integration": "xwiki", "entity_id": "1528", "reference": "1528", "slug": "xwiki", "name": "xwiki-openconnector-source",
    "filename": "tab.css", "app_id": "1", "token_id": 1, "user_id": 1, "create_id": 1, "update_id": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Requester:
    """Who makes a request. ``role`` is for a session, ``scope`` for an API token, ``can`` for an embed token."""

    name: str
    role: str = ""
    scope: str = ""
    can: tuple[str, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict, hash=False)
    token: str = ""


ALL_RIGHTS = ("view", "link", "create", "update", "unlink")
REQUESTERS = {
    "n": Requester("nobody"),
    "f": Requester("forged token", token="lpt_forged"),
    "v": Requester("viewer", role="viewer"),
    "e": Requester("editor", role="editor"),
    "a": Requester("administrator", role="admin"),
    "r": Requester("read token", scope="read"),
    "w": Requester("write token", scope="write"),
    "t": Requester("admin token", scope="admin"),
    "g": Requester("write token for the own register", scope="write", limits={"registers": ("demo",)}),
    "o": Requester("write token for openproject", scope="write", limits={"integrations": ("openproject",)}),
    "m": Requester("embed token with all rights", can=ALL_RIGHTS),
    "l": Requester("view-only embed token", can=("view",)),
    "p": Requester("embed token for openproject", can=ALL_RIGHTS, limits={"integrations": ["openproject"]}),
    "c": Requester("embed token that may only create", can=("create",)),
}
"""By the letter that stands for them in the table. Embed tokens are for the own object."""
PUBLIC = "nfvearwtgomlpc"

# Addresses name the integration xwiki where they name one, so ``o`` and ``p`` reach those that name none.
REACHES = {
    "GET static": PUBLIC,
    "GET api.openapi": PUBLIC,
    "GET readiness.healthz": PUBLIC,
    "GET readiness.readyz": PUBLIC,
    "GET front_door": PUBLIC,
    "POST language": PUBLIC,
    #
    "GET admin.sign_in": PUBLIC,
    "POST admin.sign_in": PUBLIC,
    "POST admin.sign_out": PUBLIC,
    "POST admin.sign_out_everywhere": "vea",
    "GET admin.password": "vea",
    "POST admin.password": "vea",
    "GET admin.objects": "vea",
    #
    "GET admin.overview": "a",
    "GET admin.integrations": "a",
    "POST admin.check": "a",
    "GET admin.connector": "a",
    "POST admin.connector": "a",
    "GET admin.connect.connect": "a",
    "POST admin.connect.connect": "a",
    "GET admin.sources.index": "a",
    "GET admin.sources.new": "a",
    "POST admin.sources.new": "a",
    "GET admin.sources.address": "a",
    "GET admin.sources.edit": "a",
    "POST admin.sources.edit": "a",
    "POST admin.sources.set_enabled": "a",
    "GET admin.sources.delete": "a",
    "POST admin.sources.delete": "a",
    "GET admin.sources.export": "a",
    "GET admin.sources.test_result": "a",
    "POST admin.sources.test": "a",
    "POST admin.sources.instance": "a",
    "GET admin.sources.files.load": "a",
    "POST admin.sources.files.load": "a",
    "GET admin.sources.files.template": "a",
    "POST admin.oauth.connect": "a",
    "GET admin.oauth.callback": "a",
    "GET admin.calls.index": "a",
    "GET admin.calls.download": "a",
    "GET admin.creates.index": "a",
    "POST admin.creates.link": "a",
    "POST admin.creates.absent": "a",
    "POST admin.creates.settle_update": "a",
    "GET admin.audit.index": "a",
    "GET admin.audit.as_csv": "a",
    "GET admin.audit.as_json": "a",
    "GET admin.embedding.index": "a",
    "POST admin.embedding.create": "a",
    "POST admin.embedding.inspect": "a",
    "GET admin.embedding.edit": "a",
    "POST admin.embedding.change": "a",
    "POST admin.embedding.limit": "a",
    "POST admin.embedding.rotate": "a",
    "POST admin.embedding.retire": "a",
    "POST admin.embedding.switch": "a",
    "POST admin.embedding.try_it": "a",
    "GET admin.embedding.delete": "a",
    "POST admin.embedding.delete": "a",
    "GET admin.tokens.index": "a",
    "POST admin.tokens.create": "a",
    "GET admin.tokens.revoke_question": "a",
    "POST admin.tokens.revoke": "a",
    "GET admin.people.index": "a",
    "POST admin.people.create": "a",
    "GET admin.people.edit": "a",
    "POST admin.people.change": "a",
    "POST admin.people.switch": "a",
    "POST admin.people.reset": "a",
    #
    "GET api.collection": "vearwtgml",
    "POST api.collection": "wtgm",
    "POST api.create": "wtgmc",
    "GET api.entity": "vearwtgml",
    "PATCH api.entity": "wtgm",
    "DELETE api.entity": "wtgm",
    "GET api.older_collection": "vearwtgml",
    "POST api.older_collection": "wtgm",
    "POST api.older_create": "wtgmc",
    "GET api.older_entity": "vearwtgml",
    "PATCH api.older_entity": "wtgm",
    "DELETE api.older_entity": "wtgm",
    "GET api.object_integrations": "vearwtgomlp",
    "POST api.digest": "rwtgomlp",
    "GET api.links": "vearwtgomlp",
    "GET api.integrations": "vearwtgomlp",
    "GET api.integration_card": "vearwtgml",
    "GET api.available": "eawtgmc",
    "GET api.choices": "eawtgmc",
    "GET api.health": "vearwtg",
    "GET api.sources": "at",
    "POST api.create_source": "t",
    "GET api.source": "at",
    "PATCH api.source": "t",
    "DELETE api.source": "t",
    "POST api.test_source": "t",
    #
    "POST mcp.endpoint": "rwtgo",
    #
    "GET objects.page": "vea",
    "POST objects.page": "vea",
    "GET objects.listing": "vea",
    "POST objects.listing": "vea",
    "GET objects.excerpt": "vea",
    "GET objects.about": "vea",
    "GET objects.search": "ea",
    "POST objects.search": "ea",
    "POST objects.link": "ea",
    "GET objects.new": "ea",
    "POST objects.new_fields": "ea",
    "GET objects.new_existing": "ea",
    "GET objects.new_choices": "ea",
    "POST objects.create": "ea",
    "GET objects.edit": "ea",
    "POST objects.edit": "ea",
    "POST objects.update": "ea",
    "POST objects.follow": "ea",
    "POST objects.repoint": "ea",
    "POST objects.undo_change": "ea",
    "POST objects.note": "ea",
    "POST objects.unlink": "ea",
    #
    "GET embed.page": "mlp",
    "POST embed.page": "mlp",
    "GET embed.listing": "ml",
    "POST embed.listing": "ml",
    "GET embed.excerpt": "ml",
    "GET embed.about": "ml",
    "GET embed.search": "mc",
    "POST embed.search": "mc",
    "POST embed.link": "m",
    "GET embed.new": "mc",
    "POST embed.new_fields": "mc",
    "GET embed.new_existing": "mc",
    "GET embed.new_choices": "mc",
    "POST embed.create": "mc",
    "GET embed.edit": "m",
    "POST embed.edit": "m",
    "POST embed.update": "m",
    "POST embed.follow": "m",
    "POST embed.repoint": "m",
    "POST embed.undo_change": "m",
    "POST embed.note": "m",
    "POST embed.unlink": "m",
}
"""Who reaches a route. Where it names an object, that is the own object of the embed tokens and of ``g``."""

REACHES_FOREIGN = {
    "GET api.collection": "vearwt",
    "POST api.collection": "wt",
    "POST api.create": "wt",
    "GET api.entity": "vearwt",
    "PATCH api.entity": "wt",
    "DELETE api.entity": "wt",
    "GET api.older_collection": "vearwt",
    "POST api.older_collection": "wt",
    "POST api.older_create": "wt",
    "GET api.older_entity": "vearwt",
    "PATCH api.older_entity": "wt",
    "DELETE api.older_entity": "wt",
    "GET api.object_integrations": "vearwto",
    #
    "GET objects.page": "vea",
    "POST objects.page": "vea",
    "GET objects.listing": "vea",
    "POST objects.listing": "vea",
    "GET objects.excerpt": "vea",
    "GET objects.about": "vea",
    "GET objects.search": "ea",
    "POST objects.search": "ea",
    "POST objects.link": "ea",
    "GET objects.new": "ea",
    "POST objects.new_fields": "ea",
    "GET objects.new_existing": "ea",
    "GET objects.new_choices": "ea",
    "POST objects.create": "ea",
    "GET objects.edit": "ea",
    "POST objects.edit": "ea",
    "POST objects.update": "ea",
    "POST objects.follow": "ea",
    "POST objects.repoint": "ea",
    "POST objects.undo_change": "ea",
    "POST objects.note": "ea",
    "POST objects.unlink": "ea",
    #
    "GET embed.page": "",
    "POST embed.page": "",
    "GET embed.listing": "",
    "POST embed.listing": "",
    "GET embed.excerpt": "",
    "GET embed.about": "",
    "GET embed.search": "",
    "POST embed.search": "",
    "POST embed.link": "",
    "GET embed.new": "",
    "POST embed.new_fields": "",
    "GET embed.new_existing": "",
    "GET embed.new_choices": "",
    "POST embed.create": "",
    "GET embed.edit": "",
    "POST embed.edit": "",
    "POST embed.update": "",
    "POST embed.follow": "",
    "POST embed.repoint": "",
    "POST embed.undo_change": "",
    "POST embed.note": "",
    "POST embed.unlink": "",
}
"""Who reaches the routes that name an object for an object of another application."""

# What is outside of the limits of a token is not found; a right that is missing is forbidden.
NOT_FOUND = {
    "g": {route for route in REACHES_FOREIGN if route.split()[1].startswith("api.")},
    "m": {route for route in REACHES_FOREIGN if route.split()[1].startswith(("api.", "embed."))},
    "l": {route for route in REACHES_FOREIGN if route.split()[1].startswith(("api.", "embed."))},
}


@pytest.fixture(scope="module")
def stubbed_app(applications: Applications, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """An application whose views only answer with ``REACHED``, so that the rules alone decide."""
    app = applications.build_own(tmp_path_factory.mktemp("rules") / "instance", REGISTRY, {})
    app.config["WTF_CSRF_ENABLED"] = False
    for endpoint in app.view_functions:
        app.view_functions[endpoint] = lambda **_: ("", REACHED)
    return app


Ask = Callable[[str, str], TestResponse]


@pytest.fixture(scope="module")
def ask_as(stubbed_app: Flask) -> dict[str, Ask]:
    """How each requester makes a request with a method and a path, by letter."""
    return {letter: _asking(stubbed_app, requester) for letter, requester in REQUESTERS.items()}


def _asking(app: Flask, requester: Requester) -> Ask:
    client, token = _client(app, requester)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return lambda method, path: client.open(path, method=method, headers=headers)


def _client(app: Flask, requester: Requester) -> tuple[FlaskClient, str]:
    if requester.role:
        return signed_in_client(app, requester.name, requester.role), ""
    client = app.test_client()
    if requester.scope:
        return client, api_token(app, requester.scope, requester.name, **requester.limits)
    if requester.can:
        with app.app_context():
            embed_apps = app.extensions["leafpanel"].embed_apps
            made = embed_apps.create(requester.name, ["https://a.example"], by=CONSOLE)
        return client, token_of(made, OWN, can=list(requester.can), **requester.limits)
    return client, requester.token


def addresses(app: Flask, obj: ObjectRef) -> Iterator[tuple[str, str]]:
    """Every route with an address, which names ``obj`` where it names an object."""
    values = {**VALUES, "register": obj.register, "schema": obj.schema, "object_id": obj.object_id}
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            named = {name: values[name] for name in rule.arguments}
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield f"{method} {rule.endpoint}", url_for(rule.endpoint, **named, _method=method)


def statuses(app: Flask, ask: Ask, obj: ObjectRef) -> dict[str, int]:
    return {route: ask(route.split()[0], path).status_code for route, path in addresses(app, obj)}


EACH_REQUESTER = pytest.mark.parametrize("letter", REQUESTERS, ids=[who.name for who in REQUESTERS.values()])


def test_the_table_has_every_route(stubbed_app: Flask) -> None:
    routes = dict(addresses(stubbed_app, OWN))

    assert REACHES.keys() == routes.keys()
    assert REACHES_FOREIGN.keys() == {route for route, path in routes.items() if "/demo/case/1" in path}


@EACH_REQUESTER
def test_each_requester_reaches_the_routes_of_the_table_and_no_others(
    stubbed_app: Flask, ask_as: dict[str, Ask], letter: str
) -> None:
    found = statuses(stubbed_app, ask_as[letter], OWN)

    reached = {route for route, status in found.items() if status == REACHED}
    assert reached == {route for route, letters in REACHES.items() if letter in letters}


@EACH_REQUESTER
def test_each_requester_reaches_foreign_objects_only_where_the_table_says_so(
    stubbed_app: Flask, ask_as: dict[str, Ask], letter: str
) -> None:
    found = statuses(stubbed_app, ask_as[letter], FOREIGN)

    reached = {route for route, status in found.items() if status == REACHED and route in REACHES_FOREIGN}
    assert reached == {route for route, letters in REACHES_FOREIGN.items() if letter in letters}


@pytest.mark.parametrize("letter", NOT_FOUND, ids=[REQUESTERS[letter].name for letter in NOT_FOUND])
def test_foreign_objects_are_not_found_for_a_limited_token(
    stubbed_app: Flask, ask_as: dict[str, Ask], letter: str
) -> None:
    found = statuses(stubbed_app, ask_as[letter], FOREIGN)

    assert {found[route] for route in NOT_FOUND[letter]} == {404}


@pytest.mark.parametrize(("letter", "unlimited"), [("o", "w"), ("p", "m")])
def test_another_integration_is_not_found_for_a_limited_token(
    stubbed_app: Flask, ask_as: dict[str, Ask], letter: str, unlimited: str
) -> None:
    found = statuses(stubbed_app, ask_as[letter], OWN)
    outside = {route for route, letters in REACHES.items() if unlimited in letters and letter not in letters}

    assert len(outside) > 10
    assert {found[route] for route in outside} == {404}


SIGN_IN_FORM = 'action="/admin/sign-in"'
"""Is shown in answer to a form of the tab, so that its values are kept."""


def test_without_a_proof_pages_lead_to_sign_in_and_programs_get_401(stubbed_app: Flask, ask_as: dict[str, Ask]) -> None:
    for route, path in addresses(stubbed_app, OWN):
        if "n" in REACHES[route]:
            continue
        answer = ask_as["n"](route.split()[0], path)
        if route.startswith("POST objects."):
            assert (answer.status_code, SIGN_IN_FORM in answer.text) == (401, True), route
        elif route.split()[1].startswith(("admin.", "objects.")):
            assert answer.location.startswith("/admin/sign-in"), route
        else:
            assert answer.status_code == 401, route


def test_a_browser_session_changes_nothing_through_the_apis() -> None:
    for route, rule in RULES.items():
        method, _, endpoint = route.partition(" ")
        if endpoint.startswith(("api.", "mcp.", "embed.")) and method != "GET":
            assert Proof.SESSION not in rule.proofs, route


def test_administration_is_for_administrators() -> None:
    free = {"admin.sign_in", "admin.sign_out", "admin.sign_out_everywhere", "admin.password", "admin.objects"}
    for route, rule in RULES.items():
        endpoint = route.partition(" ")[2]
        is_administration = endpoint.startswith("admin.") or "source" in endpoint
        if is_administration and endpoint not in free:
            assert rule.need is Action.ADMIN, route


def test_each_action_of_the_tool_needs_its_right() -> None:
    rights = {
        "list-integrations": "view", "list": "view", "get": "view", "search": {"link", "create"},
        "choices": {"link", "create"}, "health": "view", "link": "link", "create": "create", "update": "update",
        "unlink": "unlink", "follow": "link",
    }  # fmt: skip

    assert rights == TOOL
    assert TOOL.keys() == set(ACTIONS)


def test_a_route_without_a_row_stops_the_application(applications: Applications, tmp_path: Path) -> None:
    app = applications.build_own(tmp_path / "instance", REGISTRY, {})
    app.add_url_rule("/forgotten", "forgotten", lambda: "hello")

    with pytest.raises(RuntimeError, match="GET forgotten"):
        check(app)
