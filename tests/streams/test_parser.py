"""Bytes in, events out: by the WHATWG rules, wherever the bytes are cut."""

from __future__ import annotations

import random
import re
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given, settings
from hypothesis import strategies as st

from dashscope import APIResponseError
from dashscope._predictions.sse import SSEParser
from tests.streams.writing import (
    Read,
    Sent,
    by_parser,
    by_the_letter,
    encoded,
    halves,
    output,
    pieces,
    single_bytes,
)

settings.register_profile("streams", deadline=None, derandomize=True, database=None)
settings.load_profile("streams")


def message(*data: str, id: str = "") -> list[tuple[str, str, str]]:
    return [("message", text, id) for text in data]


NO_NUMBERS = [
    *("", " ", "+5", " +5", "-5", "1_0", " 1_0", "1.5", "1e3", "0x10", "  5", "5 ", "5\t", "a"),
    *("٣", "１", "²", "5\0", ":5"),
]
RULES: dict[str, tuple[bytes, Read]] = {
    "an event": (b"event: output\nid: 7\ndata: a\n\n", Read([("output", "a", "7")], "7")),
    "no event name is message": (b"data: a\n\n", Read(message("a"))),
    "an empty event name is message": (b"event: x\nevent:\ndata: a\n\n", Read(message("a"))),
    "the last event name counts": (b"event: x\nevent: y\ndata: a\n\n", Read([("y", "a", "")])),
    "a name is for one event": (
        b"event: x\ndata: a\n\ndata: b\n\n",
        Read([("x", "a", ""), ("message", "b", "")]),
    ),
    "nothing": (b"", Read([])),
    "blank lines only": (b"\n\n\n\r\n\r\r\n\n", Read([])),
    "a blank line first": (b"\ndata: a\n\n", Read(message("a"))),
    "many blank lines between": (b"data: a\n\n\n\n\ndata: b\n\n", Read(message("a", "b"))),
    # The byte-order mark
    "a byte-order mark is skipped": (b"\xef\xbb\xbfdata: a\n\n", Read(message("a"))),
    "a byte-order mark before a comment": (b"\xef\xbb\xbf:\ndata: a\n\n", Read(message("a"))),
    "a byte-order mark before blank lines": (
        b"\xef\xbb\xbf\n\ndata: a\n\ndata: b\n\n",
        Read(message("a", "b")),
    ),
    "a byte-order mark alone": (b"\xef\xbb\xbf", Read([])),
    "a second byte-order mark is a name": (
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        Read(message("b")),
    ),
    "a later byte-order mark is a name": (
        b"data: a\n\n\xef\xbb\xbfdata: b\n\n\xef\xbb\xbf: no comment\ndata: c\n\n",
        Read(message("a", "c")),
    ),
    "a byte-order mark is data": (b"data:\xef\xbb\xbf\n\n", Read(message("\ufeff"))),
    "half a byte-order mark": (b"\xef\xbbdata: a\n\ndata: b\n\n", Read(message("b"))),
    # Line endings
    "carriage returns": (b"data: a\rdata: b\r\rdata: c\r\r", Read(message("a\nb", "c"))),
    "both": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", Read(message("a\nb", "c"))),
    "all three mixed": (
        b"data: a\rdata: b\ndata: c\r\n\rdata: d\n\r\ndata: e\r\n\n",
        Read(message("a\nb\nc", "d", "e")),
    ),
    "a line feed and a carriage return are two": (
        b"data: a\n\rdata: b\n\r",
        Read(message("a", "b")),
    ),
    "a carriage return ends at once": (b"data: a\r\n\r", Read(message("a"))),
    "other separators are data": (
        "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(),
        Read(message("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg")),
    ),
    # Comments
    "comments": (b": one\n:two\n:\ndata: a\n: three\n\n", Read(message("a"))),
    "a comment is no event": (b": still here\n\n: still here\n\n", Read([])),
    "a comment of a field": (b":data: b\ndata: a\n\n", Read(message("a"))),
    # Data
    "data without a colon": (b"data\n\n", Read(message(""))),
    "two of them": (b"data\ndata\n\n", Read(message("\n"))),
    "empty data": (b"data:\n\n", Read(message(""))),
    "empty data behind a space": (b"data: \n\n", Read(message(""))),
    "empty data among others": (
        b"data:\ndata: a\ndata\ndata: \ndata: b\ndata:\n\n",
        Read(message("\na\n\n\nb\n")),
    ),
    "several data lines": (b"data: a\ndata: b\ndata: c\n\n", Read(message("a\nb\nc"))),
    "one space is stripped": (b"data:  a \n\n", Read(message(" a "))),
    "a space alone": (b"data:  \n\n", Read(message(" "))),
    "no other blank is": (b"data:\ta\n\ndata:\xc2\xa0\n\n", Read(message("\ta", "\xa0"))),
    "no space": (b"data:a\n\n", Read(message("a"))),
    "colons in data": (b"data: a:b: c\n\ndata:: d\n\n", Read(message("a:b: c", ": d"))),
    "names as written": (
        b"Data: a\nDATA: b\n data: c\ndata : d\ndat: e\ndatas: f\n\ndata: g\n\n",
        Read(message("g")),
    ),
    "an unknown field": (b"foo: bar\nfoo\ndata: a\nfoo:\n\n", Read(message("a"))),
    "an event without data": (b"event: output\n\n", Read([])),
    "an event of unknown fields": (b"foo: bar\n\n", Read([])),
    # Ids
    "an id stays": (b"id: 1\ndata: a\n\ndata: b\n\n", Read(message("a", "b", id="1"), "1")),
    "the last id counts": (b"id: 1\nid: 2\ndata: a\n\n", Read(message("a", id="2"), "2")),
    "an id behind the data": (b"data: a\nid: 1\n\n", Read(message("a", id="1"), "1")),
    "an id without data": (b"id: 1\n\n", Read([], "1")),
    "an id without data is for later": (
        b"id: 1\n\ndata: a\n\n",
        Read(message("a", id="1"), "1"),
    ),
    "an id with NUL": (
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
        Read(message("a", "b", id="1"), "1"),
    ),
    "an id of NUL": (b"id:\0\ndata: a\n\n", Read(message("a"))),
    "an id reset": (
        b"id: 1\ndata: a\n\nid:\ndata: b\n\n",
        Read([*message("a", id="1"), *message("b")]),
    ),
    "an id reset by its name": (b"id: 1\ndata: a\n\nid\n\n", Read(message("a", id="1"))),
    "an id reset by what is no event": (
        b"id: 1\ndata: a\n\nid\ndatas: x\n\ndata: b\n\n",
        Read([*message("a", id="1"), *message("b")]),
    ),
    "an id reset behind a space": (b"id: 1\n\nid: \ndata: a\n\n", Read(message("a"))),
    "an id reset and set": (b"id: 1\n\nid:\nid: 2\ndata: a\n\n", Read(message("a", id="2"), "2")),
    "an id with spaces": (b"id:  a b \ndata: a\n\n", Read(message("a", id=" a b "), " a b ")),
    "an id beyond ASCII": ("id: ü✓\ndata: a\n\n".encode(), Read(message("a", id="ü✓"), "ü✓")),
    # Retry
    "retry": (b"retry: 1500\ndata: a\n\n", Read(message("a"), retry=1500)),
    "retry without data": (b"retry:1\n\n", Read([], retry=1)),
    "retry of nothing": (b"retry: 0\n\n", Read([], retry=0)),
    "retry with zeros": (b"retry: 007\n\n", Read([], retry=7)),
    "the last retry counts": (b"retry: 1\nretry: 2\n\n", Read([], retry=2)),
    "a wrong retry leaves the right one": (b"retry: 1\nretry: x\n\nretry:\n\n", Read([], retry=1)),
    **{
        f"retry is no number: {value!r}": (
            f"retry:{value}\ndata: a\n\n".encode(),
            Read(message("a")),
        )
        for value in NO_NUMBERS
    },
    # The end
    "no blank line at the end": (b"data: a\n\ndata: b\n", Read(message("a"))),
    "no line ending at the end": (b"data: a\n\ndata: b", Read(message("a"))),
    "an id of half an event": (
        b"id: 1\ndata: a\n\nid: 2\ndata: b\n",
        Read(message("a", id="1"), "1"),
    ),
    # UTF-8
    "text": ("data: aü✓🙂\u0301\n\n".encode(), Read(message("aü✓🙂\u0301"))),
    "what is not UTF-8": (
        b"data: \xff\xe2\x82\ndata: \xc3\n\ndata: \xa4\n\n",
        Read(message("\ufffd\ufffd\n\ufffd", "\ufffd")),
    ),
    "NUL in data": (b"data: a\0b\n\n", Read(message("a\0b"))),
}


