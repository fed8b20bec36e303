"""Closing a client cancels what is still under way: nobody will wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from dashscope import AsyncClient, Client
from dashscope.local import LocalServer


@pytest.fixture(scope="module")
def server() -> Any:
    with LocalServer() as server:
        yield server


def running(server: LocalServer) -> list[str]:
    with Client(base_url=server.base_url) as client:
        return [
            prediction.id
            for prediction in client.iterate(client.predictions.list)
            if not prediction.is_done
        ]


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_closing_cancels_the_runs_of_other_tasks(
    flavor: str, server: LocalServer, make_client: Callable[..., Any]
) -> None:
    client: AsyncClient = make_client(base_url=server.base_url)
    created = anyio.Event()
    errors: list[Exception] = []

    async def run() -> None:
        try:
            await client.run(
                "dashscope/countdown", {"start": 1000}, progress=lambda _: created.set()
            )
        except Exception as error:
            errors.append(error)

    async def stream() -> None:
        try:
            async with client.stream("dashscope/countdown", {"start": 1000}) as stream:
                async for _ in stream:
                    pass
        except Exception as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(stream)
        with anyio.fail_after(10):
            await created.wait()
            while len(client._api.state.open_operations) < 2:
                await anyio.sleep(0.01)
            await client.aclose()
    assert errors  # the run's; the stream may have been told that it was cancelled
    assert running(server) == []
    assert not client._api.state.open_operations


def test_closing_cancels_the_runs_of_other_threads(server: LocalServer) -> None:
    client = Client(base_url=server.base_url)
    created = threading.Event()
    errors: list[Exception] = []

    def run() -> None:
        try:
            client.run("dashscope/countdown", {"start": 1000}, progress=lambda _: created.set())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert created.wait(10)
    client.close()
    thread.join(10)
    assert len(errors) == 1
    assert running(server) == []


async def test_what_is_to_go_on_goes_on(flavor: str, server: LocalServer, make_client: Any) -> None:
    client = make_client(base_url=server.base_url)
    prediction = await client.models.predictions.create(
        "dashscope", "countdown", input={"start": 1000}
    )
    await client.aclose()
    assert prediction.id in running(server)
    other = make_client(base_url=server.base_url)
    await other.predictions.cancel(prediction)
    await other.aclose()
