"""The client of a worker process: one for each process, on an event loop in a separate thread."""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from dashscope import AsyncClient, ConfigurationError
from dashscope._runtime import forking, signals

T = TypeVar("T")

TOKEN: Final = "DASHSCOPE_API_TOKEN"  # noqa: S105 (a name)
MakeClient = Callable[[], AsyncClient]


def check_token() -> None:
    """Check that this process has a token, as the driver has.

    Raises:
        ConfigurationError: If it has none.
    """
    if not os.environ.get(TOKEN):
        raise ConfigurationError(
            f"{TOKEN} is set in the driver but not on the worker {socket.gethostname()} (process "
            f"{os.getpid()}). Set it in the environment of every worker: a token is never sent "
            "along with the function."
        )


class _Worker:
    """The event loop of a process, and its clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: dict[Any, AsyncClient] = {}
        forking.know(self)
        atexit.register(self._close)

    def client(self, key: Any, make: MakeClient) -> AsyncClient:
        """Return the client of this process for a key."""
        with self._lock:
            if key not in self._clients:
                self._clients[key] = make()
            return self._clients[key]

    def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop. An interrupt cancels it and waits for its end."""
        loop = self._started()
        tasks: list[asyncio.Task[T]] = []
        ended: SimpleQueue[asyncio.Task[T] | None] = SimpleQueue()

        def start() -> None:
            tasks.append(loop.create_task(call()))
            tasks[0].add_done_callback(ended.put)

        def cancel() -> None:
            for task in tasks:
                task.cancel()
            if not tasks:
                ended.put(None)

        try:
            loop.call_soon_threadsafe(start)
            task = signals.taken(ended)
        except BaseException:
            loop.call_soon_threadsafe(cancel)
            with suppress(Empty):
                ended.get(timeout=20.0)
            raise
        assert task is not None
        return task.result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, daemon=True, name="dashscope-udf"
                ).start()
            return self._loop

    def _close(self) -> None:
        """Close the clients at the end of the process."""
        with self._lock:
            loop, self._loop = self._loop, None
            clients, self._clients = list(self._clients.values()), {}
        if loop is None:
            return

        async def close() -> None:
            for client in clients:
                await client.aclose()

        with suppress(TimeoutError, CancelledError, RuntimeError):  # the process is ending
            asyncio.run_coroutine_threadsafe(close(), loop).result(5.0)
        loop.call_soon_threadsafe(loop.stop)

    def loaded_later(self) -> Iterable[str]:
        return ()

    def forget(self) -> None:
        """Start afresh in a forked child, which has no thread for the loop."""
        forking.inherited.extend([self._loop, *self._clients.values()])
        self._lock, self._loop, self._clients = threading.Lock(), None, {}


worker: Final = _Worker()
