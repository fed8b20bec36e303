"""Closing a batch early cancels every unfinished prediction, however the block ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from dashscope import AsyncClient, Client
from tests.batch.reading import REF, read, rows
from tests.servers.batch_service import Service
from tests.servers.fake_server import Received, Reply, prediction, reply
from tests.stopwatch import Stopwatch
from tests.variants import variants
from tests.waiting import wait_until


class Marker(Exception):
    """An exception of the user's code."""


async def test_break_cancels_running_predictions(client: Any, service: Service) -> None:
    service.seconds = lambda input: 0.3 if input["value"] == 0 else 60.0
    async with client.map(REF, rows(100), concurrency=20) as results:
        async for _ in results:
            break
    assert all(prediction.is_finished for prediction in service.created)
    assert len(service.canceled) >= 1
    assert len(service.canceled) == len(service.created) - 1


async def test_an_exception_cancels_running_predictions_and_propagates(
    client: Any, service: Service
) -> None:
    service.seconds = lambda input: 0.0 if input["value"] == 0 else 60.0
    with pytest.raises(Marker) as caught:
        async with client.map(REF, rows(9)) as results:
            async for _ in results:
                raise Marker
    assert caught.value.__context__ is None
    assert all(prediction.is_finished for prediction in service.created)


async def test_cancels_run_in_parallel(client: Any, service: Service) -> None:
    service.seconds = lambda input: 0.0 if input["value"] == 0 else 60.0
    document = prediction("canceled")

    def slow_cancel(received: Received) -> Reply | None:
        if not received.path.endswith("/cancel"):
            return None
        response = reply(document)
        return Reply(response.status, response.headers, response.body, delay=0.4)

    service.override = slow_cancel
    async with client.map(REF, rows(24), concurrency=24) as results:
        async for _ in results:
            break
        started = Stopwatch()
    assert started.adjusted < 3
    assert service.request_counts["cancel"] == len(service.created) - 1


@pytest.mark.soak
async def test_closing_takes_seconds_even_if_the_server_hangs(
    client: Any, service: Service
) -> None:
    service.seconds = lambda input: 0.0 if input["value"] == 0 else 60.0
    service.override = lambda received: (
        Reply(delay=30.0) if received.path.endswith("/cancel") else None
    )
    async with client.map(REF, rows(40), concurrency=40) as results:
        async for _ in results:
            break
        started = Stopwatch()
    assert started.adjusted < 12


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_a_canceled_scope_cancels_running_predictions(client: Any, service: Service) -> None:
    service.seconds = lambda _: 60.0
    async with anyio.create_task_group() as group:
        group.start_soon(read, client.map(REF, rows(40), concurrency=20))
        while len(service.created) < 20:
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert len(service.canceled) == len(service.created) == 20


@pytest.mark.parametrize("flavor", ["asyncio"])
async def test_a_task_canceled_many_times_cancels_running_predictions(
    client: Any, service: Service
) -> None:
    service.seconds = lambda _: 60.0
    task = asyncio.create_task(read(client.map(REF, rows(20))))
    while len(service.created) < 20:
        await asyncio.sleep(0.01)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.01)
    assert task.cancelled()
    assert len(service.canceled) == 20


@pytest.mark.parametrize("flavor", ["asyncio", "trio", "sync"])
async def test_creates_in_flight_complete_and_are_canceled(client: Any, service: Service) -> None:
    service.seconds = lambda input: 0.0 if input["value"] == 0 else 60.0
    create = service.create

    def slow_create(received: Received) -> Reply | None:
        if received.method != "POST" or received.path.endswith("/cancel"):
            return None
        made = create(received.json["input"])
        response = reply(made.document(), 201)
        slow = 0.0 if made.input["value"] == 0 else 0.7
        return Reply(response.status, response.headers, response.body, delay=slow)

    service.override = slow_create
    async with client.map(REF, rows(6), concurrency=6) as results:
        async for _ in results:
            break
    assert len(service.canceled) == len(service.created) - 1 >= 1


async def test_an_error_names_predictions_that_could_not_be_canceled(
    client: Any, service: Service
) -> None:
    service.seconds = lambda input: 0.0 if input["value"] == 0 else 60.0
    service.override = lambda received: (
        reply({"detail": "no"}, 400) if received.path.endswith("/cancel") else None
    )
    with pytest.raises(Marker) as caught:
        async with client.map(REF, rows(2)) as results:
            async for _ in results:
                raise Marker
    assert "may still be running" in caught.value.__notes__[0]


async def test_an_exhausted_batch_cancels_nothing(client: Any, service: Service) -> None:
    await read(client.map(REF, rows(5)))
    assert service.request_counts["cancel"] == 0


async def test_a_prediction_times_out(client: Any, service: Service) -> None:
    service.seconds = lambda input: 60.0 if input["value"] == 1 else 0.0
    results = await read(client.map(REF, rows(3), timeout=0.5, ordered=True))
    assert [result.ok for result in results] == [True, False, True]
    assert isinstance(results[1].error, TimeoutError)
    assert "within 0.5 s" in str(results[1].error)
    assert service.canceled == [results[1].prediction.id]
    headers = {
        name.lower(): value for name, value in service.fake_server.requests[1].headers.items()
    }
    assert headers["cancel-after"] == "6s"


async def test_a_batch_must_be_entered(client: Any, service: Service) -> None:
    with pytest.raises(RuntimeError, match=r"entered first: (async )?with"):
        await client.map(REF, rows(1)).__anext__()
    assert service.fake_server.requests == []


async def test_a_batch_can_be_used_once(client: Any, service: Service) -> None:
    batch = client.map(REF, rows(1))
    await read(batch)
    with pytest.raises(RuntimeError, match="only once"):
        await read(batch)


