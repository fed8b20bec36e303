"""Server-sent events: bytes in, events out, by `httpx-sse` and the WHATWG rules.

Where the two depart, the bytes are rewritten before `httpx-sse` sees them: it cannot tell an
event without data from one whose data is empty, an id that is reset from none, takes `+5` and
`1_0` for a `retry`, and a byte-order mark for part of a field's name.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import httpx
from attrs import frozen
from httpx_sse import EventSource

from dashscope._errors import APIResponseError

_EMPTY: Final = "\ufdd0empty\ufdd0"
"""Stands for an empty value: noncharacters, which no text has."""
_EMPTY_BYTES: Final = _EMPTY.encode()
_HEADERS: Final = {"content-type": "text/event-stream; charset=utf-8"}
_HINTS: Final = (
    *(b"\n" + name + end for name in (b"data", b"id") for end in (b"\n", b":\n", b": \n")),
    b"\nretry",
)
_RARE: Final = re.compile(rb"(?m)^(?:(data|id)(?:: ?)?|retry(?!: ?[0-9]{1,18}$)(?::.*)?)$")


@frozen
class ServerSentEvent:
    """An event as it came.

    Attributes:
        event: its type.
        data: its data, `None` where there was none: such an event is not for the user.
        id: the last event id, as far as this piece of the stream says; `None` as before.
        retry: milliseconds to wait before the next connection.
    """

    event: str
    data: str | None
    id: str | None
    retry: int | None


class SSEParser:
    """Takes a stream's bytes as they come and gives the events that are whole."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at_start = True
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this chunk completes.

        Raises:
            APIResponseError: when an event is larger than the limit.
        """
        chunk = self._lines(chunk)
        searched = max(0, len(self._buffer) - 1)
        self._buffer += chunk
        if self._at_start and not self._skip_mark():
            return []
        end = self._buffer.rfind(b"\n\n", searched)
        if end < 0:
            if len(self._buffer) > self._limit:
                raise APIResponseError(f"An event of the stream has more than {self._limit} bytes.")
            return []
        block = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 2]
        response = httpx.Response(200, headers=_HEADERS, content=_marked(block))
        return [
            ServerSentEvent(event.event, _value(event.data), _id(event.id), event.retry)
            for event in EventSource(response).iter_sse()
        ]

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


def _marked(block: bytes) -> bytes:
    """The block with what `httpx-sse` would misread rewritten."""
    padded = b"\n" + block
    if not any(hint in padded for hint in _HINTS):
        return block
    return _RARE.sub(lambda line: b":" if line[1] is None else line[1] + b":" + _EMPTY_BYTES, block)


def _value(data: str) -> str | None:
    if not data:
        return None
    return data.replace(_EMPTY, "") if _EMPTY in data else data


def _id(id: str) -> str | None:
    if not id:
        return None
    return "" if id == _EMPTY else id
