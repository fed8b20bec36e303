"""Bytes in, events out: as httpx-sse reads them, wherever the bytes are cut."""

from __future__ import annotations

import codecs
import random
import re

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given, settings
from hypothesis import strategies as st

from dashscope import APIResponseError
from tests.servers.stream_events import (
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
from tests.variants import variants

settings.register_profile("streams", deadline=None, derandomize=True, database=None)
settings.load_profile("streams")

MARK = codecs.BOM_UTF8
RULES: dict[str, tuple[bytes, Read]] = {
    "an event": (b"event: output\nid: 7\ndata: a\n\n", Read([("output", "a", "7")], "7")),
    "several lines of data": (b"data: a\ndata:\ndata: b\n\n", Read([("message", "a\n\nb", "")])),
    "an id holds until the next": (
        b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        Read([("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")], ""),
    ),
    "a comment after an id is no event": (b"id: 1\n\n: hello\n\n\n", Read([], "1")),
    "an unnamed event without data is none": (
        b"data:\n\ndata: a\n\n", Read([("message", "a", "")])
    ),
    "a named event needs no data": (b"event: output\n\n", Read([("output", "", "")])),
    "an output may be empty": (b"event: output\ndata:\n\n", Read([("output", "", "")])),
    "a byte-order mark is skipped": (MARK + b"data: a\n\n", Read([("message", "a", "")])),
    "a second one is a part of the name": (MARK + MARK + b"data: a\n\n", Read([])),
    "a pause": (b"retry: 1500\ndata: a\n\n", Read([("message", "a", "")], retry=1500)),
    "an event that is not whole is none": (b"data: a\n\ndata: b\n", Read([("message", "a", "")])),
    "characters of several bytes": ("data: é日😀\n\n".encode(), Read([("message", "é日😀", "")])),
    "bytes that are no UTF-8": (b"data: \xff\n\n", Read([("message", "�", "")])),
    "a line separator is no line ending": (
        "data: a\u2028b\n\n".encode(), Read([("message", "a\u2028b", "")])
    ),
}  # fmt: skip


@variants("rule", RULES.values(), ids=RULES)
def test_a_stream_is_read_however_its_bytes_arrive(rule: tuple[bytes, Read]) -> None:
    stream, expected = rule
    assert by_the_letter(stream) == expected
    for ending in (b"\n", b"\r\n", b"\r"):
        # A carriage return at the end may be half of a line ending: a byte after it decides.
        written = re.sub(b"\n", ending, stream) + (b":" if ending == b"\r" else b"")
        assert by_parser([written]) == expected
        assert by_parser(single_bytes(written)) == expected
        for halved in halves(written):
            assert by_parser(halved) == expected, halved


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *(b"event: output\n", b"event: logs\r\n", b"event:\n", b"data: a\n", b"data: b\r"),
            *(b"data:\n", b"data\n", b"id: 1\n", b"id: 2\r\n", b"id\n", b"id: a\0b\n", b"\n"),
            *(b"\r", b"\r\n", b": hello\n", b"retry: 10\n", b"other: x\n", b"\xff", "é".encode()),
        ]
    ),
    max_size=24,
)


@settings(max_examples=300)
@given(fragments=FRAGMENTS, chance=st.randoms(use_true_random=False))
def test_any_bytes_are_read_by_the_letter(fragments: list[bytes], chance: random.Random) -> None:
    # A byte after the last line ending tells whether that was a whole one.
    stream = b"".join(fragments) + b":"
    expected = by_the_letter(stream)
    assert by_parser([stream]) == expected
    assert by_parser(pieces(stream, chance)) == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=8)
EVENTS = st.lists(
    st.builds(
        Sent,
        st.sampled_from(["output", "logs", "done", "error", "other"]),
        st.lists(TEXTS, min_size=1, max_size=3).map("\n".join),
        st.none() | st.integers(1, 99).map(str),
    ),
    max_size=12,
)


@settings(max_examples=200)
@given(events=EVENTS, chance=st.randoms(use_true_random=False))
def test_events_are_read_as_httpx_sse_reads_them(events: list[Sent], chance: random.Random) -> None:
    stream = b"".join(event.encoded(lambda: chance.choice(["\n", "\r\n"])) for event in events)
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    theirs = [(event.event, event.data, event.id) for event in EventSource(response).iter_sse()]
    assert by_parser(pieces(stream, chance)).events == theirs
    assert [(event, data) for event, data, _ in theirs] == [(e.event, e.data) for e in events]


class TestLimit:
    @pytest.mark.parametrize("size", [1, 7, 40, 101])
    def test_an_event_beyond_it_is_rejected_however_its_bytes_arrive(self, size: int) -> None:
        event = output("x" * 200).encoded()
        chunks = [event[at : at + size] for at in range(0, len(event), size)]
        assert by_parser([event[:100]], limit=100).events == []
        with pytest.raises(APIResponseError, match="more than 100 bytes"):
            by_parser(chunks, limit=100)

    def test_lines_without_an_end_are_rejected(self) -> None:
        with pytest.raises(APIResponseError, match="more than 100 bytes"):
            by_parser([b"data: a\n"] * 20, limit=100)

    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_it_is_for_an_event_not_for_the_stream(self, ending: str) -> None:
        stream = encoded([output("x" * 50, id=str(number)) for number in range(50)], ending)
        assert len(by_parser([stream], limit=100).events) == 50
        assert len(by_parser(single_bytes(stream), limit=100).events) == 50

    def test_a_remainder_counts_anew(self) -> None:
        event = output("x" * 60).encoded()
        chunks = [event + event[:50], event[50:] + event[:50], event[50:]]
        assert len(by_parser(chunks, limit=100).events) == 3
