"""The two ways to wait: `AsyncRuntime` (anyio) and `BlockingRuntime`, both on httpx.

Every place where the client waits goes through one of them: a request, a sleep, a file, a
call that must run to its end. Both have the same `async def` methods; those of
`BlockingRuntime` block the calling thread and never suspend, so that `drive()` can run any
coroutine of ours without an event loop. Nothing of the HTTP library leaves this module.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import signal
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import anyio
import httpx
from anyio.lowlevel import RunVar

from dashscope._deadline import Deadline
from dashscope._errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ConfigurationError,
)
from dashscope._http import SILENCE_TIMEOUT, Headers, Request, Response

if TYPE_CHECKING:
    from types import FrameType

    from dashscope._config import Config

T = TypeVar("T")
R = TypeVar("R", httpx.Client, httpx.AsyncClient)

CONNECT_TIMEOUT: Final = 10.0
KEEPALIVE_EXPIRY: Final = 4.0
"""Shorter than the five seconds after which common servers close, so that they rarely win."""
GRACE: Final = 5.0
"""Seconds that a call still gets to finish once its caller was cancelled."""

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Body(ABC):
    """An answer whose body is still to be read, in whatever colour."""

    def __init__(self, status: int, headers: Headers, url: str) -> None:
        self.status = status
        self.headers = headers
        self._url = url

    @abstractmethod
    async def chunk(self) -> bytes | None:
        """The next piece of the body, decoded, or `None` at its end."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""

    async def read(self, limit: int) -> bytes:
        """All of it, if it has no more than `limit` bytes."""
        pieces: list[bytes] = []
        size = 0
        while (piece := await self.chunk()) is not None:
            size += len(piece)
            if size > limit:
                raise APIResponseError(
                    f"{self._url} answered with more than {limit} bytes (max_response_bytes)."
                )
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Runtime(ABC):
    """What both ways to wait have in common: the interface the rest of the client is written to."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._closed = False
        if config.proxy is not None:
            _check_proxy(config.proxy)
        if config.http2 and find_spec("h2") is None:
            raise ConfigurationError("http2=True needs: pip install 'dashscope-client[http2]'")
        _runtimes.add(self)

    async def send(
        self, request: Request, *, authorization: str | None, deadline: Deadline, limit: int
    ) -> Response:
        """Make the request and read the answer, by the deadline.

        Raises:
            APITimeoutError: when the deadline or a time-out of the connection passed.
            APIConnectionError: when the connection was never made, or broke.
            APIResponseError: when the body has more than `limit` bytes.
        """
        with self.bound(deadline):
            body = await self.open(request, authorization=authorization, deadline=deadline)
            try:
                content = await body.read(limit)
            finally:
                await body.aclose()
            return Response(status=body.status, headers=body.headers, content=content)
        raise timed_out(request)

    @abstractmethod
    async def open(
        self, request: Request, *, authorization: str | None, deadline: Deadline
    ) -> Body:
        """Make the request and read the answer's headers."""

    @abstractmethod
    def bound(self, deadline: Deadline) -> AbstractContextManager[None]:
        """A block that is left, without an exception, when the deadline passes."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    async def read_file(self, path: Path) -> bytes:
        """The content of a local file."""

    @abstractmethod
    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run blocking work where it holds up nobody else."""

    @abstractmethod
    async def finish(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a call to its end even when the caller is cancelled, any number of times.

        Once the caller was cancelled, the call has `GRACE` seconds left; then the caller's
        cancellation goes on. What the call found out, it has to leave where the caller
        looks, since no result is returned in that case.
        """

    @abstractmethod
    async def call(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        """Call a function of the user's, and await what it returns where that is an awaitable."""

    @abstractmethod
    def check_callback(self, name: str, function: object) -> None:
        """Refuse, by its parameter's name, a function that this colour cannot call."""

    @abstractmethod
    def own(self, value: T) -> T:
        """A value that does I/O, in the colour of the client it is handed to."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close all connections; later requests are refused."""

    @abstractmethod
    def forget(self) -> None:
        """In a forked child: leave the parent's connections and locks alone, start anew."""

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client is closed: make a new one, or close it later")

    def _client(self, kind: type[R]) -> R:
        config = self._config
        limits = httpx.Limits(
            max_connections=config.max_connections,
            max_keepalive_connections=config.max_connections,
            keepalive_expiry=KEEPALIVE_EXPIRY,
        )
        return kind(
            verify=config.verify,
            http2=config.http2,
            proxy=config.proxy,
            limits=limits,
            follow_redirects=False,
        )


_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()
_inherited: list[object] = []
"""In a forked child, the parent's connections: neither used nor closed, so kept alive."""


def _after_fork() -> None:
    for runtime in list(_runtimes):
        runtime.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class AsyncRuntime(Runtime):
    """Waits by suspending: asyncio, uvloop and trio, several loops one after another or at once.

    Connections belong to the event loop they were made in. They live in an async generator
    that the loop knows of, and are closed by it when it ends.
    """

    def __init__(self, config: Config, http_client: httpx.AsyncClient | None = None) -> None:
        super().__init__(config)
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
            raise ConfigurationError("AsyncClient takes an httpx.AsyncClient as its http_client.")
        self._callers_client = http_client
        self._start()

    def _start(self) -> None:
        # The loop holds a weak reference only: a client that nobody has any more takes its
        # connections along, also when the loop goes on.
        self._here: RunVar[weakref.ref[_LoopClient] | None] = RunVar("dashscope", None)
        self._loops: set[_LoopClient] = set()

    async def _http(self) -> httpx.AsyncClient:
        self._check_open()
        if self._callers_client is not None:
            return self._callers_client
        here = self._here.get()
        held = here() if here is not None else None
        if held is None:
            held = _LoopClient(self._client(httpx.AsyncClient), self._loops)
            self._here.set(weakref.ref(held))
            await held.enter()
        return held.client

    async def open(
        self, request: Request, *, authorization: str | None, deadline: Deadline
    ) -> Body:
        client = await self._http()
        built = _build(client, request, authorization, deadline, pool=None)
        try:
            response = await client.send(built, stream=True, auth=None, follow_redirects=False)
        except httpx.TransportError as error:
            failure = _connection_error(error, request)
        else:
            return _AsyncBody(response, request.url)
        raise failure

    @contextmanager
    def bound(self, deadline: Deadline) -> Generator[None]:
        with anyio.move_on_after(deadline.left()):
            yield

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def read_file(self, path: Path) -> bytes:
        return await anyio.Path(path).read_bytes()

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await anyio.to_thread.run_sync(function, *args)

    async def finish(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = _start_task(call)
        try:
            await task.wait(None)
        except GeneratorExit:
            task.cancel()  # the coroutine is thrown away: it may not wait any more
            raise
        except BaseException:
            # Shielded from scopes; a native cancellation is caught as often as it comes.
            with anyio.CancelScope(shield=True):
                await task.wait_out(GRACE)
            raise
        try:
            return task.result()
        finally:
            await anyio.lowlevel.checkpoint_if_cancelled()

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
        _inherited.append(self._loops)
        self._start()


class _LoopClient:
    """The connections of one event loop, which closes them as it ends."""

    def __init__(self, client: httpx.AsyncClient, loops: set[_LoopClient]) -> None:
        self.client = client
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
                await self.client.aclose()

    async def aclose(self) -> None:
        await self._lifetime.aclose()


class _AsyncBody(Body):
    def __init__(self, response: httpx.Response, url: str) -> None:
        super().__init__(response.status_code, Headers(response.headers), url)
        self._response = response
        self._chunks: AsyncIterator[bytes] = response.aiter_bytes()

    async def chunk(self) -> bytes | None:
        try:
            return await anext(self._chunks, None)
        except httpx.DecodingError as error:
            failure: Exception = _decoding_error(error, self._url)
        except httpx.TransportError as error:
            failure = _connection_error(error, Request(method="", url=self._url))
        raise failure

    async def aclose(self) -> None:
        await cast("AsyncGenerator[bytes, None]", self._chunks).aclose()
        await self._response.aclose()


class _Task(ABC, Generic[T]):
    """A call that runs in a task of its own, outside the caller's scopes."""

    @abstractmethod
    async def wait(self, seconds: float | None) -> None:
        """Wait until it is over, `seconds` at most; a cancellation of the caller ends the wait."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask it to stop."""

    @abstractmethod
    def done(self) -> bool:
        """Is it over?"""

    @abstractmethod
    def result(self) -> T:
        """What it returned; what it raised, is raised."""

    async def wait_out(self, seconds: float) -> None:
        """Wait whatever happens to the caller; past `seconds`, cancel it and wait for its end."""
        end = time.monotonic() + seconds
        while not self.done():
            left = end - time.monotonic()
            if left <= 0:
                self.cancel()
            try:
                await self.wait(left if left > 0 else None)
            except BaseException:  # noqa: BLE001, S112 (the first cancellation goes on later)
                continue


class _AsyncioTask(_Task[T]):
    def __init__(self, call: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._task = asyncio.get_running_loop().create_task(call())
        self._task.add_done_callback(_retrieve)

    async def wait(self, seconds: float | None) -> None:
        await asyncio.wait({self._task}, timeout=seconds)

    def cancel(self) -> None:
        self._task.cancel()

    def done(self) -> bool:
        return self._task.done()

    def result(self) -> T:
        return self._task.result()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark the exception of a task as seen: its caller may be gone."""
    if not task.cancelled():
        task.exception()


class _TrioTask(_Task[T]):
    def __init__(self, call: Callable[[], Coroutine[Any, Any, T]]) -> None:
        import trio

        self._call = call
        self._over = trio.Event()
        self._scope = trio.CancelScope()
        self._result: T | None = None
        self._error: BaseException | None = None
        trio.lowlevel.spawn_system_task(self._run, context=contextvars.copy_context())

    async def _run(self) -> None:
        try:
            with self._scope:
                self._result = await self._call()
        except BaseException as error:  # noqa: BLE001 (a system task that raises ends trio)
            self._error = error
        finally:
            self._over.set()

    async def wait(self, seconds: float | None) -> None:
        with anyio.move_on_after(seconds):
            await self._over.wait()

    def cancel(self) -> None:
        self._scope.cancel()

    def done(self) -> bool:
        return self._over.is_set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return cast("T", self._result)


def _start_task(call: Callable[[], Coroutine[Any, Any, T]]) -> _Task[T]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _TrioTask(call)
    return _AsyncioTask(call)


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
        self._twins = twins
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._own_client: httpx.Client | None = None

    def _http(self) -> httpx.Client:
        self._check_open()
        if self._callers_client is not None:
            return self._callers_client
        if self._own_client is None:
            with self._lock:
                if self._own_client is None:
                    self._own_client = self._client(httpx.Client)
        return self._own_client

    async def open(
        self, request: Request, *, authorization: str | None, deadline: Deadline
    ) -> Body:
        client = self._http()
        built = _build(client, request, authorization, deadline, pool=deadline.left())
        try:
            response = client.send(built, stream=True, auth=None, follow_redirects=False)
        except httpx.TransportError as error:
            failure = _connection_error(error, request)
        else:
            return _BlockingBody(response, request.url, deadline)
        raise failure

    @contextmanager
    def bound(self, deadline: Deadline) -> Generator[None]:
        # Nothing can be taken from a thread: each read and write is bounded by the time left.
        yield

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251

    async def read_file(self, path: Path) -> bytes:
        return path.read_bytes()  # noqa: ASYNC240

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

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
        _inherited.append(self._own_client)
        self._start()


class _BlockingBody(Body):
    def __init__(self, response: httpx.Response, url: str, deadline: Deadline) -> None:
        super().__init__(response.status_code, Headers(response.headers), url)
        self._response = response
        self._deadline = deadline
        self._chunks = response.iter_bytes()

    async def chunk(self) -> bytes | None:
        if self._deadline.expired:
            raise timed_out(Request(method="", url=self._url))
        try:
            return next(self._chunks, None)
        except httpx.DecodingError as error:
            failure: Exception = _decoding_error(error, self._url)
        except httpx.TransportError as error:
            failure = _connection_error(error, Request(method="", url=self._url))
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


def _build(
    client: httpx.Client | httpx.AsyncClient,
    request: Request,
    authorization: str | None,
    deadline: Deadline,
    *,
    pool: float | None,
) -> httpx.Request:
    headers = dict(request.headers)
    if authorization is not None:
        headers["Authorization"] = authorization
    try:
        return client.build_request(
            request.method,
            request.url,
            headers=headers,
            content=request.content,
            data=dict(request.fields) or None,
            files=[
                (part.name, (part.filename, part.content, part.content_type))
                for part in request.files
            ]
            or None,
            timeout=httpx.Timeout(
                connect=deadline.within(CONNECT_TIMEOUT),
                read=deadline.within(request.patience),
                write=deadline.within(SILENCE_TIMEOUT),
                pool=pool,
            ),
        )
    except httpx.InvalidURL as error:
        problem = str(error)
    raise ValueError(f"{request.url[:200]} cannot be asked: {problem}")


def timed_out(request: Request) -> APITimeoutError:
    """The error for a request whose time is over; nobody knows how far it got."""
    return APITimeoutError(f"{_named(request)}: no answer in time.", request_sent=True)


def _connection_error(error: httpx.TransportError, request: Request) -> APIConnectionError:
    sent = not isinstance(error, _NEVER_SENT)
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(
            f"{_named(request)}: "
            + ("no answer in time" if sent else "no connection in time")
            + f" ({type(error).__name__}).",
            request_sent=sent,
        )
    what = "the connection broke" if sent else "no connection"
    return APIConnectionError(f"{_named(request)}: {what} ({reason}).", request_sent=sent)


def _decoding_error(error: httpx.DecodingError, url: str) -> APIResponseError:
    return APIResponseError(f"{url} answered with a body that does not decompress ({error}).")


def _named(request: Request) -> str:
    return f"{request.method} {request.url}".strip()


def _check_proxy(proxy: str) -> None:
    try:
        httpx.Proxy(proxy)
    except (ValueError, TypeError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"proxy is a URL such as http://127.0.0.1:8080 ({type(error).__name__})."
        ) from None
