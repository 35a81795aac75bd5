"""What tests share besides fixtures: the stand-ins as one value, the sources that lead to them, a signed-in browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from panel.accounts.people import SignInAttempt
from panel.core.domain import ObjectRef
from panel.logs.audit import Actor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer
from panel.sandbox.xwiki import XWikiStandIn
from panel.services import Panel

CONSOLE = Actor("console", "local:root", "console")
ALICE = Actor("alice", "session", "admin", "LP-TEST-01")
CASE = ObjectRef("demo", "case", "1")
CASE_PATH = "/api/objects/demo/case/1/integrations"

MakeApp = Callable[..., Flask]


@dataclass
class Upstreams:
    """Both stand-ins on one port, as `make run` has them, with the small seed of the tests."""

    server: RunningServer
    xwiki: XWikiStandIn
    openproject: OpenProjectStandIn

    @property
    def xwiki_url(self) -> str:
        return f"{self.server.url}/xwiki"

    @property
    def openproject_url(self) -> str:
        return f"{self.server.url}/openproject"


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
    """Somebody at the admin pages."""
    return replace(ALICE, name=name)


def signs_in(services: Panel, name: str, password: str, address: str = "192.0.2.1") -> bool:
    """Whether this name and password let somebody in."""
    return services.people.sign_in(name, password, SignInAttempt(address), by=CONSOLE) is not None


def api_token(app: Flask, scope: str, name: str = "script", **limits: Any) -> str:
    """A new API token."""
    from panel.accounts.api_tokens import TokenRequest

    with app.app_context():
        return str(app.extensions["leafpanel"].api_tokens.create_token(TokenRequest(name, scope, **limits), by=CONSOLE))
