"""`http_client=` accepts a client with any configuration that httpx offers."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

import dashscope
from tests.interop.conftest import EVENTS, TOKEN, closing, created, done, respond_to_run
from tests.servers import asgi_api as asgi
from tests.servers.fake_server import FakeServer, Received, reply

BASE_URL = "https://api.example.com/v1"
LOCALHOST = "http://localhost/v1"
ACCOUNT = {"type": "user", "username": "mine"}


def response(request: httpx.Request) -> httpx.Response:
    """Answer a run as the handler of a `MockTransport`."""
    if request.method == "POST":
        assert json.loads(request.content)["input"] == {"text": "Alice"}
        return httpx.Response(201, json=created(BASE_URL))
    if request.url.path.endswith("/stream"):
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=EVENTS)
    return httpx.Response(200, json=done(BASE_URL))


async def test_a_mock_transport(make_client: Callable[..., Any], http_class: Any) -> None:
    async with closing(http_class(transport=httpx.MockTransport(response))) as http:
        client = make_client(TOKEN, base_url=BASE_URL, http_client=http)
        assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
        async with client.stream("owner/name", {"text": "Alice"}) as stream:
            assert "".join([str(event) async for event in stream]) == "hello Alice"


async def test_a_callable_is_called_once_and_its_client_closed(
    make_client: Callable[..., Any], http_class: Any, is_async: bool
) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(http_class(transport=httpx.MockTransport(response)))
        return made[-1]

    client = make_client(TOKEN, base_url=BASE_URL, http_client=make)
    assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
    assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
    assert len(made) == 1
    await client.aclose()
    assert made[0].is_closed


async def test_mounts(
    make_client: Callable[..., Any], http_class: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({"type": "user", "username": "not mounted"}))
    mounts = {"all://api.example.com": httpx.MockTransport(response)}
    async with closing(http_class(mounts=mounts)) as http:
        mounted = make_client(TOKEN, base_url=BASE_URL, http_client=http)
        assert await mounted.run("owner/name", {"text": "Alice"}) == "hello Alice"
        other = make_client(TOKEN, base_url=fake_server.base_url, http_client=http)
        assert (await other.account.get()).username == "not mounted"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets")
async def test_a_unix_socket(
    make_client: Callable[..., Any], http_class: Any, transport_class: Any, tmp_path: Path
) -> None:
    path = os.path.relpath(tmp_path / "api", Path.cwd())  # a socket path has at most 108 bytes
    with listening(path):
        async with closing(http_class(transport=transport_class(uds=path))) as http:
            client = make_client(TOKEN, base_url=LOCALHOST, http_client=http)
            assert (await client.account.get()).username == "mine"
            assert await client.run("owner/name", {}) == "hello Alice"


@contextlib.contextmanager
def listening(path: str) -> Iterator[None]:
    """Serve a model on a Unix socket."""
    responses = respond_to_run(LOCALHOST)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/v1/account":
                self._send(200, "application/json", json.dumps(ACCOUNT).encode())
            else:
                self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["content-length"])))

        def _answer(self, body: bytes) -> None:
            found = responses(Received(self.command, self.path, dict(self.headers), body))
            self._send(found.status, found.headers["content-type"], found.body)

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return path

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class Signature(httpx.Auth):
    """Sign requests for a gateway. This needs the body, and a second request on a 401."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["X-Signature"] = f"of {len(request.content)} bytes"
        response = yield request
        if response.status_code == 401:
            request.headers["X-Signature"] += f" and {response.headers['X-Nonce']}"
            yield request


async def test_auth_applies_to_the_api(
    make_client: Callable[..., Any], http_class: Any, fake_server: FakeServer
) -> None:
    responses = respond_to_run(fake_server.base_url)

    def challenge(request: Received) -> Any:
        if "and n1" not in request.headers.get("X-Signature", ""):
            return reply({"detail": "a nonce is missing"}, 401, x_nonce="n1")
        return responses(request)

    fake_server.respond_with(challenge)
    async with closing(http_class(auth=Signature())) as http:
        client = make_client(TOKEN, base_url=fake_server.base_url, http_client=http)
        assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
    length = len(fake_server.requests[0].body)
    assert [request.headers["X-Signature"] for request in fake_server.requests[:2]] == [
        f"of {length} bytes",
        f"of {length} bytes and n1",
    ]
    assert fake_server.requests[0].body == fake_server.requests[1].body != b""
    assert {request.headers["Authorization"] for request in fake_server.requests} == {
        f"Bearer {TOKEN}"
    }


