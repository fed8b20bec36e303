"""Connections with aiohttp, whose C parser needs less CPU than h11 (extra `aiohttp`)."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.request import getproxies

import httpx

from dashscope._common.installing import install_command

try:
    import aiohttp
    from httpx_aiohttp import AiohttpTransport
except ImportError as error:
    raise ImportError(
        f"httpx-aiohttp is not installed. Run: {install_command('aiohttp')}"
    ) from error

__all__ = ["http_client"]


def http_client(
    *, max_connections: int = 1000, verify: bool | ssl.SSLContext = True
) -> httpx.AsyncClient:
    """Return an `http_client` for `AsyncClient` that sends requests with aiohttp.

    The client belongs to the event loop (asyncio or uvloop) of its first request, and you close it.
    The proxy environment variables apply. `run()` and `wait()` poll.

    Args:
        max_connections: How many connections may be open at once. Further requests wait.
        verify: Whether to verify certificates, or an `ssl.SSLContext`.

    Returns:
        The client.

    Raises:
        ImportError: If the extra is not installed. Raised on import.

    Example:
        ```python
        import dashscope
        from dashscope.integrations.aiohttp import http_client

        async with http_client() as http, dashscope.AsyncClient(http_client=http) as client:
            output = await client.run("dashscope/hello-world", {"text": "Alice"})
        ```
    """

    def session() -> aiohttp.ClientSession:
        # Called for the first request, when an event loop is running.
        context = httpx.create_ssl_context(verify) if isinstance(verify, bool) else verify
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections, ssl=context, keepalive_timeout=4),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Looking up a proxy for each request switches to a thread twice.
            trust_env=bool(getproxies()),
        )

    return _DirectClient(AiohttpTransport(verify=False, client=session))


class _DirectClient(httpx.AsyncClient):
    """Passes requests to the transport directly.

    Redirects, cookies and authentication of httpx are never needed here, and take a third of a
    request's time.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        # Each request has its own timeouts.
        super().__init__(transport=transport, trust_env=False, timeout=None)
        self._direct = transport

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request, directly to the transport if it comes from `dashscope`."""
        auth = options.get("auth")
        if type(auth) is not httpx.Auth or options != {
            "stream": True,
            "auth": auth,
            "follow_redirects": False,
        }:
            return await super().send(request, **options)
        response = await self._direct.handle_async_request(request)
        response.request = request
        return response
