"""Connections by aiohttp, whose C parser needs less CPU than h11 (extra `aiohttp`)."""

from __future__ import annotations

import ssl

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
            trust_env=True,
        )

    transport = AiohttpTransport(verify=False, client=session)
    # Each request of ours says how long it may take.
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=None)  # noqa: S113
