"""Exiting a stream early closes its connection at once and cancels its prediction."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from dashscope import APIConnectionError, BadRequestError, DoneEvent, PredictionTimeoutError
from tests import flavors
from tests.predictions.stream_reading import events_of, iterate, read, read_into, texts
from tests.servers.stream_events import done, events_after, output
from tests.servers.stream_server import (
    CANCEL,
    CREATE,
    POLL,
    StreamConnection,
    StreamServer,
    complete,
    cut_off,
    hold_open,
)
from tests.stopwatch import Stopwatch
from tests.suspending import cancel_once
from tests.variants import variants


class Stop(BaseException):
    """An unexpected exception."""


def ways_to_open(client: Any) -> dict[str, Any]:
    return {
        "created": client.stream("owner/name", {}),
        "created, exited early": client.stream("owner/name", {}, cancel_on_exit=False),
        "attached": client.predictions.stream("p1"),
        "attached, with cancel_on_exit": client.predictions.stream("p1", cancel_on_exit=True),
    }


WAYS = [
    ("created", 1),
    ("created, exited early", 0),
    ("attached", 0),
    ("attached, with cancel_on_exit", 1),
]
every_way = variants("way, cancels", WAYS)


class TestExitCancels:
    @every_way
    async def test_break_cancels(
        self, client: Any, server: StreamServer, way: str, cancels: int
    ) -> None:
        server.respond_with(hold_open(output("a", "1"), output("b", "2")))
        async with ways_to_open(client)[way] as stream:
            async for event in iterate(stream):
                assert str(event) == "a"
                break
            assert server.cancels == 0
        assert server.cancels == cancels
        assert server.connections[0].closed
        # The connection would stay open otherwise.
        with pytest.raises(RuntimeError, match="exited before its end"):
            await events_of(stream)
        assert len(server.connections) == 1

    @variants(
        "way, cancels, error",
        [
            *[(*way, ZeroDivisionError) for way in WAYS],
            *[("created", 1, error) for error in (KeyboardInterrupt, Stop)],
        ],
    )
    async def test_an_exception_cancels(
        self,
        client: Any,
        server: StreamServer,
        way: str,
        cancels: int,
        error: type[BaseException],
    ) -> None:
        server.respond_with(hold_open(output("a", "1")))
        raised = error("from the body")

        async def body() -> None:
            async with ways_to_open(client)[way] as stream:
                async for _ in iterate(stream):
                    raise raised

        with pytest.raises(error) as caught:
            await body()
        assert caught.value is raised
        assert not hasattr(raised, "__notes__")
        assert server.cancels == cancels
        assert server.connections[0].closed

    @pytest.mark.parametrize("flavor", flavors.params("asyncio", "trio", omit="sync"))
    @every_way
    async def test_a_cancellation_cancels(
        self, client: Any, server: StreamServer, way: str, cancels: int
    ) -> None:
        server.respond_with(hold_open(output("a", "1")))
        events: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(read_into, events, ways_to_open(client)[way])
            while not events:
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        assert group.cancel_scope.cancelled_caught
        assert texts(events) == ["a"]
        assert server.cancels == cancels
        assert server.connections[0].closed

    @every_way
    async def test_an_unread_stream_cancels(
        self, client: Any, server: StreamServer, way: str, cancels: int
    ) -> None:
        async with ways_to_open(client)[way]:
            pass
        assert server.cancels == cancels
        assert server.connections == []

    @every_way
    async def test_a_finished_stream_does_not_cancel(
        self, client: Any, server: StreamServer, way: str, cancels: int
    ) -> None:
        del cancels
        server.respond_with(complete(output("a", "1"), done(id="2")))
        await read(ways_to_open(client)[way])
        assert server.cancels == 0

    @every_way
    async def test_exiting_after_done_does_not_cancel(
        self, client: Any, server: StreamServer, way: str, cancels: int
    ) -> None:
        del cancels
        server.respond_with(hold_open(output("a", "1"), done(id="2")))
        async with ways_to_open(client)[way] as stream:
            async for event in iterate(stream):
                if isinstance(event, DoneEvent):
                    break
        assert server.cancels == 0
        assert server.connections[0].closed


class TestConnection:
    async def test_closes_before_the_cancel(self, client: Any, server: StreamServer) -> None:
        server.respond_with(hold_open(output("a", "1")))
        server.delays[CANCEL] = 0.8
        async with client.stream("owner/name", {}) as stream:
            await anext(iterate(stream))
            left = Stopwatch()
        canceled_at = time.monotonic()
        assert left.wall >= 0.8
        assert server.connections[0].closed
        closed_at = server.connections[0].closed_at
        assert closed_at is not None
        assert canceled_at - closed_at > 0.1

    async def test_closes_with_unread_data(self, client: Any, server: StreamServer) -> None:
        over = threading.Event()

        def script(connection: StreamConnection) -> None:
            try:
                connection.open()
                while True:
                    connection.send(output("x" * 10_000))
            except OSError:
                over.set()

        server.respond_with(script)
        async with client.stream("owner/name", {}) as stream:
            await anext(iterate(stream))
        assert over.wait(30)
        assert server.cancels == 1

    async def test_closes_at_the_end_even_if_the_server_keeps_it_open(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a", "1"), done(id="2")))
        assert texts(await read(client.stream("owner/name", {}))) == ["a"]
        assert server.connections[0].closed
        assert len(server.connections) == 1


class TestCancel:
    async def test_a_failed_cancel_is_a_note(self, client: Any, server: StreamServer) -> None:
        server.respond_with(hold_open(output("a", "1")))
        server.failures[CANCEL] = 400

        async def body() -> None:
            async with client.stream("owner/name", {}) as stream:
                await anext(iterate(stream))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as caught:
            await body()
        assert "p1 may still be running" in caught.value.__notes__[0]
        assert server.connections[0].closed

    async def test_a_failed_cancel_without_another_error_raises(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a", "1")))
        server.failures[CANCEL] = 400

        async def body() -> None:
            async with client.stream("owner/name", {}) as stream:
                await anext(iterate(stream))

        with pytest.raises(BadRequestError, match="does not work"):
            await body()
        assert server.connections[0].closed

    async def test_a_finished_prediction_is_not_canceled(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a", "1")))
        server.finish(output=["a"])
        async with client.stream("owner/name", {}) as stream:
            await anext(iterate(stream))
            await stream.result()
        assert server.cancels == 0
        assert server.connections[0].closed

    async def test_an_unreachable_server_does_not_delay_the_exit(
        self, connect: Callable[..., Any], server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a", "1")))

        async def body() -> None:
            async with connect(max_retries=0).stream("owner/name", {}) as stream:
                await anext(iterate(stream))
                server.close()
                raise ZeroDivisionError

        started = Stopwatch()
        with pytest.raises(ZeroDivisionError) as caught:
            await body()
        assert "could not be canceled" in caught.value.__notes__[0]
        assert started.adjusted < 20  # far less than the timeout of a request


class TestAsync:
    """Cancellation of tasks and closing of coroutines, which exist in async code only."""

    @pytest.fixture(params=flavors.params("asyncio", "trio", omit="sync"))
    def flavor(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    async def test_cancellation_during_the_create(self, client: Any, server: StreamServer) -> None:
        server.delays[CREATE] = 0.4
        async with cancel_once(lambda: server.request_lines) as scope:
            await read(client.stream("owner/name", {}))
        assert scope.cancelled_caught
        assert server.request_lines == [CREATE, CANCEL]

    async def test_cancellation_before_a_reconnect(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(b"retry: 5000\n", output("a", "1")))
        events: list[Any] = []
        async with cancel_once(lambda: events) as scope:
            await read_into(events, client.stream("owner/name", {}))
        assert scope.cancelled_caught
        assert texts(events) == ["a"]
        assert server.cancels == 1

    async def test_cancellation_while_waiting_for_the_response(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(lambda connection: connection.wait_closed(60))
        async with cancel_once(lambda: server.connections) as scope:
            await read(client.stream("owner/name", {}))
        assert scope.cancelled_caught
        assert server.cancels == 1
        assert server.connections[0].closed

    async def test_a_timeout_per_event_loses_no_event(
        self, client: Any, server: StreamServer, no_jitter: None
    ) -> None:
        events = [output(text, str(number)) for number, text in enumerate("abcdef")]

        def script(connection: StreamConnection) -> None:
            connection.open()
            for event in events[int(connection.last_id or -1) + 1 :]:
                time.sleep(0.05)
                connection.send(event)
            connection.send(done(id="6"))
            connection.end()

        server.respond_with(script)
        server.finish(output=list("abcdef"))
        got: list[Any] = []
        impatient = 0
        async with client.stream("owner/name", {}) as stream:
            while not got or not isinstance(got[-1], DoneEvent):
                with anyio.move_on_after(0.4 if impatient else 0.05) as scope:
                    got.append(await anext(stream))
                impatient += scope.cancelled_caught
        assert impatient
        assert texts(got) == list("abcdef")

    async def test_closing_a_generator_that_reads_the_stream(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a", "1"), output("b", "2")))

        async def response() -> AsyncGenerator[str, None]:
            async with client.stream("owner/name", {}) as stream:
                async for event in stream:
                    yield str(event)

        async with aclosing(response()) as parts:
            async for part in parts:
                assert part == "a"
                break
        assert server.cancels == 1
        assert server.connections[0].closed


@pytest.mark.parametrize(
    "flavor", ["asyncio", pytest.param("uvloop", marks=pytest.mark.soak)], indirect=True
)
class TestAsyncio:
    async def test_canceling_the_task(self, client: Any, server: StreamServer) -> None:
        server.respond_with(hold_open(output("a", "1")))
        events: list[Any] = []
        task = asyncio.create_task(read_into(events, client.stream("owner/name", {})))
        while not events:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.cancels == 1
        assert server.connections[0].closed

    async def test_canceling_the_task_twice(self, client: Any, server: StreamServer) -> None:
        server.respond_with(hold_open(output("a", "1")))
        server.delays[CANCEL] = 0.3
        events: list[Any] = []
        task = asyncio.create_task(read_into(events, client.stream("owner/name", {})))
        while not events:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.cancels == 1
        assert server.state["status"] == "canceled"
        assert server.connections[0].closed

    async def test_wait_for_cancels(self, client: Any, server: StreamServer) -> None:
        server.respond_with(hold_open(output("a", "1")))
        events: list[Any] = []
        task = asyncio.create_task(read_into(events, client.stream("owner/name", {})))
        while not events:
            await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.01)
        assert server.cancels == 1


class TestTimeout:
    async def within(self, seconds: float, opened: Any) -> list[Any]:
        """Read a stream that times out after `seconds`."""
        events: list[Any] = []
        started = Stopwatch()
        with pytest.raises(PredictionTimeoutError, match="p1") as caught:
            await read_into(events, opened)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.prediction.id == "p1"
        assert seconds - 0.02 <= started.wall
        assert started.adjusted < seconds + 0.3
        return events

    async def test_a_silent_stream(self, client: Any, server: StreamServer) -> None:
        server.respond_with(hold_open(output("a", "1")))
        events = await self.within(1.0, client.stream("owner/name", {}, timeout=1.0))
        assert texts(events) == ["a"]
        assert server.cancels == 1
        assert server.connections[0].closed

    async def test_a_stream_of_comments(self, client: Any, server: StreamServer) -> None:
        def script(connection: StreamConnection) -> None:
            connection.open()
            while not connection.wait_closed(0.05):
                connection.send(b": still here\n\n")

        server.respond_with(script)
        assert await self.within(1.0, client.stream("owner/name", {}, timeout=1.0)) == []
        assert server.cancels == 1

    async def test_a_missing_response(self, client: Any, server: StreamServer) -> None:
        server.respond_with(lambda connection: connection.wait_closed())
        assert await self.within(1.0, client.stream("owner/name", {}, timeout=1.0)) == []
        assert server.cancels == 1

    async def test_a_pause_between_connections(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(b"retry: 5000\n", output("a", "1")))
        events = await self.within(1.0, client.stream("owner/name", {}, timeout=1.0))
        assert texts(events) == ["a"]
        assert server.cancels == 1

    async def test_a_result_that_does_not_arrive(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            cut_off(output("a"))
        )  # without ids, the finished prediction provides the rest
        events = await self.within(1.0, client.stream("owner/name", {}, timeout=1.0))
        assert texts(events) == ["a"]
        assert server.request_lines.count(POLL) > 1
        assert server.cancels == 1

    async def test_an_attached_prediction_keeps_running(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a", "1")))
        await self.within(1.0, client.predictions.stream("p1", timeout=1.0))
        assert server.cancels == 0
        assert server.connections[0].closed

    async def test_the_timeout_includes_the_time_of_the_block(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(hold_open(output("a", "1")))
        async with client.stream("owner/name", {}, timeout=1.0) as stream:
            await anext(iterate(stream))
            time.sleep(1.1)
            started = Stopwatch()
            with pytest.raises(PredictionTimeoutError):
                await events_of(stream)
            assert started.adjusted < 0.2

    async def test_a_stream_within_the_timeout_is_complete(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(output("a", "1"), done(id="2")))
        assert texts(await read(client.stream("owner/name", {}, timeout=5))) == ["a"]
        assert server.cancels == 0


async def test_an_unreachable_server_is_a_connection_error(
    connect: Callable[..., Any],
    server: StreamServer,
    no_jitter: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashscope._predictions.watch.MAX_OUTAGE", 0.2)
    server.respond_with(hold_open(output("a", "1")))
    started = Stopwatch()
    events: list[Any] = []

    async def body() -> None:
        async with connect(max_retries=0).stream("owner/name", {}) as stream:
            async for event in iterate(stream):
                events.append(event)
                server.close()

    with pytest.raises(APIConnectionError) as caught:
        await body()
    assert texts(events) == ["a"]
    assert "p1 may still be running" in caught.value.__notes__[0]
    assert started.adjusted < 20  # far less than the timeout of a request


@pytest.mark.parametrize("flavor", flavors.params("asyncio", "trio", omit="sync"))
class TestHeartbeats:
    """A caller that waits for events with a short timeout, again and again."""

    @pytest.mark.parametrize("heartbeat", [0.01, 0.2])
    async def test_a_timeout_of_anext_loses_nothing(
        self, client: Any, server: StreamServer, heartbeat: float
    ) -> None:
        sent = [output(str(number), str(number)) for number in range(5)]

        def script(connection: StreamConnection) -> None:
            connection.open()
            for event in sent:
                time.sleep(0.15)
                connection.send(event)
            connection.send(done(id="end"))
            connection.end()

        server.respond_with(script)
        received, beats = list[Any](), 0
        async with client.stream("owner/name", {}) as stream:
            while not received or not isinstance(received[-1], DoneEvent):
                with anyio.move_on_after(heartbeat) as scope:
                    received.append(await anext(stream))
                beats += scope.cancelled_caught
        assert texts(received) == ["0", "1", "2", "3", "4"]
        assert len(server.connections) == 1
        assert beats > 0 or heartbeat > 0.05

    async def test_a_timeout_while_connecting_loses_nothing(
        self, client: Any, server: StreamServer
    ) -> None:
        sent = [output("a", "1"), output("b", "2"), done(id="end")]

        def slow(connection: StreamConnection) -> None:
            time.sleep(0.2)
            connection.open()
            connection.send(*events_after(sent, connection.last_id)[:1])
            connection.close()

        server.respond_with(slow, slow, slow)
        server.finish(output=["a", "b"])
        received = list[Any]()
        async with client.stream("owner/name", {}) as stream:
            while not received or not isinstance(received[-1], DoneEvent):
                with anyio.move_on_after(0.05):
                    received.append(await anext(stream))
        assert texts(received) == ["a", "b"]


async def test_the_timeout_of_a_stream_counts_from_its_entry(
    client: Any, server: StreamServer
) -> None:
    server.respond_with(complete(done(id="end")))
    with pytest.MonkeyPatch.context() as past:
        long_ago = time.monotonic() - 100
        past.setattr(time, "monotonic", lambda: long_ago)
        streams = [
            client.stream("owner/name", {}, timeout=20),
            client.predictions.stream("p1", timeout=20),
        ]
    for stream in streams:
        async with stream:
            assert isinstance(await anext(stream), DoneEvent)


@pytest.mark.parametrize("flavor", ["asyncio"])
async def test_a_native_timeout_of_anext_loses_nothing(client: Any, server: StreamServer) -> None:
    def script(connection: StreamConnection) -> None:
        connection.open()
        for number in range(5):
            time.sleep(0.05)
            connection.send(output(str(number), str(number)))
        connection.send(done(id="end"))
        connection.end()

    server.respond_with(script)
    received = list[Any]()
    async with client.stream("owner/name", {}) as stream:
        while not received or not isinstance(received[-1], DoneEvent):
            with contextlib.suppress(TimeoutError):
                received.append(await asyncio.wait_for(anext(stream), 0.02))
    assert texts(received) == ["0", "1", "2", "3", "4"]
    assert len(server.connections) == 1
