"""The MCP server: one tool for AI agents, over Streamable HTTP at /api/mcp and over stdio.

The SDK is imported inside functions: its import is slow, and most processes never serve an agent.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, request

from panel.accounts.principal import WRITING, Action, Principal
from panel.config import Config
from panel.core.errors import NotSupported
from panel.core.extras import missing
from panel.core.messages import _
from panel.core.version import VERSION
from panel.web.auth.bearer import Unauthorized, unauthorized
from panel.web.auth.same_origin import canonical_host
from panel.web.context import admitted, begin_request, leaves_for, panel, visitor
from panel.web.mcp import tool
from panel.web.mcp.actions import answer

if TYPE_CHECKING:
    import httpx2
    from mcp.server import Server, ServerRequestContext
    from mcp.server.transport_security import TransportSecuritySettings
    from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, Tool

    Answer = Callable[[str, Mapping[str, Any]], Awaitable[CallToolResult]]

bp = Blueprint("mcp", __name__, url_prefix="/api")
bp.register_error_handler(Unauthorized, unauthorized)

_INTERNAL_URL = "http://host.invalid/api/mcp"
"""The address of requests to the SDK inside this process. ``.invalid`` makes a request without a Host header fail."""

_PASSED_HEADERS = ("accept", "content-type", "host", "mcp-", "origin")
"""Prefixes of the names of the headers that are passed to the SDK. It does not need the others."""


def _require_sdk() -> None:
    """Raises NotSupported, with the name of the extra, when the SDK is not installed."""
    if problem := missing("mcp", "mcp"):
        raise NotSupported(_("MCP {problem}.", problem=problem))


# --- the tool --------------------------------------------------------------------------------------------------------


def tool_for(who: Principal) -> Tool:
    """The tool as this agent may use it. Clients decide by its hints whether to ask a person before a call."""
    from mcp.types import Tool, ToolAnnotations

    leaves = leaves_for(who)
    writes = any(who.may(action) for action in WRITING - {Action.VIEW})
    return Tool(
        name=panel().config.mcp_tool_name,
        title=tool.TITLE,
        description=tool.description(leaves),
        input_schema=tool.input_schema(leaves),
        output_schema=tool.output_schema(),
        annotations=ToolAnnotations(
            read_only_hint=not writes, destructive_hint=writes, idempotent_hint=not writes, open_world_hint=True
        ),
    )


def result(who: Principal, name: str, arguments: Mapping[str, Any]) -> CallToolResult:
    """The result of a tool call: a JSON body, as structured content and as text. ``_meta`` marks text of upstreams."""
    from mcp.types import CallToolResult, TextContent

    body, failed = answer(visitor(who, "MCP"), name, arguments)
    body = tool.escaped(body)
    foreign = tool.untrusted_in(body)
    return CallToolResult(
        content=[TextContent(text=json.dumps(body, ensure_ascii=False))],
        structured_content=body,
        is_error=failed,
        _meta={"untrusted": foreign, "note": tool.NOTE} if foreign else None,
    )


def server(answer: Answer, who: Principal) -> Server[Any]:
    """An MCP server that offers the tool only."""
    from mcp.server import Server
    from mcp.types import ListToolsResult

    async def list_tools(context: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[tool_for(who)])

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        return await answer(params.name, params.arguments or {})

    return Server(
        "leafpanel",
        version=VERSION,
        title="Leafpanel",
        instructions=tool.INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # No argument of the tool is sent as a header, so the SDK need not compare headers with arguments.
        get_tool_input_schema=lambda name: None,
    )


# --- over HTTP -------------------------------------------------------------------------------------------------------


@bp.post("/mcp")
def endpoint() -> Response:
    """Streamable HTTP, one exchange per request. Accepts bearer tokens only, no browser sessions."""
    _require_sdk()
    import anyio

    inner = anyio.run(_exchange, admitted())
    headers = [(name, value) for name, value in inner.headers.items() if name != "content-length"]
    return Response(inner.content, inner.status_code, headers)


async def _exchange(who: Principal) -> httpx2.Response:
    """Pass the request to the SDK's transport, in this process and in this request's context."""
    import httpx2
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    async def answer(name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        # The services block, but this event loop has nothing else to do: it ends with this exchange.
        return result(who, name, arguments)

    one, allowed = server(answer, who), _security_settings(panel().config)
    manager = StreamableHTTPSessionManager(one, json_response=True, stateless=True, security_settings=allowed)
    outer = httpx2.Request("POST", _INTERNAL_URL, headers=_passed_headers(), content=request.get_data())
    async with manager.run(), httpx2.ASGITransport(manager.handle_request) as transport:
        inner = await transport.handle_async_request(outer)
        await inner.aread()
        return inner


def _passed_headers() -> list[tuple[bytes, bytes]]:
    """Headers as the bytes that came: WSGI decodes them as Latin-1, whatever letters they hold.

    Without ``Accept`` a client takes any answer (https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1).
    """
    named = [("accept", "*/*")] if "Accept" not in request.headers else []
    named += [(name.lower(), value) for name, value in request.headers]
    passed = [
        (name, canonical_host(value) if name == "host" else value)
        for name, value in named
        if name.startswith(_PASSED_HEADERS)
    ]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in passed]


def _security_settings(config: Config) -> TransportSecuritySettings:
    """The accepted Host and Origin headers. They come from settings, because a request can forge them."""
    from mcp.server.transport_security import TransportSecuritySettings

    public = urlsplit(config.public_url)
    own_host = f"[{config.host}]" if ":" in config.host else config.host
    origins = [(public.scheme, public.netloc)]
    origins += [("http", f"{host}:{config.port}") for host in (own_host, "127.0.0.1", "localhost", "[::1]")]
    spelled = [(scheme, host) for scheme, netloc in origins for host in _spellings(scheme, netloc)]
    return TransportSecuritySettings(
        allowed_hosts=[host for _, host in spelled],
        allowed_origins=[f"{scheme}://{host}" for scheme, host in spelled],
    )


def _spellings(scheme: str, netloc: str) -> list[str]:
    """A host with and without the default port of its scheme."""
    host, default = canonical_host(netloc), ":443" if scheme == "https" else ":80"
    if host.endswith(default):
        return [host, host.removesuffix(default)]
    return [host] if urlsplit(f"//{host}").port else [host, host + default]


# --- over standard input and output ----------------------------------------------------------------------------------


def serve_stdio(app: Flask, who: Principal) -> None:
    """Serve one agent over stdio, until it closes standard input."""
    _require_sdk()
    import anyio
    from mcp.server.stdio import stdio_server

    def in_context(name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        with app.app_context():
            begin_request()
            return result(who, name, arguments)

    async def answer(name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        # In a thread, because the services block: the event loop reads standard input meanwhile.
        return await anyio.to_thread.run_sync(in_context, name, arguments)

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):
            one = server(answer, who)
            await one.run(incoming, outgoing, one.create_initialization_options())

    anyio.run(serve)
