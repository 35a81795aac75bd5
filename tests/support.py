"""What tests share besides fixtures: the stand-ins as one value, the sources that lead to them, a signed-in browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from panel.domain import ObjectRef
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer
from panel.sandbox.xwiki import XWikiStandIn

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
    from panel.db import db
    from panel.models import User

    with app.app_context():
        user = User(name=name, role=role, password_hash="!")
        db.session.add(user)
        db.session.commit()
        user_id, epoch = user.id, user.epoch
    client = app.test_client()
    with client.session_transaction() as session:
        session["uid"], session["epoch"] = user_id, epoch
    return client


