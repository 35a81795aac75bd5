"""Objects of others: no spelling of an address opens one, and nobody can tell one that is there from one that is not."""

from __future__ import annotations

import http.client
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from agents import Served
from embedders import ALL, embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from routes import PAGE, READING, Route, dump, ids, routes
from support import Upstreams, signed_in_client

from panel.core.domain import ObjectRef

OWN, FOREIGN, ABSENT = (ObjectRef("demo", "case", name) for name in ("1", "2", "9"))
NEW_EACH_TIME = (
    r"LP-\w{4}-\d\d|CSRFToken\": \"[^\"]+\"|(?<=name=\"csrf_token\" value=\")[^\"]+|(?<=name=\"kept\" value=\")[^\"]+"
    r"|<time[^>]*>[^<]*|(?<=data-now=\")\d+"
)
"""The reference of the request, proofs of a form, the form that waits, sealed, for its writer to sign in, when a list
was read, and the second of the answer."""
LINKED_THERE = "xwiki:Cases.Deploy.WebHome"
"""Linked to the foreign object alone, so that its name is the sign of a leak."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    location: str


@dataclass
class Socket:
    """Requests to a server that listens, with the address written exactly as it is given."""

    port: int

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method: str, target: str, token: str = "", sent: dict[str, str] | None = None) -> Answer:
        as_form = sent is not None and "/api/" not in target.lower()
        body = (urlencode(sent) if as_form else json.dumps(sent)) if sent is not None else ""
        headers = (
            {"Content-Type": "application/x-www-form-urlencoded" if as_form else "application/json"} if sent else {}
        )
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(body.encode())
        answer = self._connection.getresponse()
        return Answer(answer.status, answer.read().decode("utf-8", "replace"), answer.headers.get("Location", ""))


@dataclass
class Tenants:
    """Three embedding applications and their tokens; two have linked something to their own object."""

    served: Served
    wire: Socket
    admin: FlaskClient
    secrets: dict[str, Any]
    tokens: dict[str, str]

    def dump(self) -> str:
        return dump(self.served.app)


@pytest.fixture
def tenants(served: Served, upstreams: Upstreams) -> Tenants:
    upstreams.xwiki.add_page("Cases.Deploy.WebHome", title="Deploy to production", content="On Friday.")
    admin = signed_in_client(served.app, "alice", "admin")
    secrets = {name: embedding_app(admin, name, f"https://{name}.example") for name in ("cases", "shop", "zoo")}
    objects = {"cases": OWN, "shop": FOREIGN, "zoo": ObjectRef("zoo", "animal", "1")}
    tokens = {name: token_of(secret, objects[name]) for name, secret in secrets.items()}
    wire = Socket(served.server.port)
    for name, reference in (("cases", PAGE), ("shop", LINKED_THERE)):
        path = address(objects[name])
        assert wire.ask("POST", f"/api{path}/integrations/xwiki", tokens[name], {"reference": reference}).status == 201
    return Tenants(served, wire, admin, secrets, tokens)


def address(obj: ObjectRef) -> str:
    return f"/objects/{obj.register}/{obj.schema}/{obj.object_id}"


def of_objects(app: Flask, obj: ObjectRef, **values: Any) -> list[Route]:
    """Every route that names an object, with this object in it."""
    named = routes(app, register=obj.register, schema=obj.schema, object_id=obj.object_id, **values)
    return [route for route in named if route.face in ("embed", "api", "objects") and f"/{obj.register}/" in route.path]


def same(answer: Answer) -> tuple[int, str]:
    """What of an answer may tell something: not what is new each time, nor the address that a redirect repeats."""
    leads = answer.location.partition("next=")[0] if answer.status == 303 else answer.body
    return answer.status, re.sub(NEW_EACH_TIME, "", leads)


# --- spellings -------------------------------------------------------------------------------------------------------

Spelling = Callable[[str, str], str]
"""From the path of a route and the object id in it to another spelling of the same or nearly the same."""


def _at_id(spelled: str) -> Spelling:
    """The object id written in another way; ``{}`` stands for it."""
    return lambda path, name: re.sub(
        rf"(/(?:demo|zoo)/\w+/){re.escape(name)}(?=/|$)", lambda m: m[1] + spelled.format(name), path, count=1
    )


def _whole(change: Callable[[str], str]) -> Spelling:
    return lambda path, name: change(path)


SPELLINGS: dict[str, Spelling] = {
    "as it is": _at_id("{}"),
    "percent-encoded": lambda path, name: _at_id("".join(f"%{ord(char):02x}" for char in name))(path, name),
    "encoded twice": lambda path, name: _at_id("".join(f"%25{ord(char):02x}" for char in name))(path, name),
    "full width": lambda path, name: _at_id(quote("".join(chr(ord(char) + 0xFEE0) for char in name)))(path, name),
    "another script": lambda path, name: _at_id(quote("".join(chr(ord("٠") + int(char)) for char in name)))(path, name),
    "with a parameter": _at_id("{};x"),
    "with a session id": _at_id("{};jsessionid=1"),
    "with an encoded parameter": _at_id("{}%3bx"),
    "with a NUL": _at_id("{}%00"),
    "with a NUL and more": _at_id("{}%00.json"),
    "with a blank": _at_id("{}%20"),
    "with a plus": _at_id("{}+"),
    "with a line end": _at_id("{}%0d%0a"),
    "with a dot": _at_id("{}."),
    "with an ending": _at_id("{}.json"),
    "with a zero-width space": _at_id("{}%E2%80%8B"),
    "with a zero before": _at_id("0{}"),
    "below our own": _at_id("1/../{}"),
    "below our own, encoded": _at_id("1%2f..%2f{}"),
    "below our own, dots encoded": _at_id("1/%2e%2e/{}"),
    "below our own, encoded twice": _at_id("1%252f%252e%252e%252f{}"),
    "below our own, backslash": _at_id("1%5c..%5c{}"),
    "in here": _at_id("./{}"),
    "in here, encoded": _at_id("%2e/{}"),
    "overlong slash": _at_id("1%c0%af..%c0%af{}"),
    "two slashes": _at_id("/{}"),
    "an encoded slash": _at_id("%2f{}"),
    "a trailing slash": _whole(lambda path: f"{path}/"),
    "two trailing slashes": _whole(lambda path: f"{path}//"),
    "two leading slashes": _whole(lambda path: f"/{path}"),
    "upper case": _whole(lambda path: path.replace("/embed/", "/EMBED/").replace("/api/", "/API/").replace("/demo/", "/Demo/")),
    "our own, then up": _whole(lambda path: re.sub(r"^(/(?:embed|api/objects|objects))/", r"\1/demo/case/1/../../../", path)),
    "a fragment": _at_id("{}%23"),
    "a query that names ours": _whole(lambda path: f"{path}?object_id=1&objectId=1&register=demo&schema=case"),
    "a query that is encoded": _whole(lambda path: f"{path}%3fobject_id=1"),
    "an absolute address": _whole(lambda path: f"http://localhost{path}"),
}  # fmt: skip


def test_no_spelling_opens_an_object_of_another_application(tenants: Tenants) -> None:
    app, before, asked, tellable = tenants.served.app, tenants.dump(), 0, []
    asked_for = [
        (name, foreign, there, nowhere)
        for name, foreign, linked in (
            ("cases", FOREIGN, LINKED_THERE),
            ("zoo", FOREIGN, LINKED_THERE),
            ("shop", OWN, PAGE),
        )
        for there, nowhere in zip(
            of_objects(app, foreign, reference=linked, entity_id=linked),
            of_objects(app, ABSENT, reference=linked, entity_id=linked),
            strict=True,
        )
    ]

    for name, foreign, there, nowhere in asked_for:
        for spelling, spell in SPELLINGS.items():
            answers = [
                tenants.wire.ask(there.method, spell(path, obj.object_id), tenants.tokens[name], body(there))
                for path, obj in ((there.path, foreign), (nowhere.path, ABSENT))
            ]
            asked += 2
            place = f"{name}: {spelling}: {there}"
            assert not [one for one in answers if 200 <= one.status < 300], place
            assert not [one for one in answers if one.status >= 500], place
            assert "Deploy" not in answers[0].body.replace(LINKED_THERE, ""), place
            if named(same(answers[0]), foreign) != named(same(answers[1]), ABSENT):
                tellable.append(place)

    assert tellable == []
    assert tenants.dump() == before
    assert len(SPELLINGS) >= 30
    assert asked > 6000


def body(route: Route) -> dict[str, str] | None:
    return None if route.method in READING else {"reference": PAGE, "subject": "Mine now"}


def named(answer: tuple[int, str], obj: ObjectRef) -> tuple[int, str]:
    """With the asked object's own name taken out: a redirect repeats the address that was asked for."""
    return answer[0], re.sub(rf"(?<=[/=])(?<!initial-scale=)(?<!\?v=){obj.object_id}(?=\D|$)", "…", answer[1])


