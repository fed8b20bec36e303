"""The sockets below the connections: those of httpcore, with three more guarantees.

No socket stays open if a TLS handshake is given up, for any reason. The connect timeout covers all
steps: every address of a name, the greeting of a SOCKS proxy, the handshakes. In the sync client,
all waits of a call together are limited by the time that the call has left, except the name
resolution. httpcore would limit each wait by that time.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Final, cast

import anyio
import httpcore

from dashscope._common.deadline import Deadline
from dashscope._runtime import signals
from dashscope._runtime.thread_limits import Bounds


class AsyncBackend(httpcore.AsyncNetworkBackend):
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
        connected_by = Deadline.after(timeout)
        try:
            stream = await self._backend.connect_tcp(
                host, port, timeout, local_address, socket_options
            )
        except ValueError as error:
            # anyio tries each address in its own task. If the end of the loop cancels those tasks
            # but not this call (which may be canceling a prediction), its group is empty.
            raise httpcore.ConnectError(f"the attempt was canceled ({error})") from error
        return _AsyncStream(stream, connected_by)


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(
        self,
        stream: httpcore.AsyncNetworkStream,
        connected_by: Deadline,
        tls: ssl.SSLObject | None = None,
    ) -> None:
        self._stream = stream
        self._connected_by = connected_by
        self._tls = tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        content = await self._stream.read(max_bytes, self._within(timeout))
        if not content and self._tls is not None:
            _check_close_notify(self._tls)
        return content

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, self._within(timeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            left = self._connected_by.left()
            stream = await self._stream.start_tls(ssl_context, server_hostname, left)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise
        return _AsyncStream(stream, self._connected_by, stream.get_extra_info("ssl_object"))

    def _within(self, timeout: float | None) -> float | None:
        # httpcore passes no timeout for the greeting of a SOCKS proxy.
        return self._connected_by.left() if timeout is None else timeout

    def get_extra_info(self, info: str) -> Any:
        try:
            return self._stream.get_extra_info(info)
        except AttributeError:  # uvloop has closed the socket, because the connection was reset
            if info == "is_readable":
                return True
        # Other information is read only while connecting, before anything is sent.
        raise httpcore.ConnectError("the connection was reset")


def _check_close_notify(tls: ssl.SSLObject) -> None:
    """Raise if the end of a TLS connection may have been forged, or cut off.

    The body of a response without a length ends with the connection. anyio reports both ends in
    the same way.
    """
    try:
        tls.read(1)
    except ssl.SSLError as error:
        raise httpcore.ReadError(f"the TLS connection was cut off: {error}") from error


class SyncBackend(httpcore.NetworkBackend):
    """Sockets whose waits are limited by the time that the calling thread has left."""

    def __init__(self, bounds: Bounds) -> None:
        self._backend = httpcore.SyncBackend()
        self._bounds = bounds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        looking_up = Deadline.after(_bound(timeout, self._bounds.left(), httpcore.ConnectTimeout))
        try:
            addresses = _addresses(host, port)
        except OSError as error:
            if looking_up.expired:
                raise httpcore.ConnectTimeout(f"no name resolution in time: {error}") from error
            raise httpcore.ConnectError(str(error)) from error
        connected_by = Deadline.after(timeout)
        failure: Exception | None = None
        for number, address in enumerate(addresses):
            try:
                bound = _bound(connected_by.left(), self._bounds.left(), httpcore.ConnectTimeout)
                # A dead address must leave time for the others.
                share = None if bound is None else bound / (len(addresses) - number)
                stream = self._backend.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _SyncStream(stream, self._bounds, connected_by)
        raise failure or httpcore.ConnectError("the name has no address")


def _addresses(host: str, port: int) -> list[str]:
    """Return all addresses of a name, in the resolver's order."""
    # As bytes, because encoding a str may raise other errors. The name is ASCII.
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    # For a link-local address, this includes the network interface.
    return list(dict.fromkeys(socket.getnameinfo(info[4], numeric)[0] for info in found))


class _SyncStream(httpcore.NetworkStream):
    WRITTEN_AT_ONCE: Final = 64 * 1024

    def __init__(
        self,
        stream: httpcore.NetworkStream,
        bounds: Bounds,
        connected_by: Deadline,
    ) -> None:
        self._stream = stream
        self._bounds = bounds
        self._connected_by = connected_by

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._bounds.polls is not None or signals.is_deferring():
            self._wait_until_readable(timeout)
        bound = _bound(self._within(timeout), self._bounds.left(), httpcore.ReadTimeout)
        return self._stream.read(max_bytes, bound)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A view, because httpcore copies the rest after each partial send.
        view: Any = memoryview(buffer)
        for start in range(0, len(view), self.WRITTEN_AT_ONCE):
            bound = _bound(self._within(timeout), self._bounds.left(), httpcore.WriteTimeout)
            self._stream.write(view[start : start + self.WRITTEN_AT_ONCE], bound)

    def _wait_until_readable(self, timeout: float | None) -> None:
        """Wait until there is something to read, or no time left.

        Meanwhile, make the polls that become due, and handle signals that are overdue.
        """
        sock = self._stream.get_extra_info("socket")
        is_tls = isinstance(sock, ssl.SSLSocket)
        if not is_tls and self._stream.get_extra_info("ssl_object") is not None:
            return  # TLS in TLS, whose buffered data cannot be seen
        until = Deadline.after(timeout).sooner(self._bounds.deadline)
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            while not (is_tls and sock.pending()):
                signals.handle_overdue()
                polls = self._bounds.polls
                seconds = signals.LOOK_UP if polls is None else polls.seconds_left()
                if polls is not None and seconds <= 0:
                    polls.run()
                elif selector.select(until.within(min(seconds, signals.LOOK_UP))) or until.expired:
                    return

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            left = self._connected_by.left()
            bound = _bound(left, self._bounds.left(), httpcore.ConnectTimeout)
            self._check_connected()
            stream = self._stream.start_tls(ssl_context, server_hostname, bound)
        except BaseException:
            self._stream.close()
            raise
        sock: Any = stream.get_extra_info("socket")
        if hasattr(sock, "suppress_ragged_eofs"):
            # By default, a connection that is cut off looks like the end of a body.
            sock.suppress_ragged_eofs = False
        return _SyncStream(stream, self._bounds, self._connected_by)

    def _within(self, timeout: float | None) -> float | None:
        return self._connected_by.left() if timeout is None else timeout  # as in _AsyncStream

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _check_connected(self) -> None:
        # The ssl module treats a connection that was reset as not connected yet, and leaves it open
        # or skips the handshake.
        try:
            self._stream.get_extra_info("socket").getpeername()
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


def _bound(
    timeout: float | None, left: float | None, late: type[httpcore.TimeoutException]
) -> float | None:
    shorter = min((bound for bound in (timeout, left) if bound is not None), default=None)
    if shorter is not None and shorter <= 0:
        raise late("the deadline has passed")
    return shorter
