"""A broken stream is resumed without lost or repeated events, and never with a silent gap."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from dashscope import (
    DoneEvent,
    InternalServerError,
    ModelError,
    OutputEvent,
    PredictionTimeoutError,
    RateLimitError,
    StreamError,
)
from dashscope._predictions.stream import AsyncEventStream
from tests import flavors
from tests.predictions.stream_reading import (
    events_of,
    iterate,
    log_text,
    read,
    read_into,
    summaries,
    texts,
)
from tests.servers.stream_events import SentEvent, done, encoded, logs, output
from tests.servers.stream_server import (
    POLL,
    Script,
    StreamConnection,
    StreamServer,
    complete,
    cut_off,
    fail_with,
    hold_open,
    resume_after_last_id,
)
from tests.stopwatch import Stopwatch
from tests.variants import variants

pytestmark = pytest.mark.timeout(30)

LETTERS = [output(text, str(number)) for number, text in enumerate("abcdef", 1)]
WHOLE = [*LETTERS, done(id="7")]


def reset(*parts: bytes | SentEvent) -> Script:
    """Send the start of a stream, then reset the connection."""

    def script(connection: StreamConnection) -> None:
        connection.open()
        connection.send(*parts)
        time.sleep(0.05)  # a reset would discard unread data
        connection.reset()

    return script


def unframed(*parts: bytes | SentEvent) -> Script:
    """Send a stream without chunks, whose end is the end of the connection."""

    def script(connection: StreamConnection) -> None:
        connection.open(chunked=False)
        connection.send(*parts)

    return script


MANY = [output(f"part {number}", str(number)) for number in range(1000)]
"""More events than are parsed at once, and less than a chunk of the stream may contain."""

BREAKS = {"cut": cut_off, "ended": complete, "reset": reset, "unframed": unframed}


every_break = variants("broken", BREAKS.values(), ids=BREAKS)


flavor = flavors.fixture("trio", "sync")  # the other tests of the folder run on asyncio


@pytest.mark.usefixtures("no_jitter")
class TestResume:
    @every_break
    async def test_resumes_after_the_last_event(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        server.respond_with(
            broken(*LETTERS[:2]), broken(*LETTERS[2:5]), resume_after_last_id(WHOLE)
        )
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            events = await events_of(stream)
            assert stream.reconnections == 2
        assert server.last_ids == [None, "2", "5"]
        assert events[:-1] == [
            OutputEvent(text=text, id=str(number)) for number, text in enumerate("abcdef", 1)
        ]
        assert summaries(events)[-1] == ("done", "")
        assert server.cancels == 0

    @every_break
    async def test_an_incomplete_event_is_ignored(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        half = output("b", "2").encoded()[:-1]
        server.respond_with(broken(LETTERS[0], half), resume_after_last_id(WHOLE))
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.last_ids == [None, "1"]

    @pytest.mark.parametrize("flavor", ["sync"])  # otherwise Ctrl-C cancels the main task
    async def test_a_reset_between_two_events_loses_none(
        self, client: Any, server: StreamServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = iter([KeyboardInterrupt(), TimeoutError()])
        event_of = AsyncEventStream._event_of

        def interrupted(stream: AsyncEventStream, sse: Any) -> Any:
            if sse.event == "logs":
                for error in made:
                    raise error
            return event_of(stream, sse)

        monkeypatch.setattr(AsyncEventStream, "_event_of", interrupted)
        sent = [*LETTERS[:2], logs("now\n", "2a"), *LETTERS[2:], done(id="7")]
        server.respond_with(complete(*sent), resume_after_last_id(sent), resume_after_last_id(sent))
        server.finish(output=list("abcdef"), logs="now\n")
        events: list[Any] = []
        async with client.stream("owner/name", {}) as stream:
            for error in (KeyboardInterrupt, TimeoutError):
                with pytest.raises(error):
                    async for event in iterate(stream):
                        events.append(event)
            events.extend(await events_of(stream))
        assert texts(events) == list("abcdef")
        assert server.last_ids == [None, "2", "2"]

    @every_break
    async def test_a_break_before_the_first_event(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        server.respond_with(broken(b": hello\n\n"), resume_after_last_id(WHOLE))
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.last_ids == [None, None]

    async def test_a_connection_without_a_response(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            lambda connection: connection.close(),
            cut_off(LETTERS[0]),
            StreamConnection.close,
            resume_after_last_id(WHOLE),
        )
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 3
        assert server.last_ids == [None, None, "1", "1"]

    async def test_an_id_without_data_is_remembered(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            cut_off(LETTERS[0], b"id: 1a\n\n"),
            resume_after_last_id([SentEvent("", "", "1a"), *WHOLE[1:]]),
        )
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.last_ids == [None, "1a"]

    async def test_an_id_is_remembered_after_its_event_was_returned(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut_off(encoded(LETTERS[:3])), resume_after_last_id(WHOLE))
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            events = iterate(stream)
            # All three events arrived in one chunk. The next connection waits for the third.
            for letter in "abc":
                assert str(await anext(events)) == letter
                assert len(server.connections) == 1
            assert texts(await events_of(stream)) == list("def")
        assert server.last_ids == [None, "3"]

    async def test_after_a_break_the_prediction_shows_the_end(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:3]), resume_after_last_id(WHOLE))
        server.finish(output=list("abcdef"))
        await read(client.stream("owner/name", {}))
        assert server.request_lines.count(POLL) == 1

    async def test_a_failure_after_a_break(self, client: Any, server: StreamServer) -> None:
        failed = encoded(
            [SentEvent("error", '{"detail": "no luck"}', "2"), done('{"reason": "error"}')]
        )
        server.respond_with(cut_off(LETTERS[0]), complete(failed))
        server.finish("failed", error="no luck", output=["a"])
        events: list[Any] = []
        with pytest.raises(ModelError, match="no luck"):
            await read_into(events, client.stream("owner/name", {}))
        assert summaries(events) == [("output", "a")]
        assert server.cancels == 0

    async def test_a_cancellation_after_a_break(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(LETTERS[0]), complete(done('{"reason": "canceled"}', "2")))
        server.finish("canceled", output=["a"])
        assert summaries(await read(client.stream("owner/name", {}))) == [
            ("output", "a"),
            ("done", "canceled"),
        ]

    async def test_other_events_and_logs_are_resumed(
        self, client: Any, server: StreamServer
    ) -> None:
        mixed = [
            logs("one\n", "1"),
            output("a", "2"),
            SentEvent("ping", "x", "3"),
            logs("two\n", "4"),
            output("b", "5"),
            done(id="6"),
        ]
        for position in (1, 3, 5):
            server.respond_with(cut_off(*mixed[:position]), resume_after_last_id(mixed))
            server.finish(output=["a", "b"], logs="one\ntwo\n")
            assert summaries(await read(client.stream("owner/name", {}))) == [
                ("logs", "one\n"),
                ("output", "a"),
                ("ping", "x"),
                ("logs", "two\n"),
                ("output", "b"),
                ("done", ""),
            ]

    async def test_lines_and_values_are_no_gap(self, client: Any, server: StreamServer) -> None:
        parts = [output("one\ntwo\n", "1"), output('{"b": 1, "a": [2]}', "2"), output("1.0", "3")]
        server.respond_with(cut_off(*parts[:2]), resume_after_last_id([*parts, done(id="4")]))
        server.finish(output=["one\r\ntwo\r", {"a": [2], "b": 1}, 1.0])
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == ["one\ntwo\n", '{"b": 1, "a": [2]}', "1.0"]

    async def test_file_outputs_are_no_gap(self, client: Any, server: StreamServer) -> None:
        url = "https://files.example.com/a.png"
        server.respond_with(
            cut_off(output(url, "1")), resume_after_last_id([output(url, "1"), done(id="2")])
        )
        server.finish(output=[url])
        assert texts(await read(client.stream("owner/name", {}))) == [url]


@pytest.mark.usefixtures("no_jitter")
class TestManyEventsInOneChunk:
    @variants(
        "goes_on",
        [lambda *sent: resume_after_last_id(sent), lambda *sent: complete(encoded(sent))],
        ids=["resumes", "replays"],
    )
    async def test_no_event_is_lost_or_repeated(
        self, client: Any, server: StreamServer, goes_on: Callable[..., Script]
    ) -> None:
        server.respond_with(cut_off(encoded(MANY[:700])), goes_on(*MANY, done(id="end")))
        server.finish(output=[event.data for event in MANY])
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == [event.data for event in MANY]
        assert server.last_ids == [None, "699"]

    async def test_consecutive_events_may_have_the_same_id(
        self, client: Any, server: StreamServer
    ) -> None:
        sent = [SentEvent("", "", "1"), output("a"), output("b"), output("c", "2"), output("d")]
        server.respond_with(
            cut_off(encoded(sent)), complete(encoded([*sent, output("e", "3"), done(id="4")]))
        )
        server.finish(output=list("abcde"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcde")
        assert server.last_ids == [None, "2"]

    async def test_a_broken_stream_is_completed(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(encoded(MANY[:700])), fail_with(404))
        server.finish(output=[event.data for event in MANY])
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == [event.data for event in MANY]

    @pytest.mark.parametrize("flavor", ["sync"])  # otherwise Ctrl-C cancels the main task
    async def test_an_interrupt_while_parsing_loses_none(
        self, client: Any, server: StreamServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls, event_of = 0, AsyncEventStream._event_of

        def interrupted(stream: AsyncEventStream, sse: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 200:
                raise KeyboardInterrupt
            return event_of(stream, sse)

        monkeypatch.setattr(AsyncEventStream, "_event_of", interrupted)
        sent = [*MANY, done(id="end")]
        server.respond_with(complete(encoded(sent)), resume_after_last_id(sent))
        server.finish(output=[event.data for event in MANY])
        events: list[Any] = []
        async with client.stream("owner/name", {}) as stream:
            with pytest.raises(KeyboardInterrupt):
                async for event in iterate(stream):
                    events.append(event)
            assert 0 < len(events) < len(MANY)
            last_id = events[-1].id
            events.extend(await events_of(stream))
        assert texts(events) == [event.data for event in MANY]
        assert server.last_ids == [None, last_id]

    async def test_the_first_event_does_not_wait_for_the_others(
        self, client: Any, server: StreamServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        understood = handed_over = 0
        event_of = AsyncEventStream._event_of

        def counted(stream: AsyncEventStream, sse: Any) -> Any:
            nonlocal understood
            understood += 1
            return event_of(stream, sse)

        monkeypatch.setattr(AsyncEventStream, "_event_of", counted)
        server.respond_with(complete(encoded([*MANY, done(id="end")])))
        async with client.stream("owner/name", {}) as stream:
            async for _ in iterate(stream):
                assert understood - handed_over < 600
                handed_over += 1
        assert handed_over == len(MANY) + 1


@pytest.mark.usefixtures("no_jitter")
class TestServersThatReplay:
    """These servers ignore `Last-Event-ID` and restart the stream."""

    @every_break
    async def test_no_event_is_repeated(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        server.respond_with(broken(*LETTERS[:3]), broken(*LETTERS[:5]), complete(*WHOLE))
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 2

    @variants("size", [1, 7, 1000])
    async def test_no_event_is_repeated_in_any_chunks(
        self, client: Any, server: StreamServer, size: int
    ) -> None:
        stream = encoded(WHOLE)
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        server.respond_with(cut_off(*LETTERS[:3]), complete(*chunks))
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")

    async def test_a_break_during_the_replay(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(*LETTERS[:4]), cut_off(*LETTERS[:2]), complete(*WHOLE))
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")

    async def test_equal_text_with_another_id_is_another_event(
        self, client: Any, server: StreamServer
    ) -> None:
        same = [output("x", str(number)) for number in range(1, 5)]
        server.respond_with(cut_off(*same[:2]), complete(*same, done(id="5")))
        server.finish(output=["x"] * 4)
        assert texts(await read(client.stream("owner/name", {}))) == ["x"] * 4

    async def test_an_id_may_repeat_within_a_connection(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            complete(output("a", "1"), logs("log", "1"), output("b", "1"), done(id="1"))
        )
        assert summaries(await read(client.stream("owner/name", {}))) == [
            ("output", "a"),
            ("logs", "log"),
            ("output", "b"),
            ("done", ""),
        ]

    async def test_a_stream_that_always_breaks_is_abandoned(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:3]))
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 8


@pytest.mark.usefixtures("no_jitter")
class TestServersThatCannotResume:
    @variants("status", [204, 404, 410])
    async def test_a_rejected_resume_is_completed_from_the_prediction(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:3], logs("one\n", "4")), fail_with(status))
        server.finish(output=list("abcdef"), logs="one\ntwo\n")
        async with client.stream("owner/name", {}) as stream:
            events = await events_of(stream)
            assert stream.reconnections == 1
            assert stream.prediction.status == "succeeded"
        assert texts(events) == list("abcdef")
        assert log_text(events) == "one\ntwo\n"
        assert isinstance(events[-1], DoneEvent)
        assert server.cancels == 0

    async def test_a_silent_resume_waits_for_the_prediction(
        self, client: Any, server: StreamServer
    ) -> None:
        def gone(connection: StreamConnection) -> None:
            connection.answer(404)
            time.sleep(0.3)
            server.finish(output=list("abcdef"))

        server.respond_with(cut_off(*LETTERS[:3]), gone)
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.request_lines.count(POLL) > 1

    @variants("status", ["failed", "canceled"])
    async def test_the_stream_of_an_unsuccessful_prediction_is_completed(
        self, client: Any, server: StreamServer, status: str
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:3]), fail_with(404))
        server.finish(status, output=list("abcd"), error="no luck" if status == "failed" else None)
        events: list[Any] = []
        if status == "failed":
            with pytest.raises(ModelError, match="no luck"):
                await read_into(events, client.stream("owner/name", {}))
        else:
            await read_into(events, client.stream("owner/name", {}))
            assert events.pop() == DoneEvent(reason="canceled")
        assert texts(events) == list("abcd")

    @every_break
    async def test_without_ids_the_prediction_completes_the_stream(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        bare = [output(text) for text in "abc"]
        server.respond_with(broken(*bare, logs("one\n")), complete(*bare))
        server.finish(output=list("abcdef"), logs="one\ntwo\n")
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == list("abcdef")
        assert log_text(events) == "one\ntwo\n"
        assert len(server.connections) == 1

    async def test_without_ids_and_events_the_stream_restarts(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut_off(b": hello\n\n"), complete(output("a"), output("b"), done()))
        server.finish(output=["a", "b"])
        assert texts(await read(client.stream("owner/name", {}))) == ["a", "b"]
        assert len(server.connections) == 2

    async def test_an_empty_id_resets_the_last_id(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(LETTERS[0], b"id\n" + output("b").encoded()), complete(*WHOLE))
        server.finish(output=list("abc"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abc")
        assert len(server.connections) == 1

    async def test_completed_events_have_file_outputs(
        self, client: Any, server: StreamServer
    ) -> None:
        urls = ["https://files.example.com/a.png", "https://files.example.com/b.png"]
        server.respond_with(cut_off(output(urls[0], "1")), fail_with(404))
        server.finish(output=urls)
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == urls
        assert type(events[0].text) is type(events[1].text) is not str

    async def test_completed_events_may_stay_text(self, client: Any, server: StreamServer) -> None:
        server.respond_with(fail_with(404))
        server.finish(output=["https://files.example.com/a.png"])
        events = await read(client.stream("owner/name", {}, use_file_output=False))
        assert type(events[0].text) is str

    async def test_an_output_that_is_not_a_list_is_one_event(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(fail_with(404))
        server.finish(output={"a": 1})
        assert texts(await read(client.stream("owner/name", {}))) == ['{"a": 1}']

    async def test_logs_with_carriage_returns_are_completed(
        self, client: Any, server: StreamServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        # A progress bar overwrites itself. In an event, each state is a line.
        server.respond_with(cut_off(logs(" 10%\n 20%\n", "1")), fail_with(404))
        server.finish(output=[], logs=" 10%\r 20%\r 30%\r\ndone\n")
        with caplog.at_level(logging.WARNING, "dashscope"):
            events = await read(client.stream("owner/name", {}))
        assert log_text(events) == " 10%\n 20%\n 30%\ndone\n"
        assert caplog.text == ""

    async def test_inconsistent_logs_are_a_warning(
        self, client: Any, server: StreamServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.respond_with(cut_off(LETTERS[0], logs("other\n", "2")), fail_with(404))
        server.finish(output=["a"], logs="log\n")
        with caplog.at_level(logging.WARNING, "dashscope"):
            events = await read(client.stream("owner/name", {}))
        assert texts(events) == ["a"]
        assert "logs is missing" in caplog.text


@pytest.mark.usefixtures("no_jitter")
class TestGaps:
    async def test_a_server_that_skips_missed_events(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:2]), complete(*LETTERS[3:], done(id="7")))
        server.finish(output=list("abcdef"))
        events: list[Any] = []
        with pytest.raises(StreamError, match=r"missing: .*p1 broke after 5 parts.*has 6"):
            await read_into(events, client.stream("owner/name", {}))
        assert texts(events) == list("abdef")
        assert not any(isinstance(event, DoneEvent) for event in events)
        assert server.cancels == 0

    async def test_a_server_that_skips_missed_events_and_reuses_ids(
        self, client: Any, server: StreamServer
    ) -> None:
        later = [output("e", "1"), output("f", "2"), done(id="3")]
        server.respond_with(cut_off(*LETTERS[:2]), complete(*later))
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")

    async def test_a_skip_without_missed_events(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(*LETTERS[:2]), complete(output("c", "x1"), done(id="x2")))
        server.finish(output=list("abc"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abc")

    async def test_a_removed_output(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(*LETTERS[:2]), fail_with(404))
        server.finish(output=None, data_removed=True)
        with pytest.raises(StreamError, match="no output any more"):
            await read(client.stream("owner/name", {}))

    async def test_a_canceled_prediction_reveals_a_gap(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            cut_off(*LETTERS[:2]), complete(LETTERS[3], done('{"reason": "canceled"}', "7"))
        )
        server.finish("canceled", output=list("abcd"))
        with pytest.raises(StreamError, match="missing"):
            await read(client.stream("owner/name", {}))

    @variants("kept", [None, ["a"]])
    async def test_a_canceled_prediction_may_have_less_output(
        self, client: Any, server: StreamServer, kept: list[str] | None
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:2]), complete(done('{"reason": "canceled"}', "7")))
        server.finish("canceled", output=kept)
        assert summaries(await read(client.stream("owner/name", {}))) == [
            ("output", "a"),
            ("output", "b"),
            ("done", "canceled"),
        ]

    async def test_the_stream_ends_after_the_error(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            cut_off(*LETTERS[:2]), complete(encoded([*LETTERS[3:], done(id="7"), *LETTERS]))
        )
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            with pytest.raises(StreamError):
                await events_of(stream)
            assert await events_of(stream) == []

    async def test_a_complete_stream_is_not_checked(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(complete(*WHOLE))
        server.finish(output=None, data_removed=True)
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")


class TestServersThatStayDown:
    @pytest.mark.usefixtures("no_jitter")
    @variants(
        "script",
        [
            StreamConnection.close,
            fail_with(503),
            fail_with(429),
            cut_off(b": hello\n\n"),
            complete(),
        ],
    )
    async def test_reconnects_are_limited_and_then_the_stream_is_completed(
        self, client: Any, server: StreamServer, script: Script
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:2]), script)
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 8
        assert server.last_ids == [None, *["2"] * 8]

    @pytest.mark.usefixtures("no_jitter")
    @variants("greeting", [SentEvent("ping", "x"), b"retry: 1\n\n", b"id: 2\n\n"])
    async def test_a_server_that_sends_only_headers_is_abandoned(
        self, client: Any, server: StreamServer, greeting: bytes | SentEvent
    ) -> None:
        server.respond_with(cut_off(*LETTERS[:2]), cut_off(greeting))
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 8

    @pytest.mark.usefixtures("no_jitter")
    async def test_an_unreachable_server(self, client: Any, server: StreamServer) -> None:
        elsewhere = StreamServer()
        elsewhere.respond_with(cut_off(*LETTERS[:2]))
        server.stream_url = elsewhere.stream_url
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            events = iterate(stream)
            assert str(await anext(events)) == "a"
            elsewhere.close()
            assert texts(await events_of(stream)) == list("bcdef")
            assert stream.reconnections == 8

    @pytest.mark.usefixtures("no_jitter")
    async def test_each_event_resets_the_attempts(self, client: Any, server: StreamServer) -> None:
        scripts: list[Script] = []
        for position in range(2):
            scripts += [*[StreamConnection.close] * 6, cut_off(LETTERS[position])]
        server.respond_with(*scripts, resume_after_last_id(WHOLE))
        server.finish(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 14
        assert server.request_lines.count(POLL) == 1

    @pytest.mark.usefixtures("no_jitter")
    async def test_the_timeout_ends_a_stream_of_a_running_prediction(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(StreamConnection.close)
        with pytest.raises(PredictionTimeoutError):
            await read(client.stream("owner/name", {}, timeout=1.0))
        assert 1 < len(server.connections) <= 9  # a busy machine may not manage all of them
        assert server.cancels == 1

    async def test_the_delays_grow(
        self, client: Any, server: StreamServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.5)
        server.respond_with(*[StreamConnection.close] * 3, complete(*WHOLE))
        server.finish(output=list("abcdef"))
        await read(client.stream("owner/name", {}))
        for pause, expected in zip(server.pauses, [0.1, 0.2, 0.4], strict=True):
            assert expected - 0.01 <= pause.wall
            assert pause.adjusted < expected + 0.1


class TestRetry:
    @pytest.fixture(autouse=True)
    def _long_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without `retry`, the first delay would be 0.2 s and the second 0.4 s."""
        monkeypatch.setattr("dashscope._common.random.chance", lambda: 1.0)

    async def test_retry_sets_the_delay(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            cut_off(b"retry: 350\n\n", *LETTERS[:2]),
            cut_off(LETTERS[2], b"retry: 1\n\n"),
            StreamConnection.close,
            resume_after_last_id(WHOLE),
        )
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        long, short, again = server.pauses
        assert long.wall >= 0.34
        assert long.adjusted < 0.5
        assert short.adjusted < 0.1
        assert again.adjusted < 0.1  # the value applies until it changes

    async def test_a_retry_of_zero_is_no_delay(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut_off(b"retry: 0\n", LETTERS[0]), resume_after_last_id(WHOLE))
        server.finish(output=list("abcdef"))
        await read(client.stream("owner/name", {}))
        assert server.pauses[0].adjusted < 0.1

    async def test_an_invalid_retry_is_ignored(self, client: Any, server: StreamServer) -> None:
        wrong = [f"retry: {value}\n".encode() for value in ["x", "", "-1"]]
        server.respond_with(cut_off(*wrong, LETTERS[0]), resume_after_last_id(WHOLE))
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.pauses[0].wall >= 0.19
        assert server.pauses[0].adjusted < 0.35

    async def test_a_very_long_retry_ends_with_the_timeout(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            cut_off(b"retry: 999999999999999999\n", LETTERS[0]), resume_after_last_id(WHOLE)
        )
        with pytest.raises(PredictionTimeoutError):
            await read(client.stream("owner/name", {}, timeout=1.0))

    @variants("status, first", [(429, True), (503, False)])
    async def test_retry_after_of_an_error_is_honored(
        self, client: Any, server: StreamServer, status: int, first: bool
    ) -> None:
        busy = fail_with(status, {"detail": "busy", "retry_after": 0.35})
        if first:
            server.respond_with(busy, resume_after_last_id(WHOLE))
        else:
            server.respond_with(
                cut_off(b"retry: 1\n", LETTERS[0]), busy, resume_after_last_id(WHOLE)
            )
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.pauses[-1].wall >= 0.34
        assert server.pauses[-1].adjusted < 0.5

    async def test_the_retry_after_header_is_honored(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            cut_off(b"retry: 1\n", LETTERS[0]),
            fail_with(503, retry_after="0.4"),
            resume_after_last_id(WHOLE),
        )
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.pauses[-1].wall >= 0.39
        assert server.pauses[-1].adjusted < 0.55

    @variants("status", [408, 500, 502, 504])
    async def test_a_transient_error_is_retried(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(
            cut_off(b"retry: 1\n", LETTERS[0]), fail_with(status), resume_after_last_id(WHOLE)
        )
        server.finish(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert len(server.connections) == 3

    @variants("status", [400, 401, 403, 501])
    async def test_a_permanent_error_is_raised(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(
            cut_off(b"retry: 1\n", LETTERS[0]), fail_with(status, {"detail": "never"})
        )
        with pytest.raises(Exception, match=f"never.*{status}"):
            await read(client.stream("owner/name", {}))
        assert len(server.connections) == 2
        assert server.cancels == 1


@pytest.mark.usefixtures("no_jitter")
class TestStalls:
    async def test_silence_is_a_broken_connection(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            hold_open(*LETTERS[:2]),
            hold_open(LETTERS[2], b"id: 4\nevent: out"),
            resume_after_last_id(WHOLE),
        )
        server.finish(output=list("abcdef"))
        started = Stopwatch()
        async with client.stream("owner/name", {}, stall_timeout=0.5) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 2
        assert server.last_ids == [None, "2", "3"]
        assert started.wall >= 0.98
        assert started.adjusted < 1.6
        assert server.connections[0].closed
        assert server.connections[1].closed
        assert server.cancels == 0

    async def test_a_missing_response_is_a_stall(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            lambda connection: connection.wait_closed(), resume_after_last_id(WHOLE)
        )
        server.finish(output=list("abcdef"))
        async with client.predictions.stream("p1", stall_timeout=0.5) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 1

    async def test_any_byte_resets_the_stall_timer(self, client: Any, server: StreamServer) -> None:
        def script(connection: StreamConnection) -> None:
            connection.open()
            connection.send(LETTERS[0])
            for sign_of_life in [b": still here\n\n", b":\n", b"\n", b"x"]:
                time.sleep(0.3)
                connection.send(sign_of_life)
            connection.send(b"\n", *WHOLE[1:])
            connection.end()

        server.respond_with(script)
        async with client.stream("owner/name", {}, stall_timeout=0.8) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 0

    async def test_a_slow_reader_is_no_stall(self, client: Any, server: StreamServer) -> None:
        server.respond_with(complete(*WHOLE))
        async with client.stream("owner/name", {}, stall_timeout=0.4) as stream:
            events = iterate(stream)
            for letter in "abcdef":
                assert str(await anext(events)) == letter
                time.sleep(0.5 if letter in "ad" else 0)
            assert isinstance(await anext(events), DoneEvent)
            assert stream.reconnections == 0


class TestServerErrors:
    """Failures that the finished prediction cannot repair."""

    @pytest.mark.usefixtures("no_jitter")
    @variants("status, error", [(500, InternalServerError), (429, RateLimitError)])
    async def test_an_incomplete_stream_is_an_error(
        self,
        connect: Callable[..., Any],
        server: StreamServer,
        status: int,
        error: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("dashscope._predictions.watch.MAX_OUTAGE", 0.2)
        server.respond_with(cut_off(*LETTERS[:2]), fail_with(404))
        server.failures[POLL] = status
        events: list[Any] = []
        with pytest.raises(error):
            await read_into(events, connect(max_retries=0).stream("owner/name", {}))
        assert texts(events) == ["a", "b"]
        assert server.cancels == 1