@pytest.fixture(params=RULES.values(), ids=RULES)
def rule(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_the_table_is_what_the_rules_say(rule: tuple[bytes, Read]) -> None:
    stream, expected = rule
    assert by_the_letter(stream) == expected


def test_a_stream_is_read_whole(rule: tuple[bytes, Read]) -> None:
    stream, expected = rule
    assert by_parser([stream]) == expected


def test_a_stream_is_read_byte_by_byte(rule: tuple[bytes, Read]) -> None:
    stream, expected = rule
    assert by_parser(single_bytes(stream)) == expected


def test_a_stream_is_read_in_two_pieces_cut_anywhere(rule: tuple[bytes, Read]) -> None:
    stream, expected = rule
    for halved in halves(stream):
        assert by_parser(halved) == expected, halved


@pytest.mark.parametrize("ending", [b"\r", b"\r\n"])
def test_a_stream_is_read_with_each_line_ending(rule: tuple[bytes, Read], ending: bytes) -> None:
    written, expected = rule
    stream = re.sub(b"\r\n|\r|\n", ending, written)
    for halved in [[stream], single_bytes(stream), *halves(stream)]:
        assert by_parser(halved) == expected, halved


def test_all_rules_hold_in_one_stream() -> None:
    # A blank line ends what an entry may have left open, and an empty id what it set.
    stream = b"".join(
        entry + b"\n\nid\n\n" for entry, _ in RULES.values() if not entry.startswith(b"\xef\xbb")
    )
    expected = by_the_letter(stream)
    assert len(expected.events) > 80
    assert by_parser([stream]) == expected
    assert by_parser(single_bytes(stream)) == expected


FRAGMENTS = [
    *(b"data", b"id", b"retry", b"event", b":", b": ", b" ", b"\n", b"\n", b"\r", b"\r\n", b"\n\n"),
    *(b"a", b"1", b"+5", b"1_0", b"\0", b"\xef\xbb\xbf", b"\xc3", b"\xa4", b"\xe2\x82"),
    *(b"data: x\n", b"id: 2\n\n", b"id\n", b"retry: 3\n", b"retry: x\n", "٣".encode()),
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=1500)
def test_any_bytes_are_read_by_the_letter(fragments: list[bytes], chance: random.Random) -> None:
    stream = b"".join(fragments)
    expected = by_the_letter(stream)
    assert by_parser([stream]) == expected
    assert by_parser(single_bytes(stream)) == expected
    assert by_parser(pieces(stream, chance)) == expected
    assert by_parser(fragments) == expected


ANY_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8)
LINE = ANY_LINE.filter(bool)
EVENTS = st.lists(
    st.builds(
        Sent,
        event=ANY_LINE,
        data=st.lists(ANY_LINE, min_size=1, max_size=3).map("\n".join),
        id=st.none() | ANY_LINE.filter(lambda line: "\0" not in line),
    ),
    max_size=6,
)


