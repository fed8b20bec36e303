"""A program that imports all modules of the package and uses most of it."""

from __future__ import annotations

import asyncio
import importlib
import io
import pkgutil
import tempfile
from contextlib import suppress
from pathlib import Path

import dashscope
from dashscope import AsyncClient, Client, NotFoundError
from dashscope.local import LocalServer

for module in pkgutil.walk_packages(dashscope.__path__, "dashscope."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

HELLO = "dashscope/hello-world"
ROWS = [{"text": str(number)} for number in range(5)]


def use_sync(client: Client, folder: Path) -> None:
    assert client.run(HELLO, {"text": "Alice"}) == "hello Alice"
    with client.stream("dashscope/countdown", {"start": 3}) as stream:
        assert "".join(map(str, stream)) == "3\n2\n1\n0\n"
    assert client.use(HELLO)(text="Bob") == "hello Bob"
    with client.map(HELLO, ROWS, checkpoint=folder / "sync.db") as batch:
        assert len([row.output for row in batch]) == len(ROWS)
    file = client.files.create(io.BytesIO(b"x" * 100))
    assert client.files.get(file.id) == file
    client.files.delete(file)
    assert len(list(client.iterate(client.predictions.list))) > len(ROWS)
    prediction = client.predictions.create(version=HELLO, input={"text": "Carol"})
    assert client.wait(prediction).output == "hello Carol"
    with suppress(NotFoundError):
        client.predictions.get("missing")
    assert client.models.get("dashscope", "hello-world").name == "hello-world"
    assert client.search("hello").models


async def use_async(client: AsyncClient, folder: Path) -> None:
    assert await client.run(HELLO, {"text": "Alice"}) == "hello Alice"
    async with client.stream("dashscope/countdown", {"start": 3}) as stream:
        assert "".join([str(event) async for event in stream]) == "3\n2\n1\n0\n"
    assert await client.use(HELLO)(text="Bob") == "hello Bob"
    async with client.map(HELLO, ROWS, checkpoint=folder / "async.db") as batch:
        assert len([row.output async for row in batch]) == len(ROWS)
    file = await client.files.create(io.BytesIO(b"x" * 100))
    await client.files.delete(file)
    assert len([prediction async for prediction in client.iterate(client.predictions.list)]) > len(
        ROWS
    )
    try:
        await asyncio.wait_for(client.run("dashscope/countdown", {"start": 60}), 0.5)
    except TimeoutError:
        print("canceled")


async def run_async(base_url: str, folder: Path) -> None:
    async with AsyncClient(base_url=base_url) as client:
        await use_async(client, folder)


with tempfile.TemporaryDirectory() as name, LocalServer() as server:
    with Client(base_url=server.base_url) as client:
        use_sync(client, Path(name))
    asyncio.run(run_async(server.base_url, Path(name)))
