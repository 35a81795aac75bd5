"""Fixtures that every test may use: an application of its own, and real stand-ins over real HTTP."""

from __future__ import annotations

import gc
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from servers import quick_folder
from support import ALICE, MakeApp, Upstreams, api_token, openproject_values, signed_in_client, xwiki_values
from werkzeug.routing import Rule

from panel import create_app
from panel.accounts.principal import Action, Principal
from panel.config import load
from panel.connector import Caller
from panel.integrations.registry import Registry, load_registry
from panel.links.service import Visitor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.services import Panel
from panel.storage.engine import alembic, db

REGISTRY = load_registry()
"""Leaves hold no state, so that all applications of the tests may have the same."""

# Where pytest makes the folders of the tests.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", quick_folder())


def _compile_routes_once() -> None:
    """Every test has an application of its own. Compiling the same routes anew for each would take half of all time."""
    known: dict[Any, Any] = {}
    compiled = Rule._compile_builder

    def once(rule: Rule, append_unknown: bool = True) -> Any:
        what = (rule.subdomain, rule.rule, tuple(sorted((rule.defaults or {}).items())), append_unknown)
        if what not in known:
            known[what] = compiled(rule, append_unknown)
        return known[what]

    Rule._compile_builder = once  # type: ignore[method-assign]


_compile_routes_once()

WITHOUT_SERVERS = os.environ.get("PANEL_TEST_WITHOUT_SERVERS") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests come last: the browser's driver keeps an event loop running that others in this process dislike.

    Among them the longest come first, so that no process is left alone with them. What needs a server is left out where
    somebody asked for that; the summary counts it as deselected.
    """
    items.sort(key=lambda item: ("browser" in item.path.parts, "hostile" not in item.path.name))
    left_out = [item for item in items if WITHOUT_SERVERS and item.get_closest_marker("servers")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end, so that the collector is spared looking through them again and again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if WITHOUT_SERVERS:
        terminalreporter.write_line("PANEL_TEST_WITHOUT_SERVERS=1: nothing was tested with PostgreSQL and Redis.")


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches past this machine, whatever the code under test does."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            assert host.startswith("127.") or host in ("::1", "localhost"), f"a test reached for {host}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    """Applications refer to themselves in circles: their connections are closed here, and not when Python pleases."""
    yield
    gc.collect()


@pytest.fixture
def upstreams() -> Iterator[Upstreams]:
    xwiki, openproject = XWikiStandIn(), OpenProjectStandIn()
    server = RunningServer(mounted(xwiki=xwiki, openproject=openproject))
    yield Upstreams(server, xwiki, openproject)
    server.close()


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, made once and copied for each test."""
    instance = tmp_path_factory.mktemp("fresh") / "instance"
    app = create_app(load({"PANEL_INSTANCE_DIR": str(instance)}))
    with app.app_context():
        alembic.upgrade()
        db.engine.dispose()
    return instance / "panel.sqlite3"


@pytest.fixture
def make_app(tmp_path: Path, fresh_database: Path) -> MakeApp:
    """Build an application on its own instance folder; keyword arguments are settings, but for the leaves."""

    compiled = FileSystemBytecodeCache(str(fresh_database.parent))

    def make(registry: Registry = REGISTRY, **settings: str) -> Flask:
        instance = tmp_path / "instance"
        if not (instance / "panel.sqlite3").exists():
            instance.mkdir(mode=0o700, exist_ok=True)
            shutil.copy(fresh_database, instance / "panel.sqlite3")
        # What an upstream says is asked anew each time, unless a test is about the brief cache.
        own = {"PANEL_INSTANCE_DIR": str(instance), "PANEL_CACHE_TTL_S": "0"}
        app = create_app(load({**own, **settings}), registry=registry)
        app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
        app.jinja_env.bytecode_cache = compiled
        if "PANEL_DATABASE_URL" in settings:
            with app.app_context():
                alembic.upgrade()
        return app

    return make


@pytest.fixture
def app(make_app: MakeApp, upstreams: Upstreams) -> Flask:
    """An application that may reach the stand-ins and has no source yet."""
    return make_app(PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port)


@pytest.fixture
def services(app: Flask) -> Iterator[Panel]:
    """The application's services, inside its context."""
    with app.app_context():
        yield app.extensions["leafpanel"]


@pytest.fixture
def connected(app: Flask, upstreams: Upstreams) -> Flask:
    """An application with both sources configured."""
    with app.app_context():
        services: Panel = app.extensions["leafpanel"]
        services.sources.create(xwiki_values(upstreams), by=ALICE)
        services.sources.create(openproject_values(upstreams), by=ALICE)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def as_admin(app: Flask) -> FlaskClient:
    """A browser session of Alice, who is an administrator."""
    return signed_in_client(app, "alice", "admin")


@pytest.fixture
def bearer(app: Flask) -> Callable[[str], dict[str, str]]:
    """Authorization headers of a new API token of the given scope."""

    def make(scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_token(app, scope, f'{scope} token')}"}

    return make


@pytest.fixture
def visitor() -> Visitor:
    """Somebody who may do everything to links."""
    return Visitor(Principal("alice", "local", frozenset(Action)), Caller("test", "alice"))
