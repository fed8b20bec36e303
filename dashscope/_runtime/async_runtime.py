"""`AsyncRuntime`: waits by suspending, under asyncio, uvloop and trio."""

from __future__ import annotations

import inspect
import time
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
from anyio.lowlevel import RunVar

from dashscope._common.validation import shown
from dashscope._errors import ConfigurationError
from dashscope._runtime.forking import LOADED_LATER, async_modules, inherited
from dashscope._runtime.runtime import GRACE, Body, Runtime, is_async_iterable, one_by_one
from dashscope._runtime.tasks import Task, start_later, start_task
from dashscope._transport.bodies import of_client, of_pool
from dashscope._transport.clients import LoopPool, close_with
from dashscope._transport.mapping import (
    Sending,
    build,
    build_for,
    connection_error,
    headers_of,
    named,
    odd_redirect,
    timeouts_of,
    transport_errors,
    url_errors,
)
from dashscope._transport.multipart import MultipartBody, body_of
from dashscope._transport.pool import TLS, AsyncPool
from dashscope.types.http import Request

if TYPE_CHECKING:
    import httpx

    from dashscope._common.deadline import Deadline
    from dashscope._common.secrets import Token
    from dashscope._config import Config
    from dashscope._runtime.workers import Channel, Crew

T = TypeVar("T")

LAST: Final = 0.02
"""Seconds after a deadline at which what still waits is cancelled."""


class AsyncRuntime(Runtime):
    """Waits by suspending: asyncio, uvloop and trio, several loops one after another or at once.

    Connections belong to the event loop they were made in. They live in an async generator
    that the loop knows of, and are closed by it when it ends.
    """

    is_shared = True
    most_workers = 64

    def __init__(self, config: Config, http_client: httpx.AsyncClient | None = None) -> None:
        super().__init__(config)
        if http_client is not None:
            import httpx

            if not isinstance(http_client, httpx.AsyncClient):
                raise ConfigurationError(
                    "AsyncClient takes an httpx.AsyncClient as its http_client."
                )
        self._callers_client = http_client
        self._start()

    @property
    def owns_connections(self) -> bool:
        return self._callers_client is None

    def _start(self) -> None:
        self._tls = TLS(self._config.verify)
        # The loop holds a weak reference only: the connections go with the client.
        self._here: RunVar[weakref.ref[LoopPool] | None] = RunVar("dashscope", None)
        self._loops: set[LoopPool] = set()
        name = f"AsyncClient(base_url={self._config.base_url!r})"
        self._finalizer = close_with(self, self._loops, name)
        self._turns: RunVar[weakref.WeakValueDictionary[str, anyio.Lock]] = RunVar("turns")
        self._under_way: RunVar[set[Task[Any]] | None] = RunVar("under way", None)

    async def _pool(self) -> AsyncPool:
        here = self._here.get()
        held = here() if here is not None else None
        if held is None:
            held = LoopPool(AsyncPool(self._config, self._tls, start_later), self._loops)
            self._here.set(weakref.ref(held))
            await held.enter()
        return held.pool

    async def open(
        self, request: Request, *, token: Token | None, deadline: Deadline, sending: Sending
    ) -> Body:
        self._check_open()
        if not request.files:
            return await self._open(request, request.content, None, token, deadline, sending)
        multipart = body_of(request)
        async with aclosing(_sent(multipart)) as content:
            return await self._open(request, content, multipart, token, deadline, sending)

    async def _open(
        self,
        request: Request,
        content: bytes | AsyncIterable[bytes] | None,
        multipart: MultipartBody | None,
        token: Token | None,
        deadline: Deadline,
        sending: Sending,
    ) -> Body:
        headers = headers_of(request, multipart)
        timeouts = timeouts_of(request, deadline, pool=None)
        client = self._callers_client
        try:
            if client is not None:
                built = build_for(client, request, headers, token, content, timeouts)
                return of_client(
                    await client.send(built, stream=True, auth=None, follow_redirects=False),
                    named(request),
                )
            pool = await self._pool()
            return of_pool(
                await pool.ask(build(request, headers, token, content, timeouts, sending)),
                named(request),
            )
        except transport_errors() as error:
            failure: Exception = connection_error(error, named(request), begun=sending.has_begun)
        except url_errors() as error:
            failure = odd_redirect(error, named(request))
        raise failure

    def bound(self, deadline: Deadline) -> AbstractContextManager[object]:
        left = deadline.left()
        # The time-outs of the connection come first: they know whether the request was sent.
        return nullcontext() if left is None else anyio.move_on_after(left + LAST)

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
        under_way = self._under_way.get()
        if under_way is None:
            under_way = set[Task[Any]]()
            self._under_way.set(under_way)
        under_way.add(task)
        try:
            return await self._outcome(task, grace)
        finally:
            under_way.discard(task)

    async def _outcome(self, task: Task[T], grace: float) -> T:
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
        from dashscope._runtime.workers import TaskCrew

        return TaskCrew()

    def channel(self) -> Channel[Any]:
        from dashscope._runtime.workers import TaskChannel

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
            raise TypeError(f"{name} is a function or a coroutine function, not {shown(function)}")

    def own(self, value: T) -> T:
        return value

    async def aclose(self) -> None:
        try:
            await self._let_finish()
        finally:
            self._closed = True
            await self._close_here()

    async def _let_finish(self) -> None:
        """Wait for what must run to its end: a prediction that is being cancelled, say."""
        end = time.monotonic() + GRACE
        for task in list(self._under_way.get() or ()):
            await task.wait(max(0.0, end - time.monotonic()))

    async def _close_here(self) -> None:
        here = self._here.get()
        held = here() if here is not None else None
        if held is not None:
            await held.aclose()

    def loaded_later(self) -> Iterable[str]:
        return (*LOADED_LATER, *async_modules(http2=self._config.http2))

    def forget(self) -> None:
        self._finalizer.detach()
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
            piece.tell(sent)
            yield chunk
            sent += len(chunk)
        piece.tell(sent)
