"""`AsyncPool` and `BlockingPool`: connections kept in a free list for each origin.

httpcore's own pool looks through all of its connections at each request and each answer. Here
a request takes the last one off a list and puts it back, so that it costs the same beside one
other and beside five hundred. The runtime calls `ask()`, and `aclose()` on the answer.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import anyio
import httpcore

from dashscope._transport.pool.idle import KEEPALIVE_EXPIRY, Idle, Key
from dashscope._transport.pool.limiter import Turn, Turns
from dashscope._transport.pool.network import BoundedBackend, ClosingBackend
from dashscope._transport.pool.routes import SOCKS, TLS, Routes
from dashscope._transport.pool.socks import blocking_greeting, greeting

if TYPE_CHECKING:
    from dashscope._config import Config

C = TypeVar("C", bound=httpcore.AsyncConnectionInterface | httpcore.ConnectionInterface)
P = TypeVar("P", bound=httpcore.AsyncConnectionPool | httpcore.ConnectionPool)
FRESH: Final = 1.5
"""Seconds for which a connection may have been idle to be used by what cannot be repeated.

Servers that keep connections close them after two seconds or more; what is on its way then may
be lost, and nobody knows whether it was carried out.
"""
LOOK: Final = 1.0
"""Seconds after which it is looked again which connections have been kept for too long."""
_NOT_REPEATED: Final = (b"POST", b"PATCH", b"PUT")

Later: TypeAlias = "Callable[[float, Callable[[], Coroutine[Any, Any, None]]], None]"


class Answer:
    """An answer whose body is still to be read.

    Attributes:
        status: the HTTP status.
        headers: the headers as they came.
        stream: the body as it came, to be iterated over in the pool's colour.
    """

    __slots__ = ("_close", "headers", "status", "stream")

    def __init__(
        self, response: httpcore.Response, close: Callable[[Any], Awaitable[None]]
    ) -> None:
        self.status = response.status
        self.headers: list[tuple[bytes, bytes]] = response.headers
        self.stream: AsyncIterable[bytes] | Iterable[bytes] = response.stream
        self._close: Callable[[Any], Awaitable[None]] | None = close

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        close, self._close = self._close, None
        if close is not None:
            await close(self.stream)


def _idle_for(request: httpcore.Request) -> float:
    return FRESH if request.method in _NOT_REPEATED else KEEPALIVE_EXPIRY


def _has_more(connection: Any) -> bool:
    """Did more come in than the answer? It would be taken for the next request's."""
    # httpcore has no way to ask: the connection's parser is inside its wrappers.
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    parser: Any = getattr(connection, "_h11_state", None)
    return parser is not None and bool(parser.trailing_data[0])