def test_its_own_object_gains_nothing_by_its_spelling(tenants: Tenants) -> None:
    """Who may only look does not act under another name of the same thing."""
    token, before = token_of(tenants.secrets["cases"], OWN, can=["view"]), tenants.dump()
    writing = [
        route
        for route in of_objects(tenants.served.app, OWN)
        if route.method not in READING and NEEDED.get(f"{route.method} {route.endpoint}") != "view"
    ]

    opened = {
        f"{spelling}: {route}"
        for route, (spelling, spell) in itertools.product(writing, SPELLINGS.items())
        if tenants.wire.ask(route.method, spell(route.path, "1"), token, body(route)).status < 300
    }

    assert opened == set()
    assert tenants.dump() == before


def test_nobody_gets_in_by_a_spelling(tenants: Tenants) -> None:
    """Without any proof, no address answers that does not answer as it is."""
    app, before = tenants.served.app, tenants.dump()
    closed = [
        route
        for route in routes(app, **ids(app))
        if tenants.wire.ask(route.method, route.path, sent=body(route)).status >= 300
    ]

    opened = {
        f"{spelling}: {route}"
        for route, (spelling, spell) in itertools.product(closed, SPELLINGS.items())
        if tenants.wire.ask(route.method, spell(route.path, "1"), sent=body(route)).status < 300
    }

    assert opened == set()
    assert tenants.dump() == before
    assert len(closed) > 70


