"""Connections are shared, limited, never reused once broken, and always closed."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from dashscope import APIConnectionError, APITimeoutError, AsyncClient, Client
from dashscope._runtime.drive import drive
from dashscope._transport.pool.pool import AsyncPool, SyncPool
from tests.servers.counting_server import Answer, CountingServer, LoopThread, ok, pool_of
from tests.stopwatch import Stopwatch
from tests.suspending import Interruption, cancel_at_every_suspension, cancel_at_suspension
from tests.transport.conftest import Gather
from tests.waiting import wait_until

ASYNC = ["asyncio", "uvloop", "trio"]


async def slow(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
    await asyncio.sleep(0.02)
    return await ok(writer, path, number)


def respond_to_group(size: int) -> Answer:
    """Respond once `count` requests are waiting, so that each has a separate connection."""
    all_there = asyncio.Event()
    asking = 0

    async def response(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
        nonlocal asking
        asking += 1
        if asking == size:
            all_there.set()
        await all_there.wait()
        return await ok(writer, path, number)

    return response


async def broken(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    return False


async def test_max_connections_is_never_exceeded(
    make_client: Any, server: CountingServer, gather: Gather
) -> None:
    client = make_client(base_url=server.base_url, max_connections=3)
    server.respond_with(slow)
    accounts = await gather([client.account.get for _ in range(20)])
    assert len(accounts) == 20
    assert server.max_connections <= 3
    await client.aclose()
    wait_until(lambda: server.open_connections == 0)


@pytest.mark.parametrize("flavor", ASYNC)
async def test_waiting_requests_are_served_in_order(
    make_client: Any, server: CountingServer, loop: LoopThread
) -> None:
    may_answer = asyncio.Event()

    async def held(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
        await may_answer.wait()
        return await ok(writer, path, number)

    client = make_client(base_url=server.base_url, max_connections=1)
    server.respond_with(held)
    done: list[int] = []

    async def ask(number: int) -> None:
        await client.request("GET", f"/{number}")
        done.append(number)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(ask, number)
            await anyio.sleep(0.02)  # until it has a connection or waits for one
        loop.loop.call_soon_threadsafe(may_answer.set)
    assert done == list(range(8))
    await client.aclose()


async def test_waiting_for_a_connection_times_out(
    make_client: Any, server: CountingServer, gather: Gather, loop: LoopThread
) -> None:
    may_answer = asyncio.Event()

    async def held(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
        await may_answer.wait()
        return await ok(writer, path, number)

    client = make_client(base_url=server.base_url, max_connections=1, max_retries=0)
    server.respond_with(held)

    async def first() -> Any:
        return await client.account.get()

    async def second() -> Any:
        while not server.paths:  # until the other request has the connection
            await pause(client, 0.01)
        started = Stopwatch()
        with pytest.raises(APITimeoutError) as caught:
            await client.request("GET", "/second", timeout=0.2)
        took = started.adjusted
        loop.loop.call_soon_threadsafe(may_answer.set)
        return caught.value, took

    account, (error, took) = await gather([first, second])
    assert account.username
    assert took < 0.7
    assert not error.may_have_been_created
    assert server.paths == ["/v1/account"]
    await client.aclose()


async def pause(client: Any, seconds: float) -> None:
    """Sleep in the flavor of a client."""
    if isinstance(client, AsyncClient):
        await anyio.sleep(seconds)
    else:
        time.sleep(seconds)


async def test_an_idle_connection_is_closed_for_another_origin(
    make_client: Any, server: CountingServer, other_server: CountingServer
) -> None:
    client = make_client(base_url=server.base_url, max_connections=1)
    for _ in range(3):
        await client.request("GET", "/here")
        await client.request("GET", other_server.base_url + "/there")
        wait_until(lambda: server.open_connections + other_server.open_connections == 1)
    await client.aclose()
    wait_until(lambda: server.open_connections + other_server.open_connections == 0)


async def test_a_connection_that_the_server_closed_is_not_used(
    make_client: Any, server: CountingServer
) -> None:
    server.idle = 0.05
    client = make_client(base_url=server.base_url, max_retries=0)
    for number in range(1, 4):
        assert (await client.account.get()).username == str(number)
        wait_until(lambda: server.open_connections == 0)
    await client.aclose()


@pytest.fixture
def quick_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections expire quickly."""
    for module in ("idle", "pool", "routes"):
        monkeypatch.setattr(f"dashscope._transport.pool.{module}.KEEPALIVE_EXPIRY", 0.1)
    monkeypatch.setattr("dashscope._transport.pool.pool.MAINTENANCE_INTERVAL", 0.04)