class Pool(ABC, Generic[C, P]):
    """What both colours have in common; the methods of the blocking one never suspend."""

    def __init__(self, config: Config, routes: Routes[P], *, shares: bool) -> None:
        self._routes = routes
        self._shares = shares
        self._most = config.max_connections
        self._idle: Idle[C] = Idle()
        self._busy: set[C] = set()
        self._closed = False

    @abstractmethod
    async def _take_turn(self) -> Turn | None:
        """Wait until fewer than `max_connections` are in use."""

    @abstractmethod
    def _end_turn(self, turn: Turn | None) -> None: ...

    @abstractmethod
    async def _send(self, connection: C | P, request: httpcore.Request) -> httpcore.Response: ...

    @abstractmethod
    async def _close(self, closing: Any) -> None:
        """Close a connection, a pool or a stream, whoever is cancelled meanwhile."""

    @abstractmethod
    def _greeting(self) -> Callable[..., object]:
        """What looks after the greeting of a SOCKS proxy."""

    @abstractmethod
    async def _look_after(self) -> None:
        """See to it that connections which nobody uses are closed before long."""

    @abstractmethod
    def _open(self, route: P, request: httpcore.Request) -> C: ...

    async def ask(self, request: httpcore.Request) -> Answer:
        """Send a request and read the answer's head.

        Raises:
            httpcore's errors.
        """
        url = request.url
        route = self._routes.to(url)
        if isinstance(route, SOCKS):
            untyped: Any = request
            untyped.extensions["trace"] = self._greeting()
        turn = await self._take_turn()
        connection: C | None = None
        try:
            if self._shares and url.scheme == b"https":
                return self._shared(await self._send(route, request), turn)
            key = (route, url.host, url.port)
            connection, useless = self._idle.take(key, _idle_for(request))
            if connection is None:
                if len(self._busy) + len(self._idle) >= self._most:
                    oldest = self._idle.oldest()
                    useless += [oldest] if oldest is not None else []
                connection = self._open(route, request)
            self._busy.add(connection)
            for useless_one in useless:
                await self._close(useless_one)
            response = await self._send(connection, request)
        except BaseException:
            try:
                if connection is not None:
                    await self._drop(connection)
            finally:
                self._end_turn(turn)
            raise
        used = connection

        async def back(stream: Any) -> None:
            try:
                try:
                    await self._close(stream)
                except BaseException:
                    # Interrupted in the middle, it may look idle and yet be of no use.
                    await self._drop(used)
                    raise
                await self._back(key, used)
            finally:
                self._end_turn(turn)

        return Answer(response, back)

    async def _back(self, key: Key, connection: C) -> None:
        if not connection.is_idle() or self._closed or _has_more(connection):
            await self._drop(connection)
            return
        self._busy.discard(connection)
        self._idle.put(key, connection)
        await self._look_after()

    def _shared(self, response: httpcore.Response, turn: Turn | None) -> Answer:
        async def back(stream: Any) -> None:
            try:
                await self._close(stream)
                await self._look_after()
            finally:
                self._end_turn(turn)

        return Answer(response, back)

    async def _drop(self, connection: C) -> None:
        self._busy.discard(connection)
        await self._close(connection)

    @property
    def is_empty(self) -> bool:
        """Has it no connection, in use or not?"""
        return not self._busy and len(self._idle) == 0

    async def _close_expired(self) -> None:
        """Close the connections that have been kept for too long."""
        # One at a time: where this is cancelled, the list still has the others.
        while (expired := self._idle.expired()) is not None:
            await self._close(expired)

    async def close_idle(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._idle.all():
            await self._close(connection)

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        self._closed = True
        for connection in [*self._idle.all(), *self._busy]:
            await self._drop(connection)
        for route in self._routes.all():
            await self._close(route)


class AsyncPool(Pool[httpcore.AsyncConnectionInterface, httpcore.AsyncConnectionPool]):
    """The connections of an async client in one event loop.

    `later` starts a call in that loop, after a number of seconds.
    """

    def __init__(self, config: Config, tls: TLS, later: Later) -> None:
        kinds = (httpcore.AsyncConnectionPool, httpcore.AsyncHTTPProxy, httpcore.AsyncSOCKSProxy)
        routes = Routes(config, tls, kinds, ClosingBackend())
        super().__init__(config, routes, shares=config.http2)
        self._turns = anyio.Semaphore(config.max_connections, fast_acquire=True)
        self._later = later
        self._is_watched = False

    async def _take_turn(self) -> None:
        await self._turns.acquire()

    def _end_turn(self, turn: Turn | None) -> None:
        self._turns.release()

    async def _send(
        self,
        connection: httpcore.AsyncConnectionInterface | httpcore.AsyncConnectionPool,
        request: httpcore.Request,
    ) -> httpcore.Response:
        return await connection.handle_async_request(request)

    async def _close(self, closing: Any) -> None:
        with anyio.CancelScope(shield=True):
            await closing.aclose()

    def _greeting(self) -> Callable[..., object]:
        return greeting()

    async def _look_after(self) -> None:
        if not self._is_watched:
            self._is_watched = True
            self._later(LOOK, self._look)

    async def _look(self) -> None:
        try:
            await self._close_expired()
            for connection in self._shared_connections():
                if connection.is_idle() and connection.has_expired():
                    await self._close(connection)
        finally:
            self._is_watched = False
        if len(self._idle) or self._shared_connections():
            await self._look_after()

    def _shared_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        """Those that httpcore keeps itself, and closes at its next request only."""
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


class BlockingPool(Pool[httpcore.ConnectionInterface, httpcore.ConnectionPool]):
    """The connections of a blocking client; `left` tells a thread the seconds its call has left."""

    def __init__(self, config: Config, tls: TLS, left: Callable[[], float | None]) -> None:
        kinds = (httpcore.ConnectionPool, httpcore.HTTPProxy, httpcore.SOCKSProxy)
        routes = Routes(config, tls, kinds, BoundedBackend(left))
        # Threads that share an HTTP/2 connection of httpcore's may take the same stream of it.
        super().__init__(config, routes, shares=False)
        self._turns = Turns(config.max_connections)
        self._left = left
        self._look_at = 0.0

    async def _take_turn(self) -> Turn:
        turn = self._turns.take(self._left())
        if turn is None:
            raise httpcore.PoolTimeout("no connection came free in time")
        return turn

    def _end_turn(self, turn: Turn | None) -> None:
        if turn is not None:
            self._turns.give(turn)

    async def _send(
        self,
        connection: httpcore.ConnectionInterface | httpcore.ConnectionPool,
        request: httpcore.Request,
    ) -> httpcore.Response:
        return connection.handle_request(request)

    async def _close(self, closing: Any) -> None:
        closing.close()

    def _greeting(self) -> Callable[..., object]:
        return blocking_greeting()

    async def _look_after(self) -> None:
        # A thread could do so while nothing is asked, but a fork beside it is one that Python warns
        # of, and servers that may not have threads use this client.
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK
            await self._close_expired()

    def _open(
        self, route: httpcore.ConnectionPool, request: httpcore.Request
    ) -> httpcore.ConnectionInterface:
        return route.create_connection(request.url.origin)
