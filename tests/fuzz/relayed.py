"""An event that is relayed to a browser is parsed there unchanged.

The first byte selects the kind of the event. Its id and its text are separated by NUL.
"""

from __future__ import annotations

from dashscope import DoneEvent, Event, LogsEvent, OtherEvent, OutputEvent
from dashscope.integrations._responses import encoded
from tests.servers.stream_events import parse_by_specification

SEEDS = (
    b"\x0017\0hello",
    b"\x001\0a\nb\r\nc\rd",
    b"\x02\0\xef\xbb\xbf",
    b"\x01id\0",
    b"\x03x\0canceled",
    b"\x00\0: comment\n\ndata: x\n\n",
    "\x00ü\0\u2028\x85\x0b".encode(),
)


def one_input(data: bytes) -> None:
    head, _, tail = data[1:].partition(b"\0")
    # A parser returns ids of one line without NUL.
    id = head.decode("utf-8", "replace").replace("\r", "").replace("\n", "") or None
    text = tail.decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kind = (data[0] if data else 0) % 4
    event: Event = (
        OutputEvent(text, id) if kind == 0
        else LogsEvent(text, id) if kind == 1
        else OtherEvent("new", text, id) if kind == 2
        else DoneEvent(text, id)
    )  # fmt: skip
    ((name, read, read_id),) = parse_by_specification(encoded(event)).events
    assert name == ("output", "logs", "new", "done")[kind]
    assert read_id == (id or "")
    assert kind == 3 or read == lines
