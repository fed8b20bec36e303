"""A server that keeps count of its connections, plain, over TLS and with HTTP/2."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self


def pool_of(http_client: Any) -> Any:
    """Return our connection pool inside an httpx client."""
    return http_client._transport._pool


class Loop:
    """An event loop in a thread, for servers that tests share it with.

    It holds its tasks. Asyncio by itself does not, and pproxy forgets those that relay what comes
    in: the garbage collector took some of them along, and the connection was silent from then on.
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
    """Answers `/v1/account` with the number of the connection as the username.

    Attributes:
        opened: how many connections there were.
        open: how many there are.
        most: how many there were at once.
        asked: the paths, in order.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.opened = self.open = self.most = 0
        self.asked: list[str] = []
        self.tls = tls
        self.idle: float | None = None
        self._answer: Answer = ok
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def respond_with(self, answer: Answer) -> None:
        """Call this function for each request. By default, the response is sent at once."""
        self._answer = answer

    async def drop(self) -> None:
        """Close the connections, as servers do with those that are idle."""
        for writer in list(self._writers):
            writer.close()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await self.drop()

    @property
    def base_url(self) -> str:
        host = "127.0.0.1" if self.tls is None else "localhost"
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open += 1
        self.most = max(self.most, self.open)
        number = self.opened
        self._writers.add(writer)
        # A new connection is not idle, however slowly its first request arrives.
        idle: float | None = None
        try:
            while True:
                async with asyncio.timeout(idle):
                    head = await reader.readuntil(b"\r\n\r\n")
                idle = self.idle
                path = head.split(b" ", 2)[1].decode()
                self.asked.append(path)
                if not await self._answer(writer, path, number):
                    break
        except (EOFError, OSError, TimeoutError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()


async def ok(writer: asyncio.StreamWriter, path: str, number: int) -> bool:
    body = b'{"username": "%d"}' % number
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    await writer.drain()
    return True
