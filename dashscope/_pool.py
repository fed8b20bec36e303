"""The connections: transports for httpx on httpcore's pools, in both colours.

One pool for each way out (direct, or a proxy) and scheme. The SSL context is made once, at the
first https request: each costs tens of milliseconds. In the blocking client every read and
write on a socket is bounded by the time that is left, which httpx by itself cannot do.
"""

from __future__ import annotations

import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

if TYPE_CHECKING:
    from dashscope._config import Config

P = TypeVar("P", httpcore.ConnectionPool, httpcore.AsyncConnectionPool)

KEEPALIVE_EXPIRY: Final = 4.0
"""Shorter than the five seconds after which common servers close, so that they rarely win."""

_ERRORS: Final[Mapping[type[Exception], type[httpx.TransportError]]] = {
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.ProtocolError: httpx.ProtocolError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}
_CORE_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class _Pools(ABC, Generic[P]):
    """The pools of one client (of one event loop), made when they are first needed."""

    def __init__(self, config: Config, tls: TLS) -> None:
        self._config = config
        self._tls = tls
        self._lock = threading.Lock()
        self._proxies = getproxies()
        self._pools: dict[tuple[str | None, str], P] = {}

    @abstractmethod
    def _make(self, proxy: httpx.Proxy | None, options: dict[str, Any]) -> P:
        """A pool for one way out."""

    def pool_for(self, url: httpx.URL) -> P:
        """The pool for a URL."""
        key = self._proxy_for(url), url.scheme
        pool = self._pools.get(key)
        if pool is None:
            with self._lock:
                pool = self._pools.get(key)
                if pool is None:
                    pool = self._pools[key] = self._new(*key)
        return pool

    def all(self) -> list[P]:
        """The pools made so far."""
        return list(self._pools.values())

    def _new(self, proxy: str | None, scheme: str) -> P:
        config = self._config
        options = {
            "ssl_context": self._tls.context() if scheme == "https" else None,
            "max_connections": config.max_connections,
            "max_keepalive_connections": config.max_connections,
            "keepalive_expiry": KEEPALIVE_EXPIRY,
            "http1": True,
            "http2": config.http2,
        }
        return self._make(None if proxy is None else httpx.Proxy(proxy), options)

    def _proxy_for(self, url: httpx.URL) -> str | None:
        if self._config.proxy is not None:
            return self._config.proxy
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy is None or proxy_bypass(url.netloc.decode("ascii")):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"


class TLS:
    """The SSL context of a client."""

    def __init__(self, verify: bool | ssl.SSLContext) -> None:
        self._verify = verify
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context, made at the first call."""
        with self._lock:
            if self._context is None:
                self._context = httpx.create_ssl_context(verify=self._verify)
            return self._context


class PoolTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`; belongs to one event loop."""

    def __init__(self, config: Config, tls: TLS) -> None:
        self._pools = _AsyncPools(config, tls)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the answer's head."""
        pool = self._pools.pool_for(request.url)
        try:
            response = await pool.handle_async_request(_core(request))
        except _CORE_ERRORS as error:
            raise _translated(error) from error
        return _response(response, _AsyncStream(response.stream))

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.all():
            await pool.aclose()


class BlockingPoolTransport(httpx.BaseTransport):
    """For `httpx.Client`; `left` tells a thread how many seconds its call has left."""

    def __init__(self, config: Config, tls: TLS, left: Callable[[], float | None]) -> None:
        self._pools = _BlockingPools(config, tls, left)
        # Threads wait here, and not within httpcore, whose waiting threads may be handed a
        # connection that another one is just closing.
        self._turns = threading.Semaphore(config.max_connections)
        self._left = left

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the answer's head."""
        pool = self._pools.pool_for(request.url)
        if not self._turns.acquire(timeout=self._left()):
            raise httpx.PoolTimeout("no connection came free in time")
        try:
            response = pool.handle_request(_core(request))
        except _CORE_ERRORS as error:
            self._turns.release()
            raise _translated(error) from error
        except BaseException:
            self._turns.release()
            raise
        return _response(response, _BlockingStream(response.stream, self._turns.release))

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.all():
            pool.close()


