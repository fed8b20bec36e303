"""Kept connections that the server closes at a bad time, or that have extra data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from dashscope import APIConnectionError, APIError
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.servers.fault_proxy import Exchange, Fault, Line, Proxy
from tests.servers.faults import BROKEN, HARMLESS, RESET_AT_ONCE

pytestmark = [pytest.mark.usefixtures("no_jitter")]

FAULTS = {str(case): case.fault for case in [*BROKEN, *HARMLESS]}


@pytest.fixture
def line(proxy: Proxy, server: FakeServer) -> Line:
    def script(received: Received) -> Reply:
        if received.method == "POST":
            return reply(prediction(id=f"p{len(server.requests)}"), 201)
        id = received.path.rpartition("/")[2]
        return reply({"username": id, "id": id, **HOLDS})

    server.requests.clear()
    server.respond_with(script)
    line = proxy.line()
    line.listen()
    return line


HOLDS = {"owner": "a", "name": "b", "status": "starting"}


async def _twice(exchange: Exchange) -> None:
    response = await exchange.answer()
    await exchange.send(response + response)


async def _with_more_after(exchange: Exchange) -> None:
    await exchange.send(await exchange.answer() + b"and more")


@pytest.mark.parametrize("act", [_twice, _with_more_after])
async def test_an_extra_response_is_not_used_for_the_next_request(
    make_client: Any, line: Line, act: Callable[[Exchange], Any]
) -> None:
    client = make_client(base_url=line.base_url, max_retries=0)
    line.inject([Fault("more than was asked for", act)] * 3)
    for number in range(3):
        assert (await client.predictions.get(f"x{number}")).id == f"x{number}"
    created = await client.predictions.create(version="v", input={})
    assert created.id == "p4"
    # Each fault closed its connection.
    assert line.connections == 4
    await client.aclose()


def closing(after: float) -> Fault:
    """A server that closes idle connections after some time, and is just closing one."""
    last = time.monotonic()

    async def act(exchange: Exchange) -> None:
        nonlocal last
        idle, last = time.monotonic() - last, time.monotonic()
        if exchange.number > 1 and idle > after:
            await exchange.end()
        await exchange.send(await exchange.answer())

    return Fault("closed when idle for long", act)


async def pause(flavor: str, seconds: float) -> None:
    if flavor == "sync":
        time.sleep(seconds)
    else:
        await anyio.sleep(seconds)


async def test_a_create_does_not_use_a_connection_idle_for_long(
    make_client: Any, flavor: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._transport.pool.pool.FRESH", 0.1)
    client = make_client(base_url=line.base_url)
    line.inject([closing(0.15)] * 20)
    await client.predictions.get("x")
    await pause(flavor, 0.2)
    created = await client.predictions.create(version="v", input={})
    assert created.id.startswith("p")
    await pause(flavor, 0.2)
    # Idempotent requests use the connection and are retried.
    await client.predictions.get("x")
    await client.aclose()


async def test_quick_successive_requests_share_a_connection(make_client: Any, line: Line) -> None:
    client = make_client(base_url=line.base_url)
    for _ in range(5):
        await client.predictions.get("x")
        await client.predictions.create(version="v", input={})
    assert line.connections == 1
    await client.aclose()


async def test_a_create_on_a_closed_connection_may_have_executed(
    make_client: Any, line: Line, server: FakeServer
) -> None:
    client = make_client(base_url=line.base_url)
    await client.predictions.get("x")
    line.inject([FAULTS["closed on reuse"]])
    with pytest.raises(APIConnectionError) as caught:
        await client.predictions.create(version="v", input={})
    assert caught.value.may_have_been_created
    assert caught.value.attempts == 1
    assert [received.method for received in server.requests] == ["GET"]
    # The next request is not affected.
    await client.predictions.create(version="v", input={})
    await client.aclose()


async def test_a_connection_reset_before_its_request_creates_at_most_one_prediction(
    make_client: Any, line: Line, server: FakeServer
) -> None:
    # Without TLS, the request may already have been sent.
    for _ in range(8):
        server.requests.clear()
        client = make_client(base_url=line.base_url)
        line.inject([RESET_AT_ONCE])
        failure: APIError | None = None
        try:
            await client.predictions.create(version="v", input={})
        except APIError as error:
            failure = error
        await client.aclose()
        assert failure is None or failure.may_have_been_created
        assert len(server.requests) == (1 if failure is None else 0)
