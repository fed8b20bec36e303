"""A model as a tool of an MCP server of your own."""

import asyncio

from mcp import Client as McpClient
from mcp.server.mcpserver import MCPServer

from dashscope import AsyncClient


async def main() -> None:
    async with AsyncClient() as client:
        hello = client.use("dashscope/hello-world")
        await hello.load()
        server = MCPServer("greetings")
        server.add_tool(hello)
        async with McpClient(server) as mcp:
            result = await mcp.call_tool("hello_world", {"text": "Alice"})
            print(result.structured_content["result"])


asyncio.run(main())
