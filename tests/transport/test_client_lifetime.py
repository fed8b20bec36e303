"""The connections of a client: kept, shared by loops and threads, but not by forks."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import anyio
import httpx
import pytest

from dashscope import AsyncClient, Client, ConfigurationError
from tests.flavors import make_client as make
from tests.servers.fake_server import FakeServer, Reply, reply

ACCOUNT = reply({"username": "a"})


@pytest.fixture
def opened(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that connected to the server."""
    found: list[Any] = []
    handler = fake_server._server.RequestHandlerClass
    setup = handler.setup

    def noted(self: Any) -> None:
        found.append(self.client_address)
        setup(self)

    monkeypatch.setattr(handler, "setup", noted)
    return found


async def test_sequential_requests_share_a_connection(
    scripted_client: Any, fake_server: FakeServer, opened: list[Any]
) -> None:
    fake_server.respond_with(ACCOUNT)
    for client in (scripted_client, scripted_client.with_options(timeout=5), scripted_client):
        await client.account.get()
    fake_server.respond_with(reply({}, 404))
    for _ in range(2):
        with pytest.raises(Exception, match="404"):
            await scripted_client.account.get()
    assert len(opened) == 1


def test_an_async_client_works_in_successive_loops(fake_server: FakeServer) -> None:
    fake_server.respond_with(ACCOUNT)
    client = AsyncClient(base_url=fake_server.base_url)

    async def main() -> str | None:
        return (await client.account.get()).username

    assert [asyncio.run(main()) for _ in range(3)] == ["a"] * 3


def test_an_async_client_works_in_two_loops_at_once(fake_server: FakeServer) -> None:
    fake_server.respond_with(ACCOUNT)
    client = AsyncClient(base_url=fake_server.base_url)
    both = threading.Barrier(2, timeout=10)
    names: list[Any] = []

    async def main() -> None:
        for _ in range(5):
            await client.account.get()
        both.wait()
        names.append((await client.account.get()).username)

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["a", "a"]


def test_a_sync_client_works_inside_a_running_loop(fake_server: FakeServer) -> None:
    fake_server.respond_with(ACCOUNT)

    async def cell() -> str | None:
        with Client(base_url=fake_server.base_url) as client:
            return client.account.get().username

    assert asyncio.run(cell()) == "a"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_breaks_neither_side(fake_server: FakeServer, opened: list[Any]) -> None:
    fake_server.respond_with(ACCOUNT)
    with Client(base_url=fake_server.base_url) as client:
        client.account.get()
        child = os.fork()
        if child == 0:
            os._exit(0 if client.account.get().username == "a" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.account.get().username == "a"
    # The child opened its own connection, and the parent kept its connection.
    assert len(opened) == 2


class TestHTTPClientOfTheCaller:
    async def test_sends_requests_and_stays_open(
        self, fake_server: FakeServer, flavor: str
    ) -> None:
        fake_server.respond_with(ACCOUNT)
        seen: list[str] = []

        def handle(request: httpx.Request) -> httpx.Response:
            seen.append(f"{request.method} {request.url} {request.headers['Authorization']}")
            return httpx.Response(200, json={"username": "mine"})

        transport = httpx.MockTransport(handle)
        http: Any = httpx.Client if flavor == "sync" else httpx.AsyncClient
        http_client = http(transport=transport)
        client = make(
            flavor, "r8_token", base_url="https://api.example.com/v1", http_client=http_client
        )
        assert (await client.account.get()).username == "mine"
        await client.aclose()
        assert not http_client.is_closed
        assert seen == ["GET https://api.example.com/v1/account Bearer r8_token"]
        with pytest.raises(RuntimeError, match="closed"):
            await client.account.get()

    async def test_follows_no_redirect_and_authenticates_to_the_api_only(
        self, fake_server: FakeServer, other_fake_server: FakeServer, flavor: str
    ) -> None:
        fake_server.respond_with(Reply(302, {"location": other_fake_server.base_url}))
        http: Any = httpx.Client if flavor == "sync" else httpx.AsyncClient
        http_client = http(follow_redirects=True, auth=("user", "word"))
        client = make(flavor, base_url=fake_server.base_url, http_client=http_client)
        with pytest.raises(Exception, match="302"):
            await client.account.get()
        assert fake_server.requests[0].headers["Authorization"].startswith("Basic ")
        assert other_fake_server.requests == []
        other_fake_server.respond_with(ACCOUNT)
        await client.request("GET", f"{other_fake_server.base_url}/account")
        assert "Authorization" not in other_fake_server.requests[0].headers
        if flavor == "sync":
            http_client.close()
        else:
            await http_client.aclose()

    def test_must_have_the_flavor_of_the_client(self) -> None:
        with httpx.Client() as sync, pytest.raises(ConfigurationError, match="AsyncClient"):
            AsyncClient(http_client=sync)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"httpx\.Client"):
            Client(http_client=httpx.AsyncClient())  # type: ignore[arg-type]


def test_http2_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscope._transport.transport.find_spec", lambda _: None)
    for cls in (AsyncClient, Client):
        with pytest.raises(ConfigurationError, match=r"pip install .*\[http2\]"):
            cls(http2=True)


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop", "trio"])
async def test_tasks_do_not_exceed_the_connection_limit(
    make_client: Any, fake_server: FakeServer, opened: list[Any]
) -> None:
    fake_server.respond_with(ACCOUNT)
    client = make_client(base_url=fake_server.base_url, max_connections=2)
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(client.account.get)
    assert len(fake_server.requests) == 8
    assert len(opened) == 2
