"""`BlockingRuntime`: waits by blocking the calling thread; its coroutines never suspend."""

from __future__ import annotations

import atexit
import inspect
import threading
import time
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from dashscope._common.deadline import Deadline
from dashscope._common.validation import shown
from dashscope._errors import ConfigurationError
from dashscope._runtime.forking import LOADED_LATER, inherited
from dashscope._runtime.runtime import GRACE, Body, Runtime, is_async_iterable, one_by_one
from dashscope._runtime.signals import held_back
from dashscope._runtime.thread_limits import Bounds, Within
from dashscope._runtime.warnings import warn
from dashscope._sync.drive import drive
from dashscope._transport.decompression import decoded
from dashscope._transport.mapping import (
    Sending,
    build,
    build_for,
    connection_error,
    headers_of,
    named,
    odd_redirect,
    received,
    timed_out,
    timeouts_of,
    transport_errors,
    url_errors,
)
from dashscope._transport.multipart import MultipartBody, body_of
from dashscope._transport.pool import TLS, Answer, BlockingPool
from dashscope.types.http import Headers, Request

if TYPE_CHECKING:
    import httpx

    from dashscope._common.secrets import Token
    from dashscope._config import Config
    from dashscope._runtime.workers import Channel, Crew

T = TypeVar("T")

_UNBOUND: Final = nullcontext()
LOOK_UP: Final = 0.1
"""Seconds after which a thread that waits for others sees whether it is still wanted."""


