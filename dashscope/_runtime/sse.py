"""Server-sent events: bytes in, events out, by `httpx-sse` and the WHATWG rules.

Where the two depart, the bytes are rewritten before `httpx-sse` sees them: it cannot tell an
event without data from one whose data is empty, an id that is reset from none, takes `+5` and
`1_0` for a `retry`, and a byte-order mark for part of a field's name.
"""

from __future__ import annotations

import codecs
import re
import secrets
from typing import Final

import httpx
from httpx_sse import EventSource, ServerSentEvent

from dashscope._errors import APIResponseError

_EMPTY: Final = f"\ufdd0{secrets.token_hex(8)}\ufdd0"
"""Stands for an empty value: nothing that a server could come to send."""
_EMPTY_BYTES: Final = _EMPTY.encode()
_HEADERS: Final = {"content-type": "text/event-stream; charset=utf-8"}
_HINTS: Final = (
    *(b"\n" + name + end for name in (b"data", b"id") for end in (b"\n", b":\n", b": \n")),
    b"\nretry",
)
_RARE: Final = re.compile(rb"(?m)^(?:(data|id)(?:: ?)?|retry(?!: ?[0-9]{1,18}$)(?::.*)?)$")


class SSEParser:
    """Takes a stream's bytes as they come and gives the events that are whole.

    Attributes:
        is_marked: whether the last events have marks in them: then `data_of()` and `id_of()`
            read them, and else an empty value is one that was not there.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at_start = True
        self._after_cr = False
        self.is_marked = False

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
        padded = b"\n" + block
        self.is_marked = any(hint in padded for hint in _HINTS)
        if self.is_marked:
            block = _marked(block)
        response = httpx.Response(200, headers=_HEADERS, content=block)
        return list(EventSource(response).iter_sse())

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
    return _RARE.sub(lambda line: b":" if line[1] is None else line[1] + b":" + _EMPTY_BYTES, block)


def data_of(event: ServerSentEvent) -> str | None:
    """An event's data; without any, `None`, it is not for the user."""
    data = event.data
    if _EMPTY in data:
        return data.replace(_EMPTY, "")
    return data or None


def id_of(event: ServerSentEvent) -> str | None:
    """The last event id as of this event; `None` where it is what it was before."""
    id = event.id
    return ("" if id == _EMPTY else id) if id else None
