"""Every route × everybody × own and foreign objects: who gets through the door, and how the others are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from applications import REGISTRY, Applications
from embedders import token_of
from flask import Flask, url_for
from flask.testing import FlaskClient
from support import CONSOLE, api_token, signed_in_client
from werkzeug.test import TestResponse

from panel.accounts.principal import ROLES, SCOPES, Action
from panel.core.domain import ObjectRef
from panel.web.auth.rules import EVERYBODY, RULES, TOOL, Proof, check
from panel.web.mcp.tool import ACTIONS

OWN, FOREIGN = ObjectRef("demo", "case", "1"), ObjectRef("other", "case", "1")
RIGHTS = tuple(action.value for action in Action if action is not Action.ADMIN)
REACHED = 299

VALUES = {
    "integration": "xwiki", "entity_id": "1528", "reference": "1528", "slug": "xwiki", "name": "xwiki-openconnector-source",
    "filename": "tab.css", "app_id": "1", "token_id": 1, "user_id": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Guest:
    """Somebody at the door: what they show, what they may, and to which objects and integrations they are held."""

    name: str
    proof: Proof | None = None
    can: frozenset[Action] = frozenset()
    only: ObjectRef | None = None
    leaves: tuple[str, ...] = ("xwiki", "openproject")

    def should_reach(self, route: str, obj: ObjectRef, names_object: bool) -> bool:
        rule = RULES[route]
        if not rule.proofs:
            return True
        if self.proof not in rule.proofs or (rule.need is not None and rule.need not in self.can):
            return False
        held = self.only is None or not names_object or obj.register == self.only.register
        return held and (VALUES["integration"] in self.leaves or "integration" not in arguments_of(route))


def _rights(*names: str) -> frozenset[Action]:
    return frozenset(Action(name) for name in names)


GUESTS = (
    Guest("nobody"),
    Guest("a forged token", None),
    *(Guest(f"{role} with a session", Proof.SESSION, can) for role, can in ROLES.items()),
    *(Guest(f"{scope} token", Proof.TOKEN, can) for scope, can in SCOPES.items()),
    Guest("write token for a register", Proof.TOKEN, SCOPES["write"], OWN),
    Guest("write token for the other leaf", Proof.TOKEN, SCOPES["write"], leaves=("openproject",)),
    Guest("embed token with all rights", Proof.EMBED, _rights(*RIGHTS), OWN),
    Guest("embed token that only looks", Proof.EMBED, _rights("view"), OWN),
    Guest("embed token for the other leaf", Proof.EMBED, _rights(*RIGHTS), OWN, leaves=("openproject",)),
)

_arguments: dict[str, frozenset[str]] = {}


def arguments_of(route: str) -> frozenset[str]:
    return _arguments[route]


@pytest.fixture
def own_app(applications: Applications, tmp_path: Path) -> Flask:
    """An application whose routes a test may change."""
    return applications.build_own(tmp_path / "instance", REGISTRY, {})


@pytest.fixture
def doors(own_app: Flask) -> Flask:
    """The application with nothing behind its doors, so that only the doors are judged."""
    app = own_app
    app.config["WTF_CSRF_ENABLED"] = False
    for rule in app.url_map.iter_rules():
        for method in rule.methods or ():
            _arguments[f"{method} {rule.endpoint}"] = frozenset(rule.arguments)
    for endpoint in app.view_functions:
        app.view_functions[endpoint] = lambda **_: ("", REACHED)
    return app


Ask = Callable[[str, str], TestResponse]


@pytest.fixture
def let_ask(doors: Flask) -> Callable[[Guest], Ask]:
    made = 0

    def ask_as(guest: Guest) -> Ask:
        nonlocal made
        made += 1
        client, token = _client(doors, guest, made)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return lambda method, path: client.open(path, method=method, headers=headers)

    return ask_as


def _client(app: Flask, guest: Guest, number: int) -> tuple[FlaskClient, str]:
    client = app.test_client()
    if guest.proof is Proof.SESSION:
        return signed_in_client(app, guest.name, guest.name.partition(" ")[0]), ""
    if guest.proof is Proof.TOKEN:
        limits = {"registers": (OWN.register,)} if guest.only else {}
        if len(guest.leaves) == 1:
            limits["integrations"] = guest.leaves
        return client, api_token(app, guest.name.partition(" ")[0], **limits)
    if guest.proof is Proof.EMBED:
        more = {"integrations": list(guest.leaves)} if len(guest.leaves) == 1 else {}
        can = [action.value for action in guest.can]
        with app.app_context():
            made = app.extensions["leafpanel"].embed_apps.create(f"app {number}", ["https://a.example"], by=CONSOLE)
        return client, token_of(made, OWN, can=can, **more)
    return client, "lpt_forged" if "forged" in guest.name else ""


def addresses(app: Flask) -> list[tuple[str, ObjectRef, str]]:
    """Every row of the rule book with an address for our own object and one for a foreign object."""
    found = []
    with app.test_request_context():
        for route in RULES:
            method, endpoint = route.split()
            rule = next(
                rule
                for rule in app.url_map.iter_rules()
                if rule.endpoint == endpoint and method in (rule.methods or ())
            )
            for obj in (OWN, FOREIGN):
                place = {"register": obj.register, "schema": obj.schema, "object_id": obj.object_id}
                values = {name: value for name, value in {**VALUES, **place}.items() if name in rule.arguments}
                found.append((route, obj, url_for(endpoint, **values)))
    return found


@pytest.mark.parametrize("guest", GUESTS, ids=[guest.name for guest in GUESTS])
def test_every_door_opens_for_those_whom_its_row_names_and_for_nobody_else(
    doors: Flask, let_ask: Callable[[Guest], Ask], guest: Guest
) -> None:
    ask = let_ask(guest)
    wrong = []
    for route, obj, path in addresses(doors):
        answer = ask(route.split()[0], path)
        reached = answer.status_code == REACHED
        if reached is not guest.should_reach(route, obj, "object_id" in arguments_of(route)):
            wrong.append(f"{route} {path}: {answer.status_code}")

    assert wrong == []


@pytest.mark.parametrize(
    "guest", [guest for guest in GUESTS if guest.only or len(guest.leaves) == 1], ids=lambda g: g.name
)
def test_what_is_outside_of_somebodys_limits_is_not_there(
    doors: Flask, let_ask: Callable[[Guest], Ask], guest: Guest
) -> None:
    ask = let_ask(guest)
    answers = set()
    for route, obj, path in addresses(doors):
        outside = guest.only is not None and obj is FOREIGN and "object_id" in arguments_of(route)
        outside = outside or (len(guest.leaves) == 1 and "integration" in arguments_of(route))
        if outside and guest.proof in RULES[route].proofs:
            answers.add(ask(route.split()[0], path).status_code)

    assert answers == {404}


SIGN_IN_FORM = 'action="/admin/sign-in"'
"""Comes at once after a form of the tab, so that what was typed is kept."""


def test_nobody_is_sent_to_sign_in_from_pages_and_refused_by_programs(
    doors: Flask, let_ask: Callable[[Guest], Ask]
) -> None:
    ask = let_ask(Guest("nobody"))
    for route, _, path in addresses(doors):
        if not RULES[route].proofs:
            continue
        answer = ask(route.split()[0], path)
        if route.startswith("POST objects."):
            assert (answer.status_code, SIGN_IN_FORM in answer.text) == (401, True), route
        elif RULES[route].proofs == {Proof.SESSION}:
            assert answer.location.startswith("/admin/sign-in"), route
        else:
            assert answer.status_code == 401, route


def test_open_to_everybody_is_what_nobody_could_do_without() -> None:
    assert {route for route, rule in RULES.items() if rule is EVERYBODY or not rule.proofs} == {
        "GET static", "GET bootstrap.static", "GET api.openapi", "GET admin.sign_in", "POST admin.sign_in",
        "POST admin.sign_out",
    }  # fmt: skip


def test_a_browser_session_changes_nothing_through_programs_doors() -> None:
    for route, rule in RULES.items():
        method, _, endpoint = route.partition(" ")
        if endpoint.startswith(("api.", "mcp.", "embed.")) and method != "GET":
            assert Proof.SESSION not in rule.proofs, route


def test_administration_is_for_administrators() -> None:
    free = {"admin.sign_in", "admin.sign_out", "admin.password", "admin.objects"}
    for route, rule in RULES.items():
        endpoint = route.partition(" ")[2]
        is_administration = endpoint.startswith("admin.") or "source" in endpoint
        if is_administration and endpoint not in free:
            assert rule.need is Action.ADMIN, route


def test_every_action_of_the_tool_has_a_row() -> None:
    assert TOOL.keys() == set(ACTIONS)


def test_a_route_without_a_row_stops_the_application(own_app: Flask) -> None:
    own_app.add_url_rule("/forgotten", "forgotten", lambda: "hello")

    with pytest.raises(RuntimeError, match="GET forgotten"):
        check(own_app)
