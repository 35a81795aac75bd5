"""Helpers of the OpenProject leaf's tests: a stand-in over real HTTP, a connector to it, and the leaf."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from panel.connector import Auth, AuthKind, Caller, Connector, Secret, SourceConfig, Upstream
from panel.integrations.openproject.leaf import OpenProject
from panel.integrations.registry import load_registry
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import Recorded, RunningServer, mounted

HAL = "application/hal+json; charset=utf-8"
ERRORS = "urn:openproject-org:api:v3:errors:"
LIST = "/api/v3/work_packages"

Rewrite = Callable[[dict[str, Any]], object]


@dataclass
class Tracker:
    """The stand-in is mounted below a sub-path, as real instances can be."""

    standin: OpenProjectStandIn
    server: RunningServer
    connector: Connector
    leaf: OpenProject = field(
        default_factory=lambda: load_registry().get("openproject")  # type: ignore[arg-type,return-value]
    )
    revision: int = 0

    @property
    def root(self) -> str:
        return f"{self.server.url}/openproject"

    def source(
        self, token: str | None = "T", *, kind: AuthKind = AuthKind.BASIC, header: str = "Authorization"
    ) -> SourceConfig:
        """Return a source with a new revision, so that nothing is cached for it."""
        self.revision += 1
        username = "apikey" if kind is AuthKind.BASIC else ""
        auth = Auth(kind, username, header, Secret(token)) if token else Auth()
        return SourceConfig("1", "openproject", "Tracker", self.root, auth, revision=self.revision)

    def open(self, source: SourceConfig | None = None, *, deadline_s: float = 20) -> Upstream:
        caller = Caller("test", "alice")
        return self.connector.open(
            source or self.source(), caller, classify=self.leaf.problem_of, deadline_s=deadline_s
        )

    def reply(self, status: int, body: Any, *, path: str, method: str = "GET", kind: str = HAL) -> None:
        """Replace the response to ``path``."""
        real, data = self.standin.answer, body if isinstance(body, str) else json.dumps(body)

        def answer(request: Request) -> Response:
            if (request.method, request.path) == (method, path):
                return Response(data, status, content_type=kind)
            return real(request)

        self.standin.answer = answer  # type: ignore[method-assign]

    def open_to_everybody(self) -> None:
        """Require no login, and show the first project to everybody."""
        self.standin.login_required = False
        projects = self.standin.world.projects
        projects[1] = replace(projects[1], public=True)

    def rewrite(self, change: Rewrite, *, path: str, method: str = "GET") -> None:
        """Apply ``change`` to the JSON of every response to ``path``."""
        real = self.standin.answer

        def answer(request: Request) -> Response:
            response = real(request)
            if (request.method, request.path) != (method, path):
                return response
            body = json.loads(_decompressed(response))
            change(body)
            return Response(json.dumps(body), response.status_code, content_type=HAL)

        self.standin.answer = answer  # type: ignore[method-assign]


def error(identifier: str, **details: Any) -> dict[str, Any]:
    """Return an error document as OpenProject sends it, with a Dutch message."""
    fields = {"errorIdentifier": ERRORS + identifier, "message": "Nee.", "_embedded": {"details": details}}
    return {"_type": "Error", **fields}


def paths(seen: list[Recorded]) -> list[str]:
    return [f"{one.method} {one.path.partition('/api/v3')[2]}" for one in seen]


def tracker_fixture(*profiles: str) -> Any:
    """Return a fixture that starts a new stand-in per test, once for each profile."""

    @pytest.fixture(params=profiles)
    def tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
        standin = OpenProjectStandIn(request.param)
        server = RunningServer(mounted(openproject=standin))
        yield Tracker(standin, server, Connector(allowed=lambda: (server.host_port,)))
        server.close()

    return tracker


def _decompressed(response: Response) -> bytes:
    data = response.get_data()
    return gzip.decompress(data) if response.headers.get("Content-Encoding") == "gzip" else data
