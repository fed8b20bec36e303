"""`dashscope mcp` with the client of the official SDK: agents run models as tools."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dashscope import AsyncClient, Client
from dashscope.local import LocalServer
from tests.cli.command import CommandLine

pytestmark = pytest.mark.skipif(not find_spec("mcp"), reason="needs mcp")

MODELS = ("dashscope/thumbnail", "dashscope/countdown", "test/album", "test/steps", "test/slow")


@asynccontextmanager
async def connected(
    server: LocalServer, *refs: str, root: Path | None = None
) -> AsyncIterator[Any]:
    """A client of the SDK that is connected to the tools in this process."""
    import mcp  # takes half a second

    from dashscope.cli.mcp import make_server
    from dashscope.cli.mcp_tools import Tools

    async with AsyncClient(base_url=server.base_url) as client:
        tools = Tools(client, root)
        await tools.load(refs)
        async with mcp.Client(make_server(tools)) as session:
            yield session


async def test_models_are_tools(server: LocalServer, photo: Path) -> None:
    async with connected(server, *MODELS, root=photo.parent) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == {
            *("thumbnail", "countdown", "album", "steps", "slow"),
            *("search_models", "list_predictions", "get_prediction"),
        }
        schema = tools["thumbnail"].input_schema
        assert schema["required"] == ["image"]
        assert schema["properties"]["width"]["maximum"] == 4096
        assert "format" not in schema["properties"]["image"]
        assert f"or the path of a file in {photo.parent}" in str(schema["properties"]["image"])

        data_uri = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
        for image in ("photo.png", str(photo), photo.as_uri(), data_uri):
            result = await session.call_tool("thumbnail", {"image": image, "width": 16})
            assert not result.is_error, result.content
            picture, link = result.content
            assert (picture.type, picture.mime_type) == ("image", "image/png")
            assert base64.b64decode(picture.data).startswith(b"\x89PNG")
            assert (link.type, link.uri) == ("resource_link", result.structured_content["output"])

        result = await session.call_tool("countdown", {"start": 1, "delay": 0})
        assert [part.text for part in result.content] == ["1\n0\n"]
        result = await session.call_tool("album", {"title": "t"})
        assert [part.type for part in result.content] == ["text", "resource_link", "resource_link"]
        assert json.loads(result.content[0].text)["title"] == "t"


async def test_local_files_must_be_below_the_root(
    server: LocalServer, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to(photo)
    async with connected(server, "dashscope/thumbnail", root=tmp_path / "in") as session:
        for image in ("../photo.png", str(photo), photo.as_uri(), "link.png", "none.png", "."):
            result = await session.call_tool("thumbnail", {"image": image})
            assert result.is_error, image
            assert "there is no file" in result.content[0].text
    async with connected(server, "dashscope/thumbnail") as session:
        for image in (str(photo), photo.as_uri()):
            result = await session.call_tool("thumbnail", {"image": image})
            assert "start the server with --root" in result.content[0].text


async def test_errors_are_tool_results(server: LocalServer) -> None:
    async with connected(server, "test/fail", "dashscope/countdown") as session:
        for name, arguments, text in (
            ("fail", {"message": "no luck"}, "no luck"),
            ("countdown", {"start": -1}, "from 0 to 1000, not -1"),
            ("countdown", {"strat": 1}, "Did you mean 'start'"),
            ("get_prediction", {"id": "none"}, "not found"),
            ("get_prediction", {}, "requires 'id'"),
            ("list_predictions", {"id": "a"}, "no argument 'id'"),
            ("run_model", {"ref": "test/fail"}, "no tool 'run_model'"),
        ):
            result = await session.call_tool(name, arguments)
            assert result.is_error, name
            assert text in result.content[0].text


async def test_agents_find_models_and_predictions(server: LocalServer, client: Client) -> None:
    done = client.wait(client.use("dashscope/hello-world").create(text="Alice"))

    def value(result: Any) -> Any:
        assert json.loads(result.content[0].text) == result.structured_content["result"]
        return result.structured_content["result"]

    async with connected(server) as session:
        found = value(await session.call_tool("search_models", {"query": "hello"}))
        assert "dashscope/hello-world" in [model["ref"] for model in found]
        model = value(await session.call_tool("get_model", {"ref": "dashscope/hello-world"}))
        assert model["inputs"]["required"] == ["text"]
        call = {"ref": "dashscope/hello-world", "input": {"text": "Bob"}}
        result = await session.call_tool("run_model", call)
        assert result.content[0].text == "hello Bob"
        result = await session.call_tool("run_model", {**call, "input": "Bob"})
        assert "to be an object" in result.content[0].text
        listed = value(await session.call_tool("list_predictions", {}))
        assert done.id in [prediction["id"] for prediction in listed]
        shown = value(await session.call_tool("get_prediction", {"id": done.id}))
        assert (shown["status"], shown["output"]) == ("succeeded", "hello Alice")


async def test_progress_is_reported(server: LocalServer) -> None:
    reports: list[tuple[float, float | None, str | None]] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async with connected(server, "test/steps") as session:
        call = {"total": 4, "pause": 0.3}
        await session.call_tool("steps", call, progress_callback=report)
    values = [value for value, _, _ in reports]
    assert values == sorted(set(values))
    assert any(total == 100 and value >= 25 for value, total, _ in reports)


async def test_progress_never_decreases(client: Client) -> None:
    from dashscope.cli.mcp_tools import Progress

    reports: list[tuple[float, float | None, str | None]] = []

    async def report(*values: Any) -> None:
        reports.append(values)

    progress = Progress(report)
    prediction = client.use("dashscope/hello-world").create(text="a")
    for logs in ("", "", "loading", " 50%|", "50%|█████     | 2/4 [00:01<00:00]\n", "one\n", "\n"):
        await progress(prediction.__class__(id="p", status="processing", logs=logs))
    values = [value for value, _, _ in reports]
    assert values == sorted(set(values))
    assert [message for _, _, message in reports][:2] == ["processing", "loading"]


async def test_a_canceled_call_cancels_the_prediction(server: LocalServer, client: Client) -> None:
    async with connected(server, "test/slow") as session:
        call = asyncio.create_task(session.call_tool("slow", {"seconds": 60, "tag": "mcp"}))
        prediction = await asyncio.to_thread(wait_for, client, "mcp", "processing")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await asyncio.to_thread(wait_for, client, "mcp", "canceled") == prediction


def wait_for(client: Client, tag: str, status: str) -> str:
    """Return the id of the prediction with a tag once it has a status."""
    for _ in range(200):
        for prediction in client.predictions.list().results:
            if (prediction.get("input") or {}).get("tag") == tag and prediction.status == status:
                return prediction.id
        time.sleep(0.05)
    raise TimeoutError(f"no prediction {tag} is {status}")


def test_tool_names() -> None:
    from dashscope.cli.mcp_tools import tool_names

    refs = ["a/x-y", "b/x", "c/x", "d/search_models", "e/z:" + "1" * 64, "e/z"]
    assert tool_names(refs)[:4] == ["x_y", "b_x", "c_x", "d_search_models"]
    assert len(set(tool_names(refs))) == len(refs)
    assert max(map(len, tool_names(refs))) <= 64


async def test_the_server_runs_over_stdio(server: LocalServer, photo: Path) -> None:
    import mcp
    from mcp.client.stdio import StdioServerParameters

    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "dashscope", "mcp", "dashscope/hello-world", "test/slow"],
        env={**os.environ, "DASHSCOPE_BASE_URL": server.base_url},
    )
    async with mcp.Client(command) as session:
        result = await session.call_tool("hello_world", {"text": "Alice"})
        assert result.content[0].text == "hello Alice"


async def test_the_server_runs_over_streamable_http(dashscope: CommandLine, client: Client) -> None:
    import mcp

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = dashscope.start("mcp", "test/slow", "--http", "--port", str(port))
    program.wait_for_stderr("Serving MCP at")
    for _ in range(200):  # the message is printed just before the server listens
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            break
        await asyncio.sleep(0.05)
    async with mcp.Client(f"http://127.0.0.1:{port}/mcp") as session:
        result = await session.call_tool("slow", {"seconds": 0, "tag": "x"})
        assert result.content[0].text == "x"
        call = asyncio.create_task(session.call_tool("slow", {"seconds": 60, "tag": "http"}))
        prediction = await asyncio.to_thread(wait_for, client, "http", "processing")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await asyncio.to_thread(wait_for, client, "http", "canceled") == prediction
    program.send(signal.SIGTERM)
    assert program.finish().code == 0
