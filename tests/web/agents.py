"""An AI agent as the tests have it: the SDK's own client, over HTTP in each of its modes or over standard input."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from flask import Flask
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, Tool
from support import CONSOLE

from panel.accounts.api_tokens import TokenRequest
from panel.sandbox.standin import RunningServer
from panel.services import Panel

ROOT = Path(__file__).parent.parent.parent
TOOL = "openregister.integrations"
HTTP_MODES = ("auto", "legacy", "2026-07-28")
WAYS = (*HTTP_MODES, "stdio")
CASE = {"register": "demo", "schema": "case", "objectId": "1"}
WAIT_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Served:
    """An application that really listens, and how to get in."""

    app: Flask
    server: RunningServer
    environment: dict[str, str]
    """The settings of the process, for commands that use the same instance folder."""

    @property
    def url(self) -> str:
        return f"{self.server.url}/api/mcp"

    @property
    def services(self) -> Panel:
        return self.app.extensions["leafpanel"]  # type: ignore[no-any-return]

    def token(self, scope: str = "write", **limits: Any) -> str:
        with self.app.app_context():
            return self.services.api_tokens.create_token(TokenRequest(f"{scope} agent", scope, **limits), by=CONSOLE)

    def bearer(self, scope: str = "write", **limits: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(scope, **limits)}"}

    @contextmanager
    def agent(self, way: str = "2026-07-28", scope: str = "write", **limits: Any) -> Iterator[Agent]:
        connected = self._stdio(scope) if way == "stdio" else self._http(way, self.bearer(scope, **limits))
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected) as client:
            yield Agent(portal, client)

    @asynccontextmanager
    async def _http(self, mode: str, headers: dict[str, str]) -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=WAIT_S, trust_env=False) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode) as client,
        ):
            yield client

    def _stdio(self, scope: str) -> AbstractAsyncContextManager[Client]:
        command = ["-m", "flask", "--app", "wsgi", "mcp", "--scope", scope]
        environment = {**os.environ, **self.environment}
        return Client(StdioServerParameters(command=sys.executable, args=command, env=environment, cwd=ROOT))


@dataclass
class Agent:
    """One connected client."""

    portal: BlockingPortal
    client: Client

    def tools(self) -> list[Tool]:
        return self.portal.call(self.client.list_tools).tools

    def call(
        self, action: str | None = None, integration: str | None = None, /, tool: str = TOOL, **given: Any
    ) -> CallToolResult:
        """Call the tool about the case of the tests; ``object=False`` leaves the object out."""
        arguments: dict[str, Any] = {} if given.pop("object", True) is False else {**CASE}
        arguments |= {"action": action} if action is not None else {}
        arguments |= {"integrationId": integration} if integration is not None else {}
        result = self.portal.call(self.client.call_tool, tool, {**arguments, **given})
        assert isinstance(result, CallToolResult)
        assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
        return result

    def body(self, *names: str, **given: Any) -> Any:
        """What a call that succeeds answers."""
        result = self.call(*names, **given)
        assert not result.is_error, result.structured_content
        return result.structured_content

    def failure(self, *names: str, **given: Any) -> Any:
        """What a call that fails answers."""
        result = self.call(*names, **given)
        assert result.is_error, result.structured_content
        return result.structured_content
