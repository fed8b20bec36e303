"""Where a stream breaks it goes on: nothing twice, nothing missing, never a silent hole."""

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
from tests.predictions.stream_reading import each, events_of, printed, read, read_into, texts, told
from tests.servers.stream_events import Sent, done, encoded, logs, output
from tests.servers.stream_server import (
    LOOK,
    Link,
    Script,
    StreamServer,
    cut,
    held,
    refused,
    resumed,
    whole,
)
from tests.stopwatch import Stopwatch
from tests.variants import variants

pytestmark = pytest.mark.timeout(30)

LETTERS = [output(text, str(number)) for number, text in enumerate("abcdef", 1)]
WHOLE = [*LETTERS, done(id="7")]


def reset(*parts: bytes | Sent) -> Script:
    """The begin of a stream, and then the connection is reset."""

    def script(link: Link) -> None:
        link.open()
        link.send(*parts)
        time.sleep(0.05)  # what was sent would be lost with the connection
        link.reset()

    return script


def unframed(*parts: bytes | Sent) -> Script:
    """The begin of a stream whose end is that of its connection."""

    def script(link: Link) -> None:
        link.open(chunked=False)
        link.send(*parts)

    return script


MANY = [output(f"part {number}", str(number)) for number in range(2000)]
"""More than are understood at once, and less than a piece of the stream may have."""

BREAKS = {"cut": cut, "ended": whole, "reset": reset, "unframed": unframed}


