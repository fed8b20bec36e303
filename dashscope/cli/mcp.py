"""`dashscope mcp`: models as tools of the Model Context Protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dashscope import AsyncClient, DashscopeError, __version__
from dashscope._common.installing import install_command
from dashscope._common.urls import Reference
from dashscope.cli.commands import command
from dashscope.cli.session import Terminated, terminable
from dashscope.cli.terminal import Terminal

if TYPE_CHECKING:
    from mcp.server import Server

    from dashscope.cli.mcp_tools import Tools

DEFAULT_PORT: Final = 8765


def _mcp(
    terminal: Terminal,
    *,
    refs: Sequence[str],
    root: Path | None,
    http: bool,
    host: str,
    port: int,
) -> None:
    for ref in refs:
        Reference.parse(ref)
    if find_spec("mcp") is None:
        raise DashscopeError(f"The MCP SDK is not installed. Run: {install_command('mcp')}")
    with suppress(KeyboardInterrupt, Terminated), terminable():
        asyncio.run(_serve(terminal, refs, root, (host, port) if http else None))


async def _serve(
    terminal: Terminal, refs: Sequence[str], root: Path | None, address: tuple[str, int] | None
) -> None:
    from dashscope.cli.mcp_tools import Tools

    async with AsyncClient() as client:
        tools = Tools(client, root)
        await tools.load(refs)
        server = make_server(tools)
        if address is None:
            from mcp.server.stdio import stdio_server

            async with stdio_server() as (reader, writer):
                await server.run(reader, writer, server.create_initialization_options())
        else:
            await _serve_http(terminal, server, *address)


async def _serve_http(terminal: Terminal, server: Server[Any], host: str, port: int) -> None:
    import uvicorn

    app = server.streamable_http_app(host=host)
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="on")
    terminal.note(f"Serving MCP at http://{host}:{port}/mcp. Press Ctrl-C to stop.")
    await uvicorn.Server(config).serve()


def make_server(tools: Tools) -> Server[Any]:
    """Return a server with tools."""
    from mcp.server import Server, ServerRequestContext
    from mcp_types import (
        CallToolRequestParams,
        CallToolResult,
        ListToolsResult,
        PaginatedRequestParams,
    )

    async def list_tools(
        context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=tools.listed())

    async def call_tool(
        context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult:
        report = context.session.report_progress  # does nothing if the caller does not want it
        return await tools.call(params.name, params.arguments or {}, report)

    return Server(
        "dashscope", version=__version__, on_list_tools=list_tools, on_call_tool=call_tool
    )


MCP: Final = command(
    "mcp",
    _mcp,
    click.Argument(["refs"], nargs=-1, metavar="[OWNER/NAME[:VERSION]]..."),
    click.Option(
        ["--root"],
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="A folder. Its files may be used as inputs, by path. Default: no local files.",
    ),
    click.Option(
        ["--http"], is_flag=True, help="Serve streamable HTTP. Default: stdin and stdout."
    ),
    click.Option(
        ["--host"],
        default="127.0.0.1",
        show_default=True,
        help="The address to listen on with --http. Anyone who can reach it can run the models.",
    ),
    click.Option(
        ["--port"],
        default=DEFAULT_PORT,
        show_default=True,
        type=click.IntRange(1, 65535),
        help="The port to listen on with --http.",
    ),
    help="""Serve models as tools for agents (MCP).

    Each model is a tool. Further tools search for models and show predictions. Without models,
    agents can run any model. A tool call that is canceled cancels its prediction. Register the
    command in the settings of your agent, with DASHSCOPE_API_TOKEN in its environment.""",
    examples=(
        "dashscope mcp dashscope/thumbnail --root pictures/",
        "dashscope mcp dashscope/hello-world dashscope/markov --http",
    ),
)
