"""The connect timeout covers all addresses of a host, and the DNS lookup if it fails."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashscope import APIConnectionError, APITimeoutError
from tests.servers.fake_server import FakeServer, reply
from tests.servers.slow_server import never_accepting, silent
from tests.transport.test_deadlines import INSECURE, TIMEOUT, in_time, talking

NAME = "localhost"
Resolves = Callable[[list[str]], None]


@pytest.fixture(params=["asyncio", "trio", "sync"])
def flavor(request: pytest.FixtureRequest) -> str:
    """All flavors except uvloop, which has its own resolver."""
    name: str = request.param
    return name


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Resolves:
    """Resolve NAME to these addresses."""
    real = socket.getaddrinfo

    def resolve(addresses: list[str]) -> None:
        def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name != NAME:
                return real(host, port, *args, **options)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return resolve


@pytest.fixture
def port(fake_server: FakeServer) -> int:
    fake_server.respond_with(reply({"username": "a"}))
    return int(fake_server.base_url.split(":")[2].removesuffix("/v1"))


@pytest.fixture
def dead(port: int) -> Iterator[list[str]]:
    """Addresses at which no connection succeeds."""
    hosts = [f"127.0.0.{number}" for number in (2, 3, 4, 5)]
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(never_accepting(host, port))
        yield hosts


@pytest.fixture
def client(make_client: Any, port: int) -> Any:
    return make_client(base_url=f"http://{NAME}:{port}/v1", max_retries=0)


async def test_the_timeout_covers_all_addresses(
    client: Any, dead: list[str], resolves: Resolves
) -> None:
    resolves(dead)
    with in_time(), pytest.raises(APITimeoutError) as caught:
        await client.request("GET", "/account", timeout=TIMEOUT)
    assert not caught.value.request_sent


async def test_the_connect_timeout_covers_all_addresses(
    client: Any, dead: list[str], resolves: Resolves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._transport.mapping.CONNECT_TIMEOUT", TIMEOUT)
    resolves(dead)
    with in_time(), pytest.raises(APITimeoutError) as caught:
        await client.account.get()
    assert not caught.value.request_sent


async def test_an_unresponsive_address_leaves_time_for_the_others(
    client: Any, dead: list[str], resolves: Resolves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._transport.mapping.CONNECT_TIMEOUT", 1.5)
    resolves([*dead[:2], "127.0.0.1", *dead[2:]])
    with in_time(1.5):
        assert (await client.account.get()).username == "a"


async def test_an_address_that_refuses_is_skipped(client: Any, resolves: Resolves) -> None:
    resolves(["127.0.0.9", "127.0.0.1"])
    assert (await client.account.get()).username == "a"
    resolves(["127.0.0.9", "127.0.0.8"])
    await client.aclose()


async def test_if_all_addresses_refuse_there_is_no_connection(
    client: Any, resolves: Resolves
) -> None:
    resolves(["127.0.0.9", "127.0.0.8"])
    with pytest.raises(APIConnectionError, match="No connection") as caught:
        await client.account.get()
    assert not isinstance(caught.value, APITimeoutError)


async def test_a_slow_dns_lookup_times_out(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync client cannot interrupt the lookup, but reports it."""

    def slow(*args: Any, **options: Any) -> Any:
        if (*args, *options.values())[-1] & socket.AI_NUMERICHOST:  # trio's first query
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        time.sleep(TIMEOUT + 0.2)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(APITimeoutError) as caught:
        await client.request("GET", "/account", timeout=TIMEOUT)
    assert not caught.value.request_sent


async def test_the_connect_timeout_covers_the_handshake(
    make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._transport.mapping.CONNECT_TIMEOUT", TIMEOUT)
    with talking(silent, "https") as server:
        client = make_client("token", base_url=server.base_url, verify=INSECURE, max_retries=0)
        with in_time(), pytest.raises(APITimeoutError) as caught:
            await client.account.get()
        await client.aclose()
    assert not caught.value.request_sent
