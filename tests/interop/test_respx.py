"""respx mocks the requests of default clients, with both its httpcore and its httpx mocker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from dashscope import APIConnectionError, NotFoundError
from dashscope.local import LocalServer
from tests.interop.conftest import COUNTDOWN, EVENTS, HELLO, TOKEN, created, done
from tests.servers.fake_server import FakeServer


@pytest.fixture(params=["httpcore", "httpx"])
def router(request: pytest.FixtureRequest, fake_server: FakeServer) -> Iterator[respx.MockRouter]:
    with respx.mock(using=request.param, assert_all_called=False) as router:
        yield router
    assert fake_server.requests == []


async def test_unmatched_requests_are_not_sent(client: Any, router: respx.MockRouter) -> None:
    with pytest.raises(respx.models.AllMockedAssertionError, match="not mocked"):
        await client.run("owner/name", {"text": "Alice"})
    with pytest.raises(respx.models.AllMockedAssertionError, match="not mocked"):
        await client.account.get()


async def test_a_route(client: Any, fake_server: FakeServer, router: respx.MockRouter) -> None:
    route = router.get(
        f"{fake_server.base_url}/account", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    route.respond(json={"type": "user", "username": "routed"})
    assert (await client.account.get()).username == "routed"
    assert (await client.account.get()).username == "routed"
    assert route.call_count == 2
    route.respond(404, json={"detail": "no account"})
    with pytest.raises(NotFoundError, match="no account"):
        await client.account.get()
    route.mock(side_effect=httpx.ConnectError)
    with pytest.raises(APIConnectionError):
        await client.account.get()


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_a_client_with_an_open_connection(local: Any, using: str) -> None:
    assert await local.account.get()
    with respx.mock(using=using) as router:
        with pytest.raises(respx.models.AllMockedAssertionError, match="not mocked"):
            await local.account.get()
        router.get(path="/v1/account").respond(json={"type": "user", "username": "routed"})
        assert (await local.account.get()).username == "routed"
    assert (await local.account.get()).username != "routed"


async def test_a_whole_run(client: Any, fake_server: FakeServer, router: respx.MockRouter) -> None:
    creation = router.post(f"{fake_server.base_url}/models/owner/name/predictions")
    creation.respond(201, json=created(fake_server.base_url))
    events = router.get(f"{fake_server.base_url}/predictions/p1/stream")
    events.respond(content=EVENTS, content_type="text/event-stream")
    router.get(f"{fake_server.base_url}/predictions/p1").respond(json=done(fake_server.base_url))
    assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
    assert json.loads(creation.calls.last.request.content) == {"input": {"text": "Alice"}}
    async with client.stream("owner/name", {}) as stream:
        assert "".join([str(event) async for event in stream]) == "hello Alice"
    assert creation.call_count == 2
    assert events.called


async def test_pass_through(local: Any, server: LocalServer, router: respx.MockRouter) -> None:
    router.route().pass_through()
    before = len(server.requests)
    assert await local.run(HELLO, {"text": "Alice"}) == "hello Alice"
    assert await local.run(COUNTDOWN, {"start": 1, "delay": 0.1}) == ["1\n", "0\n"]
    answered = {f"{request.method} {request.path}" for request in server.requests[before:]}
    seen = {f"{call.request.method} {call.request.url.path}" for call in router.calls}
    assert len(answered) > 3
    assert seen == answered
