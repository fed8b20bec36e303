"""hishel's caching clients work as `http_client`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hishel
import hishel.httpx
import pytest

from dashscope.local import LocalServer
from tests.interop.conftest import TOKEN, closing
from tests.interop.test_every_request import use
from tests.servers.fake_server import FakeServer, Received, Reply, reply


def caching(is_async: bool, tmp_path: Path) -> Any:
    """Return a client with a cache in a folder of the test."""
    if is_async:
        storage: Any = hishel.AsyncSqliteStorage(database_path=tmp_path / "cache.db")
        return hishel.httpx.AsyncCacheClient(storage=storage, rfc=True)
    storage = hishel.SqliteStorage(database_path=tmp_path / "cache.db")
    return hishel.httpx.CacheClient(storage=storage, rfc=True)


async def test_a_fresh_response_is_cached(
    make_client: Callable[..., Any], fake_server: FakeServer, is_async: bool, tmp_path: Path
) -> None:
    fake_server.respond_with(
        reply({"type": "user", "username": "kept"}, cache_control="max-age=60")
    )
    async with closing(caching(is_async, tmp_path)) as http:
        client = make_client(base_url=fake_server.base_url, http_client=http)
        for _ in range(3):
            assert (await client.account.get()).username == "kept"
    assert fake_server.request_lines == ["GET /v1/account"]


async def test_a_stale_response_is_revalidated(
    make_client: Callable[..., Any], fake_server: FakeServer, is_async: bool, tmp_path: Path
) -> None:
    def response(request: Received) -> Reply:
        if request.headers.get("If-None-Match") == '"1"':
            return Reply(304, {"etag": '"1"'})
        return reply({"type": "user", "username": "kept"}, etag='"1"', cache_control="no-cache")

    fake_server.respond_with(response)
    async with closing(caching(is_async, tmp_path)) as http:
        client = make_client(base_url=fake_server.base_url, http_client=http)
        for _ in range(2):
            assert (await client.account.get()).username == "kept"
    assert len(fake_server.requests) == 2


async def test_every_kind_of_request(
    make_client: Callable[..., Any],
    server: LocalServer,
    is_async: bool,
    tmp_path: Path,
) -> None:
    async with closing(caching(is_async, tmp_path)) as http:
        await use(make_client(TOKEN, base_url=server.base_url, http_client=http), tmp_path)


async def test_the_class_as_http_client(
    make_client: Callable[..., Any],
    fake_server: FakeServer,
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)  # the default cache is in the working directory
    fake_server.respond_with(
        reply({"type": "user", "username": "kept"}, cache_control="max-age=60")
    )
    http_class = hishel.httpx.AsyncCacheClient if is_async else hishel.httpx.CacheClient
    client = make_client(base_url=fake_server.base_url, http_client=http_class)
    for _ in range(3):
        assert (await client.account.get()).username == "kept"
    assert fake_server.request_lines == ["GET /v1/account"]
    await client.aclose()