@given(EVENTS, st.randoms(use_true_random=False))
@settings(max_examples=500)
def test_what_was_written_is_read(events: list[Sent], chance: random.Random) -> None:
    stream = b"".join(
        event.encoded(lambda: chance.choice(["\n", "\r", "\r\n"])) for event in events
    )
    last_id = ""
    expected: list[tuple[str, str, str]] = []
    for event in events:
        last_id = last_id if event.id is None else event.id
        expected.append((event.event or "message", event.data, last_id))
    assert by_parser(pieces(stream, chance)) == Read(expected, last_id)


@given(
    st.lists(
        st.builds(
            Sent,
            event=LINE,
            data=st.lists(LINE, min_size=1, max_size=3).map("\n".join),
            id=LINE.filter(lambda line: "\0" not in line),
        ),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=300)
def test_ordinary_events_are_read_as_httpx_sse_reads_them(
    events: list[Sent], chance: random.Random
) -> None:
    stream = b"".join(
        event.encoded(lambda: chance.choice(["\n", "\r", "\r\n"])) for event in events
    )
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    theirs = [(event.event, event.data, event.id) for event in EventSource(response).iter_sse()]
    assert by_parser(pieces(stream, chance)).events == theirs
    assert theirs == [(event.event, event.data, event.id) for event in events]


class TestLimit:
    def test_an_event_beyond_it_is_refused(self) -> None:
        event = output("x" * 200).encoded()
        parser = SSEParser(100)
        assert parser.feed(event[:100]) == []
        with pytest.raises(APIResponseError, match="more than 100 bytes"):
            parser.feed(event[100:101])

    @pytest.mark.parametrize("size", [1, 7, 40])
    def test_an_event_is_refused_however_its_bytes_come(self, size: int) -> None:
        event = output("x" * 200).encoded()
        chunks = [event[at : at + size] for at in range(0, len(event), size)]
        with pytest.raises(APIResponseError, match="more than 100 bytes"):
            by_parser(chunks, limit=100)

    def test_lines_without_an_end_are_refused(self) -> None:
        with pytest.raises(APIResponseError, match="more than 100 bytes"):
            by_parser([b"data: a\n"] * 20, limit=100)

    def test_it_is_for_an_event_not_for_the_stream(self) -> None:
        events = [output("x" * 50, id=str(number)) for number in range(50)]
        stream = encoded(events)
        assert len(by_parser([stream], limit=100).events) == 50
        assert len(by_parser(single_bytes(stream), limit=100).events) == 50

    def test_a_remainder_counts_anew(self) -> None:
        event = output("x" * 60).encoded()
        chunks = [event + event[:50], event[50:] + event[:50], event[50:]]
        assert len(by_parser(chunks, limit=100).events) == 3
