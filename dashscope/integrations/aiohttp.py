"""Connections by aiohttp, whose C parser needs less CPU than h11 (extra `aiohttp`)."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.request import getproxies

import httpx

try:
    import aiohttp
    from httpx_aiohttp import AiohttpTransport
except ImportError as error:
    raise ImportError("This needs: pip install 'dashscope-client[aiohttp]'") from error

__all__ = ["http_client"]


def http_client(
    *, max_connections: int = 1000, verify: bool | ssl.SSLContext = True
) -> httpx.AsyncClient:
    """An `http_client` for `AsyncClient` that sends its requests with aiohttp.

    It belongs to the event loop (asyncio or uvloop) of its first request, and is closed by
    whoever made it. The proxy environment variables count. `run()` and `wait()` poll.

    ```python
    import dashscope
    from dashscope.integrations.aiohttp import http_client

    async with http_client() as http, dashscope.AsyncClient(http_client=http) as client:
        output = await client.run("dashscope/hello-world", {"text": "Alice"})
    ```

    Args:
        max_connections: how many connections are open at once; further requests wait.
        verify: whether to verify certificates, or an `ssl.SSLContext`.
    """

    def session() -> aiohttp.ClientSession:
        # Made at the first request, by when there is an event loop.
        context = httpx.create_ssl_context(verify) if isinstance(verify, bool) else verify
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections, ssl=context, keepalive_timeout=4),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Looking for a proxy at each request costs two hops to a thread.
            trust_env=bool(getproxies()),
        )

    return _DirectClient(AiohttpTransport(verify=False, client=session))


class _DirectClient(httpx.AsyncClient):
    """Hands requests to the transport without what `AsyncClient` never asks for.

    Redirects, cookies and authentication of httpx's own are a third of a request's cost.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        # Each request of ours says how long it may take.
        super().__init__(transport=transport, trust_env=False, timeout=None)
        self._direct = transport

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; one of `dashscope`'s goes straight to the transport."""
        if options != {"stream": True, "auth": None, "follow_redirects": False}:
            return await super().send(request, **options)
        response = await self._direct.handle_async_request(request)
        response.request = request
        return response
