"""`AsyncRuntime`: waits by suspending, under asyncio, uvloop and trio."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Sequence,
)
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import httpx
from anyio.lowlevel import RunVar

from dashscope._errors import ConfigurationError
from dashscope._http import Headers, Request
from dashscope._pool import TLS, Answer, AsyncPool
from dashscope._runtime.base import GRACE, Body, Runtime, inherited, is_async_iterable, one_by_one
from dashscope._runtime.crew import Channel, Crew, TaskChannel, TaskCrew
from dashscope._runtime.decoding import decoded
from dashscope._runtime.multipart import MultipartBody, body_of
from dashscope._runtime.tasks import start_task
from dashscope._runtime.wire import (
    TRANSPORT_ERRORS,
    build,
    build_for,
    connection_error,
    headers_of,
    named,
    odd_redirect,
    received,
    timeouts_of,
)

if TYPE_CHECKING:
    from dashscope._config import Config
    from dashscope._deadline import Deadline
    from dashscope._token import Token

T = TypeVar("T")


class AsyncRuntime(Runtime):
    """Waits by suspending: asyncio, uvloop and trio, several loops one after another or at once.

    Connections belong to the event loop they were made in. They live in an async generator
    that the loop knows of, and are closed by it when it ends.
    """

    is_shared = True
    most_workers = 64

    def __init__(self, config: Config, http_client: httpx.AsyncClient | None = None) -> None:
        super().__init__(config)
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
            raise ConfigurationError("AsyncClient takes an httpx.AsyncClient as its http_client.")
        self._callers_client = http_client
        self._tls = TLS(config.verify)
        self._start()

    @property
    def owns_connections(self) -> bool:
        return self._callers_client is None

    def _start(self) -> None:
        # The loop holds a weak reference only: a client that nobody has any more takes its
        # connections along, also when the loop goes on.
        self._here: RunVar[weakref.ref[_LoopPool] | None] = RunVar("dashscope", None)
        self._loops: set[_LoopPool] = set()
        self._turns: RunVar[weakref.WeakValueDictionary[str, anyio.Lock]] = RunVar("turns")

    async def _pool(self) -> AsyncPool:
        here = self._here.get()
        held = here() if here is not None else None
        if held is None:
            held = _LoopPool(AsyncPool(self._config, self._tls), self._loops)
            self._here.set(weakref.ref(held))
            await held.enter()
        return held.pool

    async def open(self, request: Request, *, token: Token | None, deadline: Deadline) -> Body:
        self._check_open()
        if not request.files:
            return await self._open(request, request.content, None, token, deadline)
        multipart = body_of(request)
        async with aclosing(_sent(multipart)) as content:
            return await self._open(request, content, multipart, token, deadline)

    async def _open(
        self,
        request: Request,
        content: bytes | AsyncIterable[bytes] | None,
        multipart: MultipartBody | None,
        token: Token | None,
        deadline: Deadline,
    ) -> Body:
        headers = headers_of(request, multipart)
        timeouts = timeouts_of(request, deadline, pool=None)
        client = self._callers_client
        try:
            if client is not None:
                built = build_for(client, request, headers, token, content, timeouts)
                return _of_client(
                    await client.send(built, stream=True, auth=None, follow_redirects=False),
                    named(request),
                )
            pool = await self._pool()
            return _of_pool(
                await pool.ask(build(request, headers, token, content, timeouts)), named(request)
            )
        except TRANSPORT_ERRORS as error:
            failure: Exception = connection_error(error, named(request))
        except httpx.InvalidURL as error:
            failure = odd_redirect(error, named(request))
        raise failure

    def bound(self, deadline: Deadline) -> AbstractContextManager[object]:
        return nullcontext() if deadline.at is None else anyio.move_on_after(deadline.left())

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await anyio.to_thread.run_sync(function, *args)

    async def gather(
        self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, limit: int
    ) -> None:
        slots = anyio.CapacityLimiter(limit)
        failures: list[Exception] = []

        async def run(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
            async with slots:
                try:
                    await call()
                except Exception as error:  # noqa: BLE001 (raised below, without a group around it)
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(run, call)
        if failures:
            raise failures[0]

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncGenerator[None]:
        turns = self._turns.get(None)
        if turns is None:
            turns = weakref.WeakValueDictionary[str, anyio.Lock]()
            self._turns.set(turns)
        turn = turns.setdefault(key, anyio.Lock())
        async with turn:
            yield

    async def finish(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, grace: float = GRACE
    ) -> T:
        task = start_task(call)
        try:
            await task.wait(None)
        except GeneratorExit:
            task.cancel()  # the coroutine is thrown away: it may not wait any more
            raise
        except BaseException:
            # Shielded from scopes; a native cancellation is caught as often as it comes.
            with anyio.CancelScope(shield=True):
                await task.wait_out(grace)
            raise
        try:
            return task.result()
        finally:
            await anyio.lowlevel.checkpoint_if_cancelled()

    def crew(self) -> Crew:
        return TaskCrew()

    def channel(self) -> Channel[Any]:
        return TaskChannel()

    def iterate(self, name: str, items: Any) -> AsyncIterator[Any]:
        if is_async_iterable(items):
            return aiter(items)
        return one_by_one(name, items, "an iterable or async iterable")

    async def call(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def check_callback(self, name: str, function: object) -> None:
        if not callable(function):
            raise TypeError(f"{name} is a function or a coroutine function, not {function!r}")

    def own(self, value: T) -> T:
        return value

    async def aclose(self) -> None:
        self._closed = True
        here = self._here.get()
        held = here() if here is not None else None
        if held is not None:
            await held.aclose()

    def forget(self) -> None:
        inherited.append(self._loops)
        self._start()


async def _sent(body: MultipartBody) -> AsyncGenerator[bytes, None]:
    """A multipart body as it is sent, its files read in worker threads."""
    for piece in body.pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        sent, pieces = 0, piece.file.pieces()
        while (chunk := await anyio.to_thread.run_sync(next, pieces, None)) is not None:
            yield chunk
            sent += len(chunk)
            if piece.progress is not None:
                piece.progress(sent)


class _LoopPool:
    """The connections of one event loop, which closes them as it ends."""

    def __init__(self, pool: AsyncPool, loops: set[_LoopPool]) -> None:
        self.pool = pool
        self._loops = loops
        self._lifetime = self._live()
        loops.add(self)

    async def enter(self) -> None:
        # Starting an async generator makes the loop know of it: it is closed at the loop's end.
        await anext(self._lifetime)

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._loops.discard(self)
            with anyio.CancelScope(shield=True):
                await self.pool.aclose()

    async def aclose(self) -> None:
        await self._lifetime.aclose()


class _AsyncBody(Body):
    def __init__(
        self,
        status: int,
        headers: Headers,
        url: str,
        chunks: Callable[[], AsyncIterator[bytes]],
        close: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(status, headers, url)
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
        except TRANSPORT_ERRORS as error:
            failure = connection_error(error, self.url)
        raise failure

    async def aclose(self) -> None:
        # In this order: once the answer is closed, its generators end without waiting.
        await self._close()
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
        await self._answer.aclose()
        self._chunks = None


def _of_pool(answer: Answer, url: str) -> Body:
    headers = received(answer.headers)
    stream = _AnswerStream(answer)
    return decoded(_AsyncBody(answer.status, headers, url, stream.__aiter__, stream.aclose))


def _of_client(response: httpx.Response, url: str) -> Body:
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
