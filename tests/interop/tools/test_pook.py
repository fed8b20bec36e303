"""pook mocks the requests of default clients, and nothing else is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pook
import pytest
from pook.exceptions import PookNoMatches

from dashscope import NotFoundError
from tests.interop.conftest import EVENTS, TOKEN, created, done
from tests.servers.fake_server import FakeServer

COMPACT: Any = {"separators": (",", ":")}


@pytest.fixture(autouse=True)
def _nothing_goes_out(fake_server: FakeServer) -> Iterator[None]:
    with pook.use():
        yield
    assert fake_server.requests == []


async def test_unmatched_requests_are_not_sent(client: Any) -> None:
    with pytest.raises(PookNoMatches):
        await client.run("owner/name", {"text": "Alice"})
    with pytest.raises(PookNoMatches):
        await client.account.get()


async def test_a_mock(client: Any, fake_server: FakeServer) -> None:
    url = f"{fake_server.base_url}/account"
    authorized = pook.get(url).header("Authorization", f"Bearer {TOKEN}")
    authorized.reply(200).json({"type": "user", "username": "mocked"})
    assert (await client.account.get()).username == "mocked"
    pook.get(url).reply(404).json({"detail": "no account"})
    with pytest.raises(NotFoundError, match="no account"):
        await client.account.get()


async def test_a_client_with_an_open_connection(local: Any) -> None:
    pook.off()
    assert await local.account.get()
    pook.on()
    with pytest.raises(PookNoMatches):
        await local.account.get()


async def test_a_whole_run(client: Any, fake_server: FakeServer) -> None:
    creations = f"{fake_server.base_url}/models/owner/name/predictions"
    for input in ({"text": "Alice"}, {}):
        creation = pook.post(creations).body(re.compile(f'"input":{json.dumps(input, **COMPACT)}'))
        creation.reply(201).json(created(fake_server.base_url))
    events = pook.get(f"{fake_server.base_url}/predictions/p1/stream").times(2)
    events.reply(200).header("content-type", "text/event-stream").body(EVENTS)
    pook.get(f"{fake_server.base_url}/predictions/p1").persist().reply(200).json(
        done(fake_server.base_url)
    )
    assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
    async with client.stream("owner/name", {}) as stream:
        assert "".join([str(event) async for event in stream]) == "hello Alice"
    assert pook.pending() == 0
