"""`AsyncTransport`: sends through an `httpx.AsyncClient` per event loop."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import aclosing
from types import ModuleType
from typing import Any

import httpx
from anyio.lowlevel import RunVar

from dashscope._common.deadline import Deadline
from dashscope._common.secrets import Token
from dashscope._config import Config
from dashscope._runtime.forking import async_modules, inherited
from dashscope._runtime.runtime import Runtime
from dashscope._runtime.tasks import start_later
from dashscope._transport.bodies import AsyncBody, Body, ReadBody
from dashscope._transport.clients import Given, LoopClient, close_when_dropped, library
from dashscope._transport.http_transports import async_transport_with
from dashscope._transport.httpx_internals import disable_cookies
from dashscope._transport.mapping import (
    SendState,
    build,
    build_for,
    named,
    timeouts_of,
    transport_errors,
)
from dashscope._transport.multipart import MultipartBody
from dashscope._transport.pool import TLS, AsyncPool
from dashscope._transport.transport import NO_AUTH, NO_TIMEOUT, Transport, auth_for
from dashscope.types.http import Request


class AsyncTransport(Transport):
    """Sends through an `httpx.AsyncClient` per event loop: asyncio, uvloop and trio.

    Args:
        config: The limits, the proxy and the certificates.
        runtime: How to wait.
        http_client: The caller's client, or a function that creates one.
    """

    def __init__(self, config: Config, runtime: Runtime, http_client: Any = None) -> None:
        super().__init__(config, runtime)
        self._given = None if http_client is None else Given(http_client, "AsyncClient")
        self._is_forked = False
        self._start()

    def _start(self) -> None:
        self._tls = TLS(self._config.verify)
        # The loop holds a weak reference only: the connections live as long as our client.
        self._here: RunVar[weakref.ref[LoopClient] | None] = RunVar("dashscope client", None)
        self._is_first_loop: RunVar[bool] = RunVar("dashscope first loop", False)
        self._has_first_loop = False
        self._clients: set[LoopClient] = set()
        self._last_library: ModuleType = httpx
        name = f"AsyncClient(base_url={self._config.base_url!r})"
        self._keep_open = close_when_dropped(self, self._clients, name)

    @property
    def _library(self) -> ModuleType:
        return self._last_library

    async def _client(self) -> Any:
        """Return the client of the running event loop."""
        given = self._given
        if given is not None and given.ready is not None:
            self._check_loop(given)
            return given.ready
        here = self._here.get()
        held = here() if here is not None else None
        if held is None:
            client = self._new_client() if given is None else given.create()
            self._last_library = library(client)
            held = LoopClient(client, self._clients)
            self._here.set(weakref.ref(held))
            await held.enter()
        return held.client

    def _new_client(self) -> httpx.AsyncClient:
        pool = AsyncPool(self._options, self._tls, start_later)
        transport = async_transport_with(pool)
        # Each request has its own timeouts. The environment's proxies are the pool's concern.
        client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=NO_TIMEOUT)
        disable_cookies(client)
        return client

    def _check_loop(self, given: Given) -> None:
        """Check that a ready-made client is used in the process and event loop of its first use.

        Its connections belong to that loop, and two processes would read each other's responses.
        """
        if self._is_forked:
            raise given.used_elsewhere("was created before this process was forked")
        if not self._has_first_loop:
            self._has_first_loop = True
            self._last_library = library(given.ready)
            self._is_first_loop.set(True)
        elif not self._is_first_loop.get():
            raise given.used_elsewhere("was already used in another event loop")

    async def _open(
        self,
        request: Request,
        multipart: MultipartBody | None,
        token: Token | None,
        is_own_origin: bool,
        deadline: Deadline,
        state: SendState,
    ) -> Body:
        if multipart is None:
            return await self._send(
                request, request.content, None, token, is_own_origin, deadline, state
            )
        async with aclosing(self._stream(multipart)) as content:
            return await self._send(
                request, content, multipart, token, is_own_origin, deadline, state
            )

    async def _send(
        self,
        request: Request,
        content: bytes | AsyncIterable[bytes] | None,
        multipart: MultipartBody | None,
        token: Token | None,
        is_own_origin: bool,
        deadline: Deadline,
        state: SendState,
    ) -> Body:
        client = await self._client()
        timeouts = timeouts_of(request, deadline, pool=None)
        library, auth = httpx, NO_AUTH
        if self._given is None:
            built = build(request, token, content, multipart, timeouts, state)
        else:
            library = self._last_library
            auth = auth_for(client, library, is_own_origin=is_own_origin)
            built = build_for(client, library, request, token, content, multipart, timeouts, state)
        response = await client.send(built, stream=True, auth=auth, follow_redirects=False)
        if response.is_stream_consumed:
            return ReadBody(response, named(request), token)
        return AsyncBody(response, named(request), transport_errors(library), token)

    async def _stream(self, body: MultipartBody) -> AsyncGenerator[bytes, None]:
        """Yield a multipart body. Its files are read in worker threads."""
        for piece in body.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            sent, pieces = 0, piece.file.pieces()
            while (chunk := await self._runtime.in_thread(_next, pieces)) is not None:
                piece.tell(sent)
                yield chunk
                sent += len(chunk)
            piece.tell(sent)

    async def aclose(self) -> None:
        self._closed = True
        here = self._here.get()
        held = here() if here is not None else None
        if held is not None:
            await held.aclose()
        for other in list(self._clients):
            other.close_soon()

    def loaded_later(self) -> tuple[str, ...]:
        return (*async_modules(http2=self._config.http2), "certifi", "encodings.idna")

    def forget(self) -> None:
        self._keep_open()
        inherited.append(self._clients)
        self._start()
        self._is_forked = True


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)
