"""`Body`: the body of a response that is still to be read, async and sync."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

import httpx

from dashscope._common.secrets import Token
from dashscope._errors import APIResponseError
from dashscope._runtime.thread_limits import Bounds
from dashscope._transport.mapping import connection_error, received
from dashscope.types.http import Headers

T = TypeVar("T")


class Body(ABC):
    """The body of a response that is still to be read.

    Attributes:
        status: The HTTP status.
        headers: The response's headers.
        asked: The method and the URL without its query, as messages name the request.
        left_open: Hidden generators that were dropped before their end (see `HiddenFromLoop`).
    """

    def __init__(self, status: int, headers: Headers, asked: str) -> None:
        self.left_open: list[AsyncGenerator[Any, Any]] = []
        self.status = status
        self.headers = headers
        self.asked = asked

    @abstractmethod
    async def chunk(self) -> bytes | None:
        """Return the next piece of the body, or `None` at its end."""

    @abstractmethod
    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end."""

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            APIResponseError: If it has more than `limit` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while (piece := await self.chunk()) is not None:
            size += len(piece)
            if size > limit:
                raise APIResponseError(
                    f"The response has more than {limit} bytes (max_response_bytes): {self.asked}."
                )
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class AsyncBody(Body):
    """The body of a response of an async client.

    Args:
        response: The response.
        asked: The method and the URL without its query, as messages name the request.
        errors: The errors of the client's library.
        token: The token of the request, which the server may repeat.
    """

    def __init__(
        self,
        response: httpx.Response,
        asked: str,
        errors: tuple[type[Exception], ...],
        token: Token | None,
    ) -> None:
        super().__init__(response.status_code, received(response.headers.raw, token), asked)
        self._response = response
        self._errors = errors
        self._token = token
        self._chunks: AsyncIterator[bytes] | None = None

    async def chunk(self) -> bytes | None:
        try:
            if self._chunks is None:
                self._chunks = self._response.aiter_raw()
                return await HiddenFromLoop(self._chunks, self.left_open)
            return await anext(self._chunks)
        except StopAsyncIteration:
            return None
        except self._errors as error:
            failure = connection_error(error, self.asked, token=self._token)
        raise failure

    async def aclose(self) -> None:
        # Close the response first: its generators then end without waiting. Drop them now, even
        # if closing is canceled: otherwise they could be finalized on another loop.
        try:
            await self._response.aclose()
        finally:
            self._chunks = None
            while self.left_open:
                await self.left_open.pop().aclose()


class SyncBody(Body):
    """The body of a response of a sync client.

    Args:
        response: The response.
        asked: The method and the URL without its query, as messages name the request.
        errors: The errors of the client's library.
        token: The token of the request, which the server may repeat.
        bounds: The time that the calling thread has left.
    """

    def __init__(
        self,
        response: httpx.Response,
        asked: str,
        errors: tuple[type[Exception], ...],
        token: Token | None,
        bounds: Bounds,
    ) -> None:
        super().__init__(response.status_code, received(response.headers.raw, token), asked)
        self._response = response
        self._errors = errors
        self._token = token
        self._bounds = bounds
        self._chunks: Iterator[bytes] | None = None

    async def chunk(self) -> bytes | None:
        self._bounds.check(self.asked)
        try:
            if self._chunks is None:
                self._chunks = self._response.iter_raw()
            return next(self._chunks, None)
        except self._errors as error:
            failure = connection_error(error, self.asked, token=self._token)
        raise failure

    async def aclose(self) -> None:
        self._response.close()


class ReadBody(Body):
    """The body of a response that was read before it was returned.

    Transports of tests return such responses. httpx has decoded their content.
    """

    def __init__(self, response: httpx.Response, asked: str, token: Token | None) -> None:
        headers = received(response.headers.raw, token)
        super().__init__(response.status_code, headers, asked)
        self._content: bytes | None = response.content

    async def chunk(self) -> bytes | None:
        content, self._content = self._content, None
        return content or None

    async def aclose(self) -> None:
        self._content = None


class HiddenFromLoop(Generic[T]):
    """Awaits the first item, and hides the generators that this starts from the event loop.

    The body of a response is a chain of async generators, of which only the outermost can be
    closed. An event loop that knows the others warns about them (trio) or closes each of them
    in a task (asyncio), although the response was closed correctly.

    Args:
        items: The iterator.
        left_open: Receives the generators that are dropped before their end. Close them after
            the response: some transports (hishel) drop httpcore's generator before that, and
            closing it then would wait.
    """

    def __init__(self, items: AsyncIterator[T], left_open: list[AsyncGenerator[Any, Any]]) -> None:
        self._items = items
        self._left_open = left_open

    def __await__(self) -> Generator[Any, Any, T]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, self._left_open.append)
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
                except BaseException as error:  # noqa: BLE001 (passed to what is awaited)
                    step = partial(steps.throw, error)
                yielded = step()
        except StopIteration as stop:
            result: T = stop.value
            return result
