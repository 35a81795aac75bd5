"""An application on a real port, for clients outside of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agents import Served
from applications import Replaceable
from support import ALICE, MakeApp, Upstreams, openproject_values, xwiki_values

from panel.sandbox.standin import RunningServer


@dataclass(frozen=True)
class Listener:
    """The server of all tests of a process. Each test serves its own application there."""

    replaceable: Replaceable
    server: RunningServer


@pytest.fixture(scope="session")
def listener() -> Iterator[Listener]:
    replaceable = Replaceable()
    server = RunningServer(replaceable)
    yield Listener(replaceable, server)
    server.close()


@pytest.fixture
def serve(
    make_app: MakeApp, listener: Listener, upstreams: Upstreams, tmp_path: Path
) -> Iterator[Callable[..., Served]]:
    """Build and serve an application with the given settings; without a source so far. Once for each test."""

    def start(**settings: Any) -> Served:
        port = str(listener.server.port)
        own = {"PANEL_PORT": port, "PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port, **settings}
        app = make_app(**own)
        listener.replaceable.serve(app)
        environment = {**own, "PANEL_INSTANCE_DIR": str(tmp_path / "instance"), "PANEL_CACHE_TTL_S": "0"}
        return Served(app, listener.server, environment)

    yield start
    listener.replaceable.stop()


@pytest.fixture
def bare(serve: Callable[..., Served]) -> Served:
    return serve()


@pytest.fixture
def served(bare: Served, upstreams: Upstreams) -> Served:
    """The application with both sources, listening."""
    with bare.app.app_context():
        bare.services.sources.create(xwiki_values(upstreams), by=ALICE)
        bare.services.sources.create(openproject_values(upstreams), by=ALICE)
    return bare
