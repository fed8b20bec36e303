"""Every request of a default client goes through httpx, so patches of httpx see it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from PIL import Image

import dashscope
from dashscope import APIConnectionError, APIResponseError, APITimeoutError, NotFoundError
from dashscope.local import LocalServer
from tests.interop.conftest import COUNTDOWN, EVENTS, HELLO, TOKEN, created, done
from tests.servers.fake_server import FakeServer, prediction

ACCOUNT = {"type": "user", "username": "mocked"}


async def use(client: Any, folder: Path) -> list[Any]:
    """Make each kind of request: JSON, lists, streams, uploads and downloads."""
    assert await client.run(HELLO, {"text": "Alice"}) == "hello Alice"
    assert await client.run(COUNTDOWN, {"start": 1, "delay": 0.05}) == ["1\n", "0\n"]
    async with client.stream(COUNTDOWN, {"start": 1, "delay": 0.05}) as stream:
        assert "".join([str(event) async for event in stream]) == "1\n0\n"
        done = await stream.result()
    Image.effect_noise((400, 400), 90).save(folder / "photo.png")
    photo = {"image": folder / "photo.png", "width": 8}
    thumbnail = await client.run("dashscope/thumbnail", photo, file_encoding="upload")
    content = await thumbnail.read()
    models = [model.name async for model in client.iterate(client.models.list)]
    with pytest.raises(NotFoundError):
        await client.files.get("f1")
    return [done.id, content, models]


@pytest.mark.parametrize("where", ["send", "transport"])
async def test_patches_see_every_request(
    where: str,
    local: Any,
    server: LocalServer,
    http_class: Any,
    transport_class: Any,
    handle: str,
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    patched, name = (http_class, "send") if where == "send" else (transport_class, handle)
    original, seen = getattr(patched, name), []

    def note(instance: Any, request: httpx.Request) -> None:
        assert isinstance(instance, patched)
        assert isinstance(request, httpx.Request)
        if request.url.netloc == httpx.URL(server.base_url).netloc:  # not webhooks of other servers
            seen.append(f"{request.method} {request.url.path}")

    async def sees(self: Any, request: httpx.Request, **options: Any) -> Any:
        note(self, request)
        return await original(self, request, **options)

    def sync_sees(self: Any, request: httpx.Request, **options: Any) -> Any:
        note(self, request)
        return original(self, request, **options)

    before = len(server.requests)
    monkeypatch.setattr(patched, name, sees if is_async else sync_sees)
    await use(local, tmp_path)
    monkeypatch.undo()
    answered = [f"{request.method} {request.path}" for request in server.requests[before:]]
    assert len(seen) > 8
    assert sorted(seen) == sorted(answered)


class TestMocksOfSend:
    @pytest.fixture
    def send(self, http_class: Any, fake_server: FakeServer) -> Any:
        with mock.patch.object(http_class, "send") as send:
            send.return_value = httpx.Response(200, json=ACCOUNT)
            yield send
        assert fake_server.requests == []

    async def test_the_mocked_response_is_returned(
        self, client: Any, fake_server: FakeServer, send: Any
    ) -> None:
        assert (await client.account.get()).username == "mocked"
        assert (await client.account.get()).username == "mocked"  # from the same response
        (request,) = send.call_args.args
        assert isinstance(request, httpx.Request)
        assert (request.method, str(request.url)) == ("GET", f"{fake_server.base_url}/account")
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"

    async def test_the_request_body_is_readable(self, client: Any, send: Any) -> None:
        send.return_value = httpx.Response(201, json=prediction("starting"))
        await client.predictions.create(version="v1", input={"text": "Alice"})
        (request,) = send.call_args.args
        assert json.loads(request.content) == {"version": "v1", "input": {"text": "Alice"}}
        assert request.headers["Content-Length"] == str(len(request.content))

    async def test_a_whole_run(self, client: Any, fake_server: FakeServer, send: Any) -> None:
        send.side_effect = [
            httpx.Response(201, json=created(fake_server.base_url)),
            httpx.Response(200, headers={"content-type": "text/event-stream"}, content=EVENTS),
            httpx.Response(200, json=done(fake_server.base_url)),
        ]
        assert await client.run("owner/name", {}) == "hello Alice"

    async def test_a_stream(self, client: Any, fake_server: FakeServer, send: Any) -> None:
        send.side_effect = [
            httpx.Response(201, json=created(fake_server.base_url)),
            httpx.Response(200, headers={"content-type": "text/event-stream"}, content=EVENTS),
            httpx.Response(200, json=done(fake_server.base_url)),
        ]
        async with client.stream("owner/name", {}) as stream:
            assert "".join([str(event) async for event in stream]) == "hello Alice"
            assert (await stream.result()).output == "hello Alice"

    async def test_a_compressed_response(self, client: Any, send: Any) -> None:
        headers = {"content-encoding": "gzip"}
        content = gzip.compress(json.dumps(ACCOUNT).encode())
        send.return_value = httpx.Response(200, headers=headers, content=content)
        assert (await client.account.get()).username == "mocked"

    async def test_httpx_errors_become_ours(self, client: Any, send: Any) -> None:
        send.side_effect = httpx.ConnectError("connection refused")
        with pytest.raises(APIConnectionError, match="connection refused") as unmade:
            await client.predictions.create(version="v1", input={})
        assert not unmade.value.may_have_been_created
        send.side_effect = httpx.ReadTimeout("nothing came")
        with pytest.raises(APITimeoutError):
            await client.account.get()
        send.side_effect = None
        send.return_value = httpx.Response(404, json={"detail": "no account"})
        with pytest.raises(NotFoundError, match="no account"):
            await client.account.get()
        send.return_value = httpx.Response(200, text="<html>")
        with pytest.raises(APIResponseError):
            await client.account.get()

    async def test_other_errors_propagate(self, client: Any, send: Any) -> None:
        send.side_effect = ZeroDivisionError("a bug in a test")
        with pytest.raises(ZeroDivisionError, match="a bug in a test"):
            await client.account.get()
        assert send.call_count == 1

    async def test_retries_go_through_send(
        self,
        make_client: Callable[..., Any],
        fake_server: FakeServer,
        send: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)
        send.side_effect = [
            httpx.ConnectError("connection refused"),
            httpx.Response(503, json={"detail": "later"}),
            httpx.Response(200, json=ACCOUNT),
        ]
        client = make_client(base_url=fake_server.base_url)
        assert (await client.account.get()).username == "mocked"
        assert send.call_count == 3


class TestMocksOfTheTransport:
    @pytest.fixture
    def transport(self, transport_class: Any, handle: str, fake_server: FakeServer) -> Any:
        with mock.patch.object(transport_class, handle, autospec=True) as transport:
            transport.return_value = httpx.Response(200, json=ACCOUNT)
            yield transport
        assert fake_server.requests == []

    async def test_the_mocked_response_is_returned(
        self, client: Any, fake_server: FakeServer, transport: Any, transport_class: Any
    ) -> None:
        assert (await client.account.get()).username == "mocked"
        instance, request = transport.call_args.args
        assert isinstance(instance, transport_class)
        assert (request.method, str(request.url)) == ("GET", f"{fake_server.base_url}/account")
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert set(request.extensions["timeout"]) == {"connect", "read", "write", "pool"}

    async def test_a_whole_run(self, client: Any, fake_server: FakeServer, transport: Any) -> None:
        transport.side_effect = [
            httpx.Response(201, json=created(fake_server.base_url)),
            httpx.Response(200, headers={"content-type": "text/event-stream"}, content=EVENTS),
            httpx.Response(200, json=done(fake_server.base_url)),
        ]
        assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
        _, request = transport.call_args_list[0].args
        assert json.loads(request.content) == {"input": {"text": "Alice"}}

    async def test_an_upload_is_readable(
        self, client: Any, transport: Any, is_async: bool, tmp_path: Path
    ) -> None:
        bodies: list[bytes] = []

        def keep(body: bytes) -> httpx.Response:
            bodies.append(body)
            return httpx.Response(201, json={"id": "f1", "urls": {"get": "http://127.0.0.1/f1"}})

        async def read(self: Any, request: httpx.Request) -> httpx.Response:
            return keep(await request.aread())

        def sync_read(self: Any, request: httpx.Request) -> httpx.Response:
            return keep(request.read())

        transport.side_effect = read if is_async else sync_read
        (tmp_path / "name.txt").write_text("content")
        with (tmp_path / "name.txt").open("rb") as content:
            assert (await client.files.create(content)).id == "f1"
        assert b'filename="name.txt"' in bodies[0]
        assert b"\r\n\r\ncontent\r\n" in bodies[0]


def test_our_transports_do_not_override_the_patched_methods() -> None:
    for ours, theirs, handle in (
        (dashscope.AsyncHTTPTransport, httpx.AsyncHTTPTransport, "handle_async_request"),
        (dashscope.HTTPTransport, httpx.HTTPTransport, "handle_request"),
    ):
        assert issubclass(ours, theirs)
        assert getattr(ours, handle) is getattr(theirs, handle)
