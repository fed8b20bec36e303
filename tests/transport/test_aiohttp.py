"""`AsyncClient` on aiohttp's connections."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from dashscope import APIConnectionError, APITimeoutError, AsyncClient
from dashscope.integrations.aiohttp import http_client
from tests.servers.counting_server import CountingServer, LoopThread
from tests.transport.test_pool import broken, slow
from tests.waiting import wait_until


@pytest.fixture(params=["asyncio", "uvloop"])
def flavor(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_connections_are_shared_and_limited(flavor: str, server: CountingServer) -> None:
    server.respond_with(slow)
    async with (
        http_client(max_connections=3) as http,
        AsyncClient(base_url=server.base_url, http_client=http) as client,
    ):
        await asyncio.gather(*[client.account.get() for _ in range(12)])
        assert server.max_connections == 3
    wait_until(lambda: server.open_connections == 0)


async def test_a_broken_response_is_an_api_error(flavor: str, server: CountingServer) -> None:
    server.respond_with(broken)
    async with http_client() as http:
        client = AsyncClient(base_url=server.base_url, http_client=http, max_retries=0)
        with pytest.raises(APIConnectionError):
            await client.account.get()


async def test_the_deadline_holds(flavor: str, server: CountingServer, loop: LoopThread) -> None:
    is_over = asyncio.Event()

    async def never(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
        await is_over.wait()
        return False

    server.respond_with(never)
    async with http_client() as http:
        client = AsyncClient(base_url=server.base_url, http_client=http, max_retries=0)
        with pytest.raises(APITimeoutError):
            await client.request("GET", "/slow", timeout=0.2)
    loop.loop.call_soon_threadsafe(is_over.set)


async def test_certificates_are_verified(
    flavor: str, tls_server: CountingServer, trusting_tls: ssl.SSLContext
) -> None:
    async with http_client(verify=trusting_tls) as http:
        client = AsyncClient("token", base_url=tls_server.base_url, http_client=http)
        assert (await client.account.get()).username
    async with http_client() as http:
        client = AsyncClient("token", base_url=tls_server.base_url, http_client=http, max_retries=0)
        with pytest.raises(APIConnectionError, match="(?i)certificate"):
            await client.account.get()


async def test_the_environment_sets_the_proxy(
    flavor: str, server: CountingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with http_client() as http:
        client = AsyncClient(base_url=server.base_url, http_client=http, max_retries=0)
        with pytest.raises(APIConnectionError):
            await client.request("GET", f"http://api.test:{server.port}/v1/account")
    assert server.paths == []


async def test_the_client_works_for_other_requests(flavor: str, server: CountingServer) -> None:
    async with http_client() as http:
        assert (await http.get(server.base_url + "/account")).json() == {"username": "1"}
