"""Servers in a thread, certificates, and a way to run many calls concurrently."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest

from dashscope._runtime.drive import drive
from tests.servers.certificates import authority, server_context, trusting_tls
from tests.servers.counting_server import CountingServer, LoopThread, ok
from tests.waiting import wait_until

if TYPE_CHECKING:
    import trustme

__all__ = ["authority", "trusting_tls"]

Gather: TypeAlias = Callable[[list[Callable[[], Coroutine[Any, Any, Any]]]], Awaitable[list[Any]]]


@pytest.fixture(scope="package")
def loop() -> Iterator[LoopThread]:
    with LoopThread() as loop:
        yield loop


@pytest.fixture(scope="package")
def _server(loop: LoopThread) -> Iterator[CountingServer]:
    server = CountingServer()
    loop.run(server.start())
    yield server
    loop.run(server.stop())


@pytest.fixture
def server(_server: CountingServer) -> CountingServer:
    """A server that counts its connections."""
    wait_until(lambda: _server.open_connections == 0)
    _server.total_connections = _server.max_connections = 0
    _server.paths = []
    _server.respond_with(ok)
    _server.idle = None
    return _server


@pytest.fixture
def other_server(loop: LoopThread) -> Iterator[CountingServer]:
    """A second server, with another origin."""
    server = CountingServer()
    loop.run(server.start())
    yield server
    loop.run(server.stop())


@pytest.fixture(scope="package")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, "localhost")


@pytest.fixture(scope="package")
def _tls_server(loop: LoopThread, server_tls: ssl.SSLContext) -> Iterator[CountingServer]:
    server = CountingServer(server_tls)
    loop.run(server.start())
    yield server
    loop.run(server.stop())


@pytest.fixture
def tls_server(_tls_server: CountingServer) -> CountingServer:
    """A server that counts its connections, over TLS."""
    _tls_server.total_connections = _tls_server.max_connections = 0
    _tls_server.paths = []
    return _tls_server


@pytest.fixture
def gather(flavor: str) -> Gather:
    """Run several calls concurrently: in tasks, or in threads for the sync client."""

    async def run(calls: list[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Any]:
        results: list[Any] = [None] * len(calls)

        async def run_one(number: int) -> None:
            results[number] = await calls[number]()

        if flavor == "sync":
            with ThreadPoolExecutor(len(calls)) as pool:
                list(pool.map(lambda number: drive(run_one(number)), range(len(calls))))
            return results
        async with anyio.create_task_group() as group:
            for number in range(len(calls)):
                group.start_soon(run_one, number)
        return results

    return run