class _AsyncPools(_Pools[httpcore.AsyncConnectionPool]):
    def _make(
        self, proxy: httpx.Proxy | None, options: dict[str, Any]
    ) -> httpcore.AsyncConnectionPool:
        if proxy is None:
            return httpcore.AsyncConnectionPool(**options)
        kind: Any = httpcore.AsyncSOCKSProxy if _is_socks(proxy) else httpcore.AsyncHTTPProxy
        made: httpcore.AsyncConnectionPool = kind(**_proxied(proxy), **options)
        return made


class _BlockingPools(_Pools[httpcore.ConnectionPool]):
    def __init__(self, config: Config, tls: TLS, left: Callable[[], float | None]) -> None:
        super().__init__(config, tls)
        self._backend = _BoundedBackend(left)

    def _make(self, proxy: httpx.Proxy | None, options: dict[str, Any]) -> httpcore.ConnectionPool:
        options["network_backend"] = self._backend
        if proxy is None:
            return httpcore.ConnectionPool(**options)
        kind: Any = httpcore.SOCKSProxy if _is_socks(proxy) else httpcore.HTTPProxy
        made: httpcore.ConnectionPool = kind(**_proxied(proxy), **options)
        return made


class _BoundedBackend(httpcore.NetworkBackend):
    """Sockets whose every wait is bounded by the time that the calling thread has left."""

    def __init__(self, left: Callable[[], float | None]) -> None:
        self._backend = httpcore.SyncBackend()
        self._left = left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        bound = _bound(timeout, self._left(), httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, bound, local_address, socket_options)
        return _BoundedStream(stream, self._left)


class _BoundedStream(httpcore.NetworkStream):
    WRITTEN_AT_ONCE: Final = 256 * 1024

    def __init__(self, stream: httpcore.NetworkStream, left: Callable[[], float | None]) -> None:
        self._stream = stream
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        bound = _bound(timeout, self._left(), httpcore.ReadTimeout)
        return self._stream.read(max_bytes, bound)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), self.WRITTEN_AT_ONCE):
            bound = _bound(timeout, self._left(), httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + self.WRITTEN_AT_ONCE], bound)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        bound = _bound(timeout, self._left(), httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, bound)
        return _BoundedStream(stream, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncStream(httpx.AsyncByteStream):
    """Holds httpcore's iterator, which must not go before the stream was closed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._chunks: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks is None:
            self._chunks = aiter(self._stream)
        try:
            return await anext(self._chunks)
        except _CORE_ERRORS as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._chunks = None


class _BlockingStream(httpx.SyncByteStream):
    def __init__(self, stream: Any, done: Callable[[], None]) -> None:
        self._stream = stream
        self._done: Callable[[], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except _CORE_ERRORS as error:
            raise _translated(error) from error

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            done, self._done = self._done, None
            if done is not None:
                done()


def _bound(
    timeout: float | None, left: float | None, late: type[httpcore.TimeoutException]
) -> float | None:
    if left is None:
        return timeout
    if left <= 0:
        raise late("the time is up")
    return left if timeout is None else min(timeout, left)


def _is_socks(proxy: httpx.Proxy) -> bool:
    return proxy.url.scheme in ("socks5", "socks5h")


def _proxied(proxy: httpx.Proxy) -> dict[str, Any]:
    url = httpcore.URL(
        scheme=proxy.url.raw_scheme,
        host=proxy.url.raw_host,
        port=proxy.url.port,
        target=proxy.url.raw_path,
    )
    options: dict[str, Any] = {"proxy_url": url, "proxy_auth": proxy.raw_auth}
    if not _is_socks(proxy):
        options["proxy_headers"] = proxy.headers.raw
        options["proxy_ssl_context"] = proxy.ssl_context
    return options


def _core(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _response(
    response: httpcore.Response, stream: httpx.AsyncByteStream | httpx.SyncByteStream
) -> httpx.Response:
    untyped: Any = response
    return httpx.Response(
        response.status, headers=response.headers, stream=stream, extensions=untyped.extensions
    )


def _translated(error: Exception) -> httpx.TransportError:
    for kind in type(error).__mro__:
        if kind in _ERRORS:
            return _ERRORS[kind](str(error))
    raise AssertionError(f"not an error of httpcore's: {error!r}")