@pytest.fixture(params=BREAKS.values(), ids=BREAKS)
def broken(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[lambda *sent: resumed(sent), lambda *sent: whole(encoded(sent))])
def goes_on(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.usefixtures("no_jitter")
class TestResuming:
    async def test_it_goes_on_after_the_last_event(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        server.respond_with(broken(*LETTERS[:2]), broken(*LETTERS[2:5]), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            events = await events_of(stream)
            assert stream.reconnections == 2
        assert server.last_ids == [None, "2", "5"]
        assert events[:-1] == [
            OutputEvent(text=text, id=str(number)) for number, text in enumerate("abcdef", 1)
        ]
        assert told(events)[-1] == ("done", "")
        assert server.cancels == 0

    async def test_half_an_event_counts_for_nothing(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        half = output("b", "2").encoded()[:-1]
        server.respond_with(broken(LETTERS[0], half), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.last_ids == [None, "1"]

    @pytest.mark.parametrize("flavor", ["sync"])  # elsewhere, Ctrl-C cancels the main task
    async def test_an_interrupt_between_two_events_loses_none(
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
        server.respond_with(whole(*sent), resumed(sent), resumed(sent))
        server.ends(output=list("abcdef"), logs="now\n")
        events: list[Any] = []
        async with client.stream("owner/name", {}) as stream:
            for error in (KeyboardInterrupt, TimeoutError):
                with pytest.raises(error):
                    async for event in each(stream):
                        events.append(event)
            events.extend(await events_of(stream))
        assert texts(events) == list("abcdef")
        assert server.last_ids == [None, "2", "2"]

    async def test_a_break_before_the_first_event(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        server.respond_with(broken(b": hello\n\n"), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.last_ids == [None, None]

    async def test_a_connection_without_an_answer(self, client: Any, server: StreamServer) -> None:
        server.respond_with(lambda link: link.cut(), cut(LETTERS[0]), Link.cut, resumed(WHOLE))
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 3
        assert server.last_ids == [None, None, "1", "1"]

    async def test_an_id_without_data_counts(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            cut(LETTERS[0], b"id: 1a\n\n"), resumed([Sent("", "", "1a"), *WHOLE[1:]])
        )
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.last_ids == [None, "1a"]

    async def test_an_id_counts_once_its_event_was_handed_over(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut(encoded(LETTERS[:3])), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            events = each(stream)
            # All three arrived in one piece; the next connection waits for the third.
            for letter in "abc":
                assert str(await anext(events)) == letter
                assert len(server.links) == 1
            assert texts(await events_of(stream)) == list("def")
        assert server.last_ids == [None, "3"]

    async def test_the_prediction_tells_the_end_after_a_break(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut(*LETTERS[:3]), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        await read(client.stream("owner/name", {}))
        assert server.asked.count(LOOK) == 1

    async def test_a_failure_after_a_break(self, client: Any, server: StreamServer) -> None:
        failed = encoded([Sent("error", '{"detail": "no luck"}', "2"), done('{"reason": "error"}')])
        server.respond_with(cut(LETTERS[0]), whole(failed))
        server.ends("failed", error="no luck", output=["a"])
        events: list[Any] = []
        with pytest.raises(ModelError, match="no luck"):
            await read_into(events, client.stream("owner/name", {}))
        assert told(events) == [("output", "a")]
        assert server.cancels == 0

    async def test_a_cancelled_one_after_a_break(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(LETTERS[0]), whole(done('{"reason": "canceled"}', "2")))
        server.ends("canceled", output=["a"])
        assert told(await read(client.stream("owner/name", {}))) == [
            ("output", "a"),
            ("done", "canceled"),
        ]

    async def test_other_events_and_logs_go_on_as_well(
        self, client: Any, server: StreamServer
    ) -> None:
        mixed = [
            logs("one\n", "1"),
            output("a", "2"),
            Sent("ping", "x", "3"),
            logs("two\n", "4"),
            output("b", "5"),
            done(id="6"),
        ]
        for position in range(1, len(mixed)):
            server.respond_with(cut(*mixed[:position]), resumed(mixed))
            server.ends(output=["a", "b"], logs="one\ntwo\n")
            assert told(await read(client.stream("owner/name", {}))) == [
                ("logs", "one\n"),
                ("output", "a"),
                ("ping", "x"),
                ("logs", "two\n"),
                ("output", "b"),
                ("done", ""),
            ]

    async def test_lines_and_values_are_no_hole(self, client: Any, server: StreamServer) -> None:
        parts = [output("one\ntwo\n", "1"), output('{"b": 1, "a": [2]}', "2"), output("1.0", "3")]
        server.respond_with(cut(*parts[:2]), resumed([*parts, done(id="4")]))
        server.ends(output=["one\r\ntwo\r", {"a": [2], "b": 1}, 1.0])
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == ["one\ntwo\n", '{"b": 1, "a": [2]}', "1.0"]

    async def test_file_outputs_are_no_hole(self, client: Any, server: StreamServer) -> None:
        url = "https://files.example.com/a.png"
        server.respond_with(cut(output(url, "1")), resumed([output(url, "1"), done(id="2")]))
        server.ends(output=[url])
        assert texts(await read(client.stream("owner/name", {}))) == [url]


@pytest.mark.usefixtures("no_jitter")
class TestManyEventsInOnePiece:
    async def test_nothing_is_missing_and_nothing_comes_twice(
        self, client: Any, server: StreamServer, goes_on: Callable[..., Script]
    ) -> None:
        server.respond_with(cut(encoded(MANY[:1500])), goes_on(*MANY, done(id="end")))
        server.ends(output=[event.data for event in MANY])
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == [event.data for event in MANY]
        assert server.last_ids == [None, "1499"]

    async def test_an_event_may_have_the_id_of_the_one_before(
        self, client: Any, server: StreamServer
    ) -> None:
        sent = [Sent("", "", "1"), output("a"), output("b"), output("c", "2"), output("d")]
        server.respond_with(
            cut(encoded(sent)), whole(encoded([*sent, output("e", "3"), done(id="4")]))
        )
        server.ends(output=list("abcde"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcde")
        assert server.last_ids == [None, "2"]

    async def test_what_broke_is_filled(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(encoded(MANY[:1500])), refused(404))
        server.ends(output=[event.data for event in MANY])
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == [event.data for event in MANY]

    @pytest.mark.parametrize("flavor", ["sync"])  # elsewhere, Ctrl-C cancels the main task
    async def test_an_interrupt_while_they_are_understood_loses_none(
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
        server.respond_with(whole(encoded(sent)), resumed(sent))
        server.ends(output=[event.data for event in MANY])
        events: list[Any] = []
        async with client.stream("owner/name", {}) as stream:
            with pytest.raises(KeyboardInterrupt):
                async for event in each(stream):
                    events.append(event)
            assert 0 < len(events) < len(MANY)
            last_id = events[-1].id
            events.extend(await events_of(stream))
        assert texts(events) == [event.data for event in MANY]
        assert server.last_ids == [None, last_id]

    async def test_the_first_does_not_wait_for_all_of_them(
        self, client: Any, server: StreamServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        understood = handed_over = 0
        event_of = AsyncEventStream._event_of

        def counted(stream: AsyncEventStream, sse: Any) -> Any:
            nonlocal understood
            understood += 1
            return event_of(stream, sse)

        monkeypatch.setattr(AsyncEventStream, "_event_of", counted)
        server.respond_with(whole(encoded([*MANY, done(id="end")])))
        async with client.stream("owner/name", {}) as stream:
            async for _ in each(stream):
                assert understood - handed_over < 600
                handed_over += 1
        assert handed_over == len(MANY) + 1


@pytest.mark.usefixtures("no_jitter")
class TestServersThatReplay:
    """They ignore `Last-Event-ID` and begin again."""

    async def test_nothing_comes_twice(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        server.respond_with(broken(*LETTERS[:3]), broken(*LETTERS[:5]), whole(*WHOLE))
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 2

    @variants("size", [1, 7, 1000])
    async def test_nothing_comes_twice_however_the_bytes_come(
        self, client: Any, server: StreamServer, size: int
    ) -> None:
        stream = encoded(WHOLE)
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        server.respond_with(cut(*LETTERS[:3]), whole(*chunks))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")

    async def test_a_break_within_what_comes_again(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(*LETTERS[:4]), cut(*LETTERS[:2]), whole(*WHOLE))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")

    async def test_the_same_text_under_another_id_is_another_event(
        self, client: Any, server: StreamServer
    ) -> None:
        same = [output("x", str(number)) for number in range(1, 5)]
        server.respond_with(cut(*same[:2]), whole(*same, done(id="5")))
        server.ends(output=["x"] * 4)
        assert texts(await read(client.stream("owner/name", {}))) == ["x"] * 4

    async def test_within_a_connection_an_id_may_come_again(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            whole(output("a", "1"), logs("log", "1"), output("b", "1"), done(id="1"))
        )
        assert told(await read(client.stream("owner/name", {}))) == [
            ("output", "a"),
            ("logs", "log"),
            ("output", "b"),
            ("done", ""),
        ]

    async def test_one_that_always_breaks_there_is_not_asked_for_ever(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut(*LETTERS[:3]))
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 8


@pytest.mark.usefixtures("no_jitter")
class TestServersThatCannotResume:
    @variants("status", [204, 404, 410])
    async def test_one_that_refuses_is_filled(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(cut(*LETTERS[:3], logs("one\n", "4")), refused(status))
        server.ends(output=list("abcdef"), logs="one\ntwo\n")
        async with client.stream("owner/name", {}) as stream:
            events = await events_of(stream)
            assert stream.reconnections == 1
            assert stream.prediction.status == "succeeded"
        assert texts(events) == list("abcdef")
        assert printed(events) == "one\ntwo\n"
        assert isinstance(events[-1], DoneEvent)
        assert server.cancels == 0

    async def test_one_that_fell_silent_for_ever_is_waited_for(
        self, client: Any, server: StreamServer
    ) -> None:
        def gone(link: Link) -> None:
            link.answer(404)
            time.sleep(0.3)
            server.ends(output=list("abcdef"))

        server.respond_with(cut(*LETTERS[:3]), gone)
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.asked.count(LOOK) > 1

    @variants("status", ["failed", "canceled"])
    async def test_a_prediction_that_did_not_succeed_is_no_end_in_silence(
        self, client: Any, server: StreamServer, status: str
    ) -> None:
        server.respond_with(cut(*LETTERS[:3]), refused(404))
        server.ends(status, output=list("abcd"), error="no luck" if status == "failed" else None)
        events: list[Any] = []
        if status == "failed":
            with pytest.raises(ModelError, match="no luck"):
                await read_into(events, client.stream("owner/name", {}))
        else:
            await read_into(events, client.stream("owner/name", {}))
            assert events.pop() == DoneEvent(reason="canceled")
        assert texts(events) == list("abcd")

    async def test_without_ids_the_prediction_fills_it(
        self, client: Any, server: StreamServer, broken: Callable[..., Script]
    ) -> None:
        bare = [output(text) for text in "abc"]
        server.respond_with(broken(*bare, logs("one\n")), whole(*bare))
        server.ends(output=list("abcdef"), logs="one\ntwo\n")
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == list("abcdef")
        assert printed(events) == "one\ntwo\n"
        assert len(server.links) == 1

    async def test_without_ids_and_events_it_begins_again(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut(b": hello\n\n"), whole(output("a"), output("b"), done()))
        server.ends(output=["a", "b"])
        assert texts(await read(client.stream("owner/name", {}))) == ["a", "b"]
        assert len(server.links) == 2

    async def test_an_id_that_was_reset_is_none(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(LETTERS[0], b"id\n" + output("b").encoded()), whole(*WHOLE))
        server.ends(output=list("abc"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abc")
        assert len(server.links) == 1

    async def test_what_is_filled_are_file_outputs_too(
        self, client: Any, server: StreamServer
    ) -> None:
        urls = ["https://files.example.com/a.png", "https://files.example.com/b.png"]
        server.respond_with(cut(output(urls[0], "1")), refused(404))
        server.ends(output=urls)
        events = await read(client.stream("owner/name", {}))
        assert texts(events) == urls
        assert type(events[0].text) is type(events[1].text) is not str

    async def test_what_is_filled_may_stay_text(self, client: Any, server: StreamServer) -> None:
        server.respond_with(refused(404))
        server.ends(output=["https://files.example.com/a.png"])
        events = await read(client.stream("owner/name", {}, use_file_output=False))
        assert type(events[0].text) is str

    async def test_an_output_that_is_no_list_is_one_part(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(refused(404))
        server.ends(output={"a": 1})
        assert texts(await read(client.stream("owner/name", {}))) == ['{"a": 1}']

    async def test_logs_with_carriage_returns_are_filled(
        self, client: Any, server: StreamServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        # A progress bar draws over itself; in an event each of its states is a line.
        server.respond_with(cut(logs(" 10%\n 20%\n", "1")), refused(404))
        server.ends(output=[], logs=" 10%\r 20%\r 30%\r\ndone\n")
        with caplog.at_level(logging.WARNING, "dashscope"):
            events = await read(client.stream("owner/name", {}))
        assert printed(events) == " 10%\n 20%\n 30%\ndone\n"
        assert caplog.text == ""

    async def test_logs_that_do_not_fit_are_a_warning(
        self, client: Any, server: StreamServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.respond_with(cut(LETTERS[0], logs("other\n", "2")), refused(404))
        server.ends(output=["a"], logs="log\n")
        with caplog.at_level(logging.WARNING, "dashscope"):
            events = await read(client.stream("owner/name", {}))
        assert texts(events) == ["a"]
        assert "logs is missing" in caplog.text


@pytest.mark.usefixtures("no_jitter")
class TestHoles:
    async def test_a_server_that_goes_on_from_now(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(*LETTERS[:2]), whole(*LETTERS[3:], done(id="7")))
        server.ends(output=list("abcdef"))
        events: list[Any] = []
        with pytest.raises(StreamError, match=r"missing: .*p1 broke after 5 parts.*has 6"):
            await read_into(events, client.stream("owner/name", {}))
        assert texts(events) == list("abdef")
        assert not any(isinstance(event, DoneEvent) for event in events)
        assert server.cancels == 0

    async def test_one_that_goes_on_from_now_with_the_same_ids(
        self, client: Any, server: StreamServer
    ) -> None:
        later = [output("e", "1"), output("f", "2"), done(id="3")]
        server.respond_with(cut(*LETTERS[:2]), whole(*later))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")

    async def test_one_that_lost_nothing_by_it(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(*LETTERS[:2]), whole(output("c", "x1"), done(id="x2")))
        server.ends(output=list("abc"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abc")

    async def test_an_output_that_was_removed(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(*LETTERS[:2]), refused(404))
        server.ends(output=None, data_removed=True)
        with pytest.raises(StreamError, match="no output any more"):
            await read(client.stream("owner/name", {}))

    async def test_a_cancelled_prediction_hides_none(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            cut(*LETTERS[:2]), whole(LETTERS[3], done('{"reason": "canceled"}', "7"))
        )
        server.ends("canceled", output=list("abcd"))
        with pytest.raises(StreamError, match="missing"):
            await read(client.stream("owner/name", {}))

    @variants("kept", [None, ["a"]])
    async def test_a_cancelled_prediction_may_have_less_than_came(
        self, client: Any, server: StreamServer, kept: list[str] | None
    ) -> None:
        server.respond_with(cut(*LETTERS[:2]), whole(done('{"reason": "canceled"}', "7")))
        server.ends("canceled", output=kept)
        assert told(await read(client.stream("owner/name", {}))) == [
            ("output", "a"),
            ("output", "b"),
            ("done", "canceled"),
        ]

    async def test_after_the_error_the_stream_is_over(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(
            cut(*LETTERS[:2]), whole(encoded([*LETTERS[3:], done(id="7"), *LETTERS]))
        )
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            with pytest.raises(StreamError):
                await events_of(stream)
            assert await events_of(stream) == []

    async def test_a_whole_stream_is_not_checked(self, client: Any, server: StreamServer) -> None:
        server.respond_with(whole(*WHOLE))
        server.ends(output=None, data_removed=True)
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")


class TestServersThatNeverComeBack:
    @pytest.mark.usefixtures("no_jitter")
    @variants("script", [Link.cut, refused(503), refused(429), cut(b": hello\n\n"), whole()])
    async def test_one_is_asked_a_number_of_times_and_then_filled(
        self, client: Any, server: StreamServer, script: Script
    ) -> None:
        server.respond_with(cut(*LETTERS[:2]), script)
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 8
        assert server.last_ids == [None, *["2"] * 8]

    @pytest.mark.usefixtures("no_jitter")
    @variants("greeting", [Sent("ping", "x"), b"retry: 1\n\n", b"id: 2\n\n"])
    async def test_one_that_only_greets_is_not_asked_for_ever(
        self, client: Any, server: StreamServer, greeting: bytes | Sent
    ) -> None:
        server.respond_with(cut(*LETTERS[:2]), cut(greeting))
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 8

    @pytest.mark.usefixtures("no_jitter")
    async def test_one_that_is_down(self, client: Any, server: StreamServer) -> None:
        elsewhere = StreamServer()
        elsewhere.respond_with(cut(*LETTERS[:2]))
        server.stream_url = elsewhere.stream_url
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            events = each(stream)
            assert str(await anext(events)) == "a"
            elsewhere.close()
            assert texts(await events_of(stream)) == list("bcdef")
            assert stream.reconnections == 8

    @pytest.mark.usefixtures("no_jitter")
    async def test_each_event_gives_it_new_credit(self, client: Any, server: StreamServer) -> None:
        scripts: list[Script] = []
        for position in range(6):
            scripts += [*[Link.cut] * 6, cut(LETTERS[position])]
        server.respond_with(*scripts, resumed(WHOLE))
        server.ends(output=list("abcdef"))
        async with client.stream("owner/name", {}) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 42
        assert server.asked.count(LOOK) == 1

    @pytest.mark.usefixtures("no_jitter")
    async def test_one_whose_prediction_does_not_end_is_left_by_the_time_out(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(Link.cut)
        with pytest.raises(PredictionTimeoutError):
            await read(client.stream("owner/name", {}, timeout=0.4))
        assert len(server.links) == 9
        assert server.cancels == 1

    async def test_the_pauses_grow(
        self, client: Any, server: StreamServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.5)
        server.respond_with(*[Link.cut] * 3, whole(*WHOLE))
        server.ends(output=list("abcdef"))
        await read(client.stream("owner/name", {}))
        for pause, expected in zip(server.pauses, [0.1, 0.2, 0.4], strict=True):
            assert expected - 0.01 <= pause.wall
            assert pause.ours < expected + 0.1


@pytest.mark.parametrize("flavor", ["asyncio", "trio", "sync"], indirect=True)
class TestRetry:
    @pytest.fixture(autouse=True)
    def _long_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without `retry`, the first pause would be 0.2 s, and the second 0.4 s."""
        monkeypatch.setattr("dashscope._common.random.chance", lambda: 1.0)

    async def test_it_sets_the_pause(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            cut(b"retry: 350\n\n", *LETTERS[:2]),
            cut(LETTERS[2], b"retry: 1\n\n"),
            Link.cut,
            resumed(WHOLE),
        )
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        long, short, again = server.pauses
        assert long.wall >= 0.34
        assert long.ours < 0.5
        assert short.ours < 0.1
        assert again.ours < 0.1  # it holds until there is another

    async def test_nothing_at_all_is_a_pause_too(self, client: Any, server: StreamServer) -> None:
        server.respond_with(cut(b"retry: 0\n", LETTERS[0]), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        await read(client.stream("owner/name", {}))
        assert server.pauses[0].ours < 0.1

    async def test_what_is_no_number_does_not_count(
        self, client: Any, server: StreamServer
    ) -> None:
        wrong = [f"retry: {value}\n".encode() for value in ["x", "", "-1"]]
        server.respond_with(cut(*wrong, LETTERS[0]), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.pauses[0].wall >= 0.19
        assert server.pauses[0].ours < 0.35

    async def test_a_pause_beyond_all_patience_ends_with_the_time_out(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(cut(b"retry: 999999999999999999\n", LETTERS[0]), resumed(WHOLE))
        with pytest.raises(PredictionTimeoutError):
            await read(client.stream("owner/name", {}, timeout=0.3))

    @pytest.mark.parametrize(("status", "first"), [(429, True), (503, False)])
    async def test_a_server_that_asks_to_wait_is_waited_for(
        self, client: Any, server: StreamServer, status: int, first: bool
    ) -> None:
        busy = refused(status, {"detail": "busy", "retry_after": 0.35})
        if first:
            server.respond_with(busy, resumed(WHOLE))
        else:
            server.respond_with(cut(b"retry: 1\n", LETTERS[0]), busy, resumed(WHOLE))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.pauses[-1].wall >= 0.34
        assert server.pauses[-1].ours < 0.5

    async def test_the_header_is_heeded_as_well(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            cut(b"retry: 1\n", LETTERS[0]), refused(503, retry_after="0.4"), resumed(WHOLE)
        )
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert server.pauses[-1].wall >= 0.39
        assert server.pauses[-1].ours < 0.55

    @pytest.mark.parametrize("status", [408, 500, 502, 504])
    async def test_another_failure_that_passes_is_a_pause(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(cut(b"retry: 1\n", LETTERS[0]), refused(status), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        assert texts(await read(client.stream("owner/name", {}))) == list("abcdef")
        assert len(server.links) == 3

    @pytest.mark.parametrize("status", [400, 401, 403, 501])
    async def test_one_that_does_not_pass_is_raised(
        self, client: Any, server: StreamServer, status: int
    ) -> None:
        server.respond_with(cut(b"retry: 1\n", LETTERS[0]), refused(status, {"detail": "never"}))
        with pytest.raises(Exception, match=f"never.*{status}"):
            await read(client.stream("owner/name", {}))
        assert len(server.links) == 2
        assert server.cancels == 1


@pytest.mark.usefixtures("no_jitter")
@pytest.mark.parametrize("flavor", ["asyncio", "trio", "sync"], indirect=True)
class TestStalls:
    async def test_silence_is_a_break(self, client: Any, server: StreamServer) -> None:
        server.respond_with(
            held(*LETTERS[:2]), held(LETTERS[2], b"id: 4\nevent: out"), resumed(WHOLE)
        )
        server.ends(output=list("abcdef"))
        started = Stopwatch()
        async with client.stream("owner/name", {}, stall_timeout=0.5) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 2
        assert server.last_ids == [None, "2", "3"]
        assert started.wall >= 0.98
        assert started.ours < 1.6
        assert server.links[0].closed
        assert server.links[1].closed
        assert server.cancels == 0

    async def test_an_answer_that_does_not_come_is_one(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(lambda link: link.wait_closed(), resumed(WHOLE))
        server.ends(output=list("abcdef"))
        async with client.predictions.stream("p1", stall_timeout=0.5) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 1

    async def test_any_byte_is_life(self, client: Any, server: StreamServer) -> None:
        def script(link: Link) -> None:
            link.open()
            link.send(LETTERS[0])
            for sign_of_life in [b": still here\n\n", b":\n", b"\n", b"x"]:
                time.sleep(0.3)
                link.send(sign_of_life)
            link.send(b"\n", *WHOLE[1:])
            link.end()

        server.respond_with(script)
        async with client.stream("owner/name", {}, stall_timeout=0.8) as stream:
            assert texts(await events_of(stream)) == list("abcdef")
            assert stream.reconnections == 0

    async def test_a_user_who_takes_his_time_is_none(
        self, client: Any, server: StreamServer
    ) -> None:
        server.respond_with(whole(*WHOLE))
        async with client.stream("owner/name", {}, stall_timeout=0.4) as stream:
            events = each(stream)
            for letter in "abcdef":
                assert str(await anext(events)) == letter
                time.sleep(0.5 if letter in "ad" else 0)
            assert isinstance(await anext(events), DoneEvent)
            assert stream.reconnections == 0


class TestErrorsOfTheServer:
    """What the finished prediction cannot be asked for."""

    @pytest.mark.usefixtures("no_jitter")
    @pytest.mark.parametrize(
        ("status", "error"), [(500, InternalServerError), (429, RateLimitError)]
    )
    async def test_where_nothing_fills_it_there_is_an_error(
        self,
        connect: Callable[..., Any],
        server: StreamServer,
        status: int,
        error: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("dashscope._predictions.watch.MAX_OUTAGE", 0.2)
        server.respond_with(cut(*LETTERS[:2]), refused(404))
        server.failures[LOOK] = status
        events: list[Any] = []
        with pytest.raises(error):
            await read_into(events, connect(max_retries=0).stream("owner/name", {}))
        assert texts(events) == ["a", "b"]
        assert server.cancels == 1
