"""Streams: the events of a prediction and its final result."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import attrs
import pytest

from dashscope import (
    APIResponseError,
    AsyncFileOutput,
    AuthenticationError,
    DoneEvent,
    LogsEvent,
    ModelError,
    NotFoundError,
    OtherEvent,
    OutputEvent,
    PermissionDeniedError,
    PredictionTimeoutError,
    StreamError,
)
from dashscope._runtime.drive import drive
from tests.predictions.stream_reading import (
    events_of,
    iterate,
    log_text,
    read,
    read_into,
    result_of,
    summaries,
    texts,
)
from tests.servers.stream_events import SentEvent, done, encoded, logs, output
from tests.servers.stream_server import (
    StreamConnection,
    StreamServer,
    complete,
    fail_with,
    hold_open,
)
from tests.variants import variants

PARTS = [output("a", "1"), logs("log\n", "2"), output("b", "3")]
WHOLE = [*PARTS, done(id="4")]


class TestEvents:
    async def test_events_have_the_sent_data(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            complete(*PARTS, SentEvent("ping", "now", "4"), SentEvent("", "x", "5"), done(id="6"))
        )
        assert await read(client.stream("owner/name", {})) == [
            OutputEvent(text="a", id="1"),
            LogsEvent(text="log\n", id="2"),
            OutputEvent(text="b", id="3"),
            OtherEvent(event="ping", data="now", id="4"),
            OtherEvent(event="message", data="x", id="5"),
            DoneEvent(reason="", id="6"),
        ]

    async def test_only_output_events_have_text(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*PARTS, SentEvent("ping", "now"), done()))
        events = await read(client.stream("owner/name", {}))
        assert [str(event) for event in events] == ["a", "", "b", "", ""]
        assert "".join(map(str, events)) == "ab"

    async def test_text_keeps_its_line_breaks(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            complete(output("one\ntwo\n\n"), output(""), output("\n"), output(" "), done())
        )
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == ["one\ntwo\n\n", "", "\n", " "]
        assert str(events[0]) == "one\ntwo\n\n"

    async def test_events_without_ids(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(output("a"), output("b"), done()))
        events = await read(client.stream("owner/name", {}))
        assert [event.id for event in events] == [None, None, None]

    async def test_events_arrive_one_by_one(self, client: Any, server: StreamServer) -> None:
        arrived = threading.Semaphore(0)

        def script(connection: StreamConnection) -> None:
            connection.open()
            for part in WHOLE:
                connection.send(part)
                if not arrived.acquire(timeout=30):  # before the next event is sent
                    connection.close()

        server.respond_with(script)
        async with client.stream("owner/name", {}) as stream:
            async for _ in iterate(stream):
                arrived.release()
            assert stream.reconnections == 0
        assert len(server.connections) == 1

    @variants(
        ("data", "reason"),
        [
            ("{}", ""),
            ('{"reason": "canceled"}', "canceled"),
            ('{"reason": "error"}', "error"),
            ('{"reason": null}', ""),
            ('{"reason": 5}', ""),
            ("[]", ""),
            ("instead of JSON", ""),
            ("", ""),
        ],
    )
    async def test_done_has_a_reason(
        self, client: Any, server: StreamServer, data: str, reason: str
    ) -> None:
        server.respond_with(complete(output("a", "1"), done(data, "2")))
        events = await read(client.stream("owner/name", {}))
        assert events[-1] == DoneEvent(reason=reason, id="2")

    async def test_the_stream_ends_after_done(self, client: Any, server: StreamServer) -> None:
        late = [output("late", "3"), logs("late", "4"), done('{"reason": "late"}', "5")]
        server.respond_with(complete(encoded([output("a", "1"), done(id="2"), *late])))
        async with client.stream("owner/name", {}) as stream:
            assert summaries(await events_of(stream)) == [("output", "a"), ("done", "")]
            assert await events_of(stream) == []
        assert len(server.connections) == 1

    def test_events_are_values(self) -> None:
        for event in [
            OutputEvent(text="a", id="1"),
            LogsEvent(text="a"),
            DoneEvent(reason="canceled"),
            OtherEvent(event="x", data="y"),
        ]:
            assert pickle.loads(pickle.dumps(event)) == event
            assert copy.deepcopy(event) == event
            assert hash(event) == hash(attrs.evolve(event))
            assert attrs.evolve(event, id="other") != event
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                event.id = "2"  # type: ignore[misc]
        assert OutputEvent(text="a") != LogsEvent(text="a")


class TestRequests:
    async def test_the_create_requests_a_stream(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*WHOLE))
        await read(client.stream("owner/name", {"text": "Alice"}))
        assert server.request_lines == ["POST /v1/models/owner/name/predictions", "GET /streams/p1"]
        assert server.requests[0].json == {"input": {"text": "Alice"}, "stream": True}
        assert "Cancel-After" not in server.requests[0].headers

    async def test_a_version_is_created_at_predictions(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        await read(client.stream("owner/name:abc", {}))
        assert server.requests[0].path == "/v1/predictions"
        assert server.requests[0].json == {"version": "abc", "input": {}, "stream": True}

    async def test_the_timeout_is_sent_to_the_server(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        await read(client.stream("owner/name", {}, timeout=1.5))
        assert server.requests[0].headers["Cancel-After"] == "7s"

    async def test_a_webhook_is_sent(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*WHOLE))
        await read(
            client.stream(
                "owner/name", {}, webhook="https://example.com", webhook_events_filter=["logs"]
            )
        )
        assert server.requests[0].json == {
            "input": {},
            "stream": True,
            "webhook": "https://example.com",
            "webhook_events_filter": ["logs"],
        }

    async def test_the_stream_accepts_event_streams(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        await read(client.stream("owner/name", {}))
        headers = server.connections[0].headers
        assert headers["accept"] == "text/event-stream"
        assert headers["cache-control"] == "no-store"
        assert "last-event-id" not in headers

    async def test_no_request_before_the_block(self, client: Any, server: StreamServer) -> None:
        client.stream("owner/name", {})
        client.predictions.stream("p1")
        assert server.requests == []

    @variants(
        ("ref", "options", "error", "message"),
        [
            ("name", {}, ValueError, "owner/name or owner/name:version"),
            ("owner/name", {"timeout": 0}, ValueError, "timeout"),
            ("owner/name", {"stall_timeout": 0}, ValueError, "timeout"),
            ("owner/name", {"stall_timeout": None}, TypeError, "stall_timeout"),
        ],
    )
    async def test_an_invalid_argument_is_rejected_at_once(
        self,
        client: Any,
        server: StreamServer,
        ref: str,
        options: dict[str, Any],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            client.stream(ref, {}, **options)
        assert server.requests == []

    @variants(
        ("input", "options", "error"),
        [
            ({"x": object()}, {}, TypeError),
            ("text", {}, TypeError),
            ({}, {"webhook": "ftp://example.com"}, ValueError),
            ({}, {"webhook_events_filter": ["started"]}, ValueError),
        ],
    )
    async def test_an_invalid_input_is_rejected_before_a_request(
        self,
        client: Any,
        server: StreamServer,
        input: Any,
        options: dict[str, Any],
        error: type[Exception],
    ) -> None:
        with pytest.raises(error):
            async with client.stream("owner/name", input, **options):
                pass
        assert server.requests == []


class TestPrediction:
    async def test_the_prediction_is_available_in_the_block(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        opened = client.stream("owner/name", {})
        with pytest.raises(RuntimeError, match="with"):
            _ = opened.prediction
        async with opened as stream:
            assert stream.prediction.id == "p1"
            assert stream.prediction.status == "starting"
            assert server.request_lines == ["POST /v1/models/owner/name/predictions"]
            await events_of(stream)

    async def test_the_result_is_the_finished_prediction(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        server.finish(output=["a", "b"], metrics={"predict_time": 1.5})
        async with client.stream("owner/name", {}) as stream:
            await events_of(stream)
            result = await stream.result()
            assert result.status == "succeeded"
            assert result.output == ["a", "b"]
            assert result.metrics.predict_time == 1.5
            assert stream.prediction is result
            assert await stream.result() is result
        assert server.request_lines.count("GET /v1/predictions/p1") == 1
        assert server.cancels == 0

    async def test_result_waits_for_the_end(self, client: Any, server: StreamServer) -> None:
        def script(connection: StreamConnection) -> None:
            connection.open()
            connection.send(*PARTS)
            time.sleep(0.25)
            server.finish(output=["a", "b"])
            connection.send(done(id="4"))
            connection.end()

        server.respond_with(script)
        async with client.stream("owner/name", {}) as stream:
            assert str(await anext(iterate(stream))) == "a"
            assert (await stream.result()).status == "succeeded"
            assert summaries(await events_of(stream)) == [
                ("logs", "log\n"),
                ("output", "b"),
                ("done", ""),
            ]
            assert stream.reconnections == 0
        assert server.request_lines.count("GET /v1/predictions/p1") >= 2

    async def test_the_result_is_available_after_the_block(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        server.finish(output=["a", "b"])
        async with client.stream("owner/name", {}) as stream:
            await events_of(stream)
        assert (await stream.result()).output == ["a", "b"]

    async def test_the_result_of_a_canceled_prediction_is_canceled(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(hold_open(*PARTS))
        async with client.stream("owner/name", {}) as stream:
            await anext(iterate(stream))
        assert stream.prediction.status == "canceled"
        assert (await stream.result()).status == "canceled"

    async def test_result_uses_the_timeout_of_the_stream(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        async with client.stream("owner/name", {}, timeout=1.0) as stream:
            await events_of(stream)
            with pytest.raises(PredictionTimeoutError, match="processing"):
                await stream.result()

    async def test_two_readers_do_not_wait_for_the_same_event(
        self, client: Any, flavor: str, server: StreamServer
    ) -> None:
        turned_away, expected, got = threading.Event(), list[str](), list[Any]()

        def script(connection: StreamConnection) -> None:
            connection.open()
            turned_away.wait(30)
            connection.send(*WHOLE)
            connection.end()

        async def reads(stream: Any) -> None:
            try:
                got.extend(await events_of(stream))
            except RuntimeError as error:
                expected.append(str(error))
                turned_away.set()

        server.respond_with(script)
        async with client.stream("owner/name", {}) as stream:
            if flavor == "sync":
                with ThreadPoolExecutor() as threads:
                    both = [threads.submit(lambda: drive(reads(stream))) for _ in range(2)]
                for item in both:
                    item.result()
            else:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(reads, stream)
                    tasks.start_soon(reads, stream)
            assert stream.reconnections == 0
        assert expected == ["another task or thread is waiting for the next event of this stream"]
        assert texts(got) == ["a", "b"]

    async def test_an_unbroken_stream_has_no_reconnections(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        async with client.stream("owner/name", {}) as stream:
            assert stream.reconnections == 0
            await events_of(stream)
            assert stream.reconnections == 0


class TestFiles:
    URL = "https://files.example.com/out/a.png"

    async def test_a_url_is_a_file_output(
        self, client: Any, server: StreamServer, flavor: str
    ) -> None:
        server.respond_with(
            complete(
                output(self.URL), output("data:text/plain,hi"), output(f"see {self.URL}"), done()
            )
        )
        url, data, text, _ = await read(client.stream("owner/name", {}))
        assert url.text == str(url) == self.URL
        for file in (url.text, data.text):
            name = "FileOutput" if flavor == "sync" else "AsyncFileOutput"
            assert type(file).__name__ == name
        assert await result_of(data.text.read()) == b"hi"
        assert type(text.text) is str

    async def test_logs_are_not_file_outputs(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(logs(self.URL), SentEvent("other", self.URL), done()))
        logged, other, _ = await read(client.stream("owner/name", {}))
        assert type(logged.text) is type(other.data) is str

    async def test_a_file_output_of_the_stream_can_be_read(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(output(server.stream_url), done()), complete(b"the file"))
        event, _ = await read(client.stream("owner/name", {}))
        assert await result_of(event.text.read()) == b"the file"

    @variants("attached", [False, True])
    async def test_use_file_output_false_returns_text(
        self, client: Any, server: StreamServer, attached: bool
    ) -> None:
        server.respond_with(complete(output(self.URL), done()))
        if attached:
            opened = client.predictions.stream("p1", use_file_output=False)
        else:
            opened = client.stream("owner/name", {}, use_file_output=False)
        event, _ = await read(opened)
        assert type(event.text) is str

    async def test_use_file_output_can_be_set_on_the_client(
        self, connect: Callable[..., Any], server: StreamServer
    ) -> None:
        server.respond_with(complete(output(self.URL), done()))
        client = connect(use_file_output=False)
        assert type((await read(client.stream("owner/name", {})))[0].text) is str
        events = await read(client.stream("owner/name", {}, use_file_output=True))
        assert type(events[0].text) is not str

    def test_an_event_with_a_file_output_pickles_as_text(self) -> None:
        event = OutputEvent(text=AsyncFileOutput(self.URL, object()))  # type: ignore[arg-type]
        copied = pickle.loads(pickle.dumps(event))
        assert copied == event
        assert type(copied.text) is str


class TestAttach:
    async def test_an_id_is_fetched(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*WHOLE))
        assert texts(await read(client.predictions.stream("p1"))) == ["a", "b"]
        assert server.request_lines == ["GET /v1/predictions/p1", "GET /streams/p1"]

    async def test_a_prediction_is_not_fetched(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*WHOLE))
        running = await client.predictions.create(version="v1", input={}, stream=True)
        assert texts(await read(client.predictions.stream(running))) == ["a", "b"]
        assert server.request_lines == ["POST /v1/predictions", "GET /streams/p1"]

    async def test_a_finished_stream_is_replayed(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*WHOLE))
        server.finish(output=["a", "b"], logs="log\n")
        finished = await client.predictions.get("p1")
        assert summaries(await read(client.predictions.stream(finished))) == [
            ("output", "a"),
            ("logs", "log\n"),
            ("output", "b"),
            ("done", ""),
        ]

    async def test_an_unknown_prediction_is_not_found(
        self, client: Any, server: StreamServer
    ) -> None:
        with pytest.raises(NotFoundError, match="Not found"):
            async with client.predictions.stream("unknown"):
                raise AssertionError("it was entered")
        assert server.request_lines == ["GET /v1/predictions/unknown"]


class TestEntering:
    @variants("attached", [False, True])
    async def test_iterating_without_a_block_is_an_error(
        self, client: Any, flavor: str, server: StreamServer, attached: bool
    ) -> None:
        opened = client.predictions.stream("p1") if attached else client.stream("owner/name", {})
        how = "with" if flavor == "sync" else "async with"
        with pytest.raises(RuntimeError, match=f"entered first: {how} client.stream"):
            async for _ in iterate(opened):
                pass
        with pytest.raises(RuntimeError, match=f"entered first: {how} client.stream"):
            print(opened.prediction)
        with pytest.raises(RuntimeError, match=f"entered first: {how} client.stream"):
            await result_of(opened.result())
        assert server.requests == []

    async def test_entering_twice_is_an_error(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*WHOLE))
        opened = client.stream("owner/name", {})
        await read(opened)
        with pytest.raises(RuntimeError, match="once"):
            async with opened:
                pass
        assert len(server.requests) == 2

    async def test_a_failed_create_propagates(self, client: Any, server: StreamServer) -> None:
        with pytest.raises(NotFoundError, match="Not found"):
            async with client.stream("other/name", {}):
                raise AssertionError("it was entered")
        assert len(server.requests) == 1

    async def test_plain_for_is_an_error(
        self, client: Any, server: StreamServer, flavor: str
    ) -> None:
        server.respond_with(complete(*WHOLE))
        async with client.stream("owner/name", {}) as stream:
            if flavor == "sync":
                facade = stream._value
                first = next(iter(facade))
                assert texts([first, *facade]) == ["a", "b"]
                assert next(facade, None) is None
            else:
                assert aiter(stream) is stream
                assert texts([event async for event in stream]) == ["a", "b"]


class TestPredictionWithoutStream:
    async def test_a_model_without_a_stream_is_an_error(
        self, client: Any, server: StreamServer
    ) -> None:
        server.streams = False
        with pytest.raises(StreamError, match=r"owner/name does not stream.*urls\.stream.*run\(\)"):
            async with client.stream("owner/name", {}):
                raise AssertionError("it was entered")
        assert server.request_lines == [
            "POST /v1/models/owner/name/predictions",
            "POST /v1/predictions/p1/cancel",
        ]

    async def test_an_attached_prediction_keeps_running(
        self, client: Any, server: StreamServer
    ) -> None:
        server.streams = False
        with pytest.raises(StreamError, match="does not stream"):
            async with client.predictions.stream("p1"):
                pass
        assert server.request_lines == ["GET /v1/predictions/p1"]

    async def test_a_finished_prediction_is_returned(
        self, client: Any, server: StreamServer
    ) -> None:
        server.streams = False
        server.finish(output=["a", "b"], logs="log\n")
        events = await read(client.predictions.stream("p1"))
        assert texts(events) == ["a", "b"]
        assert log_text(events) == "log\n"
        assert summaries(events)[-1] == ("done", "")


class TestFailures:
    @variants("chunks", ["one", "several"])
    async def test_an_error_event_raises_with_the_prediction(
        self, client: Any, server: StreamServer, chunks: str
    ) -> None:
        failed = [
            output("a", "1"),
            SentEvent("error", '{"detail": "no such word"}', "2"),
            done('{"reason": "error"}', "2"),
        ]
        server.respond_with(complete(encoded(failed)) if chunks == "one" else complete(*failed))
        server.finish("failed", error="no such word", output=["a"], logs="bye")
        events: list[Any] = []
        with pytest.raises(ModelError, match=r"owner/name.*p1.*no such word") as caught:
            await read_into(events, client.stream("owner/name", {}))
        assert caught.value.prediction.status == "failed"
        assert caught.value.prediction.logs == "bye"
        assert summaries(events) == [("output", "a"), ("logs", "bye")]
        assert server.cancels == 0

    @variants("data", ['{"detail": "no luck"}', "no luck"])
    async def test_the_error_contains_the_event_data(
        self, client: Any, server: StreamServer, data: str
    ) -> None:
        server.respond_with(complete(SentEvent("error", data)))
        server.finish("failed")
        with pytest.raises(ModelError, match="no luck"):
            await read(client.stream("owner/name", {}))

    async def test_the_stream_ends_after_an_error(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            complete(encoded([SentEvent("error", "{}", "1"), done('{"reason": "error"}', "2")]))
        )
        server.finish("failed", error="no")
        async with client.stream("owner/name", {}) as stream:
            with pytest.raises(ModelError):
                await events_of(stream)
            assert await events_of(stream) == []
            assert (await stream.result()).status == "failed"

    async def test_an_earlier_failure_is_a_model_error(
        self, client: Any, server: StreamServer
    ) -> None:
        server.streams = False
        server.finish("failed", error="no luck")
        with pytest.raises(ModelError, match="no luck"):
            await read(client.predictions.stream("p1"))

    async def test_a_canceled_prediction_ends_with_the_reason(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(output("a", "1"), done('{"reason": "canceled"}', "2")))
        server.finish("canceled", output=["a"])
        async with client.stream("owner/name", {}) as stream:
            events = await events_of(stream)
            assert (await stream.result()).status == "canceled"
        assert summaries(events) == [("output", "a"), ("done", "canceled")]

    @variants(
        ("kind", "named"),
        [("text/html", "text/html"), ("application/json; charset=utf-8", "application/json")],
    )
    async def test_another_content_type_is_an_error(
        self, client: Any, server: StreamServer, kind: str, named: str
    ) -> None:
        def script(connection: StreamConnection) -> None:
            connection.open(kind)
            connection.send(b"<html>Welcome to the proxy</html>")
            connection.wait_closed()

        server.respond_with(script)
        with pytest.raises(StreamError, match=named):
            await read(client.stream("owner/name", {}))
        assert server.cancels == 1
        assert server.connections[0].closed

    @variants(
        "kind", ["text/event-stream; charset=utf-8", "Text/Event-Stream", "text/event-stream;x=y"]
    )
    async def test_the_content_type_may_have_parameters(
        self, client: Any, server: StreamServer, kind: str
    ) -> None:
        def script(connection: StreamConnection) -> None:
            connection.open(kind)
            connection.send(*WHOLE)
            connection.end()

        server.respond_with(script)
        assert texts(await read(client.stream("owner/name", {}))) == ["a", "b"]

    @variants("status", [400, 409, 501])
    async def test_an_error_status_raises_its_error(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(fail_with(status, {"detail": "no such thing"}))
        with pytest.raises(Exception, match=f"no such thing.*{status}") as caught:
            await read(client.stream("owner/name", {}))
        assert caught.value.status == status  # type: ignore[attr-defined]
        assert len(server.connections) == 1
        assert server.cancels == 1

    async def test_an_event_beyond_the_limit_is_an_error(
        self, connect: Callable[..., Any], server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a"), *[b"data: " + b"x" * 5000 + b"\n"] * 3))
        client = connect(max_response_bytes=10_000)
        with pytest.raises(APIResponseError, match="more than 10000 bytes"):
            await read(client.stream("owner/name", {}))
        assert server.cancels == 1

    @variants("status", [204, 404, 410])
    async def test_a_missing_stream_is_completed_from_the_prediction(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(fail_with(status))
        server.finish(output=["a", 5, {"x": None}], logs="log\n")
        async with client.stream("owner/name", {}) as stream:
            events = await events_of(stream)
            assert stream.prediction.status == "succeeded"
        assert texts(events) == ["a", "5", '{"x": null}']
        assert log_text(events) == "log\n"
        assert summaries(events)[-1] == ("done", "")
        assert server.cancels == 0


class TestToken:
    @pytest.fixture
    def elsewhere(self) -> Any:
        server = StreamServer()
        server.respond_with(complete(*WHOLE))
        yield server
        server.close()

    async def test_the_token_is_sent_to_the_api(
        self, connect: Callable[..., Any], server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        await read(connect("secret").stream("owner/name", {}))
        assert server.requests[0].headers["Authorization"] == "Bearer secret"
        assert server.connections[0].headers["authorization"] == "Bearer secret"

    async def test_the_token_is_not_sent_to_another_host(
        self, connect: Callable[..., Any], server: StreamServer, elsewhere: StreamServer
    ) -> None:
        server.stream_url = elsewhere.stream_url
        client = connect("secret")
        assert texts(await read(client.stream("owner/name", {}))) == ["a", "b"]
        assert server.requests[0].headers["Authorization"] == "Bearer secret"
        assert "authorization" not in elsewhere.connections[0].headers
        assert not any("secret" in value for value in elsewhere.connections[0].headers.values())

    async def test_the_token_does_not_follow_redirects(
        self, connect: Callable[..., Any], server: StreamServer, elsewhere: StreamServer
    ) -> None:
        server.respond_with(fail_with(307, location=elsewhere.stream_url))
        client = connect("secret")
        assert texts(await read(client.stream("owner/name", {}))) == ["a", "b"]
        assert server.connections[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in elsewhere.connections[0].headers
        assert elsewhere.connections[0].headers["accept"] == "text/event-stream"

    @variants("status, error", [(401, AuthenticationError), (403, PermissionDeniedError)])
    async def test_a_401_suggests_trusted_hosts(
        self,
        connect: Callable[..., Any],
        server: StreamServer,
        elsewhere: StreamServer,
        status: int,
        error: type[Exception],
    ) -> None:
        server.stream_url = elsewhere.stream_url
        elsewhere.respond_with(fail_with(status, {"detail": "no token"}))
        client = connect("secret")
        with pytest.raises(error, match=r"no token.*127\.0\.0\.1.*trusted_hosts"):
            await read(client.stream("owner/name", {}))
        assert len(elsewhere.connections) == 1
        assert server.cancels == 1

    async def test_a_401_of_the_api_has_no_such_suggestion(
        self, connect: Callable[..., Any], server: StreamServer
    ) -> None:
        server.respond_with(fail_with(403, {"detail": "no"}))
        client = connect("secret")
        with pytest.raises(PermissionDeniedError) as caught:
            await read(client.stream("owner/name", {}))
        assert "trusted_hosts" not in str(caught.value)

    @variants(
        "url",
        [
            "ftp://127.0.0.1/x",
            "file:///etc/passwd",
            "http://user:word@127.0.0.1/x",
            "http://127.0.0.1/\nx",
        ],
    )
    async def test_an_unsafe_stream_url_is_rejected(
        self, client: Any, server: StreamServer, url: str
    ) -> None:
        server.stream_url = url
        with pytest.raises(APIResponseError, match="is not allowed"):
            await read(client.stream("owner/name", {}))
        assert server.request_lines[1:] == ["POST /v1/predictions/p1/cancel"]
