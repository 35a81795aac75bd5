"""A secret that was saved never comes out again: ten thousand requests, and a search through all that they left."""

from __future__ import annotations

import base64
import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from canary import canary, found_in, seen_in_each_dress
from crowd import Asked, Crowd
from flask import Flask
from flask.testing import FlaskClient
from support import CASE, MakeApp, Upstreams, openproject_values, signed_in_client, xwiki_values

from panel.errors import PanelError
from panel.faces.context import Panel
from panel.links import Visitor

REQUESTS = 10_000
SEED = 20261124
MEND_EVERY, FAULT_EVERY = 60, 25
FAULTS = (
    None, None, None, None, None, None, "login-page", "unauthorized", "forbidden", "server-error", "redirect", "broken-json", "rate-limited",
    "hang",
)  # fmt: skip
PLACEHOLDER = b"(shown once)"
TALKATIVE = ("sqlalchemy.engine",)
"""Libraries that say much only when they are asked to: here every statement with its parameters, and every row."""


Visit = tuple[FlaskClient, dict[str, str]]


@dataclass
class Left:
    """Everything that was said, by where it was said."""

    responses: list[bytes] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    faces: Counter[str] = field(default_factory=Counter)

    def note(self, asked: Asked, status: int, headers: str, body: bytes) -> None:
        self.statuses[status] += 1
        self.faces[asked.path.split("/")[1]] += 1
        self.responses.append(f"\n{asked.method} {status} ".encode() + headers.encode() + b"\n" + body)


