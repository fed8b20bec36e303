"""Fixtures for tests with other tools for httpx.

The tests in this folder run by default. The tests in `tools/` and `functions/` need more packages
and run in separate environments: `nox -s interop`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

from dashscope.local import LocalServer
from tests import flavors
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply

# The dependency groups `interop` and `functions` install all packages of a folder. The package
# named here decides whether pytest collects the folder. Any other missing package is an error.
FOLDERS = {"tools": "hishel", "functions": "langchain_core"}
collect_ignore_glob = [
    f"{folder}/*" for folder, package in FOLDERS.items() if find_spec(package) is None
]

TOKEN = "r8_a-token"
HELLO = "dashscope/hello-world"
COUNTDOWN = "dashscope/countdown"


@pytest.fixture(scope="session")
def vcr() -> Any:
    """VCR.py, imported before another tool patches httpx: it keeps the functions that it finds."""
    import vcr.errors

    return vcr


@pytest.fixture
def make_client(flavor: str) -> Iterator[Callable[..., Any]]:
    """Create clients with default options."""
    made: list[Any] = []

    def make(*args: Any, **options: Any) -> Any:
        made.append(flavors.make_client(flavor, *args, **options))
        return made[-1]

    yield make
    if flavor == "sync":
        for client in made:
            client.close()


@pytest.fixture
def is_async(flavor: str) -> bool:
    return flavor != "sync"


@pytest.fixture
def http_class(is_async: bool) -> Any:
    """The httpx client class behind a default client."""
    return httpx.AsyncClient if is_async else httpx.Client


@pytest.fixture
def transport_class(is_async: bool) -> Any:
    """The httpx transport class behind a default client."""
    return httpx.AsyncHTTPTransport if is_async else httpx.HTTPTransport


@pytest.fixture
def handle(is_async: bool) -> str:
    """The transport method that tools patch."""
    return "handle_async_request" if is_async else "handle_request"


@pytest.fixture
def client(make_client: Callable[..., Any], fake_server: FakeServer) -> Any:
    """A default client. The server responds with 404 until a test scripts it."""
    return make_client(TOKEN, base_url=fake_server.base_url, max_retries=0)


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The local server with its shipped models."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def local(make_client: Callable[..., Any], server: LocalServer) -> Any:
    """A default client of the local server."""
    return make_client(TOKEN, base_url=server.base_url)


@contextlib.asynccontextmanager
async def closing(http: Any) -> AsyncIterator[Any]:
    """Close an httpx or httpx2 client, sync or async, at the end of the block."""
    try:
        yield http
    finally:
        if hasattr(http, "aclose"):
            await http.aclose()
        else:
            http.close()


def respond_to_run(base_url: str) -> Callable[[Received], Reply]:
    """Return a script for the requests of `run()`: create, stream and poll."""

    def response(request: Received) -> Reply:
        if request.method == "POST":
            return reply(created(base_url), 201)
        if request.path.endswith("/stream"):
            return Reply(200, {"content-type": "text/event-stream"}, EVENTS)
        return reply(done(base_url))

    return response


def created(base_url: str) -> dict[str, Any]:
    """Return the prediction as the create returns it."""
    return prediction("starting", urls=_urls(base_url))


def done(base_url: str) -> dict[str, Any]:
    """Return the succeeded prediction."""
    return prediction("succeeded", output="hello Alice", urls=_urls(base_url))


def _urls(base_url: str) -> dict[str, str]:
    get = f"{base_url}/predictions/p1"
    return {"get": get, "cancel": f"{get}/cancel", "stream": f"{get}/stream"}


EVENTS = (
    b"event: output\nid: 1:0\ndata: hello \n\n"
    b"event: output\nid: 2:0\ndata: Alice\n\n"
    b"event: done\nid: 3:0\ndata: {}\n\n"
)