async def test_auth_does_not_apply_to_other_origins(
    make_client: Callable[..., Any], http_class: Any, fake_server: FakeServer
) -> None:
    other = FakeServer()
    try:
        other.respond_with(reply("content"))
        fake_server.respond_with(
            reply({**done(fake_server.base_url), "output": f"{other.base_url}/file.txt"}, 201)
        )
        async with closing(http_class(auth=("user", "password"))) as http:
            client = make_client(base_url=fake_server.base_url, http_client=http)
            output = await client.run("owner/name", {})
            assert await output.read() == b'"content"'
        assert "Authorization" not in other.requests[0].headers
    finally:
        other.close()


async def test_event_hooks(
    make_client: Callable[..., Any], http_class: Any, is_async: bool, fake_server: FakeServer
) -> None:
    fake_server.respond_with(respond_to_run(fake_server.base_url))
    seen: list[str] = []

    async def request_hook(request: httpx.Request) -> None:
        seen.append(request.method)
        request.headers["X-Hook"] = "called"

    async def response_hook(response: httpx.Response) -> None:
        seen.append(str(response.status_code))

    def sync(hook: Any) -> Any:
        def call(argument: Any) -> None:
            with contextlib.suppress(StopIteration):
                hook(argument).send(None)

        return hook if is_async else call

    hooks = {"request": [sync(request_hook)], "response": [sync(response_hook)]}
    async with closing(http_class(event_hooks=hooks)) as http:
        client = make_client(base_url=fake_server.base_url, http_client=http)
        assert await client.run("owner/name", {}) == "hello Alice"
    assert seen == ["POST", "201", "GET", "200", "GET", "200"]
    assert {request.headers["X-Hook"] for request in fake_server.requests} == {"called"}


async def test_our_transport_works_in_a_client_of_the_caller(
    make_client: Callable[..., Any], http_class: Any, is_async: bool, fake_server: FakeServer
) -> None:
    fake_server.respond_with(respond_to_run(fake_server.base_url))
    pooled = dashscope.AsyncHTTPTransport if is_async else dashscope.HTTPTransport
    async with closing(http_class(transport=pooled())) as http:
        client = make_client(base_url=fake_server.base_url, http_client=http)
        assert await client.run("owner/name", {}) == "hello Alice"
        url = f"{fake_server.base_url}/account"
        response = await http.get(url) if is_async else http.get(url)
        assert response.json() == done(fake_server.base_url)


class TestASGI:
    """`httpx.ASGITransport` delivers nothing before a response ends."""

    @pytest.fixture(params=["asyncio", "trio"])
    def flavor(self, request: pytest.FixtureRequest) -> str:
        name: str = request.param
        return name

    @pytest.fixture
    def api(self) -> asgi.API:
        return asgi.API()

    async def test_a_run(self, make_client: Callable[..., Any], api: asgi.API) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app)) as http:
            client = make_client(base_url=asgi.BASE_URL, http_client=http)
            assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
            async with client.stream("owner/name", {"text": "Bob"}) as stream:
                assert "".join([str(event) async for event in stream]) == "hello Bob"

    async def test_a_stream_that_never_ends(
        self, make_client: Callable[..., Any], api: asgi.API, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dashscope._predictions.watch.SILENT_STREAM_POLL", 0.4)
        api.ends = False
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app)) as http:
            client = make_client(base_url=asgi.BASE_URL, http_client=http)
            with anyio.fail_after(15):
                assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
        assert api.operations.count("stream") >= 1
        assert api.operations.count("get") >= 1  # polls run beside the stream
        assert api.open_streams == 0
