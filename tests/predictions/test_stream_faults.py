"""A proxy cuts, stalls, slows and truncates streams: all events arrive unchanged."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashscope import DoneEvent
from dashscope.local import LocalServer
from tests.predictions import stream_models as models
from tests.predictions.stream_reading import events_of, log_text, read, summaries, texts
from tests.servers.stream_events import (
    Recording,
    SentEvent,
    done,
    encoded,
    events_after,
    logs,
    output,
)
from tests.servers.stream_proxy import (
    Fault,
    Proxy,
    byte_by_byte,
    cut_after,
    reset_after,
    stall_after,
)
from tests.servers.stream_server import Script, StreamConnection, StreamServer
from tests.variants import variants

EVENTS = (
    logs("10%\n20%\n", "1-a"),
    output("Grüße ✓", "2"),
    output("two\nlines\n", "3"),
    SentEvent("ping", "🙂", "4"),
    output("", "5"),
    output(" x ", "6"),
    done(id="7"),
)
TOLD = [(event.event, "" if event.event == "done" else event.data) for event in EVENTS]
FINISHED = {"output": ["Grüße ✓", "two\nlines\n", "", " x "], "logs": "10%\n20%\n"}


def recorded(recording: Recording, *, chunked: bool) -> Script:
    """Return the recording after the event with the `Last-Event-ID`."""

    def script(connection: StreamConnection) -> None:
        connection.open(chunked=chunked)
        connection.send(
            encoded(events_after(recording.events, connection.last_id), recording.ending)
        )
        connection.end()

    return script


@pytest.fixture
def proxy(server: StreamServer) -> Iterator[Proxy]:
    """A proxy in front of the scripted server."""
    proxy = Proxy(server.base_url)
    server.stream_url = server.stream_url.replace(server.origin, proxy.origin)
    yield proxy
    proxy.close()


def whole_at(response: bytes, body: bytes) -> int:
    """Return the offset at which the stream starts in a response."""
    at = response.index(body)
    assert at > 0
    return at


steps = pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.soak)])
"""Cut at every 31st byte by default, and at every byte in the soak session."""


@pytest.mark.usefixtures("no_jitter")
class TestRecordedStream:
    @pytest.mark.parametrize("flavor", ["asyncio", "sync"], indirect=True)
    @steps
    @variants("chunked", [True, False])
    async def test_truncation_at_every_byte(
        self, client: Any, server: StreamServer, proxy: Proxy, chunked: bool, step: int
    ) -> None:
        recording = Recording(EVENTS)
        body = recording.body
        server.respond_with(recorded(recording, chunked=chunked))
        server.finish(**FINISHED)
        finished = await client.predictions.get("p1")
        assert summaries(await read(client.predictions.stream(finished))) == TOLD
        response = bytes(proxy.passed[-1])
        begin = whole_at(response, body)
        for length in range(0, len(response) + 1, step):
            proxy.inject([cut_after(length)])
            server.connections.clear()
            async with client.predictions.stream(finished) as stream:
                events = await events_of(stream)
                reconnections = stream.reconnections
            assert summaries(events) == TOLD, length
            assert [event.id for event in events[:-1]] == ["1-a", "2", "3", "4", "5", "6"], length
            last_id = recording.last_id_within(length - begin)
            again = [] if last_id == "7" else [last_id]
            assert server.last_ids == [None, *again], length
            assert reconnections == len(again), length

    @pytest.mark.parametrize("flavor", ["asyncio", "sync"], indirect=True)
    @steps
    @variants("ending", ["\r\n", "\r"])
    async def test_truncation_at_every_byte_with_every_line_ending(
        self, client: Any, server: StreamServer, proxy: Proxy, ending: str, step: int
    ) -> None:
        recording = Recording(EVENTS[1:3] + EVENTS[-1:], ending)
        body = recording.body
        server.respond_with(recorded(recording, chunked=True))
        server.finish(output=FINISHED["output"][:2])
        finished = await client.predictions.get("p1")
        await read(client.predictions.stream(finished))
        begin = whole_at(bytes(proxy.passed[-1]), body)
        for length in range(0, len(body) + 1, step):
            proxy.inject([cut_after(begin + length)])
            server.connections.clear()
            events = await read(client.predictions.stream(finished))
            assert summaries(events) == [TOLD[1], TOLD[2], TOLD[-1]], length
            last_id = recording.last_id_within(length)
            assert server.last_ids == [None, *([] if last_id == "7" else [last_id])], length

    @pytest.mark.parametrize("flavor", ["asyncio", "sync"], indirect=True)
    @steps
    async def test_a_clean_end_at_every_byte(
        self, client: Any, server: StreamServer, step: int
    ) -> None:
        recording = Recording(EVENTS)
        server.finish(**FINISHED)
        finished = await client.predictions.get("p1")
        length = 0

        def script(connection: StreamConnection) -> None:
            connection.open()
            body = encoded(events_after(recording.events, connection.last_id))
            connection.send(body[:length] if connection.number == 1 else body)
            connection.end()

        server.respond_with(script)
        for length in range(0, len(recording.body) + 1, step):
            server.connections.clear()
            assert summaries(await read(client.predictions.stream(finished))) == TOLD, length
            last_id = recording.last_id_within(length)
            assert server.last_ids == [None, *([] if last_id == "7" else [last_id])], length

    @variants("ending", ["\n", "\r\n", "\r"])
    async def test_one_byte_at_a_time(
        self, client: Any, server: StreamServer, proxy: Proxy, ending: str
    ) -> None:
        server.respond_with(recorded(Recording(EVENTS, ending), chunked=True))
        proxy.inject([byte_by_byte])
        async with client.stream("owner/name", {}) as stream:
            assert summaries(await events_of(stream)) == TOLD
            assert stream.reconnections == 0

    @pytest.mark.parametrize("flavor", ["asyncio", "sync"], indirect=True)
    async def test_stalls(self, client: Any, server: StreamServer, proxy: Proxy) -> None:
        recording = Recording(EVENTS)
        server.respond_with(recorded(recording, chunked=True))
        server.finish(**FINISHED)
        finished = await client.predictions.get("p1")
        await read(client.predictions.stream(finished))
        response = bytes(proxy.passed[-1])
        begin = whole_at(response, recording.body)
        for length in [0, 20, begin, *range(begin + 1, begin + len(recording.body) - 1, 120)]:
            proxy.inject([stall_after(length)])
            server.connections.clear()
            events = await read(client.predictions.stream(finished, stall_timeout=0.2))
            assert summaries(events) == TOLD, length
            assert server.last_ids == [None, recording.last_id_within(length - begin)], length

    async def test_one_event_per_connection(
        self, client: Any, server: StreamServer, proxy: Proxy
    ) -> None:
        recording = Recording(EVENTS)
        server.respond_with(recorded(recording, chunked=False))
        server.finish(**FINISHED)
        await read(client.predictions.stream("p1"))
        begin = whole_at(bytes(proxy.passed[-1]), recording.body)
        longest = max(len(event.encoded()) for event in EVENTS)
        for length in (longest, longest + 7):
            proxy.inject([cut_after(begin + length)] * 20)
            async with client.stream("owner/name", {}) as stream:
                assert summaries(await events_of(stream)) == TOLD
                assert stream.reconnections >= 4
        assert server.cancels == 0

    @variants("replays", [False, True])
    async def test_random_faults(
        self, client: Any, server: StreamServer, proxy: Proxy, replays: bool
    ) -> None:
        recording = Recording(EVENTS)
        script = recorded(recording, chunked=True)
        if replays:

            def script(connection: StreamConnection) -> None:
                connection.open()
                connection.send(recording.body)
                connection.end()

        server.respond_with(script)
        server.finish(**FINISHED)
        chance = random.Random(4)
        for _ in range(2):
            faults = [any_fault(chance, 110 + len(recording.body)) for _ in range(6)]
            proxy.inject(list(faults))
            events = await read(client.predictions.stream("p1", stall_timeout=0.2))
            assert summaries(events) == TOLD, faults


def any_fault(chance: random.Random, most: int) -> Fault:
    kind: Callable[[int], Fault] = chance.choice(
        [*[cut_after] * 8, *[reset_after] * 8, stall_after]
    )
    return kind(chance.randrange(most)) if chance.random() < 0.9 else byte_by_byte


@pytest.fixture(scope="module")
def local() -> Iterator[LocalServer]:
    with LocalServer(models=models.__file__) as server:
        yield server


@pytest.fixture
def before(local: LocalServer) -> Iterator[Proxy]:
    """A proxy in front of the local server."""
    proxy = Proxy(local.base_url)
    yield proxy
    proxy.close()


@pytest.mark.usefixtures("no_jitter")
class TestLocalServer:
    @pytest.fixture
    def client(self, connect: Callable[..., Any], before: Proxy) -> Any:
        return connect(base_url=before.base_url)

    async def test_a_running_model_is_streamed_completely(self, client: Any, before: Proxy) -> None:
        chance = random.Random(5)
        faults = [cut_after(chance.randrange(140, 500)) for _ in range(5)]
        before.inject([byte_by_byte, *faults])
        async with client.stream("test/verse", {"lines": 6, "delay": 0.03}) as stream:
            events = await events_of(stream)
            result = await stream.result()
        assert texts(events) == result.output
        assert len(result.output) == 12
        assert log_text(events) == result.logs
        assert isinstance(events[-1], DoneEvent)
        before.inject(faults)
        async with client.stream("test/verse", {"lines": 6, "delay": 0.03}) as stream:
            events = await events_of(stream)
            result = await stream.result()
            assert stream.reconnections >= 1
        assert texts(events) == result.output
        assert log_text(events) == result.logs

    @steps
    @pytest.mark.parametrize("flavor", ["asyncio", "sync"], indirect=True)
    async def test_truncation_of_a_finished_stream(
        self, client: Any, before: Proxy, step: int
    ) -> None:
        async with client.stream("test/verse", {"lines": 2}) as stream:
            await events_of(stream)
            finished = await stream.result()
        expected = summaries(await read(client.predictions.stream(finished)))
        assert [text for kind, text in expected if kind == "output"] == finished.output
        response = bytes(before.passed[-1])
        for length in range(0, len(response) + 1, 5 * step):
            before.inject([cut_after(length)])
            events = await read(client.predictions.stream(finished))
            assert texts(events) == finished.output, length
            assert log_text(events) == finished.logs, length
            assert isinstance(events[-1], DoneEvent), length

    async def test_exiting_cancels_the_model(self, client: Any) -> None:
        async with client.stream("test/verse", {"lines": 1000, "delay": 0.05}) as stream:
            await stream.__anext__()
        assert stream.prediction.status == "canceled"
        assert (await client.predictions.get(stream.prediction)).status == "canceled"
