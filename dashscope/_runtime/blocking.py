"""`BlockingRuntime`: waits by blocking the calling thread; its coroutines never suspend."""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx

from dashscope._deadline import Deadline
from dashscope._errors import ConfigurationError
from dashscope._http import Headers, Request
from dashscope._pool import TLS, BlockingPoolTransport
from dashscope._runtime.base import Body, Runtime, inherited
from dashscope._runtime.multipart import MultipartBody, body_of
from dashscope._runtime.wire import (
    build,
    connection_error,
    decoding_error,
    named,
    odd_redirect,
    timed_out,
)
from dashscope._sync.drive import drive

if TYPE_CHECKING:
    from types import FrameType

    from dashscope._config import Config

T = TypeVar("T")


class BlockingRuntime(Runtime):
    """Waits by blocking the calling thread: no event loop, no thread of its own.

    `twins` makes the blocking facade of a value that does I/O, by the name of its class.
    """

    def __init__(
        self,
        config: Config,
        twins: Callable[[Any], Any],
        http_client: httpx.Client | None = None,
    ) -> None:
        super().__init__(config)
        if http_client is not None and not isinstance(http_client, httpx.Client):
            raise ConfigurationError("Client takes an httpx.Client as its http_client.")
        self._callers_client = http_client
        self._tls = TLS(config.verify)
        self._twins = twins
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._own_client: httpx.Client | None = None

    def _http(self) -> httpx.Client:
        self._check_open()
        if self._callers_client is not None:
            return self._callers_client
        if self._own_client is None:
            with self._lock:
                if self._own_client is None:
                    self._own_client = self._make_client()
        return self._own_client

    def _make_client(self) -> httpx.Client:
        transport = BlockingPoolTransport(self._config, self._tls, self._left)
        return httpx.Client(transport=transport, trust_env=False)

    def _deadline(self) -> Deadline:
        """The deadline of the block that the calling thread is in."""
        deadline: Deadline = getattr(self._local, "deadline", Deadline.NEVER)
        return deadline

    def _left(self) -> float | None:
        return self._deadline().left()

    async def open(
        self, request: Request, *, authorization: str | None, deadline: Deadline
    ) -> Body:
        client = self._http()
        multipart = body_of(request) if request.files else None
        built = build(
            client,
            request,
            authorization,
            deadline,
            multipart=multipart,
            content=self._sent(multipart) if multipart else request.content,
            pool=deadline.left(),
        )
        try:
            response = client.send(built, stream=True, auth=None, follow_redirects=False)
        except httpx.TransportError as error:
            failure: Exception = connection_error(error, named(request))
        except httpx.InvalidURL as error:
            failure = odd_redirect(error, named(request))
        else:
            return _BlockingBody(self, response, named(request))
        raise failure

    @contextmanager
    def bound(self, deadline: Deadline) -> Generator[None]:
        # Nothing can be taken from a thread: what waits in the block asks for the time left.
        outer = self._deadline()
        self._local.deadline = outer.sooner(deadline)
        try:
            yield
        finally:
            self._local.deadline = outer

    def _sent(self, body: MultipartBody) -> Iterator[bytes]:
        """A multipart body as it is sent."""
        for piece in body.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            sent = 0
            for chunk in piece.file.pieces():
                self.check_deadline("an upload")
                yield chunk
                sent += len(chunk)
                if piece.progress is not None:
                    piece.progress(sent)

    def check_deadline(self, url: str) -> None:
        """Raise where the deadline of the block around has passed, or nobody waits any more."""
        deadline = self._deadline()
        abort: threading.Event | None = getattr(self._local, "abort", None)
        if deadline.expired or (abort is not None and abort.is_set()):
            raise timed_out(url)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    async def gather(
        self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, limit: int
    ) -> None:
        if len(calls) < 2:
            for call in calls:
                await call()
            return
        deadline = self._deadline()
        abort = threading.Event()

        def run(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
            self._local.deadline, self._local.abort = deadline, abort
            drive(call())

        pool = ThreadPoolExecutor(min(limit, len(calls)))
        try:
            futures = [pool.submit(copy_context().run, run, call) for call in calls]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException as error:
            # The other threads stop at their next piece; Ctrl-C does not wait for that.
            abort.set()
            pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        pool.shutdown()

    async def finish(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        with _interrupt_held_back():
            return await call()

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
            raise TypeError(f"{name} is a function, not {function!r}")

    def own(self, value: T) -> T:
        return cast("T", self._twins(value))

    async def aclose(self) -> None:
        self._closed = True
        if self._own_client is not None:
            self._own_client.close()

    def forget(self) -> None:
        inherited.append(self._own_client)
        self._start()


class _BlockingBody(Body):
    def __init__(self, runtime: BlockingRuntime, response: httpx.Response, url: str) -> None:
        super().__init__(response.status_code, Headers(response.headers), url)
        self._response = response
        self._runtime = runtime
        self._chunks = response.iter_bytes()

    async def chunk(self) -> bytes | None:
        self._runtime.check_deadline(self._url)
        try:
            return next(self._chunks, None)
        except httpx.DecodingError as error:
            failure: Exception = decoding_error(error, self._url)
        except httpx.TransportError as error:
            failure = connection_error(error, self._url)
        raise failure

    async def aclose(self) -> None:
        self._response.close()


@contextmanager
def _interrupt_held_back() -> Generator[None]:
    """Hold back Ctrl-C until the block is over; the second one in it comes through at once.

    Only Python's own handler, on the main thread, is replaced: what other handlers do is
    the application's affair.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    interrupted = False

    def hold_back(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            signal.default_int_handler(number, frame)
        interrupted = True

    signal.signal(signal.SIGINT, hold_back)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupted:
            raise KeyboardInterrupt
