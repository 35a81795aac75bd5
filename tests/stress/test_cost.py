"""What one request costs: long, deep and odd bodies on every route. ``make torture`` does this for longer."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from embedders import embedding_app, token_of
from flask import Flask
from support import api_token, signed_in_client
from web.routes import OWN, READING, Route, ids, routes

TORTURE_S = float(os.environ.get("PANEL_TEST_TORTURE_S", "0"))
"""How long requests are repeated with other texts, after each route had each body once."""
MOST_CPU_S = 0.25
BODY = 1024 * 1024 - 4096
"""Just below the limit of a body."""
FORM = 480_000
QUERY = 6000
OWN_HOST = "http://127.0.0.1:8000"
MCP_ACCEPT = {"Accept": "application/json, text/event-stream"}

LEFT_OUT = ("import", "static")
"""Words in endpoints: what a source file may cost has limits and tests of its own."""
ENDING = (
    "source",
    "DELETE",
    "delete",
    "remove",
    "revoke",
    "sign_out",
    "sign-out",
    "switch",
    "connector",
    "password",
    "people",
)
"""Words in routes that change or end what other requests need. They come last."""

FIELDS = (
    "reference", "q", "search", "_search", "_limit", "_page", "page", "limit", "title", "space", "content", "projectId",
    "subject", "description", "status", "assignee", "type", "lockVersion", "before-subject", "labels", "linked", "sort",
    "text", "key", "name", "slug", "location", "headers", "options.wiki", "auth", "auth.basic.username", "origins",
    "revision", "rate_limit", "timeout_s", "ca_file", "scope", "days", "registers", "register", "schema", "objectId",
    "next", "token", "state", "code", "user", "password", "new", "show", "since", "before", "who", "what", "theme",
)  # fmt: skip

UNITS = (
    "a", "a.", ".", "\\", " ", "0", "9", "A_", "/", "%", "[", "{", "{{", "(", "<", "&", "\n", "a: b\n", ",", "$!{",
    "https://", "@", ":", "\u0300", "\u200d", "\U0001f600\u200d", "\u202e", "ﷺ", "İ", "⟦U+00AD", "é", "a b ",
)  # fmt: skip

Body = Callable[[random.Random, int], str]


def _text(rng: random.Random, length: int) -> str:
    unit = rng.choice(UNITS)
    start = rng.choice(("", "https://wiki.example/", "xwiki:", "#", "A."))
    return (start + unit * (length // len(unit.encode())))[:length]


def _one_long(rng: random.Random, length: int) -> str:
    return json.dumps({rng.choice(FIELDS): _text(rng, length - 100)}, ensure_ascii=False)


def _reference(rng: random.Random, length: int) -> str:
    return json.dumps({"reference": _text(rng, length - 100)}, ensure_ascii=False)


def _letters(rng: random.Random, length: int) -> str:
    """Complete payloads of a link and of a create, with one long name of a page and of a space."""
    name = "a" * (length // 2 - 100)
    return json.dumps({"reference": name, "space": name, "title": "T"})


def _all_long(rng: random.Random, length: int) -> str:
    share = length // len(FIELDS) - 50
    return json.dumps({name: _text(rng, share) for name in FIELDS}, ensure_ascii=False)


def _deep(rng: random.Random, length: int) -> str:
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
    levels = length // (len(opened) + 1) - 10
    return '{"reference":' + opened * levels + "1" + closed * levels + "}"


def _many(rng: random.Random, length: int) -> str:
    return json.dumps({f"{rng.choice('ab')}{number}": number for number in range(length // 20)})


def _number(rng: random.Random, length: int) -> str:
    digits = rng.choice((4000, length - 100))
    name = rng.choice(("reference", "lockVersion", "projectId", "limit"))
    return f'{{"{name}":{"9" * digits}}}'


def _list(rng: random.Random, length: int) -> str:
    return json.dumps({name: ["x"] * (length // (6 * 8)) for name in rng.sample(FIELDS, 8)})


def _junk(rng: random.Random, length: int) -> str:
    return _text(rng, length)


SHAPES: tuple[Body, ...] = (_one_long, _reference, _letters, _all_long, _deep, _many, _number, _list, _junk)


def _form(rng: random.Random, shape: Body) -> str:
    """The same kinds of body as a form."""
    if shape is _letters:
        return urlencode({"reference": "a" * (FORM // 2), "space": "a" * (FORM // 2), "title": "T"})
    if shape is _many:
        return "&".join(f"k{number}=1" for number in range(FORM // 10))
    if shape is _list:
        return "&".join(["reference=101"] * (FORM // 14))
    if shape is _all_long:
        return urlencode({name: _text(rng, FORM // len(FIELDS) // 10) for name in FIELDS})
    if shape is _deep:
        return urlencode({"labels": _deep(rng, FORM // 4)})
    if shape is _number:
        return urlencode(dict.fromkeys(FIELDS, "9" * 5000))
    return urlencode({"reference" if shape is _reference else rng.choice(FIELDS): _text(rng, FORM // 10)})


def _query(rng: random.Random) -> str:
    names = rng.sample(FIELDS, 3)
    return urlencode({name: _text(rng, QUERY // 30) for name in names})[:QUERY]


@dataclass(frozen=True)
class Cost:
    cpu_s: float
    status: int
    route: str
    shape: str
    start: str


class Panel:
    """Sends generated requests to one application, as an administrator."""

    def __init__(self, app: Flask, seed: int) -> None:
        self._app, self._rng = app, random.Random(seed)
        self._api_token = api_token(app, "admin")
        self._browser = signed_in_client(app, "alice", "admin")
        self._host = embedding_app(self._browser)
        app.config["WTF_CSRF_ENABLED"] = False
        found = [route for route in routes(app, **ids(app)) if not any(word in route.endpoint for word in LEFT_OUT)]
        self.routes = sorted(found, key=lambda route: any(word in f"{route.endpoint} {route}" for word in ENDING))

    def requests(self) -> Iterator[tuple[Route, Body]]:
        for route in self.routes:
            for shape in SHAPES if route.method not in READING else SHAPES[:2]:
                yield route, shape

    def cost(self, route: Route, shape: Body) -> Cost:
        options = self._options(route, shape)
        client = self._app.test_client() if route.face in ("api", "mcp", "embed") else self._browser
        # The agent's SDK works in a thread of its own.
        clock = time.process_time if route.face == "mcp" else time.thread_time
        started = clock()
        answer = client.open(route.path, method=route.method, **options)
        return Cost(clock() - started, answer.status_code, str(route), shape.__name__, str(options.get("data"))[:60])

    def _headers(self, route: Route) -> dict[str, str]:
        """The credential of the face; a token of the tab is signed for each request, because it lasts minutes."""
        if route.face == "embed":
            return {"Authorization": f"Bearer {token_of(self._host, OWN)}"}
        return {"Authorization": f"Bearer {self._api_token}"} if route.face in ("api", "mcp") else {}

    def _options(self, route: Route, shape: Body) -> dict[str, Any]:
        headers = self._headers(route)
        if route.method in READING:
            return {"query_string": _query(self._rng), "headers": headers}
        if route.face == "mcp":
            data = _tool_call(self._rng, shape)
            return {
                "data": data, "headers": {**headers, **MCP_ACCEPT}, "base_url": OWN_HOST,
                "content_type": "application/json",
            }  # fmt: skip
        if route.face == "api":
            data = shape(self._rng, BODY).encode("utf-8", "replace")[:BODY]
            return {"data": data, "headers": headers, "content_type": "application/json"}
        return {
            "data": _form(self._rng, shape), "headers": headers, "content_type": "application/x-www-form-urlencoded",
        }  # fmt: skip


def _tool_call(rng: random.Random, shape: Body) -> bytes:
    payload = shape(rng, BODY - 1000)
    if shape is _junk:
        return payload.encode("utf-8", "replace")[:BODY]
    action = rng.choice(("list", "get", "link", "create", "search", "update"))
    arguments = (
        f'{{"action":"{action}","integrationId":"xwiki","register":"demo","schema":"case","objectId":"1",'
        f'"entityId":"101","dryRun":{rng.choice(("true", "false"))},"payload":{payload}}}'
    )
    call = f'{{"name":"openregister.integrations","arguments":{arguments}}}'
    return f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{call}}}'.encode("utf-8", "replace")[:BODY]


@pytest.mark.alone
def test_no_request_costs_more_than_a_quarter_of_a_processor_second(
    connected: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(10**9) if TORTURE_S else 1
    panel, costs, end = Panel(connected, seed), [], time.monotonic() + TORTURE_S
    # The first request of a face loads modules and templates.
    for route in panel.routes:
        if route.method in READING or route.face == "mcp":
            panel.cost(route, _junk)

    while not costs or time.monotonic() < end:
        costs += [panel.cost(route, shape) for route, shape in panel.requests()]

    dearest = sorted(costs, key=lambda cost: -cost.cpu_s)[:5]
    with capsys.disabled():
        print(f"\n  seed {seed}: {len(costs)} requests, answered {dict(Counter(cost.status for cost in costs))}")
        for cost in dearest:
            print(f"  {cost.cpu_s * 1000:4.0f} ms  {cost.status} {cost.route} {cost.shape}")
    assert [cost for cost in costs if cost.status == 500] == []
    assert not [cost for cost in costs if cost.status == 401 and "/embed/" in cost.route]
    assert [cost for cost in dearest if cost.cpu_s > MOST_CPU_S] == []
