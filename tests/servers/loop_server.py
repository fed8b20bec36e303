"""A server in one event loop, for tests that need more connections than threads."""

from __future__ import annotations

import asyncio
import json
import threading
from abc import ABC, abstractmethod
from typing import Any


class LoopServer(ABC):
    """Serves HTTP on a free port until it is closed.

    Attributes:
        origin: The server's origin.
        open: The number of open connections.
    """

    def __init__(self) -> None:
        self.open = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._over.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    @abstractmethod
    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Respond to a request. Return whether to keep the connection open."""


async def reply_json(writer: asyncio.StreamWriter, status: int, body: Any) -> bool:
    """Send a JSON response and keep the connection open."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    return True