class Aviary:
    """A panel full of canaries, with both upstreams answering to them."""

    def __init__(self, make_app: MakeApp, upstreams: Upstreams) -> None:
        names = ("password", "typed", "person", "signing key", "gateway token")
        self.canaries = {name: canary(name, odd=True) for name in names}
        self.canaries |= {name: canary(name) for name in ("API key", "token", "client secret", "typed token")}
        self.canaries["encryption key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self.upstreams = upstreams
        self._teach(upstreams)
        self.app: Flask = make_app(
            PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port, PANEL_DEADLINE_S="0.3",
            PANEL_SECRET_KEY=self.canaries["signing key"], PANEL_ENCRYPTION_KEYS=self.canaries["encryption key"],
        )  # fmt: skip
        # The token of a form would only keep the crowd out.
        self.app.config["WTF_CSRF_ENABLED"] = False
        self.panel: Panel = self.app.extensions["leafpanel"]

    def _teach(self, upstreams: Upstreams) -> None:
        """Make the canaries the credentials that the upstreams know."""
        upstreams.xwiki.add_user("canary", self.canaries["password"], name="Canary", edits=["Sandbox"])
        world = upstreams.openproject.world
        uma = world.principals[5]
        world.principals[5] = replace(uma, tokens=(*uma.tokens, self.canaries["API key"]))
        upstreams.openproject.oauth.add_app("canary", self.canaries["client secret"], credentials_user=5)

    def sources(self, turn: int) -> list[dict[str, Any]]:
        """Every way of signing in; the tracker's changes from time to time."""
        root = self.upstreams.openproject_url
        key = {"type": "basic", "username": "apikey", "password": self.canaries["API key"]}
        oauth = {
            "type": "oauth2", "grantType": "client_credentials", "tokenUrl": f"{root}/oauth/token", "clientId": "canary",
            "clientSecret": self.canaries["client secret"],
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

    def mend(self, turn: int, visitor: Visitor) -> None:
        """Put everything right again that the crowd broke."""
        self.upstreams.xwiki.fault = self.upstreams.openproject.fault = None
        self.panel.switches.turn_connector(on=True)
        for values in self.sources(turn):
            known = self.panel.sources.find(values["slug"]) is not None
            work = self.panel.sources.change if known else lambda slug, values, by: self.panel.sources.create(values, by=by)
            work(values["slug"], {"enabled": True, "timeout_s": None, "headers": {}, **values}, by="alice")
        for integration, reference in (("xwiki", "Sandbox.TestPage1"), ("openproject", "101")):
            try:
                self.panel.links.link(visitor, integration, CASE, reference)
            except PanelError:
                pass  # It is linked already.

    def visitors(self) -> dict[str, list[Visit]]:
        """Everybody there is, with what lets him in, by the face for which it is meant."""
        with self.app.app_context():
            access = self.panel.access
            self.canaries["one-time password"] = access.first_admin_password() or ""
            access.create_user("pat", self.canaries["person"], role="admin")
            tokens = {scope: access.create_token(f"{scope} token", scope) for scope in ("read", "write", "admin")}
            made = self.panel.embed_apps.create("Cases", ["https://cases.example"])
            app = self.panel.embed_apps.named("Cases")
            rights = ["view", "link", "create", "update", "unlink"]
            pass_ = self.panel.embed_apps.sign(app, CASE, subject="clara", can=rights, seconds=800)
        self.canaries |= {f"{scope} token": token for scope, token in tokens.items()}
        self.canaries["embedding secret"] = made.value
        people = [signed_in_client(self.app, f"the {role}", role) for role in ("viewer", "editor", "admin")]
        self._sessions = [(client, _session_of(client)) for client in people]
        nobody = (self.app.test_client(), {})

        def bearing(token: str) -> Visit:
            return self.app.test_client(), {"Authorization": f"Bearer {token}"}

        mixed = [*map(bearing, (*tokens.values(), pass_, "lpt_nobody")), *((client, {}) for client in people), nobody]
        return {
            "admin": [(people[2], {})] * 6 + mixed,
            "objects": [(people[1], {})] * 6 + mixed,
            "embed": [bearing(pass_)] * 8 + mixed,
            "api": [bearing(tokens["admin"])] * 8 + [bearing(tokens["write"])] * 4 + mixed,
        }

    def sign_in_again(self) -> None:
        """The crowd signs people out, and sometimes in as somebody else."""
        for client, known in self._sessions:
            with client.session_transaction() as session:
                session.clear()
                session.update(known)


def _session_of(client: FlaskClient) -> dict[str, Any]:
    with client.session_transaction() as session:
        return dict(session)


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """Everything that anybody logs, at DEBUG."""
    root, path = logging.getLogger(), tmp_path / "debug.log"
    handler = logging.FileHandler(path, encoding="utf-8")
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield path
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    handler.close()


def shown_once(aviary: Aviary, body: bytes) -> bytes:
    """An answer that made an API token, without it; from now on it is a canary like the others."""
    for token in set(re.findall(rb"lpt_[\w-]{40,}", body)):
        aviary.canaries[f"token {len(aviary.canaries)}"] = token.decode()
        body = body.replace(token, PLACEHOLDER)
    return body


def flown(aviary: Aviary, visitor: Visitor) -> Left:
    """Let the crowd in, and return everything that it was told."""
    upstreams, left = aviary.upstreams, Left()
    everybody = aviary.visitors()
    secret = aviary.canaries
    typed = [secret[name] for name in ("typed", "typed token", "person", "password", "token", "API key")]
    addresses = [upstreams.xwiki_url, upstreams.openproject_url, f"{upstreams.server.url}/nothing", "http://10.0.0.1/"]
    crowd = Crowd(aviary.app, SEED, typed=typed, addresses=addresses)
    for number, asked in zip(range(REQUESTS), crowd, strict=False):
        if number % MEND_EVERY == 0:
            with aviary.app.test_request_context():
                aviary.mend(number // MEND_EVERY, visitor)
            aviary.sign_in_again()
        if number % FAULT_EVERY == 0:
            upstreams.xwiki.fault, upstreams.openproject.fault = crowd.one_of(*FAULTS), crowd.one_of(*FAULTS)
        client, headers = crowd.one_of(*everybody[asked.path.split("/")[1]])
        given = {**asked.options, "headers": {**headers, **asked.options.get("headers", {})}}
        answer = client.open(asked.path, method=asked.method, **given)
        body = answer.get_data()
        if answer.status_code == 201 and asked.path == "/admin/tokens":
            body = shown_once(aviary, body)
        left.note(asked, answer.status_code, str(answer.headers), body)
        answer.close()
    return left


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def by_command(app: Flask) -> bytes:
    """What the commands print that show sources."""
    commands = (["sources", "list"], ["sources", "export", "xwiki"], ["sources", "test", "openproject"], ["doctor"])
    return "".join(app.test_cli_runner().invoke(args=args).output for args in commands).encode()


def test_the_search_sees_a_secret_in_every_dress() -> None:
    for secret in (canary("x", odd=True), canary("y")):
        for text in seen_in_each_dress(secret):
            assert found_in({"here": text}, {"it": secret}), text


def test_no_secret_comes_out_in_ten_thousand_requests(
    make_app: MakeApp, upstreams: Upstreams, visitor: Visitor, log_file: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    started = time.monotonic()
    aviary = Aviary(make_app, upstreams)

    left = flown(aviary, visitor)
    aviary.canaries |= {f"access {n}": token.access for n, token in enumerate(upstreams.openproject.oauth.tokens[:20])}
    printed = "".join(capfd.readouterr())
    texts = {
        **on_disk(tmp_path / "instance"), "answers": b"".join(left.responses), "debug log": log_file.read_bytes(),
        "commands": by_command(aviary.app), "output": printed.encode(),
    }  # fmt: skip
    hits = found_in(texts, aviary.canaries)

    with capfd.disabled():
        size = sum(map(len, texts.values())) / 2**20
        print(
            f"\n  {sum(left.statuses.values())} requests in {time.monotonic() - started:.0f} s, statuses "
            f"{dict(sorted(left.statuses.items()))}, {len(aviary.canaries)} secrets looked for in {size:.0f} MiB "
            f"({', '.join(sorted(texts))}): {len(hits)} found"
        )
    assert hits == []
    assert sum(left.statuses.values()) >= REQUESTS
    assert left.statuses[500] == 0
    assert min(left.statuses[status] for status in (200, 201, 303, 400, 401, 403, 404, 422, 503)) > 0
    assert {request.status for request in upstreams.xwiki.requests} >= {200}
    assert any(request.status == 200 for request in upstreams.openproject.requests)
