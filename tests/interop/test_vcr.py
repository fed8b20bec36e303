"""VCR.py records the requests of default clients and replays them without a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashscope.local import LocalServer
from tests.interop.conftest import HELLO, TOKEN
from tests.interop.test_every_request import use
from tests.servers.fake_server import FakeServer, reply

ACCOUNT = {"type": "user", "username": "recorded"}


async def test_mode_none_sends_nothing(
    vcr: Any, client: Any, fake_server: FakeServer, tmp_path: Path
) -> None:
    with vcr.use_cassette(str(tmp_path / "none.yaml"), record_mode="none"):
        with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
            await client.run(HELLO, {"text": "Alice"})
        with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
            await client.account.get()
        with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
            async with client.stream(HELLO, {"text": "Alice"}) as stream:
                await anext(stream)
    assert fake_server.requests == []
    assert not (tmp_path / "none.yaml").exists()


async def test_a_client_with_an_open_connection(vcr: Any, local: Any, tmp_path: Path) -> None:
    assert await local.account.get()
    with (
        vcr.use_cassette(str(tmp_path / "none.yaml"), record_mode="none"),
        pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException),
    ):
        await local.account.get()
    assert await local.account.get()


async def test_record_and_replay(
    vcr: Any, client: Any, fake_server: FakeServer, tmp_path: Path
) -> None:
    fake_server.respond_with(reply(ACCOUNT))
    options: dict[str, Any] = {"filter_headers": ["authorization"]}
    with vcr.use_cassette(str(tmp_path / "account.yaml"), **options) as cassette:
        assert (await client.account.get()).username == "recorded"
        assert len(cassette) == 1
    assert len(fake_server.requests) == 1
    assert fake_server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    written = (tmp_path / "account.yaml").read_text()
    assert "recorded" in written
    assert TOKEN not in written
    with vcr.use_cassette(
        str(tmp_path / "account.yaml"), record_mode="none", **options
    ) as cassette:
        assert (await client.account.get()).username == "recorded"
        assert cassette.all_played
        with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
            await client.account.get()
    assert len(fake_server.requests) == 1


async def test_record_and_replay_every_kind_of_request(
    vcr: Any, make_client: Callable[..., Any], server: LocalServer, tmp_path: Path
) -> None:
    base_url, before = server.base_url, len(server.requests)
    with vcr.use_cassette(str(tmp_path / "use.yaml")) as cassette:
        recorded = await use(make_client(base_url=base_url), tmp_path)
        answered = [f"{request.method} {request.path}" for request in server.requests[before:]]
    assert len(answered) > 8
    seen = [f"{request.method} {request.path}" for request in cassette.requests]
    assert sorted(seen) == sorted(answered)
    before = len(server.requests)
    with vcr.use_cassette(str(tmp_path / "use.yaml"), record_mode="none") as cassette:
        assert await use(make_client(base_url=base_url), tmp_path) == recorded
        assert cassette.all_played
    assert len(server.requests) == before
