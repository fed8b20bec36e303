"""`Transport`: sends one request and reads its response, async and sync."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

import httpx
from httpx_sse import ServerSentEvent

from dashscope._common.deadline import Deadline
from dashscope._common.installing import install_command
from dashscope._common.secrets import Token
from dashscope._config import Config
from dashscope._errors import ConfigurationError, timed_out
from dashscope._runtime import forking
from dashscope._runtime.runtime import Runtime
from dashscope._transport.bodies import Body, ReadBody
from dashscope._transport.decompression import decoded
from dashscope._transport.mapping import (
    SendState,
    connection_error,
    invalid_redirect,
    named,
    transport_errors,
    url_errors,
)
from dashscope._transport.multipart import MultipartBody, body_of
from dashscope._transport.pool import CLOSED, PoolOptions
from dashscope._transport.pool.proxies import Proxy
from dashscope._transport.pool.routes import parse_proxy
from dashscope._transport.sse import async_events, sync_events
from dashscope.types.http import Request, Response

NO_AUTH: Final = httpx.Auth()
"""Sends a request as it is: a user name in a server's URL is not for us to send."""

NO_TIMEOUT: Final = httpx.Timeout(None)
"""Our clients have no timeouts, because each request has its own."""


class Transport(ABC):
    """Sends one request and reads its response.

    The coroutines of the sync transport block the calling thread and never suspend.

    Args:
        config: The limits, the proxy and the certificates.
        runtime: How to wait.

    Attributes:
        honors_timeouts: Whether a read that takes too long ends, so that a sync client can
            listen to a stream and still poll. True for our own client.
        polls_beside_reads: Whether `Runtime.poll_beside()` polls while a read waits.
    """

    honors_timeouts = True
    polls_beside_reads = True

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._closed = False
        self._options = PoolOptions(
            max_connections=config.max_connections, http2=config.http2, proxy=config.proxy
        )
        check_options(self._options)
        forking.know(self)

    async def send(
        self,
        request: Request,
        *,
        token: Token | None,
        is_own_origin: bool,
        deadline: Deadline,
        limit: int,
    ) -> Response:
        """Send a request and read the whole response by the deadline.

        Args:
            request: The request.
            token: The token to send with it.
            is_own_origin: Whether the URL may receive the client's secrets.
            deadline: When the response must be complete.
            limit: The largest body in bytes.

        Raises:
            APITimeoutError: If the deadline or a timeout of the connection passed.
            APIConnectionError: If the connection was never established, or broke.
            APIResponseError: If the body has more than `limit` bytes.
        """
        state = SendState()
        with self._runtime.bound(deadline):
            body = await self.open(
                request, token=token, is_own_origin=is_own_origin, deadline=deadline, state=state
            )
            try:
                content = await body.read(limit)
            finally:
                await body.aclose()
            return Response(
                status=body.status, headers=body.headers, content=content, asked=body.asked
            )
        raise timed_out(named(request), request_sent=state.has_begun)

    async def open(
        self,
        request: Request,
        *,
        token: Token | None,
        is_own_origin: bool,
        deadline: Deadline,
        state: SendState,
    ) -> Body:
        """Send a request and read the head of the response.

        Raises:
            APITimeoutError: If the deadline or a timeout of the connection passed.
            APIConnectionError: If the connection was never established, or broke.
            ConfigurationError: If the `http_client` cannot be used here.
        """
        if self._closed:
            raise RuntimeError(CLOSED)
        multipart = body_of(request) if request.files else None
        try:
            body = await self._open(request, multipart, token, is_own_origin, deadline, state)
            # httpx has decoded a body that it read itself.
            return body if isinstance(body, ReadBody) else decoded(body)
        except transport_errors(self._library) as error:
            failure: Exception = connection_error(
                error, named(request), token=token, begun=state.has_begun
            )
        except url_errors(self._library) as error:
            failure = invalid_redirect(error, named(request), token)
        raise failure

    def async_events(self, body: Body) -> AsyncIterator[ServerSentEvent]:
        """Iterate over the server-sent events of an async client's body."""
        return async_events(body, self._config.max_response_bytes)

    def sync_events(self, body: Body, deadline: Deadline) -> Iterator[ServerSentEvent]:
        """Iterate over the server-sent events of a sync client's body, until a deadline."""
        return sync_events(
            body, self._config.max_response_bytes, lambda: self._runtime.bound(deadline)
        )

    @property
    @abstractmethod
    def _library(self) -> ModuleType:
        """`httpx` or `httpx2`."""

    @abstractmethod
    async def _open(
        self,
        request: Request,
        multipart: MultipartBody | None,
        token: Token | None,
        is_own_origin: bool,
        deadline: Deadline,
        state: SendState,
    ) -> Body: ...

    @abstractmethod
    async def aclose(self) -> None:
        """Close all connections. Later requests are rejected."""

    @abstractmethod
    def loaded_later(self) -> tuple[str, ...]:
        """Return the modules that requests load on first use. They are loaded before a fork."""

    @abstractmethod
    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone and start anew."""


def check_options(options: PoolOptions) -> None:
    """Check what can be checked before the first request.

    Raises:
        ConfigurationError: If the proxy is not a URL, or an extra is missing.
    """
    if options.proxy is not None:
        parse_proxy(Proxy.from_argument(options.proxy))
    if options.http2 and find_spec("h2") is None:
        raise ConfigurationError(f"http2=True requires: {install_command('http2')}")


def auth_for(client: Any, library: ModuleType, *, is_own_origin: bool) -> Any:
    """Return the `auth` to send with: a caller's own only goes where the token may go."""
    if library is httpx and not is_own_origin:
        return NO_AUTH
    return client.auth if is_own_origin and client.auth is not None else library.Auth()
