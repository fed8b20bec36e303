"""A proxy on real sockets, which does to requests and answers what networks and gateways do.

It runs an event loop on a thread of its own. Each `Line` is an address of the proxy with a
script of its own: the faults that happen to the requests that come in there, in turn.
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


class Gone(Exception):
    """The connection is at its end."""


@frozen
class Fault:
    """What happens to a request.

    Attributes:
        name: what it is called.
        act: does it.
        early: whether it happens to the connection, before a request has come in.
    """

    name: str
    act: Callable[[Exchange], Awaitable[None]] = field(repr=False)
    early: bool = False

    def __str__(self) -> str:
        return self.name


async def pass_on(exchange: Exchange) -> None:
    await exchange.send(await exchange.answer())


PASSED = Fault("passed on", pass_on)


class Proxy:
    """The proxy: makes lines, and counts what it passes on to the server.

    Args:
        base_url: where the server is.
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
        """A new address of the proxy; nobody answers there before `listen()`."""
        line = Line(self, tls)
        self._lines.append(line)
        return line

    def close(self) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it on the proxy's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a task on the proxy's loop, from there."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, request: bytes) -> bytes:
        """The server's whole answer to a request."""
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
        # The proxy itself is to lose nothing: servers close what is idle for some seconds.
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
        faults: what happens to the next requests, in turn; those after the last are passed on.
        choose: chooses a fault by a request's head, where there is no script.
        ended: told of each connection that the proxy closed, by its last request's head.
        greet: chooses whether a connection is broken before its first request, likewise.
        connections: how many there were.
        requests: the heads of the requests that came in.
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
        """From now on, somebody answers."""
        if not self._listening:
            self._listening = True
            self._socket.listen(1024)
            self.proxy.call(self._watch())

    def refuse(self) -> None:
        """From now on, nobody does, at the same address."""
        if self._listening:
            self._listening = False
            # Bound anew before it is closed, so that nobody else gets the address meanwhile.
            silent = _bound(self._socket.getsockname())
            self.proxy.call(self._unwatch())
            self._socket = silent

    def inject(self, faults: Iterable[Fault]) -> None:
        """Apply these faults to the next requests, in turn. Later requests are passed on."""
        self.requests.clear()
        self.connections = 0
        self.faults = deque(faults)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def _watch(self) -> None:
        # Accepting is ours rather than a server's: a connection may end before its first byte.
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
            with contextlib.suppress(OSError, EOFError, Gone):
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
    """A request that comes in, and what a fault can do with it and its answer.

    Attributes:
        head: the request's head.
        number: its place among the requests of its connection, from 1 on.
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
        await (fault or PASSED).act(self)

    async def body(self) -> bytes:
        """The request's body, read to its end."""
        if self._body is None:
            length = _LENGTH.search(self.head)
            self._body = await self._reader.readexactly(int(length[1])) if length else b""
        return self._body

    async def answer(self) -> bytes:
        """The server's answer to the request."""
        return await self._line.proxy.ask(self.head + await self.body())

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        """Close the connection in good order, after what was sent."""
        self._writer.close()
        raise Gone

    async def reset(self) -> None:
        """Break the connection; maybe not even what was sent arrives."""
        reset(self._writer.get_extra_info("socket"))
        self._writer.transport.abort()
        raise Gone

    async def silence(self) -> None:
        """Say nothing more, until the client goes."""
        await self._reader.read()
        raise Gone


def reset(connection: Any) -> None:
    """Break a connection: close it so that the other side is told that it is broken."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(connection, socket.socket):
        connection.close()
