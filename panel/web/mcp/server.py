"""The MCP face: one tool for AI agents, over HTTP at /api/mcp and over standard input and output.

The SDK is imported where it is used, so that processes which no agent asks do not carry it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, request

from panel.accounts.principal import WRITING, Action, Principal
from panel.config import Config
from panel.core.errors import NotSupported
from panel.core.extras import missing
from panel.core.version import VERSION
from panel.web.auth.bearer import Unauthorized, unauthorized
from panel.web.context import admitted, begin_request, leaves_for, panel, visitor
from panel.web.mcp import tool
from panel.web.mcp.actions import answer

if TYPE_CHECKING:
    import httpx2
    from mcp.server import Server, ServerRequestContext
    from mcp.server.transport_security import TransportSecuritySettings
    from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, Tool

    Answer = Callable[[str, Mapping[str, Any]], CallToolResult]

bp = Blueprint("mcp", __name__, url_prefix="/api")
bp.register_error_handler(Unauthorized, unauthorized)

_WITHIN = "http://host.invalid/api/mcp"
"""Where the SDK is asked inside this process. A request that names no host must not pass for one that named ours."""

_PASSED_ON = ("accept", "content-type", "host", "mcp-", "origin")
"""How the names of the headers begin by which the SDK decides something. All others end here."""


def _require_sdk() -> None:
    """Raises NotSupported, with the name of the extra, when the SDK is not installed."""
    if problem := missing("mcp", "mcp"):
        raise NotSupported(f"MCP {problem}.")


# --- the tool --------------------------------------------------------------------------------------------------------


def tool_for(who: Principal) -> Tool:
    """The tool as this agent may use it. Its hints tell a client whether to ask a person before a call."""
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
    """What the tool answers: one JSON value, as structured content and as text, with foreign text marked."""
    from mcp.types import CallToolResult, TextContent

    body, failed = answer(visitor(who, "MCP"), name, arguments)
    body = tool.shown(body)
    foreign = tool.untrusted_in(body)
    return CallToolResult(
        content=[TextContent(text=json.dumps(body, ensure_ascii=False))],
        structured_content=body,
        is_error=failed,
        _meta={"untrusted": foreign, "note": tool.NOTE} if foreign else None,
    )


def server(answer: Answer, who: Principal) -> Server[Any]:
    """A server that offers the tool and nothing else."""
    from anyio import to_thread
    from mcp.server import Server
    from mcp.types import ListToolsResult

    async def list_tools(context: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[tool_for(who)])

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        # In a thread: what answers is ordinary blocking code, and the connection stays alive while it waits.
        return await to_thread.run_sync(answer, params.name, params.arguments or {})

    return Server(
        "leafpanel",
        version=VERSION,
        title="Leafpanel",
        instructions=tool.INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # No argument of the tool travels as a header, so that nothing is to be compared before a call.
        get_tool_input_schema=lambda name: None,
    )


# --- over HTTP -------------------------------------------------------------------------------------------------------


@bp.post("/mcp")
def endpoint() -> Response:
    """Streamable HTTP, one exchange per request. Bearer tokens only: a browser's session does not count here."""
    _require_sdk()
    import anyio

    inner = anyio.run(_exchange, admitted())
    headers = [(name, value) for name, value in inner.headers.items() if name != "content-length"]
    return Response(inner.content, inner.status_code, headers)


async def _exchange(who: Principal) -> httpx2.Response:
    """Hand the request to the SDK's own transport, in this process and within this request's context."""
    import httpx2
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    one, allowed = server(partial(result, who), who), _allowed(panel().config)
    manager = StreamableHTTPSessionManager(one, json_response=True, stateless=True, security_settings=allowed)
    outer = httpx2.Request("POST", _WITHIN, headers=_passed_on(), content=request.get_data())
    async with manager.run(), httpx2.ASGITransport(manager.handle_request) as transport:
        inner = await transport.handle_async_request(outer)
        await inner.aread()
        return inner


def _passed_on() -> list[tuple[bytes, bytes]]:
    """Headers as the bytes that came: a value may hold any letter, which WSGI hands over as Latin-1."""
    named = [(name.lower(), value) for name, value in request.headers]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named if name.startswith(_PASSED_ON)]


def _allowed(config: Config) -> TransportSecuritySettings:
    """Hosts and origins by which we may be called. They come from settings: a request cannot vouch for itself."""
    from mcp.server.transport_security import TransportSecuritySettings

    public = urlsplit(config.public_url)
    own_host = f"[{config.host}]" if ":" in config.host else config.host
    places = [(public.scheme, public.netloc)]
    places += [("http", f"{host}:{config.port}") for host in (own_host, "127.0.0.1", "localhost", "[::1]")]
    spelled = [(scheme, host) for scheme, netloc in places for host in _spellings(scheme, netloc)]
    return TransportSecuritySettings(
        allowed_hosts=[host for _, host in spelled],
        allowed_origins=[f"{scheme}://{host}" for scheme, host in spelled],
    )


def _spellings(scheme: str, netloc: str) -> list[str]:
    """A host with and without the port that goes without saying."""
    host, default = netloc.rpartition("@")[2].lower(), ":443" if scheme == "https" else ":80"
    if host.endswith(default):
        return [host, host.removesuffix(default)]
    return [host] if urlsplit(f"//{host}").port else [host, host + default]


# --- over standard input and output ----------------------------------------------------------------------------------


def serve_stdio(app: Flask, who: Principal) -> None:
    """Answer one agent that started us, until it closes our input."""
    _require_sdk()
    import anyio
    from mcp.server.stdio import stdio_server

    def answer_in_context(name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        with app.app_context():
            begin_request()
            return result(who, name, arguments)

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):
            one = server(answer_in_context, who)
            await one.run(incoming, outgoing, one.create_initialization_options())

    anyio.run(serve)
