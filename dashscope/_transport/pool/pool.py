"""`AsyncPool` and `SyncPool`: idle connections are kept in one free list per origin.

httpcore's own pool searches all of its connections at each request and each response. Here a
request takes a connection from the end of a list and puts it back, so that a request costs the
same with one and with five hundred in flight. httpx's transport calls `handle_request()` or
`handle_async_request()`, and closes the stream of the response.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

import anyio
import httpcore

from dashscope._runtime.drive import drive
from dashscope._runtime.thread_limits import Bounds
from dashscope._transport.http2 import NOT_PROCESSED, StreamId, is_not_processed
from dashscope._transport.httpx_internals import has_unread_data
from dashscope._transport.mapping import SEND_STATE
from dashscope._transport.pool.idle import KEEPALIVE_EXPIRY, IdleConnections, Key
from dashscope._transport.pool.limiter import ConnectionLimiter, Permit
from dashscope._transport.pool.network import AsyncBackend, SyncBackend
from dashscope._transport.pool.options import PoolOptions
from dashscope._transport.pool.routes import SOCKS, TLS, Routes
from dashscope._transport.pool.socks import async_handshake_trace, handshake_trace

C = TypeVar("C", bound=httpcore.AsyncConnectionInterface | httpcore.ConnectionInterface)
P = TypeVar("P", bound=httpcore.AsyncConnectionPool | httpcore.ConnectionPool)
FRESH: Final = 1.5
"""Seconds for which a connection may have been idle to be used by an unrepeatable request.

Servers close idle connections after two seconds or more. A request sent at that moment is lost,
and nobody knows whether it was executed.
"""
MAINTENANCE_INTERVAL: Final = 1.0
"""Seconds between two searches for idle connections that have expired."""
CLOSED: Final = "this client is closed: make a new one, or close it later"
_NOT_CONNECTED: Final = ("CONNECTING", "CONNECTION FAILED")
_NOT_REPEATED: Final = (b"POST", b"PATCH")

StartLater: TypeAlias = "Callable[[float, Callable[[], Coroutine[Any, Any, None]]], None]"
"""Starts a call in the running event loop after a number of seconds."""


class PooledStream:
    """The body of a response, which returns its connection to the pool when it is closed."""

    __slots__ = ("_close", "_stream")

    def __init__(self, stream: Any, close: Callable[[Any], Awaitable[None]]) -> None:
        self._stream = stream
        self._close: Callable[[Any], Awaitable[None]] | None = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end."""
        close, self._close = self._close, None
        if close is not None:
            await close(self._stream)

    def close(self) -> None:
        """As `aclose()`, for the sync pool."""
        drive(self.aclose())


