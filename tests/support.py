"""What tests share besides fixtures: the stand-ins as one value, the sources that lead to them, a signed-in browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from applications import Replaceable
from flask import Flask
from flask.testing import FlaskClient

from panel.accounts.people import SignInAttempt
from panel.core.domain import ObjectRef
from panel.logs.audit import Actor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.services import Panel

CONSOLE = Actor("console", "local:root", "console")
ALICE = Actor("alice", "session", "admin", "LP-TEST-01")
CASE = ObjectRef("demo", "case", "1")
CASE_PATH = "/api/objects/demo/case/1/integrations"

CHEAP_HASH = "scrypt:256:1:1"
"""The cost of passwords in tests."""

MakeApp = Callable[..., Flask]


@dataclass
class Upstreams:
    """Both stand-ins on one port, as `make run` has them, with the small seed of the tests."""

    server: RunningServer
    xwiki: XWikiStandIn
    openproject: OpenProjectStandIn
    is_closed: bool = False

    @property
    def xwiki_url(self) -> str:
        return f"{self.server.url}/xwiki"

    @property
    def openproject_url(self) -> str:
        return f"{self.server.url}/openproject"

    def close(self) -> None:
        """Stop listening."""
        self.server.close()
        self.is_closed = True


class UpstreamServer:
    """The server of the stand-ins. All tests of a process share it; each has stand-ins of its own."""

    def __init__(self) -> None:
        self._standins = Replaceable()
        self._upstreams = self._renewed(RunningServer(self._standins))

    def _renewed(self, server: RunningServer) -> Upstreams:
        xwiki, openproject = XWikiStandIn(), OpenProjectStandIn()
        self._standins.serve(mounted(xwiki=xwiki, openproject=openproject))
        return Upstreams(server, xwiki, openproject)

    def begin_test(self) -> Upstreams:
        """New stand-ins; the server listens again if the last test closed it."""
        server = self._upstreams.server
        if self._upstreams.is_closed:
            server = RunningServer(self._standins, port=server.port)
        self._upstreams = self._renewed(server)
        return self._upstreams

    def close(self) -> None:
        if not self._upstreams.is_closed:
            self._upstreams.close()


def xwiki_values(upstreams: Upstreams, **changes: Any) -> dict[str, Any]:
    auth = {"type": "basic", "username": "alice", "password": "secret"}
    return {"slug": "xwiki", "name": "Wiki", "location": upstreams.xwiki_url, "auth": auth, **changes}


def openproject_values(upstreams: Upstreams, **changes: Any) -> dict[str, Any]:
    auth = {"type": "basic", "username": "apikey", "password": "T"}
    return {"slug": "openproject", "name": "Tracker", "location": upstreams.openproject_url, "auth": auth, **changes}


def signed_in_client(app: Flask, name: str, role: str) -> FlaskClient:
    """A browser session of a new person. The session is planted, so that tests do not pay for a password hash."""
    from panel.storage.engine import db
    from panel.storage.models import User

    with app.app_context():
        user = User(name=name, role=role, password_hash="!")
        db.session.add(user)
        proof = app.extensions["leafpanel"].people.begin_session(user, by=CONSOLE)
    client = app.test_client()
    with client.session_transaction() as session:
        session["proof"] = proof
    return client


def actor(name: str) -> Actor:
    """A person at the admin pages."""
    return replace(ALICE, name=name)


def signs_in(services: Panel, name: str, password: str, address: str = "192.0.2.1") -> bool:
    """Whether a person can sign in with this name and password."""
    return services.people.sign_in(name, password, SignInAttempt(address), by=CONSOLE) is not None


def api_token(app: Flask, scope: str, name: str = "script", **limits: Any) -> str:
    """A new API token."""
    from panel.accounts.api_tokens import TokenRequest

    with app.app_context():
        return str(app.extensions["leafpanel"].api_tokens.create_token(TokenRequest(name, scope, **limits), by=CONSOLE))
