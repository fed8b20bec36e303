"""`http_client=` accepts httpx2 clients, such as the `TestClient` of Starlette and FastAPI."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastapi
import fastapi.testclient
import httpx
import httpx2
import pytest
from starlette.testclient import TestClient

from dashscope import APIConnectionError, AsyncClient, Client, ConfigurationError
from dashscope.local import LocalServer
from tests.interop.conftest import EVENTS, HELLO, TOKEN, closing, created, done, respond_to_run
from tests.interop.test_every_request import use
from tests.servers import asgi_api as asgi
from tests.servers.fake_server import FakeServer

BASE_URL = "https://api.example.com/v1"


@pytest.fixture
def http_class(is_async: bool) -> Any:
    return httpx2.AsyncClient if is_async else httpx2.Client


async def test_every_kind_of_request(
    make_client: Callable[..., Any],
    http_class: Any,
    is_async: bool,
    server: LocalServer,
    tmp_path: Path,
) -> None:
    async with closing(http_class()) as http:
        await use(make_client(TOKEN, base_url=server.base_url, http_client=http), tmp_path)
    client = make_client(TOKEN, base_url=server.base_url, http_client=http_class)
    assert await client.run(HELLO, {"text": "Alice"}) == "hello Alice"
    await client.aclose()


async def test_run_uses_the_stream(
    make_client: Callable[..., Any], http_class: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(respond_to_run(fake_server.base_url))
    async with closing(http_class()) as http:
        client = make_client(TOKEN, base_url=fake_server.base_url, http_client=http)
        assert await client.run("owner/name", {}) == "hello Alice"
    assert len(fake_server.request_lines) == 3
    assert fake_server.request_lines[1].endswith("/stream")


async def test_a_mock_transport(make_client: Callable[..., Any], http_class: Any) -> None:
    def response(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            assert json.loads(request.content)["input"] == {"text": "Alice"}
            return httpx2.Response(201, json=created(BASE_URL))
        if request.url.path.endswith("/stream"):
            kind = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=kind, content=EVENTS)
        packed = gzip.compress(json.dumps(done(BASE_URL)).encode())
        return httpx2.Response(200, headers={"content-encoding": "gzip"}, content=packed)

    async with closing(http_class(transport=httpx2.MockTransport(response))) as http:
        client = make_client(TOKEN, base_url=BASE_URL, http_client=http)
        assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
        async with client.stream("owner/name", {"text": "Alice"}) as stream:
            assert "".join([str(event) async for event in stream]) == "hello Alice"


async def test_httpx2_errors_become_ours(
    make_client: Callable[..., Any], http_class: Any, unreachable_url: str
) -> None:
    async with closing(http_class()) as http:
        client = make_client(base_url=unreachable_url, http_client=http, max_retries=0)
        with pytest.raises(APIConnectionError) as unmade:
            await client.run("owner/name", {})
        assert not unmade.value.request_sent
        assert not unmade.value.may_have_been_created


def test_the_flavor_must_match() -> None:
    with httpx2.Client() as http, pytest.raises(ConfigurationError, match="AsyncClient"):
        AsyncClient(http_client=http)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Client"):
        Client(http_client=httpx2.AsyncClient())  # type: ignore[arg-type]


class TestTestClient:
    """`TestClient` ignores timeouts."""

    @pytest.fixture
    def api(self) -> asgi.API:
        return asgi.API()

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_a_run(self, api: asgi.API, backend: Any) -> None:
        assert issubclass(TestClient, httpx2.Client)
        with TestClient(api.app, backend=backend) as http:
            client = Client(base_url=asgi.BASE_URL, http_client=http)
            assert client.run("owner/name", {"text": "Alice"}) == "hello Alice"
            with client.stream("owner/name", {"text": "Bob"}) as stream:
                assert "".join(map(str, stream)) == "hello Bob"

    @pytest.mark.timeout(30)
    def test_a_stream_that_never_ends(self, api: asgi.API) -> None:
        api.ends = False
        with TestClient(api.app) as http:
            client = Client(base_url=asgi.BASE_URL, http_client=http)
            assert client.run("owner/name", {"text": "Alice"}, timeout=20) == "hello Alice"
        assert api.operations.count("get") >= 1
        assert api.open_streams == 0

    def test_errors_of_the_application_propagate(self, api: asgi.API) -> None:
        with TestClient(api.app) as http:
            client = Client(base_url=asgi.BASE_URL, http_client=http)
            with pytest.raises(ZeroDivisionError, match="a bug in the application"):
                client.request("GET", "/fails")

    def test_fastapi(self) -> None:
        app = fastapi.FastAPI()

        @app.get("/v1/account")
        def account() -> dict[str, str]:
            return {"type": "user", "username": "fast"}

        with fastapi.testclient.TestClient(app) as http:
            client = Client(base_url=asgi.BASE_URL, http_client=http)
            assert client.account.get().username == "fast"


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_an_asgi_transport(flavor: str) -> None:
    api = asgi.API()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(api.app)) as http:
        client = AsyncClient(base_url=asgi.BASE_URL, http_client=http)
        assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_httpx_and_httpx2_in_one_program(flavor: str, fake_server: FakeServer) -> None:
    fake_server.respond_with(respond_to_run(fake_server.base_url))
    async with httpx2.AsyncClient() as newer, httpx.AsyncClient() as older:
        for http in (newer, older, None):
            async with AsyncClient(base_url=fake_server.base_url, http_client=http) as client:
                assert await client.run("owner/name", {}) == "hello Alice"