class Pool(ABC, Generic[C, P]):
    """What both pools have in common. The coroutines of the sync pool never suspend.

    Args:
        options: The limits.
        routes: Opens connections, directly or through a proxy.
        shares_http2: Whether httpcore's own pool may share HTTP/2 connections among requests.
    """

    def __init__(self, options: PoolOptions, routes: Routes[P], *, shares_http2: bool) -> None:
        self._routes = routes
        self._http2 = options.http2
        self._shares_http2 = shares_http2
        self._max_connections = options.max_connections
        self._idle: IdleConnections[C] = IdleConnections()
        self._busy: set[C] = set()
        self._closed = False

    @abstractmethod
    async def _acquire(self) -> Permit | None:
        """Wait until fewer than `max_connections` are in use."""

    @abstractmethod
    def _release(self, permit: Permit | None) -> None: ...

    @abstractmethod
    async def _send(self, connection: C | P, request: httpcore.Request) -> httpcore.Response: ...

    @abstractmethod
    async def _close(self, closing: Any) -> None:
        """Close a connection, a pool or a stream, even if the caller is canceled meanwhile."""

    @abstractmethod
    def _handshake_trace(self) -> Callable[..., object]:
        """Return the trace function that closes the socket of a failed SOCKS handshake."""

    @abstractmethod
    def _stream_trace(self, stream: StreamId, inner: Any) -> Callable[..., object]:
        """Return the trace function that tells `stream` its id, and calls `inner`."""

    @abstractmethod
    async def _schedule_maintenance(self) -> None:
        """Make sure that expired idle connections are closed soon."""

    @abstractmethod
    def _open(self, route: P, request: httpcore.Request) -> C: ...

    async def _handle(self, request: httpcore.Request) -> httpcore.Response:
        url = request.url
        route = self._routes.to(url)
        untyped: Any = request
        if isinstance(route, SOCKS):
            untyped.extensions = {**untyped.extensions, "trace": self._handshake_trace()}
        stream: StreamId | None = None
        if self._http2 and url.scheme == b"https":
            stream = StreamId()
            trace = self._stream_trace(stream, untyped.extensions.get("trace"))
            untyped.extensions = {**untyped.extensions, "trace": trace}
        try:
            permit = await self._acquire()
        except BaseException:
            _record_unsent(request)
            raise
        connection: C | None = None
        try:
            self._check_open()  # it may have been closed while this request waited
            if self._shares_http2 and url.scheme == b"https":
                return self._shared(await self._send_by(route, route, request, stream), permit)
            key = (route, url.host, url.port)
            connection, expired = self._idle.take(key, _idle_limit(request))
            if connection is None:
                if len(self._busy) + len(self._idle) >= self._max_connections:
                    oldest = self._idle.oldest()
                    expired += [oldest] if oldest is not None else []
                connection = self._open(route, request)
            self._busy.add(connection)
            for one in expired:
                await self._close(one)
            response = await self._send_by(route, connection, request, stream)
        except BaseException:
            try:
                if connection is not None:
                    if connection.info() in _NOT_CONNECTED:
                        _record_unsent(request)
                    await self._drop(connection)
            finally:
                self._release(permit)
            raise
        used = connection

        async def put_back(stream: Any) -> None:
            try:
                try:
                    await self._close(stream)
                except BaseException:
                    # After an interrupt the connection may look idle, but cannot be used.
                    await self._drop(used)
                    raise
                await self._put_back(key, used)
            finally:
                self._release(permit)

        return _pooled(response, put_back)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(CLOSED)

    async def _send_by(
        self, route: P, connection: C | P, request: httpcore.Request, stream: StreamId | None
    ) -> httpcore.Response:
        """Send a request. An error that happens behind a proxy names the proxy."""
        try:
            return await self._send(connection, request)
        except httpcore.RemoteProtocolError as error:
            if stream is not None and is_not_processed(error, stream.id):
                raise httpcore.ConnectError(NOT_PROCESSED) from error
            raise
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProxyError) as error:
            proxy = self._routes.proxy_of(route)
            if proxy is None:
                raise
            reason = str(error) or type(error).__name__
            raise type(error)(f"{reason}, through the proxy {proxy}") from error

    async def _put_back(self, key: Key, connection: C) -> None:
        if not connection.is_idle() or self._closed or has_unread_data(connection):
            await self._drop(connection)
            return
        self._busy.discard(connection)
        self._idle.put(key, connection)
        await self._schedule_maintenance()

    def _shared(self, response: httpcore.Response, permit: Permit | None) -> httpcore.Response:
        async def put_back(stream: Any) -> None:
            try:
                await self._close(stream)
                await self._schedule_maintenance()
            finally:
                self._release(permit)

        return _pooled(response, put_back)

    async def _drop(self, connection: C) -> None:
        self._busy.discard(connection)
        await self._close(connection)

    @property
    def is_empty(self) -> bool:
        """True if there is no connection, in use or idle."""
        return not self._busy and len(self._idle) == 0

    async def _close_expired(self) -> None:
        """Close the idle connections that have expired."""
        # One at a time: if this is canceled, the others are still in the list.
        while (expired := self._idle.expired()) is not None:
            await self._close(expired)

    async def close_idle(self) -> None:
        """Close the connections that are not in use."""
        for connection in self._idle.all():
            await self._close(connection)

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        self._closed = True
        for connection in [*self._idle.all(), *self._busy]:
            await self._drop(connection)
        for route in self._routes.all():
            await self._close(route)


