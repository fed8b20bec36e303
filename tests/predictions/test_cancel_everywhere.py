"""Cancel a call at each of its suspensions, in every way: nothing is left running."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import anyio
import pytest
import trio

from dashscope import AsyncClient
from tests import flavors
from tests.servers.prediction_server import PredictionServer
from tests.suspending import SuspensionCounter
from tests.waiting import wait_until

Way = Callable[[SuspensionCounter], Coroutine[Any, Any, None]]
Call = Callable[[AsyncClient], Coroutine[Any, Any, Any]]


class Marker(Exception):
    """An exception of the caller."""


async def _awaited(counted: SuspensionCounter) -> Any:
    return await counted


async def task_cancel(counted: SuspensionCounter) -> None:
    task = asyncio.create_task(_awaited(counted))
    counted.then = task.cancel
    await asyncio.wait({task})
    _only_canceled(task)


async def task_cancel_again_and_again(counted: SuspensionCounter) -> None:
    counted._again = True
    await task_cancel(counted)


async def asyncio_timeout(counted: SuspensionCounter) -> None:
    try:
        async with asyncio.timeout(None) as timeout:
            counted.then = lambda: timeout.reschedule(0)
            await counted
    except TimeoutError:
        assert timeout.expired()


async def failing_sibling(counted: SuspensionCounter) -> None:
    failing = asyncio.Event()
    counted.then = failing.set

    async def fail() -> None:
        await failing.wait()
        raise Marker

    try:
        async with asyncio.TaskGroup() as group:
            sibling = group.create_task(fail())
            await counted
            sibling.cancel()
    except* Marker:
        pass


async def end_of_the_loop(counted: SuspensionCounter) -> None:
    """Run the call in a background task that the program does not await."""
    over = asyncio.Event()
    counted.then = over.set
    background.append(asyncio.create_task(_awaited(counted)))
    background[0].add_done_callback(lambda _: over.set())
    await over.wait()


background: list[asyncio.Task[Any]] = []


async def anyio_scope(counted: SuspensionCounter) -> None:
    with anyio.CancelScope() as scope:
        counted.then = scope.cancel
        await counted


async def anyio_failing_sibling(counted: SuspensionCounter) -> None:
    failing = anyio.Event()
    counted.then = failing.set

    async def fail() -> None:
        await failing.wait()
        raise Marker

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            await counted
            group.cancel_scope.cancel()
    except* Marker:
        pass


async def trio_nursery(counted: SuspensionCounter) -> None:
    async with trio.open_nursery() as nursery:
        counted.then = nursery.cancel_scope.cancel
        nursery.start_soon(_awaited, counted)


async def trio_deadline(counted: SuspensionCounter) -> None:
    with trio.CancelScope() as scope:
        counted.then = lambda: setattr(scope, "deadline", trio.current_time())
        await counted


def _only_canceled(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.result()


async def run(client: AsyncClient) -> Any:
    return await client.run("owner/polls-3", {}, poll_interval=0.001)


async def run_and_listen(client: AsyncClient) -> Any:
    return await client.run("owner/short", {})


async def stream(client: AsyncClient) -> Any:
    async with client.stream("owner/never", {}) as stream:
        async for event in stream:
            if str(event) == "b ":
                break
        assert stream.prediction.id


async def wait(client: AsyncClient) -> Any:
    created = await client.models.predictions.create("owner", "polls-3", input={})
    return await client.wait(created, poll_interval=0.001, cancel_on_exit=True)


CALLS: list[Call] = [run, run_and_listen, stream, wait]
# Each way has the calls of the default run, which are canceled at every fourth suspension. The soak
# session cancels all calls at every suspension.
WAYS: list[tuple[str, Way, list[Call]]] = [
    ("asyncio", task_cancel, CALLS),
    ("asyncio", task_cancel_again_and_again, [run]),
    ("asyncio", asyncio_timeout, []),
    ("asyncio", failing_sibling, []),
    ("asyncio", end_of_the_loop, [run]),
    ("asyncio", anyio_scope, [run]),
    ("asyncio", anyio_failing_sibling, []),
    ("uvloop", task_cancel, []),
    ("uvloop", end_of_the_loop, []),
    ("trio", anyio_scope, CALLS),
    ("trio", trio_nursery, [run]),
    ("trio", trio_deadline, []),
    ("trio", anyio_failing_sibling, []),
]


@pytest.fixture
def nothing_thrown_away() -> Iterator[None]:
    """Garbage left by a test is collected at its end.

    The garbage collector must not run during a test: the warning about a coroutine needs builtins,
    which the code of a namedtuple does not have.
    """
    gc.disable()
    yield
    gc.enable()
    gc.collect()


# The end of a loop also cancels the connection attempts that anyio has just started.
@pytest.mark.usefixtures("nothing_thrown_away")
@pytest.mark.filterwarnings("ignore:.*try_connect.* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("flavor", "way", "call", "step"),
    [
        pytest.param(
            *(flavor, way, call, step),
            id=f"{call.__name__}-{way.__name__}-{flavor}-{name}",
            marks=marks,
        )
        for flavor, way, quick in WAYS
        for name, step, calls, marks in (
            ("some", 4, quick, ()),
            ("all", 1, CALLS, pytest.mark.soak),
        )
        for call in calls
    ],
)
def test_exiting_a_call_at_any_suspension_leaves_nothing_running(
    prediction_server: PredictionServer, flavor: str, way: Way, call: Call, step: int
) -> None:
    for suspension in range(1, 500, step):
        running = set(prediction_server.running)
        # Do not use a block: the call may outlive its caller.
        client = AsyncClient(base_url=prediction_server.base_url)
        counted = SuspensionCounter(call(client), suspension)
        flavors.run(flavor, partial(way, counted))
        left = prediction_server.running - running
        if call is wait:  # before the first poll, the call may not have started to wait
            left = {
                id for id in left if prediction_server.request_counts[f"GET /v1/predictions/{id}"]
            }
        assert not left, f"suspension {suspension}"
        wait_until(lambda: prediction_server.open == 0)
        for task in background:
            _only_canceled(task)
        background.clear()
        if not counted.reached:
            break
    else:
        raise AssertionError("The call never completed.")
    # The stream is read in a separate task, so its reader suspends less often.
    assert suspension > 5
