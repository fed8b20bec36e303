"""Server-sent events of a response, read by httpx-sse.

The text of a body is decoded here rather than by httpx: a leading byte-order mark is skipped,
the size of an event is bounded, and compressed bodies are decompressed within bounds.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import httpx
from httpx_sse import EventSource, ServerSentEvent

from dashscope._errors import APIResponseError
from dashscope._runtime.drive import drive
from dashscope._transport.bodies import Body

_HEADERS: Final = {"content-type": "text/event-stream"}
_new_decoder: Final = codecs.getincrementaldecoder("utf-8-sig")


def async_events(body: Body, limit: int) -> AsyncIterator[ServerSentEvent]:
    """Iterate over the events of an async client's body.

    Args:
        body: The body. Closing it is the caller's task.
        limit: The largest event in bytes.

    Raises:
        APIConnectionError: If the connection broke.
        APIResponseError: If an event is too large.
    """
    return EventSource(_AsyncText(body, limit)).aiter_sse()


def sync_events(
    body: Body, limit: int, bound: Callable[[], AbstractContextManager[object]]
) -> Iterator[ServerSentEvent]:
    """Iterate over the events of a sync client's body.

    Args:
        body: The body. Closing it is the caller's task.
        limit: The largest event in bytes.
        bound: Creates the context in which each piece of the body is read.

    Raises:
        APIConnectionError: If the connection broke.
        APIResponseError: If an event is too large.
    """
    return EventSource(_SyncText(body, limit, bound)).iter_sse()


class _SizeLimit:
    """Counts the bytes since the last blank line, which ends an event."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size: int = 0
        self._tail: bytes = b""

    def check(self, chunk: bytes) -> None:
        if chunk[:1] in (b"\n", b"\r"):  # it may complete a blank line
            self._size -= len(self._tail)
            chunk = self._tail + chunk
        self._tail = chunk[-2:]
        end = max(chunk.rfind(b"\n\n"), chunk.rfind(b"\n\r\n"), chunk.rfind(b"\r\r"))
        self._size = len(chunk) - end if end >= 0 else self._size + len(chunk)
        if self._size > self._limit:
            raise APIResponseError(f"An event of the stream has more than {self._limit} bytes.")


class _AsyncText(httpx.Response):
    """The response that httpx-sse reads: its text comes from a body of ours."""

    def __init__(self, body: Body, limit: int) -> None:
        super().__init__(200, headers=_HEADERS)
        self._body = body
        self._size = _SizeLimit(limit)

    async def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        decoder = _new_decoder("replace")
        while (chunk := await self._body.chunk()) is not None:
            self._size.check(chunk)
            if text := decoder.decode(chunk):
                yield text


class _SyncText(httpx.Response):
    """As `_AsyncText`, for the sync client."""

    def __init__(
        self, body: Body, limit: int, bound: Callable[[], AbstractContextManager[object]]
    ) -> None:
        super().__init__(200, headers=_HEADERS)
        self._body = body
        self._size = _SizeLimit(limit)
        self._bound = bound

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        decoder = _new_decoder("replace")
        while True:
            with self._bound():
                chunk: Any = drive(self._body.chunk())
            if chunk is None:
                return
            self._size.check(chunk)
            if text := decoder.decode(chunk):
                yield text
