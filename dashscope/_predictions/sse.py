"""Server-sent events: bytes in, events out, by `httpx-sse` and the WHATWG rules.

Where the two depart, the bytes are rewritten before `httpx-sse` sees them: it cannot tell an
event without data from one whose data is empty, an id that is reset from none, takes `+5` and
`1_0` for a `retry`, and a byte-order mark for part of a field's name. Whether they may depart
is seen by the events themselves, so that ordinary ones are looked at once.
"""

from __future__ import annotations

import codecs
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import httpx
from httpx_sse import EventSource, ServerSentEvent

from dashscope._errors import APIResponseError

_EMPTY: Final = f"\ufdd0{secrets.token_hex(8)}\ufdd0"
"""Stands for an empty value: nothing that a server could come to send."""
_EMPTY_BYTES: Final = _EMPTY.encode()
_HEADERS: Final = {"content-type": "text/event-stream; charset=utf-8"}
_RARE: Final = re.compile(rb"(?m)^(?:(data|id)(?:: ?)?|retry(?!: ?[0-9]{1,18}$)(?::.*)?)$")


class SSEParser:
    """Takes a stream's bytes as they come and gives the events that are whole.

    An event's id is the last one as of this event, its own or an earlier one's.

    Attributes:
        is_marked: whether the last events have marks in them, which `data_of()` and `id_of()`
            read. Those that have not all have data, and none has a `retry`.
        data: the data of each of the last events, where these are several without marks.
        block: the bytes of these, as `recalled()` takes them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at_start = True
        self._after_cr = False
        self._whole = _Whole()
        self._singles = _Singles()
        self._events = EventSource(self._singles).iter_sse()
        self._known_id = ""
        self._id = ""
        self.is_marked = False
        self.data: list[str] = []
        self.block = b""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this chunk completes.

        Raises:
            APIResponseError: when an event is larger than the limit.
        """
        is_whole = chunk.endswith(b"\n\n") and b"\r" not in chunk
        if is_whole and not (self._buffer or self._at_start or self._after_cr):
            block: bytes | None = chunk
        else:
            block = self._block(self._lines(chunk))
        if block is None:
            return []
        id_before = self._id
        is_single = block.find(b"\n\n") == len(block) - 2 and not block.startswith(b"\n")
        if is_single and b"\ndata: " in block:
            # What has data is an event: there is one, whatever else is in it.
            self._singles.next = block if self._known_id == id_before else _after(id_before, block)
            event = next(self._events)
            self._id = self._known_id = event.id
            events = [event]
            self.is_marked = not event.data or event.retry is not None
        else:
            self._whole.next = self.block = known = _after(id_before, block)
            events = list(EventSource(self._whole).iter_sse())
            self.data = texts_of(events)
            # What is no event may reset the id, which nobody would see behind the last one.
            # (What is not in there, `rfind` knows sooner than `in`.)
            is_last_event = b"\ndata:" in known[max(0, known.rfind(b"\n\n", 0, -2)) :]
            is_plain = is_last_event and all(self.data) and known.rfind(b"\nretry") < 0
            self.is_marked = not is_plain
            if is_plain:
                self._id = events[-1].id
        if self.is_marked:
            events = _read_anew(_after(id_before, block) if id_before else block)
            self._id = id_of(events[-1]) if events else id_before
        return events

    def _block(self, chunk: bytes) -> bytes | None:
        """The events that are whole by now, as bytes."""
        searched = max(0, len(self._buffer) - 1)
        self._buffer += chunk
        if self._at_start and not self._skip_mark():
            return None
        end = self._buffer.rfind(b"\n\n", searched) + 2
        if end < 2:
            if len(self._buffer) > self._limit:
                raise APIResponseError(f"An event of the stream has more than {self._limit} bytes.")
            return None
        with memoryview(self._buffer) as view:
            block = bytes(view[:end])
        del self._buffer[:end]
        return block

    def _lines(self, chunk: bytes) -> bytes:
        """The chunk with every line ending, of the three there are, as a line feed."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return chunk
        self._after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _skip_mark(self) -> bool:
        """Skip a byte-order mark at the start; `False` while it may still be one."""
        mark = codecs.BOM_UTF8
        if len(self._buffer) < len(mark) and mark.startswith(self._buffer):
            return False
        if self._buffer.startswith(mark):
            del self._buffer[: len(mark)]
        self._at_start = False
        return True


class _Whole(httpx.Response):
    """A response whose body is one block, without httpx's own chain of generators."""

    def __init__(self) -> None:
        super().__init__(200, headers=_HEADERS)
        self.next = b""

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        yield self.next.decode("utf-8", "replace")


class _Singles(_Whole):
    """A response whose body goes on as long as somebody says what is next in it."""

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        while True:
            yield self.next.decode("utf-8", "replace")


def _after(id: str, block: bytes) -> bytes:
    """A block that tells the id as of its beginning."""
    return b"id: %b\n%b" % (id.encode(), block)


def _read(block: bytes) -> list[ServerSentEvent]:
    response = httpx.Response(200, headers=_HEADERS, content=block)
    return list(EventSource(response).iter_sse())


def _read_anew(block: bytes) -> list[ServerSentEvent]:
    """A block's events, with what `httpx-sse` would misread rewritten."""
    marked = _RARE.sub(
        lambda line: b":" if line[1] is None else line[1] + b":" + _EMPTY_BYTES, block
    )
    return _read(marked)


def texts_of(events: list[ServerSentEvent]) -> list[str]:
    """The data of events that have no marks."""
    return [event.data for event in events]


def ids_of(events: list[ServerSentEvent]) -> list[str]:
    """The last event ids as of events that have no marks."""
    return [event.id for event in events]


def recalled(
    noted: Iterable[str | bytes], part: Callable[[list[ServerSentEvent]], list[str]]
) -> Iterator[str]:
    """A part of every event that was noted, by itself or as the bytes of a block of them."""
    for one in noted:
        if isinstance(one, bytes):
            yield from part(_read(one))
        else:
            yield one


def data_of(event: ServerSentEvent) -> str | None:
    """An event's data; without any, `None`, it is not for the user."""
    data = event.data
    if _EMPTY in data:
        return data.replace(_EMPTY, "")
    return data or None


def id_of(event: ServerSentEvent) -> str:
    """The last event id as of this event, empty where there is none (any more)."""
    return "" if event.id == _EMPTY else event.id