def test_a_viewer_gets_no_further_by_a_spelling(tenants: Tenants) -> None:
    """Behind the session of somebody who may only look, through the test client: it sends the cookie along."""
    app = tenants.served.app
    viewer, before = signed_in_client(app, "victor", "viewer"), tenants.dump()

    def status(route: Route, path: str) -> int:
        parts = urlsplit(path)
        return viewer.open(parts.path, query_string=parts.query, method=route.method, buffered=True).status_code

    closed = [route for route in routes(app, **ids(app)) if status(route, route.path) >= 400]
    opened = {
        f"{spelling}: {route}"
        for route, (spelling, spell) in itertools.product(closed, SPELLINGS.items())
        if status(route, spell(route.path, "1")) < 300
    }

    assert opened == set()
    assert tenants.dump() == before
    assert len(closed) > 50


# --- things with an id -----------------------------------------------------------------------------------------------


def test_who_is_no_administrator_cannot_tell_what_there_is(tenants: Tenants) -> None:
    app = tenants.served.app
    there = ids(app)
    nowhere = {name: 4711 if isinstance(value, int) else "0" * 32 for name, value in there.items()}
    pairs = [pair for pair in zip(routes(app, **there, slug="xwiki"), routes(app, **nowhere, slug="nothing"), strict=False)
             if pair[0].face == "admin"]  # fmt: skip
    paths = {route.endpoint + route.method: route for route in routes(app, **nowhere, slug="nothing")}

    tellable = []
    for role, (known, _) in itertools.product(("viewer", "editor"), pairs):
        client = signed_in_client(app, f"{role} {known}"[:150], role)
        unknown = paths[known.endpoint + known.method]
        answers = [client.open(route.path, method=route.method, buffered=True) for route in (known, unknown)]
        told = [(a.status_code, re.sub(NEW_EACH_TIME, "", a.text)) for a in answers]
        if known.path != unknown.path and told[0] != told[1]:
            tellable.append((role, str(known)))

    assert tellable == []
    assert len([known for known, _ in pairs if known.path != paths[known.endpoint + known.method].path]) >= 12


