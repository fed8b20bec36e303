"""Servers in a thread, certificates of their own, and a way to do many things at once."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import anyio
import pytest
import trustme

from dashscope._runtime.drive import drive
from tests.servers.counting_server import CountingServer, Loop, ok
from tests.waiting import wait_until

Together: TypeAlias = Callable[[list[Callable[[], Coroutine[Any, Any, Any]]]], Awaitable[list[Any]]]


@pytest.fixture(scope="package")
def loop() -> Iterator[Loop]:
    with Loop() as loop:
        yield loop


@pytest.fixture(scope="package")
def _server(loop: Loop) -> Iterator[CountingServer]:
    server = CountingServer()
    loop.run(server.start())
    yield server
    loop.run(server.stop())


@pytest.fixture
def server(_server: CountingServer) -> CountingServer:
    """A server that counts."""
    wait_until(lambda: _server.open == 0)
    _server.opened = _server.most = 0
    _server.asked = []
    _server.respond_with(ok)
    _server.idle = None
    return _server


@pytest.fixture
def another(loop: Loop) -> Iterator[CountingServer]:
    """A server of another origin."""
    server = CountingServer()
    loop.run(server.start())
    yield server
    loop.run(server.stop())


@pytest.fixture(scope="package")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="package")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="package")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that knows the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="package")
def _secure(loop: Loop, server_tls: ssl.SSLContext) -> Iterator[CountingServer]:
    server = CountingServer(server_tls)
    loop.run(server.start())
    yield server
    loop.run(server.stop())


@pytest.fixture
def secure(_secure: CountingServer) -> CountingServer:
    """A server that counts, over TLS."""
    _secure.opened = _secure.most = 0
    _secure.asked = []
    return _secure


@pytest.fixture
def together(flavor: str) -> Together:
    """Does several things at once: in tasks, or in threads for the sync client."""

    async def run(calls: list[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Any]:
        results: list[Any] = [None] * len(calls)

        async def one(number: int) -> None:
            results[number] = await calls[number]()

        if flavor == "sync":
            with ThreadPoolExecutor(len(calls)) as pool:
                list(pool.map(lambda number: drive(one(number)), range(len(calls))))
            return results
        async with anyio.create_task_group() as group:
            for number in range(len(calls)):
                group.start_soon(one, number)
        return results

    return run
