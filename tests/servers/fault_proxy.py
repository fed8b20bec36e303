"""A proxy that breaks requests and responses the way networks and gateways do.

The proxy runs an event loop in a thread. Each `Line` is an address of the proxy. `Line.inject()`
sets the faults of the next requests to that address, in turn. `faults.py` defines the faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from attrs import field, frozen

T = TypeVar("T")

LONGEST_IDLE = 2.0

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class ConnectionEnded(Exception):
    """The connection of an exchange was closed."""


@frozen
class Fault:
    """A fault of a request.

    Attributes:
        name: The name of the fault.
        act: A coroutine function that applies the fault to an exchange.
        early: Whether the connection is reset before it sends a request. `act` is not called.
    """

    name: str
    act: Callable[[Exchange], Awaitable[None]] = field(repr=False)
    early: bool = False

    def __str__(self) -> str:
        return self.name


async def forward(exchange: Exchange) -> None:
    """Forward the request to the server, and its response to the client."""
    await exchange.send(await exchange.answer())


FORWARD = Fault("forwarded", forward)


class Proxy:
    """A proxy in front of a server. It accepts connections on its lines.

    Args:
        base_url: The base URL of the server.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.path = parts.path
        self._server = parts.hostname, parts.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: list[Line] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def line(self, *, tls: ssl.SSLContext | None = None) -> Line:
        """Create an address of the proxy. It refuses connections until `listen()`."""
        line = Line(self, tls)
        self._lines.append(line)
        return line

    def close(self) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the proxy's loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a task, from the proxy's loop."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def forward(self, request: bytes) -> bytes:
        """Send a request to the server and return the whole response."""
        reader, writer = await self._connection()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
        except BaseException:
            writer.transport.abort()
            raise
        if re.search(rb"(?i)\r\nconnection: *close", head):
            writer.close()
        else:
            self._idle.append((reader, writer, time.monotonic()))
        return head + body

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # Servers close idle connections after some seconds. A lost request would be a fault.
        while self._idle:
            reader, writer, since = self._idle.pop()
            if time.monotonic() - since < LONGEST_IDLE and not reader.at_eof():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(*self._server)

    async def _close(self) -> None:
        for line in self._lines:
            line.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, writer, _ in self._idle:
            writer.transport.abort()
        await asyncio.sleep(0)  # transports close in the loop's next turn


class Line:
    """An address of the proxy.

    Attributes:
        faults: The faults of the next requests, in turn. `inject()` sets them.
        choose: Returns the fault of a request, by its head, when `faults` is empty.
        ended: Called with the head of the last request of each closed connection.
        greet: Returns whether to reset a new connection, when `faults` is empty.
        connections: The number of accepted connections.
        requests: The heads of all requests.
    """

    def __init__(self, proxy: Proxy, tls: ssl.SSLContext | None) -> None:
        self.proxy = proxy
        self.faults: deque[Fault] = deque()
        self.choose: Callable[[bytes], Fault | None] = lambda head: None
        self.ended: Callable[[bytes], None] = lambda head: None
        self.greet: Callable[[], bool] = lambda: False
        self.connections = 0
        self.requests: list[bytes] = []
        self._tls = tls
        self._listening = False
        self._socket = _bound(("127.0.0.1", 0))

    @property
    def origin(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def base_url(self) -> str:
        return self.origin + self.proxy.path

    def listen(self) -> None:
        """Accept connections from now on."""
        if not self._listening:
            self._listening = True
            self._socket.listen(1024)
            self.proxy.call(self._watch())

    def refuse(self) -> None:
        """Refuse connections at the same address from now on."""
        if self._listening:
            self._listening = False
            # Bind the address again before closing it, so that no other process can take it.
            silent = _bound(self._socket.getsockname())
            self.proxy.call(self._unwatch())
            self._socket = silent

    def inject(self, faults: Iterable[Fault]) -> None:
        """Apply these faults to the next requests, in turn. Later requests are forwarded."""
        self.requests.clear()
        self.connections = 0
        self.faults = deque(faults)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def _watch(self) -> None:
        # Do not use a server of asyncio: a fault may reset a connection before its first byte.
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    async def _unwatch(self) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            if self._is_broken():
                reset(client)
            else:
                self.proxy.start(self._serve(client))

    def _is_broken(self) -> bool:
        if not self.faults:
            return self.greet()
        return self.faults[0].early and self.faults.popleft().early

    async def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, client, ssl=self._tls
            )
        except OSError:
            client.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        exchange = None
        try:
            with contextlib.suppress(OSError, EOFError, ConnectionEnded):
                number = 0
                while True:
                    number += 1
                    exchange = Exchange(self, reader, writer, number)
                    await exchange.run()
        finally:
            writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        if exchange is not None and exchange.head:
            self.ended(exchange.head)


def _bound(address: tuple[str, int]) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    made.setblocking(False)
    return made


class Exchange:
    """A request, and the operations that faults apply to it and to its response.

    Attributes:
        head: The head of the request.
        number: The number of the request on its connection, counted from 1.
    """

    def __init__(
        self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.number = number
        self._line = line
        self._reader = reader
        self._writer = writer
        self.head = b""
        self._body: bytes | None = None

    async def run(self) -> None:
        self.head = await self._reader.readuntil(b"\r\n\r\n")
        self._line.requests.append(self.head)
        faults = self._line.faults
        if faults:
            fault: Fault | None = faults.popleft()
        else:
            fault = self._line.choose(self.head)
        await (fault or FORWARD).act(self)

    async def body(self) -> bytes:
        """Read and return the body of the request."""
        if self._body is None:
            length = _LENGTH.search(self.head)
            self._body = await self._reader.readexactly(int(length[1])) if length else b""
        return self._body

    async def answer(self) -> bytes:
        """Forward the request and return the server's response."""
        return await self._line.proxy.forward(self.head + await self.body())

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        """Close the connection after everything was sent."""
        self._writer.close()
        raise ConnectionEnded

    async def reset(self) -> None:
        """Reset the connection. Data that was sent before may get lost."""
        reset(self._writer.get_extra_info("socket"))
        self._writer.transport.abort()
        raise ConnectionEnded

    async def silence(self) -> None:
        """Send nothing until the client closes the connection."""
        await self._reader.read()
        raise ConnectionEnded


def reset(connection: Any) -> None:
    """Close a connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(connection, socket.socket):
        connection.close()
