"""Helpers of the xWiki leaf's tests: a stand-in over real HTTP, a connector to it, and the leaf."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from panel.connector import Auth, AuthKind, Caller, Connector, Secret, SourceConfig, Upstream
from panel.integrations.registry import load_registry
from panel.integrations.xwiki.leaf import XWiki
from panel.sandbox.standin import Recorded, RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn

REST = "/rest/wikis/xwiki"


@dataclass
class WikiServer:
    """The stand-in is mounted below a sub-path, as most real instances are."""

    standin: XWikiStandIn
    server: RunningServer
    connector: Connector
    leaf: XWiki = field(default_factory=lambda: load_registry().get("xwiki"))  # type: ignore[arg-type,return-value]
    revision: int = 0

    @property
    def root(self) -> str:
        return f"{self.server.url}/xwiki"

    def source(
        self, password: str | None = "secret", *, kind: AuthKind = AuthKind.BASIC, root: str = "", **options: str
    ) -> SourceConfig:
        """Return a source with a new revision, so that nothing is cached for it."""
        self.revision += 1
        username = "alice" if kind is AuthKind.BASIC else ""
        auth = Auth(kind, username, secret=Secret(password)) if password else Auth()
        return SourceConfig("1", "xwiki", "Wiki", root or self.root, auth, options=options, revision=self.revision)

    def open(self, source: SourceConfig | None = None, *, deadline_s: float = 20, fresh: bool = False) -> Upstream:
        caller, source = Caller("test", "alice"), source or self.source()
        return self.connector.open(source, caller, classify=self.leaf.problem_of, deadline_s=deadline_s, fresh=fresh)

    def reply(
        self,
        status: int,
        body: Any = "",
        *,
        path: str,
        method: str = "GET",
        kind: str = "text/plain",
        bare: bool = False,
    ) -> None:
        """Replace the response to ``path``; ``bare`` omits the headers that only xWiki sends."""
        real, data = self.standin.answer, body if isinstance(body, str) else json.dumps(body)

        def answer(request: Request) -> Response:
            response = real(request)
            if (request.method, request.path) != (method, path):
                return response
            headers = {} if bare else {name: text for name, text in response.headers if name.startswith("XWiki-")}
            return Response(data, status, headers, content_type=kind)

        self.standin.answer = answer  # type: ignore[method-assign]

    def rewrite(self, change: Callable[[dict[str, Any]], object], *, path: str, method: str = "GET") -> None:
        """Apply ``change`` to the JSON of every successful response to ``path``."""
        real = self.standin.answer

        def answer(request: Request) -> Response:
            response = real(request)
            if (request.method, request.path) != (method, path) or response.status_code >= 300:
                return response
            body = json.loads(response.get_data())
            change(body)
            response.set_data(json.dumps(body))
            return response

        self.standin.answer = answer  # type: ignore[method-assign]


def paths(seen: list[Recorded]) -> list[str]:
    """Return method and path of each request, in order of arrival."""
    return [f"{one.method} {one.path.partition(REST)[2]}" for one in seen]


def wiki_fixture(*profiles: str) -> Any:
    """Return a fixture that starts a new stand-in per test, once for each profile."""

    @pytest.fixture(params=profiles)
    def wiki(request: pytest.FixtureRequest) -> Iterator[WikiServer]:
        standin = XWikiStandIn(request.param, solr_lag=None)
        server = RunningServer(mounted(xwiki=standin))
        yield WikiServer(standin, server, Connector(allowed=lambda: (server.host_port,)))
        server.close()

    return wiki
