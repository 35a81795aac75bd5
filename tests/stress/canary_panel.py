"""A panel whose secrets are canaries, random requests to it, and a search for the canaries in all output."""

from __future__ import annotations

import base64
import logging
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from actors import ActorRequest, Actors
from canary import canary, found_in
from flask import Flask
from flask.testing import FlaskClient
from servers import RedisServer
from support import CASE, CONSOLE, Upstreams, openproject_values, signed_in_client, xwiki_values

from panel import create_app
from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import Action, Principal
from panel.config import load
from panel.connector import Caller
from panel.core.errors import PanelError
from panel.links.visitor import Visitor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.services import Panel
from panel.storage.migrations import alembic

ALICE = Visitor(Principal("alice", "local", frozenset(Action)), Caller("test", "alice"))
MEND_EVERY, FAULT_EVERY = 60, 25
FAULTS = (
    *[None] * 20, "login-page", "unauthorized", "forbidden", "server-error", "redirect", "broken-json", "rate-limited",
    "hang",
)  # fmt: skip
PLACEHOLDER = b"(shown once)"
TALKATIVE = ("sqlalchemy.engine",)
"""Libraries with a logger of their own level: here every statement with its parameters, and every row."""


Client = tuple[FlaskClient, dict[str, str]]


@dataclass
class Answers:
    """All responses, their statuses, and internal errors."""

    responses: list[bytes] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bugs: list[str] = field(default_factory=list)

    def note(self, asked: ActorRequest, status: int, headers: str, body: bytes) -> None:
        self.statuses[status] += 1
        if status == 500:
            self.bugs.append(f"{asked}: {body[-300:]!r}")
        self.responses.append(f"\n{asked.method} {status} ".encode() + headers.encode() + b"\n" + body)