async def test_a_closed_batch_returns_nothing(client: Any, service: Service) -> None:
    async with client.map(REF, rows(3)) as results:
        pass
    assert [result async for result in results] == []


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_a_batch_can_be_closed_in_another_task(client: Any, service: Service) -> None:
    service.seconds = lambda _: 60.0
    batch = client.map(REF, rows(3))
    async with anyio.create_task_group() as group:
        group.start_soon(batch.__aenter__)
    while len(service.created) < 3:
        await anyio.sleep(0.01)
    await batch.__aexit__(None, None, None)
    assert len(service.canceled) == 3


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_two_batches_of_one_client_at_once(client: Any, service: Service) -> None:
    got: list[int] = []

    async def run() -> None:
        got.append(len(await read(client.map(REF, rows(20)))))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
    assert got == [20, 20]


def test_one_async_client_in_loop_after_loop(service: Service) -> None:
    client = AsyncClient(base_url=service.fake_server.base_url)

    async def run() -> None:
        assert len(await read(client.map(REF, rows(5)))) == 5

    asyncio.run(run())
    asyncio.run(run())
    anyio.run(run, backend="trio")


def test_the_sync_client_inside_a_running_loop(service: Service) -> None:
    async def cell() -> int:
        with (
            Client(base_url=service.fake_server.base_url) as client,
            client.map(REF, rows(5)) as results,
        ):
            return len(list(results))

    assert asyncio.run(cell()) == 5


def test_threads_end_with_the_block(service: Service) -> None:
    with Client(base_url=service.fake_server.base_url) as client:
        with client.map(REF, rows(50)) as results:
            assert any(t.name == "dashscope-map" for t in threading.enumerate())
            assert len(list(results)) == 50
        assert not any(t.name == "dashscope-map" for t in threading.enumerate())


@variants(
    ("options", "sentence"),
    [
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"concurrency": 2.5}, "concurrency must be an integer"),
        ({"max_rate": 0}, "max_rate must be a positive number"),
        ({"max_rate": "3"}, "max_rate must be creates per second, or an object"),
        ({"resume": "no"}, "resume must be 'yield' or 'skip'"),
        ({"resume": "skip"}, "require a checkpoint"),
        ({"on_unknown": "recreate"}, "require a checkpoint"),
        ({"on_error": "ignore"}, "on_error must be 'yield' or 'raise'"),
        ({"on_unknown": "x", "checkpoint": "a"}, "on_unknown must be 'error' or 'recreate'"),
        ({"checkpoint": 3}, "checkpoint must be the path of a file"),
        ({"checkpoint": ""}, "checkpoint must be the path of a file"),
        ({"timeout": -1}, "timeout"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"file_encoding": "x"}, "file_encoding"),
        ({"progress": 3}, "progress must be a function"),
        ({"inputs": {"value": 1}}, "inputs must be an iterable"),
        ({"inputs": "text"}, "inputs must be an iterable"),
        ({"inputs": None}, "inputs must be an iterable"),
        ({"ref": "name"}, "a model must be owner/name"),
    ],
)
def test_invalid_arguments_raise_at_once(options: dict[str, Any], sentence: str) -> None:
    arguments = {"ref": REF, "inputs": [], **options}
    for client in (
        AsyncClient(base_url="http://127.0.0.1:9/v1"),
        Client(base_url="http://127.0.0.1:9/v1"),
    ):
        with pytest.raises((TypeError, ValueError), match=sentence):
            client.map(**arguments)


def test_the_sync_client_rejects_async_arguments() -> None:
    async def inputs() -> Any:
        yield {}

    async def progress(_: Any) -> None: ...

    client = Client(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(TypeError, match="inputs must be a plain iterable for Client"):
        client.map(REF, inputs())
    with pytest.raises(TypeError, match="progress must be a plain function for Client"):
        client.map(REF, [], progress=progress)


async def test_a_closed_client_raises(make_client: Callable[..., Any], service: Service) -> None:
    client = make_client(base_url=service.fake_server.base_url)
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await read(client.map(REF, rows(3)))


async def test_closing_the_client_inside_the_block_cancels_running_predictions(
    client: Any, service: Service
) -> None:
    service.seconds = lambda input: 0.0 if input["value"] == 0 else 60.0
    with pytest.raises(RuntimeError, match="this client is closed"):
        async with client.map(REF, rows(9)) as results:
            async for _ in results:
                await client.aclose()
                assert all(prediction.is_finished for prediction in service.created)
    assert len(service.canceled) == len(service.created) - 1


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_closing_the_client_ends_the_batches_of_other_tasks(
    client: Any, service: Service, tmp_path: Path
) -> None:
    service.seconds = lambda _: 60.0
    errors: list[Exception] = []

    async def run() -> None:
        try:
            await read(client.map(REF, rows(4), checkpoint=tmp_path / "run.sqlite"))
        except RuntimeError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        with anyio.fail_after(10):
            while len(service.created) < 4:
                await anyio.sleep(0.01)
            await client.aclose()
        assert len(service.canceled) == 4
    assert len(errors) == 1
    assert "this client is closed" in str(errors[0])


def test_closing_the_client_ends_the_batches_of_other_threads(service: Service) -> None:
    service.seconds = lambda _: 60.0
    client = Client(base_url=service.fake_server.base_url)
    errors: list[Exception] = []

    def run() -> None:
        try:
            with client.map(REF, rows(4)) as results:
                list(results)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: len(service.created) == 4)
    client.close()
    assert len(service.canceled) == 4
    thread.join(10)
    assert len(errors) == 1
    assert "this client is closed" in str(errors[0])