@pytest.mark.usefixtures("quick_expiry")
async def test_an_expired_idle_connection_is_closed(
    make_client: Any,
    server: CountingServer,
    other_server: CountingServer,
    gather: Gather,
) -> None:
    server.respond_with(respond_to_group(4))
    other_server.respond_with(respond_to_group(4))
    client = make_client(base_url=server.base_url)
    await gather([client.account.get for _ in range(4)])
    await gather([lambda: client.request("GET", other_server.base_url + "/x") for _ in range(4)])
    assert server.total_connections + other_server.total_connections == 8
    while server.open_connections + other_server.open_connections > 1:
        await client.account.get()  # one stays in use; unused ones are closed
        await pause(client, 0.02)
    await client.aclose()


@pytest.mark.parametrize("flavor", ASYNC)
@pytest.mark.parametrize("how", ["still there", "closed by the server"])
@pytest.mark.usefixtures("quick_expiry")
async def test_an_idle_client_keeps_no_connection(
    make_client: Any,
    server: CountingServer,
    gather: Gather,
    loop: LoopThread,
    how: str,
) -> None:
    client = make_client(base_url=server.base_url)
    for turn in (1, 2):  # the pool starts again
        server.respond_with(respond_to_group(10))
        await gather([client.account.get for _ in range(10)])
        assert server.total_connections == 10 * turn
        pool = pool_of(await client._api.transport._client())
        if how == "closed by the server":
            loop.run(server.close_connections())
        with anyio.fail_after(30):
            while server.open_connections or not pool.is_empty:
                await anyio.sleep(0.05)
    await client.aclose()


