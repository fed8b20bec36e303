"""httpx's transports with our connection pool, for a caller's own httpx client as well."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

from dashscope._runtime.tasks import start_later
from dashscope._runtime.thread_limits import Bounds
from dashscope._transport.httpx_internals import set_pool
from dashscope._transport.pool import TLS, AsyncPool, PoolOptions, SyncPool
from dashscope._transport.transport import check_options

DEFAULT_MAX_CONNECTIONS: Final = 1000


class AsyncHTTPTransport(httpx.AsyncHTTPTransport):
    """An `httpx.AsyncHTTPTransport` whose cost per request does not grow with concurrency.

    The connections belong to the event loop of the first request.

    Args:
        verify: Whether to verify certificates, or an `ssl.SSLContext`.
        http2: Whether to use HTTP/2 where the server supports it (extra `http2`).
        proxy: The URL of a proxy. Defaults to the proxies of the environment.
        max_connections: The number of connections open at once. Further requests wait.

    Raises:
        ConfigurationError: If the proxy is not a URL, or an extra is missing.

    Example:
        ```python
        import httpx

        from dashscope import AsyncHTTPTransport

        async with httpx.AsyncClient(transport=AsyncHTTPTransport()) as http:
            response = await http.get("http://127.0.0.1:3274/v1/account")
        ```
    """

    def __init__(
        self,
        *,
        verify: bool | ssl.SSLContext = True,
        http2: bool = False,
        proxy: str | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
    ) -> None:
        options = PoolOptions(max_connections=max_connections, http2=http2, proxy=proxy)
        check_options(options)
        set_pool(self, AsyncPool(options, TLS(verify), start_later))


class HTTPTransport(httpx.HTTPTransport):
    """An `httpx.HTTPTransport` whose cost per request does not grow with concurrency.

    Threads can share it.

    Args:
        verify: Whether to verify certificates, or an `ssl.SSLContext`.
        http2: Whether to use HTTP/2 where the server supports it (extra `http2`).
        proxy: The URL of a proxy. Defaults to the proxies of the environment.
        max_connections: The number of connections open at once. Further requests wait.

    Raises:
        ConfigurationError: If the proxy is not a URL, or an extra is missing.

    Example:
        ```python
        import httpx

        from dashscope import HTTPTransport

        with httpx.Client(transport=HTTPTransport()) as http:
            response = http.get("http://127.0.0.1:3274/v1/account")
        ```
    """

    def __init__(
        self,
        *,
        verify: bool | ssl.SSLContext = True,
        http2: bool = False,
        proxy: str | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
    ) -> None:
        options = PoolOptions(max_connections=max_connections, http2=http2, proxy=proxy)
        check_options(options)
        set_pool(self, SyncPool(options, TLS(verify), Bounds()))


AsyncHTTPTransport.__module__ = HTTPTransport.__module__ = "dashscope"


def async_transport_with(pool: AsyncPool) -> AsyncHTTPTransport:
    """Return a transport that uses an existing pool."""
    transport = AsyncHTTPTransport.__new__(AsyncHTTPTransport)
    set_pool(transport, pool)
    return transport


def transport_with(pool: SyncPool) -> HTTPTransport:
    """Return a transport that uses an existing pool."""
    transport = HTTPTransport.__new__(HTTPTransport)
    set_pool(transport, pool)
    return transport
