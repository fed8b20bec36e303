"""If a client disconnects, its prediction is canceled: uvicorn, real sockets, a local server."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dashscope import AsyncClient, Client, Prediction
from dashscope.integrations.fastapi import (
    ClientDep,
    ClientDisconnectedError,
    EventStreamResponse,
    cancel_on_disconnect,
    lifespan,
)
from dashscope.local import LocalServer
from tests.integrations.serving import (
    HypercornServer,
    TestClient,
    UvicornServer,
    as_json,
    read_until,
)
from tests.waiting import wait_until

BODY = as_json({"words": 2})


class Middleware(BaseHTTPMiddleware):
    """Starlette's middleware class, which replaces the handler's `receive`."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


class ReadingMiddleware(Middleware):
    """A middleware that reads the body first."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        assert await request.body() == BODY
        return await call_next(request)


def make_app(server: LocalServer, seen: list[Any]) -> FastAPI:
    app = FastAPI(lifespan=lifespan(partial(AsyncClient, base_url=server.base_url)))

    @app.post("/run")
    async def run(request: Request, client: ClientDep) -> Any:
        """The body is not read before the block."""
        try:
            async with cancel_on_disconnect(request):
                seen.append(await request.json())
                return await client.run("test/forever", {})
        except ClientDisconnectedError as error:
            seen.append(error)
            raise

    @app.post("/run-parsed")
    async def run_parsed(words: dict[str, int], request: Request, client: ClientDep) -> Any:
        """The body is read by FastAPI."""
        async with cancel_on_disconnect(request):
            return await client.run("test/forever", {})

    @app.post("/plain")
    async def plain(client: ClientDep) -> Any:
        """A handler without the block."""
        return await client.run("test/forever", {}, timeout=600)

    @app.post("/stream")
    async def stream(client: ClientDep) -> EventStreamResponse:
        return EventStreamResponse(client.stream("test/silence", {"words": 1}))

    @app.post("/stream-from-the-start")
    async def silent(client: ClientDep) -> EventStreamResponse:
        return EventStreamResponse(client.stream("test/silence", {"words": 0}))

    return app


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture(params=["alone", "behind a middleware", "behind one that reads"])
def app(request: pytest.FixtureRequest, server: LocalServer, seen: list[Any]) -> FastAPI:
    app = make_app(server, seen)
    if request.param == "behind a middleware":
        app.add_middleware(Middleware)
    elif request.param == "behind one that reads":
        app.add_middleware(ReadingMiddleware)
    return app


@pytest.fixture
def newest(observer: Client) -> Callable[[], Prediction | None]:
    """Return the prediction that was created since the test began, if any."""
    before = {prediction.id for prediction in observer.predictions.list()}

    def check() -> Prediction | None:
        new = [found for found in observer.predictions.list() if found.id not in before]
        assert len(new) <= 1
        return new[0] if new else None

    return check


@pytest.fixture
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No errors or tracebacks are logged."""
    with caplog.at_level(logging.WARNING):
        yield
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not loud, [record.getMessage() for record in loud]


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("path", ["/run", "/run-parsed"])
def test_disconnecting_from_a_handler_cancels_its_prediction(
    path: str, app: FastAPI, newest: Any, observer: Client, seen: list[Any]
) -> None:
    with UvicornServer(app) as served:
        with served.send_request("POST", path, BODY):
            prediction = wait_until(newest)
            wait_until(lambda: observer.predictions.get(prediction).status == "processing")
        wait_until(lambda: observer.predictions.get(prediction).status == "canceled")
        wait_until(lambda: not served.tasks())
    if path == "/run":
        body, error = seen
        assert body == {"words": 2}
        assert (error.status_code, error.detail) == (499, "The client closed the request.")


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("path", ["/stream", "/stream-from-the-start"])
def test_disconnecting_from_a_stream_cancels_its_prediction(
    path: str, app: FastAPI, newest: Any, observer: Client
) -> None:
    """The disconnect is noticed even if there is nothing to send and no write can fail."""
    with UvicornServer(app) as served:
        with served.send_request("POST", path, BODY) as connection:
            read_until(connection, b"word0" if path == "/stream" else b"text/event-stream")
            prediction = newest()
            assert not prediction.is_done
        wait_until(lambda: observer.predictions.get(prediction).status == "canceled")
        wait_until(lambda: not served.tasks())


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("worker", ["asyncio", "trio"])
def test_disconnects_are_noticed_with_other_servers_and_trio(
    worker: str, server: LocalServer, newest: Any, observer: Client
) -> None:
    with HypercornServer(make_app(server, []), worker=worker) as served:
        with served.send_request("POST", "/run", BODY):
            first = wait_until(newest)
        wait_until(lambda: observer.predictions.get(first).status == "canceled")
        with served.send_request("POST", "/stream", BODY) as connection:
            read_until(connection, b"word0")
            second = observer.predictions.list()[0]
            assert second.id != first.id
        wait_until(lambda: observer.predictions.get(second).status == "canceled")


@pytest.mark.parametrize("path", ["/run", "/stream", "/plain"])
def test_stopping_the_server_cancels_its_predictions(
    path: str, server: LocalServer, newest: Any, observer: Client
) -> None:
    """The server cancels its handlers and closes the client after their cleanup."""
    with UvicornServer(make_app(server, []), graceful_timeout=0) as served:
        connection = served.send_request("POST", path, BODY)
        connection.__enter__()
        prediction = wait_until(newest)
    connection.__exit__(None, None, None)
    assert observer.predictions.get(prediction).status == "canceled"


