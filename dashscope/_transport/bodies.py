"""Answers whose bodies are still to be read, where waiting is suspending."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from dashscope._runtime.runtime import Body
from dashscope._transport.decompression import decoded
from dashscope._transport.mapping import connection_error, received, transport_errors
from dashscope.types.http import Headers

if TYPE_CHECKING:
    import httpx

    from dashscope._transport.pool import Answer


class _AsyncBody(Body):
    def __init__(
        self,
        status: int,
        headers: Headers,
        asked: str,
        chunks: Callable[[], AsyncIterator[bytes]],
        close: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(status, headers, asked)
        self._start = chunks
        self._close = close
        self._chunks: AsyncIterator[bytes] | None = None

    async def chunk(self) -> bytes | None:
        try:
            if self._chunks is None:
                self._chunks = self._start()
                return await _Unseen(self._chunks)
            return await anext(self._chunks)
        except StopAsyncIteration:
            return None
        except transport_errors() as error:
            failure = connection_error(error, self.asked)
        raise failure

    async def aclose(self) -> None:
        # In this order: once the answer is closed, its generators end without waiting. They end
        # here, also where the closing is cancelled: later, they would not know their loop.
        try:
            await self._close()
        finally:
            self._chunks = None


class _AnswerStream:
    """Holds httpcore's iterator, which must not go before the answer was closed."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._chunks: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = aiter(cast("AsyncIterable[bytes]", self._answer.stream))
        return self._chunks

    async def aclose(self) -> None:
        try:
            await self._answer.aclose()
        finally:
            self._chunks = None


def of_pool(answer: Answer, url: str) -> Body:
    """The body of an answer on a connection of our own."""
    headers = received(answer.headers)
    stream = _AnswerStream(answer)
    return decoded(_AsyncBody(answer.status, headers, url, stream.__aiter__, stream.aclose))


def of_client(response: httpx.Response, url: str) -> Body:
    """The body of an answer to a caller's client."""
    headers, status, close = Headers(response.headers), response.status_code, response.aclose
    if response.is_stream_consumed:  # a transport that gives answers in one piece
        return _AsyncBody(status, headers, url, response.aiter_bytes, close)
    return decoded(_AsyncBody(status, headers, url, response.aiter_raw, close))


class _Unseen:
    """Awaits the first item such that the event loop does not know of the generators it starts.

    The body of an answer is a chain of async generators of which only the outermost can be
    closed; a loop that knows of the others complains of them (trio), or closes each in a task
    (asyncio), although the response has been closed in good order.
    """

    def __init__(self, items: AsyncIterator[bytes]) -> None:
        self._items = items

    def __await__(self) -> Generator[Any, Any, bytes]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            try:
                steps = anext(self._items).__await__()
                yielded = steps.send(None)
            finally:
                sys.set_asyncgen_hooks(*hooks)
            while True:
                step: Callable[[], Any]
                try:
                    step = partial(steps.send, (yield yielded))
                except BaseException as error:  # noqa: BLE001 (handed on to what is awaited)
                    step = partial(steps.throw, error)
                yielded = step()
        except StopIteration as stop:
            result: bytes = stop.value
            return result