@pytest.mark.parametrize("flavor", ASYNC)
@pytest.mark.usefixtures("quick_expiry")
async def test_a_connection_in_use_does_not_expire(
    make_client: Any, server: CountingServer
) -> None:
    async def long(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
        if path == "/v1/long":
            await asyncio.sleep(0.4)  # four times the expiry
        return await ok(writer, path, number)

    server.respond_with(long)
    client = make_client(base_url=server.base_url)
    responses: list[Any] = []

    async def ask() -> None:
        responses.append(await client.request("GET", "/long"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await client.account.get()
    assert responses[0].status == 200
    await client.aclose()


@pytest.mark.usefixtures("quick_expiry")
def test_a_loop_may_end_at_any_time(server: CountingServer) -> None:
    """The loop ends before, while and after its connections expire, without leaks or warnings."""
    server.respond_with(slow)
    client = AsyncClient(base_url=server.base_url)

    async def main(pause: float) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(client.account.get)
        await anyio.sleep(pause)

    for backend in ("asyncio", "trio"):
        for pause in (0.0, 0.11, 0.16):
            anyio.run(main, pause, backend=backend)
            gc.collect()
            wait_until(lambda: server.open_connections == 0)


async def test_a_broken_connection_is_never_used_again(
    make_client: Any, server: CountingServer
) -> None:
    client = make_client(base_url=server.base_url, max_retries=0)
    for number in (1, 2, 3):
        server.respond_with(broken)
        with pytest.raises(APIConnectionError):
            await client.account.get()
        server.respond_with(ok)
        assert (await client.account.get()).username == str(2 * number)
        # The working connection is used again, and then breaks.
        server.respond_with(broken)
        with pytest.raises(APIConnectionError):
            await client.account.get()
        server.total_connections = 2 * number
    await client.aclose()
    wait_until(lambda: server.open_connections == 0)


async def test_an_unread_response_closes_its_connection(
    make_client: Any, server: CountingServer
) -> None:
    async def endless(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 100_000)
        await writer.drain()
        return True

    client = make_client(base_url=server.base_url)
    server.respond_with(endless)
    async with (
        client.files.download("f1", owner="o", expiry=1, signature="s") as download,
        aclosing(download.iter_bytes()) as chunks,
    ):
        assert await anext(aiter(chunks))
    wait_until(lambda: server.open_connections == 0)
    server.respond_with(ok)
    assert (await client.account.get()).username == "2"
    await client.aclose()


async def test_closing_the_client_closes_its_connections(
    make_client: Any, server: CountingServer, gather: Gather
) -> None:
    server.respond_with(respond_to_group(10))
    client = make_client(base_url=server.base_url)
    await gather([client.account.get for _ in range(10)])
    assert server.open_connections == 10
    await client.aclose()
    wait_until(lambda: server.open_connections == 0)
    with pytest.raises(RuntimeError, match="closed"):
        await client.account.get()


@pytest.mark.parametrize("flavor", ASYNC)
async def test_a_canceled_request_leaves_the_pool_intact(
    make_client: Any, server: CountingServer, loop: LoopThread
) -> None:
    client = make_client(base_url=server.base_url, max_connections=1)

    async def attempt(suspension: int) -> Interruption:
        await client.account.get()  # on an existing connection
        await cancel_at_suspension(suspension, client.account.get())
        with anyio.fail_after(30):
            await client.account.get()
        loop.run(server.close_connections())
        wait_until(lambda: server.open_connections == 0)
        met = await cancel_at_suspension(suspension, client.account.get())  # on a new connection
        with anyio.fail_after(30):
            await client.account.get()
        return met

    assert await cancel_at_every_suspension(attempt) > 5
    await client.aclose()
    wait_until(lambda: server.open_connections == 0)


async def test_many_threads_and_tasks_share_a_client(
    make_client: Any, server: CountingServer, gather: Gather
) -> None:
    client = make_client(base_url=server.base_url, max_connections=8)

    async def several() -> None:
        for _ in range(5):
            assert (await client.account.get()).username

    await gather([several for _ in range(16)])
    assert len(server.paths) == 80
    assert server.max_connections <= 8
    await client.aclose()
    wait_until(lambda: server.open_connections == 0)


def test_an_abandoned_permit_is_returned(server: CountingServer) -> None:
    with Client(base_url=server.base_url, max_connections=1) as client:
        client.account.get()
        pool = pool_of(client._async._api.transport._get_client())
        for _ in range(3):
            turn = drive(pool._acquire())
            del turn  # like an interrupt between two lines
            client.account.get()
        assert len(pool._limiter) == 1
        turns = weakref.ref(pool._limiter)
    del pool, client
    gc.collect()
    assert turns() is None


async def test_a_connection_closed_just_before_use_is_replaced(
    make_client: Any, server: CountingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(base_url=server.base_url)
    await client.account.get()
    for pool in (AsyncPool, SyncPool):
        send, closed = pool._send, []

        async def first_closed(
            self: Any, connection: Any, request: Any, send: Any = send, closed: Any = closed
        ) -> Any:
            if not closed:
                closed.append(connection)
                await self._close(connection)
            return await send(self, connection, request)

        monkeypatch.setattr(pool, "_send", first_closed)
    created = await client.request(
        "POST", "/x"
    )  # a create, which is retried only if it was rejected
    assert created.attempts == 2
    await client.aclose()
    wait_until(lambda: server.open_connections == 0)
