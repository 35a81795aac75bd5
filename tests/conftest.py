"""Fixtures that every test may use: an application with state of its own, and real stand-ins over real HTTP."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from applications import REGISTRY, Applications
from flask import Flask
from flask.testing import FlaskClient
from servers import quick_folder
from support import (
    ALICE,
    CHEAP_HASH,
    MakeApp,
    Upstreams,
    UpstreamServer,
    api_token,
    openproject_values,
    signed_in_client,
    xwiki_values,
)

from panel.accounts.principal import Action, Principal
from panel.connector import Caller
from panel.integrations.registry import Registry
from panel.links.visitor import Visitor
from panel.services import Panel

# Where pytest makes the folders of the tests.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", quick_folder())


WITHOUT_SERVERS = os.environ.get("PANEL_TEST_WITHOUT_SERVERS") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests come last: the event loop of the browser's driver keeps running and disturbs other tests.

    Among them the longest come first, so that no process is left alone with them. Tests that need a server are
    deselected if PANEL_TEST_WITHOUT_SERVERS is set.
    """
    items.sort(key=lambda item: ("browser" in item.path.parts, "hostile" not in item.path.name))
    left_out = [item for item in items if WITHOUT_SERVERS and item.get_closest_marker("servers")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Modules and tests live until the end, so the garbage collector need not look at them."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if WITHOUT_SERVERS:
        terminalreporter.write_line("PANEL_TEST_WITHOUT_SERVERS=1: PostgreSQL and Redis are not tested.")


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test connects to another machine, whatever the code under test does."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            assert host.startswith("127.") or host in ("::1", "localhost"), f"a test connects to {host}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def _cheap_password_hashes() -> Iterator[None]:
    """Hashes of passwords cost little, since most tests are not about them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("panel.accounts.passwords.METHOD", CHEAP_HASH)
        yield


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    """Services are part of reference cycles: collect them, so that their connections are closed."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def upstream_server() -> Iterator[UpstreamServer]:
    server = UpstreamServer()
    yield server
    server.close()


@pytest.fixture
def upstreams(upstream_server: UpstreamServer) -> Upstreams:
    """New stand-ins, behind the same server for all tests."""
    return upstream_server.begin_test()


@pytest.fixture(scope="session")
def applications(tmp_path_factory: pytest.TempPathFactory) -> Applications:
    return Applications(tmp_path_factory.mktemp("applications"))


@pytest.fixture
def make_app(tmp_path: Path, applications: Applications) -> Iterator[MakeApp]:
    """Build an application on the instance folder of the test; keyword arguments are settings, but for the leaves."""
    instance = tmp_path / "instance"
    applications.begin_test(instance)

    def make(registry: Registry = REGISTRY, **settings: str) -> Flask:
        # Responses of upstreams are not cached, unless a test is about the cache.
        return applications.build(instance, registry, {"PANEL_CACHE_TTL_S": "0", **settings})

    yield make
    applications.end_test()


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
    """A visitor who may do everything with links."""
    return Visitor(Principal("alice", "local", frozenset(Action)), Caller("test", "alice"))
