"""Closing a client cancels its running predictions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from dashscope import AsyncClient, Client
from dashscope._runtime.drive import drive
from dashscope.local import LocalServer
from tests.servers.fake_server import FakeServer, Received, Reply, reply
from tests.servers.prediction_server import PredictionServer


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
    assert errors  # the error of the run; the stream may have received the cancellation
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


async def test_cancel_on_exit_false_leaves_predictions_running(
    flavor: str, server: LocalServer, make_client: Any
) -> None:
    client = make_client(base_url=server.base_url)
    prediction = await client.models.predictions.create(
        "dashscope", "countdown", input={"start": 1000}
    )
    await client.aclose()
    assert prediction.id in running(server)
    other = make_client(base_url=server.base_url)
    await other.predictions.cancel(prediction)
    await other.aclose()


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_closing_cancels_the_prediction_of_a_create_in_flight(
    flavor: str, prediction_server: PredictionServer, make_client: Callable[..., Any]
) -> None:
    client = make_client(base_url=prediction_server.base_url)
    errors: list[BaseException] = []

    async def run() -> None:
        try:
            await client.run("owner/late-0.2", {})
        except Exception as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        while not prediction_server.creating.is_set():
            await anyio.sleep(0.01)
        await client.aclose()
    assert len(errors) == 1
    assert prediction_server.request_counts["POST /v1/predictions/p1/cancel"] == 1
    assert prediction_server.running == set()


async def test_closing_ends_requests_that_wait_for_a_connection(
    flavor: str, fake_server: FakeServer, make_client: Callable[..., Any]
) -> None:
    requested, may_answer = threading.Event(), threading.Event()

    def script(received: Received) -> Reply:
        requested.set()
        may_answer.wait(30)
        return reply({"username": "a"})

    fake_server.respond_with(script)
    client = make_client(base_url=fake_server.base_url, max_connections=1, max_retries=0)
    errors: list[BaseException] = []

    async def request() -> None:
        try:
            await client.account.get()
        except Exception as error:
            errors.append(error)

    async def close() -> None:
        await wait_for_condition(flavor, requested.is_set)
        await client.aclose()
        may_answer.set()

    await run_concurrently(flavor, request, request, request, close)
    assert len(errors) == 3
    assert len(fake_server.requests) == 1, "a request was sent after the client was closed"


async def run_concurrently(flavor: str, *calls: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run calls concurrently, in tasks or threads."""
    if flavor == "sync":
        with ThreadPoolExecutor(len(calls)) as pool:
            for done in [pool.submit(drive, call()) for call in calls]:
                done.result()
        return
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)


async def wait_for_condition(flavor: str, condition: Callable[[], bool]) -> None:
    while not condition():
        if flavor == "sync":
            time.sleep(0.01)
        else:
            await anyio.sleep(0.01)