class AsyncPool(Pool[httpcore.AsyncConnectionInterface, httpcore.AsyncConnectionPool]):
    """The connections of one event loop.

    Args:
        options: How to connect.
        tls: The SSL context.
        start_later: Starts a call in this event loop after a number of seconds.
    """

    def __init__(self, options: PoolOptions, tls: TLS, start_later: StartLater) -> None:
        kinds = (httpcore.AsyncConnectionPool, httpcore.AsyncHTTPProxy, httpcore.AsyncSOCKSProxy)
        routes = Routes(options, tls, kinds, AsyncBackend())
        super().__init__(options, routes, shares_http2=options.http2)
        self._permits = anyio.Semaphore(options.max_connections, fast_acquire=True)
        self._start_later = start_later
        self._is_scheduled = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request and read the head of its response.

        Closing the response's stream returns the connection to the pool.

        Raises:
            Exception: httpcore's errors.
            RuntimeError: If the pool was closed.
        """
        return await self._handle(request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _acquire(self) -> Permit | None:
        await self._permits.acquire()
        return None

    def _release(self, permit: Permit | None) -> None:
        self._permits.release()

    async def _send(
        self,
        connection: httpcore.AsyncConnectionInterface | httpcore.AsyncConnectionPool,
        request: httpcore.Request,
    ) -> httpcore.Response:
        return await connection.handle_async_request(request)

    async def _close(self, closing: Any) -> None:
        with anyio.CancelScope(shield=True):
            await closing.aclose()

    def _handshake_trace(self) -> Callable[..., object]:
        return async_handshake_trace()

    def _stream_trace(self, stream: StreamId, inner: Any) -> Callable[..., object]:
        return stream.async_trace(inner)

    async def _schedule_maintenance(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._start_later(MAINTENANCE_INTERVAL, self._maintain)

    async def _maintain(self) -> None:
        try:
            await self._close_expired()
            for connection in self._shared_connections():
                if connection.is_idle() and connection.has_expired():
                    await self._close(connection)
        finally:
            self._is_scheduled = False
        if len(self._idle) or self._shared_connections():
            await self._schedule_maintenance()

    def _shared_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        """Return those that httpcore keeps itself, and would close only at its next request."""
        return [
            connection
            for route in self._routes.all()
            for connection in route.connections
            if not connection.is_closed()
        ]

    def _open(
        self, route: httpcore.AsyncConnectionPool, request: httpcore.Request
    ) -> httpcore.AsyncConnectionInterface:
        return route.create_connection(request.url.origin)


class SyncPool(Pool[httpcore.ConnectionInterface, httpcore.ConnectionPool]):
    """The connections of a process, shared by its threads.

    Args:
        options: How to connect.
        tls: The SSL context.
        bounds: How long the calling thread may wait, and what it does meanwhile.
    """

    def __init__(self, options: PoolOptions, tls: TLS, bounds: Bounds) -> None:
        kinds = (httpcore.ConnectionPool, httpcore.HTTPProxy, httpcore.SOCKSProxy)
        routes = Routes(options, tls, kinds, SyncBackend(bounds))
        # Threads that share an HTTP/2 connection of httpcore may take the same stream of it.
        super().__init__(options, routes, shares_http2=False)
        self._limiter = ConnectionLimiter(options.max_connections)
        self._bounds = bounds
        self._next_maintenance = 0.0

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request and read the head of its response.

        Closing the response's stream returns the connection to the pool.

        Raises:
            Exception: httpcore's errors.
            RuntimeError: If the pool was closed.
        """
        return drive(self._handle(request))

    def close(self) -> None:
        """Close all connections, including those in use."""
        drive(self.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _acquire(self) -> Permit:
        permit = self._limiter.acquire(self._bounds.left())
        if permit is None:
            raise httpcore.PoolTimeout("no connection became free in time")
        return permit

    def _release(self, permit: Permit | None) -> None:
        if permit is not None:
            self._limiter.release(permit)

    async def _send(
        self,
        connection: httpcore.ConnectionInterface | httpcore.ConnectionPool,
        request: httpcore.Request,
    ) -> httpcore.Response:
        return connection.handle_request(request)

    async def _close(self, closing: Any) -> None:
        closing.close()

    def _handshake_trace(self) -> Callable[..., object]:
        return handshake_trace()

    def _stream_trace(self, stream: StreamId, inner: Any) -> Callable[..., object]:
        return stream.trace(inner)

    async def _schedule_maintenance(self) -> None:
        # A thread could do this while the client is idle, but Python warns of forks beside
        # threads, and servers that may not have threads use this client.
        now = time.monotonic()
        if now >= self._next_maintenance:
            self._next_maintenance = now + MAINTENANCE_INTERVAL
            await self._close_expired()

    def _open(
        self, route: httpcore.ConnectionPool, request: httpcore.Request
    ) -> httpcore.ConnectionInterface:
        return route.create_connection(request.url.origin)


def _record_unsent(request: httpcore.Request) -> None:
    """Record that nothing was sent, even if the call is canceled before the connection fails."""
    untyped: Any = request
    state = untyped.extensions.get(SEND_STATE)
    if state is not None:
        state.has_begun = False


def _idle_limit(request: httpcore.Request) -> float:
    return FRESH if request.method in _NOT_REPEATED else KEEPALIVE_EXPIRY


def _pooled(
    response: httpcore.Response, put_back: Callable[[Any], Awaitable[None]]
) -> httpcore.Response:
    response.stream = PooledStream(response.stream, put_back)
    return response
