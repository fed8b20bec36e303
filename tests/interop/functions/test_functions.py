"""Tools that accept a function accept `client.use(ref)`, sync and async."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashscope import AsyncClient, Client
from dashscope.local import LocalServer

pytestmark = pytest.mark.filterwarnings("default")

Use = Callable[[str], Any]


@pytest.fixture(params=["sync", "async"])
def use(request: pytest.FixtureRequest, server: LocalServer) -> Iterator[Use]:
    """Return a model as a function, sync or async."""
    if request.param == "sync":
        with Client(base_url=server.base_url) as client:
            yield client.use
        return
    client = AsyncClient(base_url=server.base_url)

    def load(ref: str) -> Any:
        function = client.use(ref)
        asyncio.run(function.load())
        return function

    yield load
    asyncio.run(client.aclose())


def is_async(function: Any) -> bool:
    return "Async" in type(function).__name__


def test_langchain(use: Use) -> None:
    from langchain_core.tools import StructuredTool

    def tool_of(function: Any) -> Any:
        if is_async(function):
            return StructuredTool.from_function(coroutine=function)
        return StructuredTool.from_function(function)

    def invoke(tool: Any, given: dict[str, Any]) -> Any:
        return asyncio.run(tool.ainvoke(given)) if tool.coroutine else tool.invoke(given)

    thumbnail = tool_of(use("dashscope/thumbnail"))
    assert thumbnail.name == "thumbnail"
    assert thumbnail.description.startswith("Creates a smaller PNG version")
    schema = thumbnail.args_schema.model_json_schema()
    assert schema["required"] == ["image"]
    assert schema["properties"]["image"]["format"] == "uri"
    assert schema["properties"]["width"]["maximum"] == 4096
    assert "in pixels" in schema["properties"]["width"]["description"]
    assert invoke(tool_of(use("dashscope/hello-world")), {"text": "Alice"}) == "hello Alice"
    markov = tool_of(use("dashscope/markov"))
    assert len(invoke(markov, {"prompt": "the", "length": 2})) == 2  # seed is None
    with pytest.raises(ValueError, match="must be from 1 to 10000"):
        invoke(markov, {"length": 0})


def test_pydantic_ai(use: Use) -> None:
    from pydantic_ai import Agent, Tool
    from pydantic_ai.models.test import TestModel

    tool = Tool(use("dashscope/thumbnail"))
    assert tool.name == "thumbnail"
    schema = tool.function_schema.json_schema
    assert schema["properties"]["width"]["maximum"] == 4096
    assert "in pixels" in schema["properties"]["width"]["description"]
    agent = Agent(TestModel(), tools=[Tool(use("dashscope/hello-world"))])
    assert "hello a" in agent.run_sync("hi").output


def test_mcp(use: Use) -> None:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("test")
    server.add_tool(use("dashscope/hello-world"))
    server.add_tool(use("dashscope/thumbnail"))

    async def check() -> None:
        tools = {tool.name: tool for tool in await server.list_tools()}
        assert tools["thumbnail"].input_schema["properties"]["width"]["maximum"] == 4096
        result: Any = await server.call_tool("hello_world", {"text": "Alice"})
        assert result.structured_content == {"result": "hello Alice"}

    asyncio.run(check())


def test_gradio(use: Use) -> None:
    import gradio

    app = gradio.Interface(use("dashscope/hello-world"), "text", "text")
    assert app("Alice") == "hello Alice"


def test_fastapi(use: Use) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.get("/hello")(use("dashscope/hello-world"))
    app.get("/countdown")(use("dashscope/countdown"))
    with TestClient(app) as http:
        assert http.get("/hello", params={"text": "Alice"}).json() == "hello Alice"
        assert http.get("/countdown?start=1&delay=0").json() == ["1\n", "0\n"]
        refused = http.get("/countdown?start=-1")
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (
            422,
            ["query", "start"],
        )
        parameters = http.get("/openapi.json").json()["paths"]["/countdown"]["get"]["parameters"]
    start = next(parameter for parameter in parameters if parameter["name"] == "start")
    assert start["schema"]["maximum"] == 1000
    assert start["schema"]["default"] == 5


def test_prefect_and_the_standard_library(use: Use) -> None:
    from prefect import task

    hello = use("dashscope/hello-world")
    made = task(hello)
    assert (made.name, made.isasync) == ("hello_world", is_async(hello))
    partial = functools.partial(hello, text="Alice")
    if is_async(hello):
        assert asyncio.run(partial()) == "hello Alice"
    else:
        assert partial() == asyncio.run(asyncio.to_thread(hello, "Alice")) == "hello Alice"
