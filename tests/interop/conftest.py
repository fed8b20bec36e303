"""Default clients beside the tools that people use with httpx.

What is here runs in the default tests. The tools in `tools/` need an environment of their own:
`nox -s interop`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

from dashscope.local import LocalServer
from tests.wire import Received, Reply, Wire, prediction, reply

# One of them stands for all: with the group `interop` they are all installed, and a tool that
# cannot be imported then fails the session.
collect_ignore_glob = [] if find_spec("hishel") is not None else ["tools/*"]

TOKEN = "r8_a-token"
HELLO = "dashscope/hello-world"
COUNTDOWN = "dashscope/countdown"


@pytest.fixture(params=["asyncio", "trio", "blocking"])
def colour(request: pytest.FixtureRequest) -> str:
    """Each way to wait; uvloop differs from asyncio in the loop only."""
    name: str = request.param
    return name


@pytest.fixture
def is_async(colour: str) -> bool:
    return colour != "blocking"


@pytest.fixture
def http_class(is_async: bool) -> Any:
    """The class of httpx that sends the requests of a default client."""
    return httpx.AsyncClient if is_async else httpx.Client


@pytest.fixture
def transport_class(is_async: bool) -> Any:
    """The class of httpx through whose method they go."""
    return httpx.AsyncHTTPTransport if is_async else httpx.HTTPTransport


@pytest.fixture
def handle(is_async: bool) -> str:
    """The name of that method."""
    return "handle_async_request" if is_async else "handle_request"


@pytest.fixture
def client(make_client: Callable[..., Any], wire: Wire) -> Any:
    """A default client of a server that has nothing to say: no request should reach it."""
    return make_client(TOKEN, base_url=wire.base_url, max_retries=0)


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The local server, with the models that come with it."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def local(make_client: Callable[..., Any], server: LocalServer) -> Any:
    """A default client of the local server."""
    return make_client(TOKEN, base_url=server.base_url)


@contextlib.asynccontextmanager
async def opened(http: Any) -> AsyncIterator[Any]:
    """A client of httpx or httpx2 in either colour, closed in the end."""
    try:
        yield http
    finally:
        if hasattr(http, "aclose"):
            await http.aclose()
        else:
            http.close()


def run_of(base_url: str) -> Callable[[Received], Reply]:
    """A server's answers to `run()`: a prediction with a stream, done at a second look."""

    def answer(request: Received) -> Reply:
        if request.method == "POST":
            return reply(created(base_url), 201)
        if request.path.endswith("/stream"):
            return Reply(200, {"content-type": "text/event-stream"}, EVENTS)
        return reply(done(base_url))

    return answer


def created(base_url: str) -> dict[str, Any]:
    """A prediction that has just been created."""
    return prediction("starting", urls=_urls(base_url))


def done(base_url: str) -> dict[str, Any]:
    """The same prediction when it has succeeded."""
    return prediction("succeeded", output="hello Alice", urls=_urls(base_url))


def _urls(base_url: str) -> dict[str, str]:
    get = f"{base_url}/predictions/p1"
    return {"get": get, "cancel": f"{get}/cancel", "stream": f"{get}/stream"}


EVENTS = (
    b"event: output\nid: 1:0\ndata: hello \n\n"
    b"event: output\nid: 2:0\ndata: Alice\n\n"
    b"event: done\nid: 3:0\ndata: {}\n\n"
)
