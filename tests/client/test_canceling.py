"""If `run()` is canceled at any time, the prediction is canceled and the exception propagates."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest
import trio

from dashscope import AsyncClient, Client
from dashscope.local import LocalServer
from tests.client.tags import find_by_tag, status_of
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.stopwatch import Stopwatch
from tests.suspending import cancel_at_suspension

Run = Callable[[], Coroutine[Any, Any, Any]]
Ready = Callable[[], Awaitable[None]]


def soak(flavor: str) -> Any:
    """A flavor of the soak session only."""
    return pytest.param(flavor, marks=pytest.mark.soak)


class Marker(Exception):
    """An exception of the caller."""


async def by_task_cancel(run: Run, ready: Ready) -> None:
    task = asyncio.create_task(run())
    await ready()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task


async def by_task_cancel_twice(run: Run, ready: Ready) -> None:
    task = asyncio.create_task(run())
    await ready()
    task.cancel("enough")
    await asyncio.sleep(0.02)
    task.cancel("really")
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_task_cancel_many_times(run: Run, ready: Ready) -> None:
    task = asyncio.create_task(run())
    await ready()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()


async def by_asyncio_timeout(run: Run, ready: Ready) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout:
            await alongside(run, ready, lambda: timeout.reschedule(0))


async def by_wait_for(run: Run, ready: Ready) -> None:
    task = asyncio.create_task(run())
    await ready()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.01)


async def by_a_failing_sibling(run: Run, ready: Ready) -> None:
    async def fail() -> None:
        await ready()
        raise Marker

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [Marker]


async def by_an_anyio_scope(run: Run, ready: Ready) -> None:
    with anyio.CancelScope() as scope:
        await alongside(run, ready, scope.cancel)
    assert scope.cancelled_caught


async def by_a_failing_anyio_sibling(run: Run, ready: Ready) -> None:
    async def fail() -> None:
        await ready()
        raise Marker

    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(fail)
    assert [type(error) for error in caught.value.exceptions] == [Marker]


async def by_anyio_fail_after(run: Run, ready: Ready) -> None:
    with pytest.raises(TimeoutError):
        with anyio.fail_after(None) as scope:
            await alongside(run, ready, lambda: ends(scope, anyio.current_time()))


async def by_a_trio_nursery(run: Run, ready: Ready) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await ready()
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught


async def by_a_failing_trio_sibling(run: Run, ready: Ready) -> None:
    async def fail() -> None:
        await ready()
        raise Marker

    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            nursery.start_soon(fail)
    assert [type(error) for error in caught.value.exceptions] == [Marker]


async def by_trio_move_on_after(run: Run, ready: Ready) -> None:
    with trio.move_on_after(600) as scope:
        await alongside(run, ready, lambda: ends(scope, trio.current_time()))
    assert scope.cancelled_caught


def ends(scope: anyio.CancelScope | trio.CancelScope, at: float) -> None:
    """Cancel by a timeout that starts once the prediction is running."""
    scope.deadline = at


async def alongside(run: Run, ready: Ready, then: Callable[[], object]) -> None:
    """Run in the current task, and act from another task once the prediction is running."""

    async def wait() -> None:
        await ready()
        then()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await run()


ASYNCIO_WAYS = [
    by_task_cancel,
    by_task_cancel_twice,
    by_task_cancel_many_times,
    by_asyncio_timeout,
    by_wait_for,
    by_a_failing_sibling,
]
ANYIO_WAYS = [by_an_anyio_scope, by_a_failing_anyio_sibling, by_anyio_fail_after]
TRIO_WAYS = [by_a_trio_nursery, by_a_failing_trio_sibling, by_trio_move_on_after]
WAYS = [
    pytest.param(
        flavor,
        way,
        id=f"{way.__name__.removeprefix('by_')}-{flavor}",
        marks=pytest.mark.soak if flavor == "uvloop" else (),
    )
    for flavor, ways in (
        ("asyncio", [*ASYNCIO_WAYS, *ANYIO_WAYS]),
        ("uvloop", [by_task_cancel_twice, by_an_anyio_scope]),
        ("trio", [*TRIO_WAYS, *ANYIO_WAYS]),
    )
    for way in ways
]


@pytest.mark.parametrize(("flavor", "way"), WAYS)
async def test_a_cancellation_cancels_the_prediction(
    server: LocalServer, observer: Client, flavor: str, way: Any
) -> None:
    tag = f"{way.__name__}-{flavor}"
    caught: list[BaseException] = []
    async with AsyncClient(base_url=server.base_url) as client:
        running = anyio.Event()
        run = noting(
            caught,
            lambda: client.run(
                "test/slow",
                {"seconds": 60, "tag": tag},
                progress=lambda p: running.set() if p.status == "processing" else None,
            ),
        )
        started = Stopwatch()
        await way(run, running.wait)
        assert started.adjusted < 30  # the prediction would run for 60 s
        assert status_of(observer, tag) == "canceled"
        assert len(caught) == 1
        assert isinstance(caught[0], anyio.get_cancelled_exc_class())
        assert await client.run("test/echo", {"value": 1}) == 1


@pytest.mark.parametrize(("flavor", "way"), WAYS)
async def test_a_cancellation_during_the_create_cancels_the_prediction(
    fake_server: FakeServer, flavor: str, way: Any
) -> None:
    left = threading.Event()

    def script(received: Received) -> Reply:
        if received.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        assert left.wait(60)
        created = reply(prediction("starting"), 201)
        return Reply(created.status, created.headers, created.body, delay=0.05)

    async def create_is_in_flight() -> None:
        while not fake_server.request_lines:
            await anyio.sleep(0.01)
        left.set()  # as the cancellation comes next

    fake_server.respond_with(script)
    caught: list[BaseException] = []
    async with AsyncClient(base_url=fake_server.base_url) as client:
        run = noting(caught, lambda: client.run("owner/name", {}))
        await way(run, create_is_in_flight)
        assert fake_server.request_lines == [
            "POST /v1/models/owner/name/predictions",
            "POST /v1/predictions/p1/cancel",
        ]
        assert len(caught) == 1
        assert isinstance(caught[0], anyio.get_cancelled_exc_class())


@pytest.mark.soak
@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_a_cancellation_waits_only_seconds_for_a_hanging_create(
    fake_server: FakeServer, flavor: str
) -> None:
    fake_server.respond_with(Reply(delay=9.0))
    async with AsyncClient(base_url=fake_server.base_url) as client:
        started = Stopwatch()
        with anyio.move_on_after(0.2):
            await client.run("owner/name", {})
        assert started.adjusted < 7


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_canceling_wait_does_not_cancel_the_prediction(
    server: LocalServer, observer: Client, flavor: str
) -> None:
    async with AsyncClient(base_url=server.base_url) as client:
        created = await client.models.predictions.create("test", "slow", input={"seconds": 60})
        for cancel_on_exit in (False, True):
            seen = anyio.Event()

            with anyio.CancelScope() as scope:
                waiting = functools.partial(
                    client.wait,
                    created,
                    cancel_on_exit=cancel_on_exit,
                    progress=lambda _, seen=seen: seen.set(),
                )
                await alongside(waiting, seen.wait, scope.cancel)
            assert scope.cancelled_caught
            assert observer.predictions.get(created).is_done == cancel_on_exit
        assert observer.predictions.get(created).status == "canceled"


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_canceling_many_runs_leaves_nothing_running(
    server: LocalServer, observer: Client, flavor: str
) -> None:
    tag, before = f"crowd-{flavor}", len(server.requests)
    async with (
        AsyncClient(base_url=server.base_url) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(20):
            group.start_soon(client.run, "test/slow", {"seconds": 60, "tag": tag})
        while len(server.requests) < before + 30:  # some are created, and others are being created
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    crowd = [
        p.status
        for p in observer.iterate(observer.predictions.list, max_items=300)
        if (p.input or {}).get("tag") == tag
    ]
    assert set(crowd) == {"canceled"}


@pytest.mark.soak
@pytest.mark.parametrize("flavor", ["asyncio", "uvloop", "trio"])
async def test_canceling_run_at_any_suspension_leaves_nothing_running(
    server: LocalServer, observer: Client, flavor: str
) -> None:
    """Cancel `run()` at each of its suspensions."""
    seen: list[str] = []
    for suspension in range(1, 200):
        tag = f"at-{suspension}-{flavor}"
        async with AsyncClient(base_url=server.base_url) as client:
            run = client.run("test/slow", {"seconds": 0.15, "tag": tag}, poll_interval=0.05)
            outcome = await cancel_at_suspension(suspension, run)
        seen.append(
            status_of(observer, tag) if find_by_tag(observer, tag) is not None else "not created"
        )
        if not outcome.reached:
            break
        # A cancellation at trio's last suspension, after the last byte, has no effect.
        over = flavor == "trio" and seen[-1] == "succeeded"
        assert outcome.canceled or over, f"swallowed at suspension {suspension}"
        assert seen[-1] in ("not created", "canceled", "succeeded"), f"suspension {suspension}"
    assert not outcome.reached, "The call never completed."
    assert seen[-1] == "succeeded"
    assert seen.count("canceled") > 5


def noting(caught: list[BaseException], run: Run) -> Run:
    """A run that adds a note to its exception."""

    async def noted() -> Any:
        try:
            return await run()
        except BaseException as error:
            caught.append(error)
            raise

    return noted
