"""An application that listens on a real port, for clients that do not live in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import Served, free_port
from support import ALICE, MakeApp, Upstreams, openproject_values, xwiki_values

from panel.sandbox.standin import RunningServer


@pytest.fixture
def serve(make_app: MakeApp, upstreams: Upstreams, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Build and start an application with the given settings; without a source so far."""
    running: list[RunningServer] = []

    def start(**settings: Any) -> Served:
        own = {"PANEL_PORT": str(free_port()), "PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port, **settings}
        app = make_app(**own)
        running.append(RunningServer(app, port=int(own["PANEL_PORT"])))
        environment = {**own, "PANEL_INSTANCE_DIR": str(tmp_path / "instance"), "PANEL_CACHE_TTL_S": "0"}
        return Served(app, running[-1], environment)

    yield start
    for server in running:
        server.close()


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
