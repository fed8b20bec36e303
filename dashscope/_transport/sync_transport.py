"""`SyncTransport`: sends through an `httpx.Client` per process, which threads share."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx

from dashscope._common.deadline import Deadline
from dashscope._common.secrets import Token
from dashscope._config import Config
from dashscope._runtime.drive import drive
from dashscope._runtime.forking import inherited
from dashscope._runtime.sync_runtime import SyncRuntime
from dashscope._runtime.warnings import warn
from dashscope._transport.bodies import Body, ReadBody, SyncBody
from dashscope._transport.clients import Given, library
from dashscope._transport.http_transports import transport_with
from dashscope._transport.httpx_internals import disable_cookies, honors_timeouts
from dashscope._transport.mapping import (
    SendState,
    build,
    build_for,
    named,
    timeouts_of,
    transport_errors,
)
from dashscope._transport.multipart import MultipartBody
from dashscope._transport.pool import TLS, SyncPool
from dashscope._transport.transport import NO_AUTH, NO_TIMEOUT, Transport, auth_for
from dashscope.types.http import Request


class SyncTransport(Transport):
    """Sends through an `httpx.Client` per process, which threads share.

    Args:
        config: The limits, the proxy and the certificates.
        runtime: How to wait.
        http_client: The caller's client, or a function that creates one.
    """

    def __init__(self, config: Config, runtime: SyncRuntime, http_client: Any = None) -> None:
        super().__init__(config, runtime)
        self._bounds = runtime.bounds
        self._given = None if http_client is None else Given(http_client, "Client")
        self.polls_beside_reads = self._given is None
        self._is_forked = False
        self._start()

    def _start(self) -> None:
        self._tls = TLS(self._config.verify)
        self._lock = threading.Lock()
        self._client: Any = None
        self._keep_open: Callable[[], object] | None = None
        self._pool: SyncPool | None = None

    @property
    def _library(self) -> ModuleType:
        return httpx if self._client is None else library(self._client)

    def _get_client(self) -> Any:
        """Return the client of this process."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._new_client()
        return self._client

    def _new_client(self) -> Any:
        given = self._given
        if given is None:
            pool = SyncPool(self._options, self._tls, self._bounds)
            transport = transport_with(pool)
            # Each request has its own timeouts. The environment's proxies are the pool's
            # concern.
            client = httpx.Client(transport=transport, trust_env=False, timeout=NO_TIMEOUT)
            disable_cookies(client)
            name = f"Client(base_url={self._config.base_url!r})"
            self._close_when_dropped(_dropped, pool, name)
            _pools.add(pool)
            self._pool = pool
            return client
        if given.ready is not None:
            if self._is_forked:
                # Two processes would read each other's responses.
                raise given.used_elsewhere("was created before this process was forked")
            found = given.ready
        else:
            found = given.create()
            self._close_when_dropped(found.close)
        self.honors_timeouts = honors_timeouts(found, library(found))
        return found

    def _close_when_dropped(self, close: Callable[..., object], *arguments: Any) -> None:
        finalizer = weakref.finalize(self, close, *arguments)
        finalizer.atexit = False
        self._keep_open = finalizer.detach

    async def _open(
        self,
        request: Request,
        multipart: MultipartBody | None,
        token: Token | None,
        is_own_origin: bool,
        deadline: Deadline,
        state: SendState,
    ) -> Body:
        client = self._get_client()
        content = self._stream(multipart) if multipart is not None else request.content
        timeouts = timeouts_of(request, deadline, pool=deadline.left())
        found, auth = httpx, NO_AUTH
        if self._given is None:
            built = build(request, token, content, multipart, timeouts, state)
        else:
            found = library(client)
            auth = auth_for(client, found, is_own_origin=is_own_origin)
            built = build_for(client, found, request, token, content, multipart, timeouts, state)
        response = client.send(built, stream=True, auth=auth, follow_redirects=False)
        try:
            if response.is_stream_consumed:
                return ReadBody(response, named(request), token)
            return SyncBody(response, named(request), transport_errors(found), token, self._bounds)
        except BaseException:  # an interrupt
            response.close()
            raise

    def _stream(self, body: MultipartBody) -> Iterator[bytes]:
        """Yield a multipart body."""
        for piece in body.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            sent = 0
            for chunk in piece.file.pieces():
                self._bounds.check("an upload")
                piece.tell(sent)
                yield chunk
                sent += len(chunk)
            piece.tell(sent)

    async def aclose(self) -> None:
        self._closed = True
        client = self._client
        if client is None or (self._given is not None and self._given.ready is not None):
            return
        if self._keep_open is not None:
            self._keep_open()
        client.close()

    def loaded_later(self) -> tuple[str, ...]:
        http2 = ("httpcore._sync.http2",) if self._config.http2 else ()
        return (*http2, "certifi", "encodings.idna")

    def forget(self) -> None:
        if self._keep_open is not None:
            self._keep_open()
        if self._pool is not None:
            _pools.discard(self._pool)
        inherited.append(self._client)
        self._start()
        self._is_forked = True


_pools: weakref.WeakSet[SyncPool] = weakref.WeakSet()
"""The pools of the clients that are open."""


def _dropped(pool: SyncPool, name: str) -> None:
    if pool.is_empty:
        return
    pool.close()
    warn(name, "close()")


@atexit.register
def _close_at_exit() -> None:
    # Not the connections that threads still use: those threads would raise.
    for pool in list(_pools):
        drive(pool.close_idle())
