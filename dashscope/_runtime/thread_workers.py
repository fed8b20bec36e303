"""Workers and channels with threads, for the sync client."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final, TypeVar

from dashscope._runtime.workers import Channel, ClosedError, WorkerGroup

T = TypeVar("T")

SLICE: Final = 1.0
"""The longest single wait of a thread, in seconds. On some systems Ctrl-C does not end a wait."""


class ThreadChannel(Channel[T]):
    """A channel between threads. Ctrl-C interrupts a waiting main thread."""

    def __init__(self) -> None:
        # The only queue that stays consistent if a signal handler interrupts it.
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._is_closed = False

    def put(self, item: T) -> None:
        self._queue.put(item)

    async def get(self, seconds: float | None = None) -> T | None:
        end = float("inf") if seconds is None else time.monotonic() + seconds
        item: T | None = None
        while not self._is_closed and item is None:
            left = max(0.0, end - time.monotonic())
            try:
                item = self._queue.get(timeout=min(left, SLICE))
            except queue.Empty:
                if left <= SLICE:
                    return None
        if self._is_closed:
            self._queue.put(None)  # wake up the next waiting thread
            raise ClosedError
        return item

    def close(self) -> None:
        self._is_closed = True
        self._queue.put(None)


class ThreadWorkerGroup(WorkerGroup):
    """Workers that run in threads, each in a copy of the caller's context.

    The threads are daemons, so a worker that waits for a silent server does not delay the exit.
    """

    def __init__(self, run: Callable[[Callable[[], Any], threading.Event], None]) -> None:
        self._run = run
        self._abort = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def is_here(self) -> bool:
        return True

    def start(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        thread = threading.Thread(
            target=copy_context().run,
            args=(self._run, call, self._abort),
            name="dashscope-map",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()

    async def join(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def drop(self) -> None:
        self._abort.set()
