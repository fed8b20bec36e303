"""A server that counts its connections: plain, over TLS, or with HTTP/2."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self


def pool_of(http_client: Any) -> Any:
    """Return our connection pool inside an httpx client."""
    return http_client._transport._pool


class LoopThread:
    """An event loop in a thread, shared by the servers of a test.

    The loop keeps references to its tasks, which asyncio does not do by itself. pproxy does not
    reference its relay tasks either. If the garbage collector removes one, the connection hangs.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def _task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        self.loop.set_task_factory(self._task)
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        return self

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def __exit__(self, *exc: object) -> None:
        self.run(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Answer = Callable[[asyncio.StreamWriter, str, int], Coroutine[Any, Any, bool]]


class CountingServer:
    """Responds to every request with the number of its connection as the username.

    `respond_with()` sets another response. Setting `idle` makes the server close connections that
    are idle for this number of seconds, and `close_connections()` closes all of them.

    Attributes:
        total_connections: The number of connections so far.
        open_connections: The number of open connections.
        max_connections: The largest number of connections that were open at the same time.
        paths: The paths of all requests, in order.
        idle: Seconds after which the server closes an idle connection. `None` means never.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.total_connections = self.open_connections = self.max_connections = 0
        self.paths: list[str] = []
        self.tls = tls
        self.idle: float | None = None
        self._answer: Answer = ok
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def respond_with(self, answer: Answer) -> None:
        """Call this function for each request. It returns whether to keep the connection open."""
        self._answer = answer

    async def close_connections(self) -> None:
        """Close all connections, as servers do with idle ones."""
        for writer in list(self._writers):
            writer.close()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await self.close_connections()

    @property
    def base_url(self) -> str:
        host = "127.0.0.1" if self.tls is None else "localhost"
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.total_connections += 1
        self.open_connections += 1
        self.max_connections = max(self.max_connections, self.open_connections)
        number = self.total_connections
        self._writers.add(writer)
        # A new connection does not count as idle, even if its first request arrives slowly.
        idle: float | None = None
        try:
            while True:
                async with asyncio.timeout(idle):
                    head = await reader.readuntil(b"\r\n\r\n")
                idle = self.idle
                path = head.split(b" ", 2)[1].decode()
                self.paths.append(path)
                if not await self._answer(writer, path, number):
                    break
        except (EOFError, OSError, TimeoutError):
            pass
        finally:
            self.open_connections -= 1
            self._writers.discard(writer)
            writer.close()


async def ok(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
    """Send an account whose username is the number of the connection."""
    body = b'{"username": "%d"}' % number
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    await writer.drain()
    return True
