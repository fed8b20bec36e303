"""Streams and files that an application relays to its clients."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse

from dashscope import (
    APIStatusError,
    AsyncClient,
    AsyncEventStream,
    AsyncFileOutput,
    Client,
    DoneEvent,
    LogsEvent,
    OtherEvent,
    OutputEvent,
    StreamError,
)
from dashscope.integrations import _responses
from dashscope.integrations.fastapi import (
    ClientDep,
    EventStreamResponse,
    FileOutputResponse,
    lifespan,
)
from dashscope.local import LocalServer
from tests.integrations.serving import UvicornServer, events_of, read_until
from tests.servers.fake_server import FakeServer, Reply, reply
from tests.servers.stream_events import parse_by_specification
from tests.variants import variants
from tests.waiting import wait_until

FLOOD = {"parts": 200, "size": 20_000}


@pytest.fixture
def done() -> list[str]:
    """The tasks that ran after a response."""
    return []


@pytest.fixture
def app(server: LocalServer, done: list[str]) -> FastAPI:
    app = FastAPI(lifespan=lifespan(partial(AsyncClient, base_url=server.base_url)))

    @app.exception_handler(APIStatusError)
    async def refused(request: Request, error: APIStatusError) -> JSONResponse:
        return JSONResponse({"said": error.title}, error.status)

    @app.post("/stream/{owner}/{name}")
    async def stream(
        owner: str,
        name: str,
        input: dict[str, Any],
        client: ClientDep,
        tasks: BackgroundTasks,
        logs: bool = False,
    ) -> EventStreamResponse:
        tasks.add_task(done.append, name)
        return EventStreamResponse(client.stream(f"{owner}/{name}", input), logs=logs)

    @app.post("/timed")
    async def timed(client: ClientDep) -> EventStreamResponse:
        return EventStreamResponse(client.stream("test/silence", {}, timeout=1.0))

    @app.post("/file/{name}")
    async def file(
        name: str, input: dict[str, Any], client: ClientDep, kind: Any = "attachment"
    ) -> FileOutputResponse:
        output = await client.run(f"test/{name}", input)
        return FileOutputResponse(output, content_disposition_type=kind)

    return app


@pytest.fixture
def served(app: FastAPI) -> Iterator[UvicornServer]:
    with UvicornServer(app) as served:
        yield served


def post(served: UvicornServer, path: str, **input: Any) -> httpx.Response:
    return httpx.post(served.url + path, json=input, timeout=30)


async def head(response: Any) -> tuple[httpx.Headers, bytes]:
    """Return the response to a HEAD request as the application sends it."""
    text: list[Any] = []

    async def send(message: Any) -> None:
        text.append(message)

    await response({"type": "http", "method": "HEAD"}, _waits, send)
    start, *chunks = text
    return httpx.Headers(start["headers"]), b"".join(chunk["body"] for chunk in chunks)


# Events


def test_a_stream_is_relayed(served: UvicornServer, done: list[str]) -> None:
    response = post(served, "/stream/dashscope/countdown", start=3, delay=0)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    events = events_of(response.text)
    output = "".join(data for kind, data in events if kind == "output")
    assert events[-1] == ("done", "{}")
    assert output.split()[:3] == ["3", "2", "1"]
    wait_until(lambda: done == ["countdown"])


async def test_a_head_request_creates_no_prediction(server: LocalServer, observer: Client) -> None:
    before = [prediction.id for prediction in observer.predictions.list()]
    async with AsyncClient(base_url=server.base_url) as client:
        headers, body = await head(EventStreamResponse(client.stream("dashscope/countdown", {})))
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert body == b""
    assert [prediction.id for prediction in observer.predictions.list()] == before


def test_an_attached_prediction_is_not_canceled(server: LocalServer, observer: Client) -> None:
    app = FastAPI(lifespan=lifespan(partial(AsyncClient, base_url=server.base_url)))

    @app.get("/{id}")
    async def attach(id: str, client: ClientDep) -> EventStreamResponse:
        return EventStreamResponse(client.predictions.stream(await client.predictions.get(id)))

    prediction = observer.models.predictions.create("test", "silence", input={})
    with UvicornServer(app) as served:
        with served.send_request("GET", f"/{prediction.id}") as connection:
            read_until(connection, b"word0")
        wait_until(lambda: not served.tasks())
    assert not observer.predictions.get(prediction).is_done
    observer.predictions.cancel(prediction)


def test_a_failed_prediction_ends_the_stream_with_an_error_event(
    served: UvicornServer, caplog: pytest.LogCaptureFixture
) -> None:
    events = events_of(post(served, "/stream/test/half").text)
    assert events == [("output", "one\ntwo"), ("error", '{"detail": "no three"}')]
    assert "a relayed stream failed" in caplog.text


def test_logs_are_relayed_on_request(served: UvicornServer) -> None:
    events = events_of(post(served, "/stream/test/half?logs=true").text)
    assert [kind for kind, _ in events if kind != "logs"] == ["output", "error"]
    logs = "\n".join(data for kind, data in events if kind == "logs")
    assert logs.startswith("so far, so good")


def test_a_timeout_ends_the_stream_with_an_error_event(served: UvicornServer) -> None:
    events = events_of(httpx.post(served.url + "/timed", timeout=30).text)
    assert events[-1] == ("error", '{"detail": "The model took too long."}')


def test_an_error_before_the_first_event_raises_in_the_application(served: UvicornServer) -> None:
    response = post(served, "/stream/test/missing")
    assert (response.status_code, response.json()["said"]) == (404, "Not Found")
    response = post(served, "/stream/test/silence", words="many")
    assert response.status_code == 422


def test_a_slow_reader_applies_backpressure(
    served: UvicornServer, monkeypatch: pytest.MonkeyPatch, observer: Client
) -> None:
    taken = 0
    original = AsyncEventStream.__anext__

    async def counted(self: AsyncEventStream) -> Any:
        nonlocal taken
        event = await original(self)
        taken += 1
        return event

    def stands_still() -> bool:
        before = taken
        time.sleep(0.3)
        return 0 < taken == before

    monkeypatch.setattr(AsyncEventStream, "__anext__", counted)
    body = f'{{"parts": {FLOOD["parts"]}, "size": {FLOOD["size"]}}}'.encode()
    served.limit_send_buffers()
    requested = served.send_request("POST", "/stream/test/flood", body, small_window=True)
    with requested as connection:
        wait_until(stands_still)
        # Only what fits into the socket buffers has been sent of 4 MB.
        assert taken < FLOOD["parts"] / 2
        received = bytearray()
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(1 << 20)
    assert received.count(b"event: output") == FLOOD["parts"]
    assert received.count(b"event: done") == 1
    assert len(received) > FLOOD["parts"] * FLOOD["size"]


def test_idle_streams_send_comments(served: UvicornServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_responses, "PING_INTERVAL", 0.05)
    with served.send_request("POST", "/stream/test/silence", b"{}") as connection:
        received = b""
        while received.count(b":\n\n") < 3:
            received += connection.recv(4096)
    assert b"word0" in received


@variants(
    ("event", "read"),
    [
        (OutputEvent("a", "1"), ("output", "a", "1")),
        (OutputEvent("", None), ("output", "", "")),
        (OutputEvent("a\nb\r\nc\rd\n\n", "1"), ("output", "a\nb\nc\nd\n\n", "1")),
        (OutputEvent(" data: x\u2028y\x85z\x0b", "é"), ("output", " data: x\u2028y\x85z\x0b", "é")),
        (OutputEvent("half \ud800"), ("output", "half ?", "")),
        (LogsEvent("l", "2"), ("logs", "l", "2")),
        (OtherEvent("new", '{"a": 1}', "3"), ("new", '{"a": 1}', "3")),
        (DoneEvent(), ("done", "{}", "")),
        (DoneEvent("canceled", "4"), ("done", '{"reason": "canceled"}', "4")),
    ],
)
def test_events_are_relayed_unchanged(event: Any, read: tuple[str, str, str]) -> None:
    assert parse_by_specification(_responses.encoded(event)).events == [read]


# Files


def test_a_file_is_relayed_with_its_type_length_and_name(served: UvicornServer) -> None:
    response = post(served, "/file/file", name="result.txt", size=300_000)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["content-length"] == "300000"
    assert response.headers["content-disposition"] == 'attachment; filename="result.txt"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.text == "a" * 300_000


async def test_a_head_request_for_a_file_has_no_body(server: LocalServer) -> None:
    async with AsyncClient(base_url=server.base_url) as client:
        headers, body = await head(
            FileOutputResponse(await client.run("test/file", {"size": 300_000}))
        )
    assert headers["content-length"] == "300000"
    assert body == b""


def test_a_name_beyond_ascii_is_quoted(served: UvicornServer) -> None:
    response = post(served, "/file/file?kind=inline", name='bär "1".txt', size=1)
    named = "b%C3%A4r%20_1_.txt"
    assert response.headers["content-disposition"] == f"inline; filename*=utf-8''{named}"


@pytest.mark.parametrize(
    ("uri", "kind", "content"),
    [
        ("data:text/css;base64,YWJj", "text/css", b"abc"),
        ("data:,abc", "text/plain", b"abc"),
        ("data:image/日本,abc", "application/octet-stream", b"abc"),
        ("data:text/plain,", "text/plain", b""),
    ],
)
def test_a_data_uri_is_relayed_as_a_file(
    served: UvicornServer, uri: str, kind: str, content: bytes
) -> None:
    response = post(served, "/file/data", uri=uri)
    assert response.status_code == 200
    assert response.headers["content-type"] == kind
    assert response.headers["content-length"] == str(len(content))
    assert response.headers["content-disposition"].startswith('attachment; filename="output')
    assert response.content == content


@pytest.fixture
def scripted_client(fake_server: FakeServer) -> Iterator[UvicornServer]:
    """An application that relays a file of the scripted server."""
    app = FastAPI(
        lifespan=lifespan(partial(AsyncClient, base_url=fake_server.base_url, max_retries=0))
    )

    @app.exception_handler(APIStatusError)
    async def refused(request: Request, error: APIStatusError) -> JSONResponse:
        return JSONResponse({"said": error.detail}, 502)

    @app.get("/")
    async def file(client: ClientDep) -> FileOutputResponse:
        url = f"{fake_server.base_url}/out/picture.png"
        return FileOutputResponse(AsyncFileOutput(url, client._api), filename="mine.png")

    with UvicornServer(app) as served:
        yield served


def test_a_missing_file_raises_in_the_application(
    scripted_client: UvicornServer, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({"detail": "It has expired"}, 404))
    response = httpx.get(scripted_client.url)
    assert (response.status_code, response.json()) == (502, {"said": "It has expired"})


def test_a_file_without_a_length_has_no_content_length(
    scripted_client: UvicornServer, fake_server: FakeServer
) -> None:
    fake_server.respond_with(lambda _: _chunked(b"abc"))
    response = httpx.get(scripted_client.url)
    assert response.content == b"abc"
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"] == 'attachment; filename="mine.png"'


def _chunked(content: bytes) -> Reply:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"
    return Reply(raw=head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))


def test_a_compressed_file_has_no_content_length(
    scripted_client: UvicornServer, fake_server: FakeServer
) -> None:
    content = b"abc" * 1000
    fake_server.respond_with(
        Reply(headers={"content-encoding": "gzip"}, body=gzip.compress(content))
    )
    response = httpx.get(scripted_client.url)
    assert response.content == content
    assert "content-length" not in response.headers


def test_a_truncated_file_is_not_a_complete_response(
    scripted_client: UvicornServer, fake_server: FakeServer
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
    fake_server.respond_with(Reply(raw=head + b"half"))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(scripted_client.url)


# Invalid streams and files


def test_other_objects_are_rejected() -> None:
    with Client() as client:
        for wrong in ("text", client.stream("test/half", {}), None, [1]):
            with pytest.raises(TypeError, match=r"must be an event stream"):
                EventStreamResponse(wrong)  # type: ignore[arg-type]
    for wrong in ("https://example.com/a.png", None, ["a"]):
        with pytest.raises(TypeError, match=r"must be a file output of AsyncClient.run"):
            FileOutputResponse(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="attachment or inline, not 'inlined'"):
        output = AsyncFileOutput("https://example.com/a.png", AsyncClient()._api)
        FileOutputResponse(output, content_disposition_type="inlined")  # type: ignore[arg-type]


async def test_a_server_that_raises_on_a_disconnect_is_supported(
    server: LocalServer, observer: Client
) -> None:
    """Servers of ASGI 2.4 raise OSError in send()."""
    async with AsyncClient(base_url=server.base_url) as client:
        stream = client.stream("test/silence", {"words": 3})
        response = EventStreamResponse(stream)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > 2:
                raise OSError("the transport is gone")

        await response({"type": "http"}, _waits, send)
        prediction = stream.prediction
    assert observer.predictions.get(prediction).status == "canceled"


async def _waits() -> Any:
    await asyncio.Event().wait()


async def test_errors_of_the_application_propagate(server: LocalServer) -> None:
    async with AsyncClient(base_url=server.base_url) as client:
        response = EventStreamResponse(client.stream("test/flood", {"parts": 3, "size": 10}))

        async def send(message: Any) -> None:
            raise LookupError("a bug in a middleware")

        with pytest.raises(LookupError, match="a bug in a middleware"):
            await response({"type": "http"}, _waits, send)


async def test_other_errors_are_not_shown_to_the_browser(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(self: AsyncEventStream) -> Any:
        raise StreamError("something about http://internal.example")

    async with AsyncClient(base_url=server.base_url) as client:
        response = EventStreamResponse(client.stream("test/silence", {}))
        monkeypatch.setattr(AsyncEventStream, "__anext__", fails)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await response({"type": "http"}, _waits, send)
    assert b"".join(message.get("body", b"") for message in sent) == (
        b'event: error\ndata: {"detail": "The output broke off."}\n\n'
    )
