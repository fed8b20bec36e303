"""The sockets beneath the connections: httpcore's, with two promises more.

None is left open when a TLS handshake is given up, for whatever reason. And in the blocking
client every read and write is bounded by the time that the calling thread's call has left,
where httpcore bounds each by the same time, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import httpcore

if TYPE_CHECKING:
    import ssl


class ClosingBackend(httpcore.AsyncNetworkBackend):
    """Sockets of asyncio, uvloop and trio."""

    def __init__(self) -> None:
        self._backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._backend.connect_tcp(
                host, port, timeout, local_address, socket_options
            )
        except ValueError as error:
            # anyio tries each address in a task of its own. Where the end of the loop cancels
            # those, and not the call (which cancels a prediction, say), its group is empty.
            raise httpcore.ConnectError(f"the attempt was cancelled ({error})") from error
        return _ClosingStream(stream)


class _ClosingStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise
        return _ClosingStream(stream)

    def get_extra_info(self, info: str) -> Any:
        try:
            return self._stream.get_extra_info(info)
        except AttributeError:  # uvloop has let go of the socket: the connection was reset
            if info == "is_readable":
                return True
        # Only asked for when the connection is made: nothing has been sent yet.
        raise httpcore.ConnectError("the connection was reset")


class BoundedBackend(httpcore.NetworkBackend):
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
    WRITTEN_AT_ONCE: Final = 64 * 1024

    def __init__(self, stream: httpcore.NetworkStream, left: Callable[[], float | None]) -> None:
        self._stream = stream
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        bound = _bound(timeout, self._left(), httpcore.ReadTimeout)
        return self._stream.read(max_bytes, bound)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A view: of what the socket does not take at once, httpcore copies the rest.
        view: Any = memoryview(buffer)
        for start in range(0, len(view), self.WRITTEN_AT_ONCE):
            bound = _bound(timeout, self._left(), httpcore.WriteTimeout)
            self._stream.write(view[start : start + self.WRITTEN_AT_ONCE], bound)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            bound = _bound(timeout, self._left(), httpcore.ConnectTimeout)
            self._check_connected()
            stream = self._stream.start_tls(ssl_context, server_hostname, bound)
        except BaseException:
            self._stream.close()
            raise
        return _BoundedStream(stream, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _check_connected(self) -> None:
        # The ssl module takes a connection that was reset for one that is still to be made, and
        # leaves it open, or leaves out the handshake.
        try:
            self._stream.get_extra_info("socket").getpeername()
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


def _bound(
    timeout: float | None, left: float | None, late: type[httpcore.TimeoutException]
) -> float | None:
    if left is None:
        return timeout
    if left <= 0:
        raise late("the time is up")
    return left if timeout is None else min(timeout, left)