class BlockingRuntime(Runtime):
    """Waits by blocking the calling thread: no event loop, no thread of its own.

    `twins` makes the blocking facade of a value that does I/O, by the name of its class.
    """

    is_shared = False
    most_workers = 16

    def __init__(
        self,
        config: Config,
        twins: Callable[[Any], Any],
        http_client: httpx.Client | None = None,
    ) -> None:
        super().__init__(config)
        if http_client is not None:
            import httpx

            if not isinstance(http_client, httpx.Client):
                raise ConfigurationError("Client takes an httpx.Client as its http_client.")
        self._callers_client = http_client
        self._twins = twins
        self._start()

    @property
    def owns_connections(self) -> bool:
        return self._callers_client is None

    def _start(self) -> None:
        self._tls = TLS(self._config.verify)
        self._lock = threading.Lock()
        self._bounds = Bounds()
        self._own_pool: BlockingPool | None = None
        self._turns: weakref.WeakValueDictionary[str, _Turn] = weakref.WeakValueDictionary()

    def _pool(self) -> BlockingPool:
        if self._own_pool is None:
            with self._lock:
                if self._own_pool is None:
                    pool = BlockingPool(self._config, self._tls, self._bounds.left)
                    name = f"Client(base_url={self._config.base_url!r})"
                    self._finalizer = weakref.finalize(self, _dropped, pool, name)
                    self._finalizer.atexit = False
                    _pools.add(pool)
                    self._own_pool = pool
        return self._own_pool

    async def open(
        self, request: Request, *, token: Token | None, deadline: Deadline, sending: Sending
    ) -> Body:
        self._check_open()
        multipart = body_of(request) if request.files else None
        content = self._sent(multipart) if multipart else request.content
        headers = headers_of(request, multipart)
        timeouts = timeouts_of(request, deadline, pool=deadline.left())
        client, name = self._callers_client, named(request)
        try:
            if client is not None:
                built = build_for(client, request, headers, token, content, timeouts)
                response = client.send(built, stream=True, auth=None, follow_redirects=False)
                return self._of_client(response, name)
            answer = await self._pool().ask(
                build(request, headers, token, content, timeouts, sending)
            )
            return await self._of_pool(answer, name)
        except transport_errors() as error:
            failure: Exception = connection_error(error, name, begun=sending.has_begun)
        except url_errors() as error:
            failure = odd_redirect(error, name)
        raise failure

    async def _of_pool(self, answer: Answer, url: str) -> Body:
        try:
            return self._body_of(answer, url)
        except BaseException:  # an interrupt
            await answer.aclose()
            raise

    def _body_of(self, answer: Answer, url: str) -> Body:
        headers = received(answer.headers)
        stream = _AnswerStream(answer)
        return decoded(
            _BlockingBody(self._bounds, answer.status, headers, url, iter(stream), stream.close)
        )

    def _of_client(self, response: httpx.Response, url: str) -> Body:
        headers, status, close = Headers(response.headers), response.status_code, response.close
        if response.is_stream_consumed:  # a transport that gives answers in one piece
            return _BlockingBody(self._bounds, status, headers, url, response.iter_bytes(), close)
        return decoded(
            _BlockingBody(self._bounds, status, headers, url, response.iter_raw(), close)
        )

    def bound(self, deadline: Deadline) -> AbstractContextManager[object]:
        if deadline.at is None:
            return _UNBOUND
        return Within(self._bounds, deadline)

    def _sent(self, body: MultipartBody) -> Iterator[bytes]:
        """A multipart body as it is sent."""
        for piece in body.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            sent = 0
            for chunk in piece.file.pieces():
                self._bounds.check("an upload")
                piece.tell(sent)
                yield chunk
                sent += len(chunk)
            piece.tell(sent)

    async def sleep(self, seconds: float) -> None:
        abort = self._bounds.abort
        if abort is None:
            time.sleep(seconds)  # noqa: ASYNC251
        elif abort.wait(seconds):
            raise timed_out("a pause")

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    async def gather(
        self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, limit: int
    ) -> None:
        if len(calls) < 2:
            for call in calls:
                await call()
            return
        deadline = self._bounds.deadline
        outer, abort = self._bounds.abort, threading.Event()

        def run(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
            self._bounds.deadline, self._bounds.abort = deadline, abort
            drive(call())

        pool = ThreadPoolExecutor(min(limit, len(calls)))
        try:
            futures = [pool.submit(copy_context().run, run, call) for call in calls]
            pending = set(futures)
            while pending:
                look_up = None if outer is None else LOOK_UP
                done, pending = wait(pending, look_up, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if outer is not None and outer.is_set():
                    raise timed_out("what was under way")  # noqa: TRY301
        except BaseException as error:
            # The other threads stop at their next piece; Ctrl-C does not wait for that.
            abort.set()
            pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        pool.shutdown()

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncGenerator[None]:
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
        left = self._bounds.left()
        if not turn.lock.acquire(timeout=-1 if left is None else left):
            raise timed_out(f"waiting for {key}")
        try:
            yield
        finally:
            turn.lock.release()

    async def finish(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, grace: float = GRACE
    ) -> T:
        # The time-outs of its requests bound it: nothing can be taken from a thread.
        abort, self._bounds.abort = self._bounds.abort, None
        try:
            with held_back(grace):
                return await call()
        finally:
            self._bounds.abort = abort

    def crew(self) -> Crew:
        from dashscope._runtime.thread_workers import ThreadCrew

        def run(call: Callable[[], Coroutine[Any, Any, None]], abort: threading.Event) -> None:
            self._bounds.abort = abort
            drive(call())

        return ThreadCrew(run)

    def channel(self) -> Channel[Any]:
        from dashscope._runtime.thread_workers import ThreadChannel

        return ThreadChannel()

    def iterate(self, name: str, items: Any) -> AsyncIterator[Any]:
        if is_async_iterable(items):
            raise TypeError(f"{name} is an async iterable: Client takes a plain one there")
        return one_by_one(name, items, "an iterable")

    async def call(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(f"{function!r} returned an awaitable: Client calls plain functions")
        return result

    def check_callback(self, name: str, function: object) -> None:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{name} is a coroutine function: Client takes a plain function there")
        if not callable(function):
            raise TypeError(f"{name} is a function, not {shown(function)}")

    def own(self, value: T) -> T:
        return cast("T", self._twins(value))

    async def aclose(self) -> None:
        self._closed = True
        if self._own_pool is not None:
            self._finalizer.detach()
            await self._own_pool.aclose()

    def loaded_later(self) -> Iterable[str]:
        return (*LOADED_LATER, *(("httpcore._sync.http2",) if self._config.http2 else ()))

    def forget(self) -> None:
        if self._own_pool is not None:
            self._finalizer.detach()
            _pools.discard(self._own_pool)
            inherited.append(self._own_pool)
        self._start()


class _Turn:
    """A lock that goes when nobody waits for it any more."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


class _BlockingBody(Body):
    def __init__(
        self,
        bounds: Bounds,
        status: int,
        headers: Headers,
        asked: str,
        chunks: Iterator[bytes],
        close: Callable[[], None],
    ) -> None:
        super().__init__(status, headers, asked)
        self._bounds = bounds
        self._chunks = chunks
        self._close = close

    async def chunk(self) -> bytes | None:
        self._bounds.check(self.asked)
        try:
            return next(self._chunks, None)
        except transport_errors() as error:
            failure = connection_error(error, self.asked)
        raise failure

    async def aclose(self) -> None:
        self._close()


class _AnswerStream:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return iter(cast("Iterable[bytes]", self._answer.stream))

    def close(self) -> None:
        drive(self._answer.aclose())


_pools: weakref.WeakSet[BlockingPool] = weakref.WeakSet()
"""Those of the clients that are open."""


def _dropped(pool: BlockingPool, name: str) -> None:
    if pool.is_empty:
        return
    drive(pool.aclose())
    warn(name, "close()")


@atexit.register
def _at_exit() -> None:
    # Not what threads still use: these are no matter any more, and would complain.
    for pool in list(_pools):
        drive(pool.close_idle())
