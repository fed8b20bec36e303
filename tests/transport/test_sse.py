"""The parser of server-sent events agrees with httpx-sse, in any chunks."""

from __future__ import annotations

import codecs
import random
import re

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from dashscope import APIResponseError
from tests.servers.stream_events import (
    Parsed,
    SentEvent,
    encoded,
    output,
    parse_by_specification,
    parse_with_clients,
    random_pieces,
    single_bytes,
    split_everywhere,
)
from tests.variants import variants

MARK = codecs.BOM_UTF8
RULES: dict[str, tuple[bytes, Parsed]] = {
    "an event": (b"event: output\nid: 7\ndata: a\n\n", Parsed([("output", "a", "7")], "7")),
    "several lines of data": (b"data: a\ndata:\ndata: b\n\n", Parsed([("message", "a\n\nb", "")])),
    "an id holds until the next": (
        b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        Parsed([("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")], ""),
    ),
    "a comment after an id is no event": (b"id: 1\n\n: hello\n\n\n", Parsed([], "1")),
    "an unnamed event without data is dropped": (
        b"data:\n\ndata: a\n\n", Parsed([("message", "a", "")])
    ),
    "a named event needs no data": (b"event: output\n\n", Parsed([("output", "", "")])),
    "an output may be empty": (b"event: output\ndata:\n\n", Parsed([("output", "", "")])),
    "a byte-order mark is skipped": (MARK + b"data: a\n\n", Parsed([("message", "a", "")])),
    "a second byte-order mark is part of the name": (MARK + MARK + b"data: a\n\n", Parsed([])),
    "a pause": (b"retry: 1500\ndata: a\n\n", Parsed([("message", "a", "")], retry=1500)),
    "an incomplete event is dropped": (b"data: a\n\ndata: b\n", Parsed([("message", "a", "")])),
    "characters of several bytes": ("data: é日😀\n\n".encode(), Parsed([("message", "é日😀", "")])),
    "invalid UTF-8": (b"data: \xff\n\n", Parsed([("message", "�", "")])),
    "a line separator does not end a line": (
        "data: a\u2028b\n\n".encode(), Parsed([("message", "a\u2028b", "")])
    ),
}  # fmt: skip


@variants("rule", RULES.values(), ids=RULES)
def test_a_stream_is_parsed_in_any_chunks(rule: tuple[bytes, Parsed]) -> None:
    stream, expected = rule
    assert parse_by_specification(stream) == expected
    for ending in (b"\n", b"\r\n", b"\r"):
        # A carriage return at the end may be half of a line ending. The next byte decides.
        written = re.sub(b"\n", ending, stream) + (b":" if ending == b"\r" else b"")
        assert parse_with_clients([written]) == expected
        assert parse_with_clients(single_bytes(written)) == expected
        for halved in split_everywhere(written):
            assert parse_with_clients(halved) == expected, halved


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


@given(fragments=FRAGMENTS, chance=st.randoms(use_true_random=False))
def test_any_bytes_are_parsed_by_the_specification(
    fragments: list[bytes], chance: random.Random
) -> None:
    # The byte after the last line ending shows whether the ending was complete.
    stream = b"".join(fragments) + b":"
    expected = parse_by_specification(stream)
    assert parse_with_clients([stream]) == expected
    assert parse_with_clients(random_pieces(stream, chance)) == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=8)
EVENTS = st.lists(
    st.builds(
        SentEvent,
        st.sampled_from(["output", "logs", "done", "error", "other"]),
        st.lists(TEXTS, min_size=1, max_size=3).map("\n".join),
        st.none() | st.integers(1, 99).map(str),
    ),
    max_size=12,
)


@given(events=EVENTS, chance=st.randoms(use_true_random=False))
def test_events_are_parsed_like_httpx_sse(events: list[SentEvent], chance: random.Random) -> None:
    stream = b"".join(event.encoded(lambda: chance.choice(["\n", "\r\n"])) for event in events)
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    theirs = [(event.event, event.data, event.id) for event in EventSource(response).iter_sse()]
    assert parse_with_clients(random_pieces(stream, chance)).events == theirs
    assert [(event, data) for event, data, _ in theirs] == [(e.event, e.data) for e in events]


class TestLimit:
    @pytest.mark.parametrize("size", [1, 7, 40, 101])
    def test_an_event_beyond_the_limit_is_rejected_in_any_chunks(self, size: int) -> None:
        event = output("x" * 200).encoded()
        chunks = [event[at : at + size] for at in range(0, len(event), size)]
        assert parse_with_clients([event[:100]], limit=100).events == []
        with pytest.raises(APIResponseError, match="more than 100 bytes"):
            parse_with_clients(chunks, limit=100)

    def test_endless_lines_are_rejected(self) -> None:
        with pytest.raises(APIResponseError, match="more than 100 bytes"):
            parse_with_clients([b"data: a\n"] * 20, limit=100)

    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_the_limit_applies_to_each_event(self, ending: str) -> None:
        stream = encoded([output("x" * 50, id=str(number)) for number in range(50)], ending)
        assert len(parse_with_clients([stream], limit=100).events) == 50
        assert len(parse_with_clients(single_bytes(stream), limit=100).events) == 50

    def test_the_remainder_of_a_chunk_counts_for_the_next_event(self) -> None:
        event = output("x" * 60).encoded()
        chunks = [event + event[:50], event[50:] + event[:50], event[50:]]
        assert len(parse_with_clients(chunks, limit=100).events) == 3