class CanaryPanel:
    """A panel whose secrets are canaries, which both upstreams accept. ``redis_url``: the Redis of its brief cache."""

    def __init__(self, folder: Path, redis_url: str = "") -> None:
        names = ("password", "typed", "person", "signing key", "gateway token")
        self.canaries = {name: canary(name, odd=True) for name in names}
        self.canaries |= {name: canary(name) for name in ("API key", "token", "client secret", "typed token")}
        self.canaries["encryption key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        xwiki, openproject = XWikiStandIn(), OpenProjectStandIn()
        server = RunningServer(mounted(xwiki=xwiki, openproject=openproject))
        self.upstreams = Upstreams(server, xwiki, openproject)
        self._accept_canaries(self.upstreams)
        settings = {
            "PANEL_INSTANCE_DIR": str(folder), "PANEL_DEADLINE_S": "0.3",
            "PANEL_ALLOWED_PRIVATE_HOSTS": server.host_port,
            "PANEL_SECRET_KEY": self.canaries["signing key"], "PANEL_ENCRYPTION_KEYS": self.canaries["encryption key"],
            **({"PANEL_REDIS_URL": redis_url} if redis_url else {}),
        }  # fmt: skip
        self.app: Flask = create_app(load(settings))
        self.app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
        with self.app.app_context():
            alembic.upgrade()
        # Without a form token, every form would be refused.
        self.app.config["WTF_CSRF_ENABLED"] = False
        self.panel: Panel = self.app.extensions["leafpanel"]

    def _accept_canaries(self, upstreams: Upstreams) -> None:
        """Make the canaries credentials of the upstreams."""
        upstreams.xwiki.add_user("canary", self.canaries["password"], name="Canary", edits=["Sandbox"])
        world = upstreams.openproject.world
        uma = world.principals[5]
        world.principals[5] = replace(uma, tokens=(*uma.tokens, self.canaries["API key"]))
        upstreams.openproject.oauth.add_app("canary", self.canaries["client secret"], credentials_user=5)

    def sources(self, turn: int) -> list[dict[str, Any]]:
        """Sources with each kind of authentication; the one of OpenProject depends on ``turn``."""
        root = self.upstreams.openproject_url
        key = {"type": "basic", "username": "apikey", "password": self.canaries["API key"]}
        oauth = {
            "type": "oauth2", "grantType": "client_credentials", "tokenUrl": f"{root}/oauth/token",
            "clientId": "canary", "clientSecret": self.canaries["client secret"],
        }  # fmt: skip
        basic = {"type": "basic", "username": "canary", "password": self.canaries["password"]}
        token = {"type": "token", "header": "X-Api-Key", "token": self.canaries["token"]}
        other = {"slug": "other", "name": "Other", "location": self.upstreams.xwiki_url, "auth": token}
        grant = {**other, "slug": "oauth", "auth": oauth}
        return [
            xwiki_values(self.upstreams, auth=basic),
            openproject_values(self.upstreams, auth=(key, oauth)[turn % 2]),
            other,
            grant,
        ]

    def mend(self, turn: int) -> None:
        """Restore sources, links and the connector, which the requests change."""
        self.upstreams.xwiki.fault = self.upstreams.openproject.fault = None
        self.panel.switches.set_connector(on=True, by=CONSOLE)
        for values in self.sources(turn):
            known = self.panel.sources.find(values["slug"]) is not None
            values = {"enabled": True, "timeout_s": None, "headers": {}, **values}
            if known:
                self.panel.sources.change(values["slug"], values, by=CONSOLE)
            else:
                self.panel.sources.create(values, by=CONSOLE)
        for integration, reference in (("xwiki", "Sandbox.TestPage1"), ("openproject", "101")):
            with suppress(PanelError):
                self.panel.links.link(ALICE, integration, CASE, reference)

    def clients(self) -> dict[str, list[Client]]:
        """All clients with their headers, by the first segment of the paths that they request; all of them for others."""
        with self.app.app_context():
            access, people = self.panel.api_tokens, self.panel.people
            self.canaries["one-time password"] = people.first_admin_password(by=CONSOLE) or ""
            people.create("pat", self.canaries["person"], role="admin", by=CONSOLE)
            scopes = ("read", "write", "admin")
            tokens = {scope: access.create_token(TokenRequest(f"{scope} token", scope), by=CONSOLE) for scope in scopes}
            made = self.panel.embed_apps.create("Cases", ["https://cases.example"], by=CONSOLE)
            app = self.panel.embed_apps.named("Cases")
            rights = ["view", "link", "create", "update", "unlink"]
            pass_ = self.panel.embed_apps.sign(app, CASE, subject="clara", can=rights, seconds=800)
        self.canaries |= {f"{scope} token": token for scope, token in tokens.items()}
        self.canaries["embedding secret"] = made.value
        people = [signed_in_client(self.app, f"the {role}", role) for role in ("viewer", "editor", "admin")]
        self._sessions = [(client, _session_of(client)) for client in people]
        nobody = (self.app.test_client(), {})

        def bearing(token: str) -> Client:
            return self.app.test_client(), {"Authorization": f"Bearer {token}"}

        mixed = [*map(bearing, (*tokens.values(), pass_, "lpt_nobody")), *((client, {}) for client in people), nobody]
        own = {
            "admin": [(people[2], {})] * 6 + mixed,
            "objects": [(people[1], {})] * 6 + mixed,
            "embed": [bearing(pass_)] * 8 + mixed,
            "api": [bearing(tokens["admin"])] * 8 + [bearing(tokens["write"])] * 4 + mixed,
        }
        return defaultdict(lambda: mixed, own)

    def sign_in_again(self) -> None:
        """Restore the browser sessions, which the requests end or replace."""
        for client, known in self._sessions:
            with client.session_transaction() as session:
                session.clear()
                session.update(known)


def _session_of(client: FlaskClient) -> dict[str, Any]:
    with client.session_transaction() as session:
        return dict(session)


def shown_once(canary_panel: CanaryPanel, body: bytes) -> bytes:
    """The body without the API token that it shows. The token becomes a canary."""
    for token in set(re.findall(rb"lpt_[\w-]{40,}", body)):
        canary_panel.canaries[f"token {len(canary_panel.canaries)}"] = token.decode()
        body = body.replace(token, PLACEHOLDER)
    return body


def answers_to(canary_panel: CanaryPanel, seed: int, requests: int) -> Answers:
    """Send random requests and return all responses."""
    upstreams, answers = canary_panel.upstreams, Answers()
    clients = canary_panel.clients()
    secret = canary_panel.canaries
    typed = [secret[name] for name in ("typed", "typed token", "person", "password", "token", "API key")]
    addresses = [upstreams.xwiki_url, upstreams.openproject_url, f"{upstreams.server.url}/nothing", "http://10.0.0.1/"]
    actors = Actors(canary_panel.app, seed, typed=typed, addresses=addresses)
    for number, asked in zip(range(requests), actors, strict=False):
        if number % MEND_EVERY == 0:
            with canary_panel.app.test_request_context():
                canary_panel.mend(number // MEND_EVERY)
            canary_panel.sign_in_again()
        if number % FAULT_EVERY == 0:
            upstreams.xwiki.fault, upstreams.openproject.fault = actors.one_of(*FAULTS), actors.one_of(*FAULTS)
        client, headers = actors.one_of(*clients[asked.path.split("/")[1]])
        given = {**asked.options, "headers": {**headers, **asked.options.get("headers", {})}}
        answer = client.open(asked.path, method=asked.method, **given)
        body = answer.get_data()
        if answer.status_code == 201 and asked.path == "/admin/tokens":
            body = shown_once(canary_panel, body)
        answers.note(asked, answer.status_code, str(answer.headers), body)
        answer.close()
    return answers


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def by_command(app: Flask) -> bytes:
    """The output of the commands that show sources."""
    commands = (["sources", "list"], ["sources", "export", "xwiki"], ["sources", "test", "openproject"], ["doctor"])
    return "".join(app.test_cli_runner().invoke(args=args).output for args in commands).encode()


def log_to(path: Path) -> None:
    """Log everything to a file, at DEBUG."""
    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).handlers.clear()
    logging.getLogger().handlers[:] = [logging.FileHandler(path, encoding="utf-8")]
    for name in ("", *TALKATIVE):
        logging.getLogger(name).setLevel(logging.DEBUG)


@contextmanager
def persistent_redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis that writes its content and a log of all changing commands to ``folder``."""
    folder.mkdir()
    server = RedisServer(folder)
    try:
        with server.client() as client:
            client.config_set("rdbcompression", "no")
            client.config_set("appendonly", "yes")
            yield server
            client.save()
    finally:
        server.stop()


def stored_answers(redis: RedisServer) -> int:
    """How many answers of upstreams the panel stored in Redis: the values that it set, but for leases."""
    with redis.client() as client:
        calls = client.info("commandstats")
    return int(calls["cmdstat_set"]["calls"]) - int(calls["cmdstat_eval"]["calls"])


def run_canary_panel(pipe: Connection, folder: Path, seed: int, requests: int, with_redis: bool) -> None:
    """Run everything in a process of its own, and send a report of the canaries that were found."""
    log_to(folder / "debug.log")
    with ExitStack() as stack:
        output = stack.enter_context((folder / "output").open("w"))
        stack.enter_context(redirect_stdout(output))
        stack.enter_context(redirect_stderr(output))
        redis = stack.enter_context(persistent_redis(folder / "redis")) if with_redis else None
        canary_panel = CanaryPanel(folder / "instance", redis.url if redis is not None else "")
        answers = answers_to(canary_panel, seed, requests)
        commands = by_command(canary_panel.app)
        stored = stored_answers(redis) if redis is not None else None
    issued = canary_panel.upstreams.openproject.oauth.tokens
    canary_panel.canaries |= {f"access token {number}": token.access for number, token in enumerate(issued[:20])}
    texts = {**on_disk(folder), "answers": b"".join(answers.responses), "commands": commands}
    answered = (*canary_panel.upstreams.xwiki.requests, *canary_panel.upstreams.openproject.requests)
    pipe.send({
        "hits": found_in(texts, canary_panel.canaries), "canaries": len(canary_panel.canaries), "bugs": answers.bugs[:5],
        "statuses": answers.statuses, "sizes": {name: len(text) for name, text in texts.items()},
        "upstream": Counter(each.status for each in answered), "stored": stored,
    })  # fmt: skip
