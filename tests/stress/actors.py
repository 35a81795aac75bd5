"""Random requests to every route, with valid, wrong and hostile values. The same seed gives the same requests."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from flask import Flask
from werkzeug.routing import Rule

ACTIONS = ("list-integrations", "list", "get", "link", "create", "search", "health")
METHODS = ("GET", "POST", "PATCH", "DELETE")
SKIPPED = ("static",)
LEAVES = ("xwiki", "openproject")
HOSTILE = (
    "", " ", "'", '"', "<script>alert(1)</script>", "../../etc/passwd", "%2e%2e%2f", "a\x00b", "é", "\U0001f600",
    "a" * 3000,
    "{{7*7}}", "${HOME}", "-1", "1e9", "999999999999999999999", "null", "true", "[]", "http://127.0.0.1:1/", "http://[::1",
    "javascript:alert(1)", "http://user:pw@host.test/", "a\r\nX-Evil: 1", "\u202e",
    "1;DROP TABLE source", "%", "%s%n", "\\",
)  # fmt: skip
REFERENCES = ("xwiki:Sandbox.TestPage1", "Sandbox.WebHome", "101", "102", "999", "#101", "Test of secrets", "test")
ACCEPT = {"Accept": "application/json, text/event-stream"}
OWN_HOST = "http://127.0.0.1:8000"
"""The only host that the MCP endpoint accepts."""
MUTED = {"sign-out", "revoke", "sign-in", "password"}
"""Requested rarely: they end sessions and tokens that other requests need, or are slow by design."""


@dataclass(frozen=True)
class ActorRequest:
    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """For the test client: ``json``, ``data``, ``headers``, ``content_type``, ``query_string``."""


class Actors:
    """Generates requests. ``typed`` are secrets that are sent in secret fields and, by mistake, in others."""

    def __init__(self, app: Flask, seed: int, *, typed: Sequence[str], addresses: Sequence[str]) -> None:
        self._random = random.Random(seed)
        self._typed, self._addresses = typed, addresses
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in SKIPPED]
        self._routes = [(rule, method) for rule in rules for method in METHODS if method in (rule.methods or ())]

    def __iter__(self) -> Iterator[ActorRequest]:
        """Every route in turn, without end; the values differ each time."""
        while True:
            for rule, method in self._routes:
                if MUTED & set(rule.rule.split("/")) and self._random.random() < 0.9:
                    continue
                yield self._asked(rule, method)

    def one_of(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _asked(self, rule: Rule, method: str) -> ActorRequest:
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: quote(self._part(match[1]), safe=":"), rule.rule)
        options: dict[str, Any] = {"query_string": self._query()}
        if method in ("GET", "HEAD"):
            return ActorRequest(method, path, options)
        if rule.rule.startswith("/api/mcp"):
            return ActorRequest(method, path, {"json": self._call(), "headers": ACCEPT, "base_url": OWN_HOST})
        if rule.rule.startswith("/api/"):
            return ActorRequest(method, path, {**options, **self._body(rule.rule)})
        return ActorRequest(method, path, {"data": self._form(rule.rule)})

    def _part(self, name: str) -> str:
        usual = {
            "integration": LEAVES, "slug": (*LEAVES, "other", "oauth"), "register": ("demo",), "schema": ("case",),
            "object_id": ("1", "2"), "entity_id": REFERENCES, "reference": REFERENCES, "token_id": ("1", "77"),
            "name": ("xwiki-openconnector-source",),
        }.get(name, ("1",))  # fmt: skip
        hostile = [text for text in HOSTILE if text and "/" not in text and "\x00" not in text]
        return self._random.choice(usual if self._random.random() < 0.9 else hostile)

    def _word(self) -> str:
        return self._random.choice(self._random.choice((HOSTILE, REFERENCES)))

    def _query(self) -> dict[str, str]:
        names = ("search", "q", "_search", "_limit", "_page", "limit", "page", "register", "text", "location", "source",
                 "state", "code", "error", "next", "outcome", "group", "before", "fresh", "projectId")  # fmt: skip
        return {name: self._word() for name in self._random.sample(names, self._random.choice((0, 0, 1, 2)))}

    # --- what is sent ---------------------------------------------------------------------------------------------

    def _body(self, rule: str) -> dict[str, Any]:
        if self._random.random() < 0.1:
            cut = '{"auth": {"type": "basic", "password": "' + self._secret()
            broken = ("{", cut, "[" * 9999, "null", "\xff", "[1]")
            return {"data": self.one_of(*broken), "content_type": "application/json"}
        return {"json": self._source() if "/sources" in rule else self._item()}

    def _item(self) -> dict[str, Any]:
        pool = {
            "reference": self._word(), "pageReference": self._word(), "workPackageId": self.one_of(101, -1, "x"),
            "space": self.one_of("Sandbox", self._word()), "title": self._word(), "content": self._word(),
            "projectId": self.one_of("1", 1, self._word()), "subject": self._word(), "type": self.one_of("1", "Task"),
            "status": self.one_of("New", "In progress", self._word()), "assignee": self._word(),
        }  # fmt: skip
        return {name: pool[name] for name in self._random.sample(sorted(pool), self.one_of(1, 2, 4))}

    def _secret(self) -> str:
        return str(self._random.choice(self._typed))

    def _source(self) -> dict[str, Any]:
        """A source as an API client sends it: valid, incomplete, or with the secret in a wrong field or shape."""
        location = self.one_of(*self._addresses, *HOSTILE)
        values = {
            "slug": self.one_of(*LEAVES, "other", "oauth", "new", self._word()),
            "name": self.one_of("Wiki", self._word()),
            "location": location, "auth": self._auth(),
            "headers": self.one_of({}, {"X-A": "b"}, {self._word(): "x"}, []),
            "rate_limit": self.one_of("", "600/second", self._word()), "timeout_s": self.one_of(None, 1, "x", -1),
            "ca_file": self.one_of("", "", "/etc/shadow"), "options": self.one_of({}, {"wiki": "xwiki"}, "x"),
        }  # fmt: skip
        return {name: values[name] for name in self._random.sample(sorted(values), self.one_of(1, 2, 5, 8))}

    def _auth(self) -> Any:
        secret = self._secret()
        return self.one_of(
            {"type": "basic", "username": "alice", "password": secret},
            {"type": "basic", "username": "a:b", "password": secret},
            {"type": "basic", "password": secret},
            {"type": "basic", "username": "alice", "token": secret},
            {"type": "basic", "username": "alice", "passwrd": secret},
            {"type": "basic", "username": "alice", "password": [secret]},
            {"type": "basic", "username": "alice", "password": {"value": secret}},
            {"type": "basic", "username": "alice", "password": secret * 100},
            {"type": "basic", "username": "alice", "password": f"{secret}\r\n"},
            {"type": "token", "token": secret},
            {"type": "token", "token": secret, "header": "X Y"},
            {"type": "token", "header": "X-Api-Key", "token": f"{secret}\x00"},
            {"type": "oauth2", "grantType": "client_credentials", "clientId": "c", "clientSecret": secret,
             "tokenUrl": self.one_of(*self._addresses, *HOSTILE)},
            {"type": "oauth2", "clientSecret": secret},
            {"type": "none", "password": secret},
            {"basic": {"password": secret}, "token": {"token": secret}},
            {"type": ["basic"], "password": secret},
            [secret],
            {"type": "none"},
        )  # fmt: skip

    def _form(self, rule: str) -> dict[str, Any]:
        names = ("reference", "title", "subject", "space", "projectId", "q", "value", "page")
        words = {name: self._word() for name in names}
        if "sign-in" in rule:
            return {"name": self.one_of("pat", "admin", self._word()), "password": self.one_of(self._secret(), "x")}
        if "password" in rule:
            return {name: self._secret() for name in ("current", "password", "again", "repeat")}
        if "import-source" in rule:
            return {"text": self._file()}
        if "source" in rule:
            return self._source_form()
        if "tokens" in rule:
            return {"name": self._word(), "scope": self.one_of("read", "write", "admin", "x")}
        return {**words, "value": self.one_of("on", "off", "on")}

    def _source_form(self) -> dict[str, Any]:
        auth = self.one_of("basic", "token", "oauth2", "none", "api-key", "password")
        secrets = {f"auth.{kind}.secret": self._secret() for kind in ("basic", "token", "oauth2", "api-key", auth)}
        return {
            "do": self.one_of("save", "test", "save-and-test", "x"),
            "slug": self.one_of(*LEAVES, "other", self._word()),
            "name": self.one_of("Wiki", self._word()), "location": self.one_of(*self._addresses, *HOSTILE),
            "auth": auth,
            f"auth.{auth}.username": self.one_of("alice", "a:b", ""),
            "headers": self.one_of("", "X-A: b", self._word()),
            "rate_limit": self.one_of("", self._word()), "enabled": "on",
            "revision": self.one_of("1", "", "x"), **secrets,
        }  # fmt: skip

    def _file(self) -> str:
        secret, location = self._secret(), self.one_of(*self._addresses)
        quoted = json.dumps(secret)
        return str(self.one_of(
            f"source:\n  reference: other\n  type: api\n  location: {location}\n  auth:\n    type: basic\n"
            f"    username: alice\n    password: {quoted}\n",
            f"source:\n  reference: other\n  location: {location}\n  auth:\n    type: basic\n    password: {quoted}\n",
            f"source:\n  reference: other\n  auth:\n    type: token\n    token: {quoted}\n  nonsense: true\n",
            f"source:\n  auth:\n    password: {quoted}\n   broken: [",
            f"source: {{auth: {{password: {quoted}}}",
            f"auth:\n  clientSecret: |\n    {secret}\n",
            f"apiVersion: openconnector/v1\nkind: Source\nspec:\n  baseUrl: {location}\n  auth: {{token: {quoted}}}\n",
            "a: &a [x]\nb: [*a, *a]", "\x00", "- 1",
        ))  # fmt: skip

    def _call(self) -> dict[str, Any]:
        """A tool call as an agent sends it."""
        arguments = {
            "action": self.one_of(*ACTIONS, self._word()),
            "integrationId": self._part("integration"), "register": "demo", "schema": "case", "objectId": "1",
            "entityId": self._word(), "payload": self.one_of(self._item(), self._word(), None),
            "filters": self.one_of({}, {"search": self._word()}, [1]),
        }  # fmt: skip
        tool = self.one_of("openregister.integrations", "openregister.integrations", self._word())
        method = self.one_of("tools/call", "tools/call", "tools/list", "x")
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": tool, "arguments": arguments}}