async def test_closing_the_client_cancels_predictions(
    server: LocalServer, newest: Any, observer: Client
) -> None:
    created = asyncio.Event()
    client = AsyncClient(base_url=server.base_url)
    run = asyncio.create_task(
        client.run("test/forever", {}, progress=lambda prediction: created.set())
    )
    await created.wait()
    run.cancel()
    await asyncio.sleep(0)
    await client.aclose()
    assert observer.predictions.get(newest()).status == "canceled"
    with pytest.raises(asyncio.CancelledError):
        await run


@pytest.mark.usefixtures("_quiet")
def test_without_the_block_nothing_is_canceled(
    server: LocalServer, newest: Any, observer: Client
) -> None:
    """Servers do nothing by themselves."""
    with UvicornServer(make_app(server, [])) as served:
        with served.send_request("POST", "/plain", b"{}"):
            prediction = wait_until(newest)
        with served.send_request("POST", "/run", BODY):
            pass
        assert not observer.predictions.get(prediction).is_done
        assert served.tasks()
        observer.predictions.cancel(prediction)
        wait_until(lambda: not served.tasks())


@pytest.mark.usefixtures("_quiet")
def test_a_disconnect_during_the_request_body_is_noticed(
    server: LocalServer, seen: list[Any], newest: Any
) -> None:
    with UvicornServer(make_app(server, seen)) as served:
        with served.connected() as connection:
            connection.sendall(b"POST /run HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
            wait_until(served.tasks)
        wait_until(lambda: not served.tasks())
    (error,) = seen
    assert error.status_code == 499


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize(
    ("loop", "clients"),
    [
        ("asyncio", 20),
        pytest.param("asyncio", 200, marks=pytest.mark.soak),
        pytest.param("uvloop", 200, marks=pytest.mark.soak),
    ],
)
def test_many_disconnects_leave_nothing_running(
    server: LocalServer, observer: Client, loop: str, clients: int
) -> None:
    def running() -> list[str]:
        return [
            prediction.id
            for page in observer.paginate(observer.predictions.list)
            for prediction in page
            if not prediction.is_done
        ]

    def sockets(port: int | None = None) -> list[Any]:
        found = psutil.Process(os.getpid()).net_connections("tcp")
        return [
            item
            for item in found
            if port is None or (item.laddr.port == port and item.status != "LISTEN")
        ]

    running()  # the observing client has a connection as well from now on
    with UvicornServer(make_app(server, []), loop=loop) as served:
        before = sockets()
        for number in range(clients // 20):
            requested = [
                served.send_request("POST", path, BODY)
                for path in ("/run", "/stream", "/run-parsed", "/stream-from-the-start") * 5
            ]
            for connection in requested:
                connection.__enter__()
            if number % 2 == 0:
                wait_until(lambda: len(running()) > 10)
            for connection in requested:
                connection.__exit__(None, None, None)
            if number % 2 == 0:  # each prediction has seconds to be canceled
                wait_until(lambda: not served.tasks())
        wait_until(lambda: not served.tasks())
        wait_until(lambda: not running())
        wait_until(lambda: not sockets(served.port))
    # The connections of the application's client are closed as well.
    wait_until(lambda: len(sockets()) <= len(before))


# The block itself


async def in_block(receive: Any, body: Callable[[], Any]) -> Any:
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    async with cancel_on_disconnect(Request(scope, receive)):
        return await body()


def messages(*message: dict[str, Any]) -> Any:
    """Return a `receive` that sends these messages and then waits forever."""
    left = list(message)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


EMPTY = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


async def test_the_block_returns_values_and_propagates_exceptions() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("mine")

    async def returns() -> int:
        await asyncio.sleep(0)
        return 5

    assert await in_block(messages(EMPTY), returns) == 5
    with pytest.raises(LookupError, match="mine"):
        await in_block(messages(EMPTY), fails)
    assert len(asyncio.all_tasks()) == 1


async def test_a_canceled_handler_stays_canceled() -> None:
    started = asyncio.Event()

    async def waits() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(in_block(messages(EMPTY), waits))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_block(messages(EMPTY), waits)
    assert len(asyncio.all_tasks()) == 1


async def test_a_disconnect_before_the_block_prevents_entering_it() -> None:
    entered: list[bool] = []

    async def enters() -> None:
        entered.append(True)

    with pytest.raises(ClientDisconnectedError):
        await in_block(messages(GONE), enters)
    assert not entered


async def test_a_disconnect_at_the_end_still_returns_the_response() -> None:
    gone = asyncio.Event()
    left = [EMPTY]

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop()
        gone.set()
        return GONE

    async def body() -> int:
        return 5

    assert await in_block(receive, body) == 5


async def test_an_exception_during_cleanup_propagates() -> None:
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("while leaving")

    with pytest.raises(LookupError, match="while leaving"):
        await in_block(messages(EMPTY, GONE), body)


async def test_a_request_without_a_server_is_an_error() -> None:
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    with pytest.raises(RuntimeError, match="Receive channel has not been made available"):
        async with cancel_on_disconnect(Request(scope)):
            await asyncio.Event().wait()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_block_works_in_a_test_client_and_on_trio(backend: Any) -> None:
    async def handler(request: Request) -> Response:
        async with cancel_on_disconnect(request):
            form = await request.form()
        async with cancel_on_disconnect(request):
            return PlainTextResponse(f"hello {form['name']}")

    app = Starlette(routes=[Route("/", handler, methods=["POST"])])
    with TestClient(app, backend=backend) as client:
        assert client.post("/", data={"name": "Alice"}).text == "hello Alice"


def test_a_body_that_was_read_before_is_not_read_again() -> None:
    async def handler(request: Request) -> Response:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        async with cancel_on_disconnect(request):
            return PlainTextResponse(str(size))

    app = Starlette(routes=[Route("/", handler, methods=["POST"])])
    with UvicornServer(app) as served:
        assert httpx.post(served.url, content=b"x" * 300_000).text == "300000"
