"""Work behind a block of the sync client: workers and channels with threads."""

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
"""Seconds for which a thread waits in one go: not on all systems does Ctrl-C end a wait."""


class ThreadChannel(Channel[T]):
    """A channel between threads; Ctrl-C comes through to a main thread that waits."""

    def __init__(self) -> None:
        # Of all queues this one alone stays whole when a signal's handler breaks in.
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
            self._queue.put(None)  # whoever else waits wakes up as well
            raise ClosedError
        return item

    def close(self) -> None:
        self._is_closed = True
        self._queue.put(None)


class ThreadWorkerGroup(WorkerGroup):
    """Calls in threads, each in a copy of the caller's context.

    The threads are daemons: one that waits for a server that says nothing holds up nobody's exit.
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