def test_what_is_not_linked_here_answers_like_what_is_nowhere(tenants: Tenants) -> None:
    token = tenants.tokens["cases"]
    there, nowhere = (
        [
            route
            for route in of_objects(tenants.served.app, OWN, reference=name, entity_id=name)
            if "Cases.Deploy" in route.path or "Cases.Nothin" in route.path
        ]
        for name in (LINKED_THERE, "xwiki:Cases.Nothin.WebHome")
    )
    before = tenants.dump()

    answers = [
        [same(tenants.wire.ask(route.method, route.path, token, body(route))) for route in pair]
        for pair in zip(there, nowhere, strict=True)
    ]
    differing = [str(route) for route, (one, other) in zip(there, answers, strict=True)
                 if one != (other[0], other[1].replace("Nothin", "Deploy"))]  # fmt: skip

    assert len(there) >= 6
    assert [route for route in differing if not route.startswith("GET /embed") and "update" not in route] == []
    assert not [one for one, _ in answers if "Deploy to production" in one[1]]
    assert tenants.dump() == before


# --- rights of a token -----------------------------------------------------------------------------------------------

NEEDED = {
    "GET embed.page": "view", "POST embed.page": "view", "GET embed.listing": "view", "POST embed.listing": "view",
    "GET embed.excerpt": "view", "GET embed.search": "link or create",
    "POST embed.search": "link or create", "POST embed.link": "link", "POST embed.unlink": "unlink", "GET embed.new": "create",
    "POST embed.new_fields": "create", "GET embed.new_existing": "create", "GET embed.new_choices": "create",
    "POST embed.create": "create", "GET embed.edit": "update", "POST embed.edit": "update",
    "POST embed.update": "update", "POST embed.follow": "link", "POST embed.repoint": "link",
    "POST embed.note": "link", "GET embed.about": "view", "POST embed.undo_change": "link", "GET api.collection": "view",
    "POST api.collection": "link", "POST api.create": "create", "GET api.entity": "view",
    "PATCH api.entity": "update", "DELETE api.entity": "unlink", "GET api.older_collection": "view",
    "POST api.older_collection": "link", "POST api.older_create": "create", "GET api.older_entity": "view",
    "PATCH api.older_entity": "update", "DELETE api.older_entity": "unlink", "GET api.object_integrations": "view",
}  # fmt: skip
SUBSETS = [list(some) for count in range(1, len(ALL) + 1) for some in itertools.combinations(ALL, count)]


def test_a_token_does_what_it_names_and_nothing_else(tenants: Tenants) -> None:
    """All 31 sets of rights, at every address of its own object; openproject, since pages are not changed from here."""
    values = {"integration": "openproject", "reference": "101", "entity_id": "101"}
    asked = [route for route in of_objects(tenants.served.app, OWN, **values) if route.face != "objects"]
    wrong = []
    for can, route in itertools.product(SUBSETS, asked):
        has_right = not set(can).isdisjoint(NEEDED[f"{route.method} {route.endpoint}"].split(" or "))
        answer = tenants.wire.ask(
            route.method, route.path, token_of(tenants.secrets["cases"], OWN, can=can), body(route)
        )
        # Whoever acts also looks, so that a right to act without the one to look may not be enough.
        may_be_either = has_right and "view" not in can
        if (answer.status == 403) == has_right and not may_be_either:
            wrong.append((can, str(route), answer.status))

    assert wrong == []
    assert {f"{route.method} {route.endpoint}" for route in asked} == NEEDED.keys()
    assert len(SUBSETS) == 31
