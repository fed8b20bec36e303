"""pytest-httpx answers the requests of default clients, and nothing else is sent."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock, IteratorStream

from dashscope import APIConnectionError, APITimeoutError, Client
from tests.interop.conftest import EVENTS, TOKEN, created, done
from tests.servers.fake_server import FakeServer, reply

UNEXPECTED = pytest.mark.httpx_mock(assert_all_requests_were_expected=False)


@pytest.fixture(autouse=True)
def _nothing_goes_out(httpx_mock: HTTPXMock, fake_server: FakeServer) -> Any:
    yield
    assert fake_server.requests == []


@UNEXPECTED
async def test_unregistered_requests_are_not_sent(client: Any, httpx_mock: HTTPXMock) -> None:
    with pytest.raises(APIConnectionError, match="No response can be found for POST request"):
        await client.run("owner/name", {"text": "Alice"})
    with pytest.raises(APIConnectionError, match="No response can be found for GET request"):
        await client.account.get()
    with pytest.raises(APIConnectionError, match="No response can be found"):
        async with client.stream("owner/name", {}) as stream:
            await anext(stream)
    methods = [request.method for request in httpx_mock.get_requests()]
    assert methods == ["POST", "GET", "POST"]


@UNEXPECTED
async def test_a_client_with_an_open_connection(
    local: Any, httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(httpx_mock._options, "should_mock", lambda _: False)
        assert await local.account.get()
    with pytest.raises(APIConnectionError, match="No response can be found"):
        await local.with_options(max_retries=0).account.get()


async def test_a_registered_response(
    client: Any, fake_server: FakeServer, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(
        url=f"{fake_server.base_url}/account",
        match_headers={"Authorization": f"Bearer {TOKEN}"},
        json={"type": "user", "username": "registered"},
    )
    assert (await client.account.get()).username == "registered"


async def test_a_whole_run(client: Any, fake_server: FakeServer, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(
        method="POST",
        url=f"{fake_server.base_url}/models/owner/name/predictions",
        match_json={"input": {"text": "Alice"}},
        status_code=201,
        json=created(fake_server.base_url),
    )
    httpx_mock.add_response(
        url=f"{fake_server.base_url}/predictions/p1/stream",
        headers={"content-type": "text/event-stream"},
        stream=IteratorStream([EVENTS[:20], EVENTS[20:]]),
    )
    httpx_mock.add_response(
        url=f"{fake_server.base_url}/predictions/p1", json=done(fake_server.base_url)
    )
    assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"


async def test_a_stream(client: Any, fake_server: FakeServer, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(method="POST", status_code=201, json=created(fake_server.base_url))
    httpx_mock.add_response(
        url=f"{fake_server.base_url}/predictions/p1/stream",
        headers={"content-type": "text/event-stream"},
        stream=IteratorStream([EVENTS[:20], EVENTS[20:]]),
    )
    async with client.stream("owner/name", {}) as stream:
        assert "".join([str(event) async for event in stream]) == "hello Alice"


async def test_compressed_content(client: Any, httpx_mock: HTTPXMock) -> None:
    content = gzip.compress(json.dumps({"type": "user", "username": "small"}).encode())
    httpx_mock.add_response(content=content, headers={"content-encoding": "gzip"})
    assert (await client.account.get()).username == "small"


async def test_an_upload(client: Any, httpx_mock: HTTPXMock, tmp_path: Path) -> None:
    httpx_mock.add_response(
        match_files={"content": ("name.txt", b"content")},
        status_code=201,
        json={"id": "f1", "urls": {"get": "http://127.0.0.1/f1"}},
        is_optional=True,
    )
    httpx_mock.add_response(
        status_code=201,
        json={"id": "f2", "urls": {"get": "http://127.0.0.1/f2"}},
        is_optional=True,
    )
    (tmp_path / "name.txt").write_text("content")
    with (tmp_path / "name.txt").open("rb") as content:
        await client.files.create(content)
    (request,) = httpx_mock.get_requests()
    assert b'filename="name.txt"' in request.content
    assert b"content" in request.content


async def test_errors_and_retries(
    make_client: Callable[..., Any],
    fake_server: FakeServer,
    httpx_mock: HTTPXMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)
    httpx_mock.add_exception(httpx.ConnectError("connection refused"))
    httpx_mock.add_response(status_code=503)
    httpx_mock.add_response(json={"type": "user", "username": "registered"})
    client = make_client(base_url=fake_server.base_url)
    assert (await client.account.get()).username == "registered"
    httpx_mock.add_exception(httpx.ReadTimeout("nothing came"))
    with pytest.raises(APITimeoutError):
        await client.with_options(max_retries=0).account.get()


@pytest.mark.httpx_mock(should_mock=lambda request: request.url.host != "127.0.0.1")
def test_should_mock(httpx_mock: HTTPXMock) -> None:
    server = FakeServer()
    try:
        server.respond_with(reply({"type": "user", "username": "real"}))
        with Client(base_url=server.base_url) as client:
            assert client.account.get().username == "real"
        assert server.request_lines == ["GET /v1/account"]
    finally:
        server.close()
