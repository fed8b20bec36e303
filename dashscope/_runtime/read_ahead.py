"""`ReadAhead`: items that a separate task produces, and that wait until they are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

import anyio

from dashscope._runtime.tasks import Task, start_task

T = TypeVar("T")

MAX_ITEMS: Final = 256
"""Items that are produced before the producer waits for the reader."""
TWO_READERS: Final = "another task or thread is waiting for the next event of this stream"
CLOSED_EARLY: Final = "this stream was exited before its end and has no more events"


class ReadAhead(Generic[T]):
    """A bounded queue with a producer that runs in a separate task.

    Canceling `get()` leaves the producer running, so that a reader can wait with a timeout
    again and again without losing an item.

    Args:
        produce: Called in the task. It calls `put()` and awaits `wait_for_room()` where `put()`
            returns false.
    """

    def __init__(self, produce: Callable[[ReadAhead[T]], Coroutine[Any, Any, None]]) -> None:
        self._produce = produce
        self._items: deque[T] = deque()
        self._task: Task[None] | None = None
        self._is_finished = False
        self._is_closed = False
        self._is_reading = False
        self._item_came: anyio.Event | None = None
        self._room_came: anyio.Event | None = None

    def put(self, item: T) -> bool:
        """Add an item, and return whether there is room for another one."""
        self._items.append(item)
        if self._item_came is not None:
            self._item_came.set()
            self._item_came = None
        return len(self._items) < MAX_ITEMS

    async def wait_for_room(self) -> None:
        """Wait until the reader has taken all items."""
        while self._items:
            self._room_came = anyio.Event()
            await self._room_came.wait()

    async def get(self) -> T:
        """Return the next item.

        Raises:
            StopAsyncIteration: If there are no more.
            RuntimeError: If another task is already waiting, or the queue was closed.
            Exception: What the producer raised, once.
        """
        while not self._items:
            if self._is_reading:
                raise RuntimeError(TWO_READERS)
            if self._is_closed:
                raise RuntimeError(CLOSED_EARLY)
            if self._is_finished:
                raise StopAsyncIteration
            await self._wait()
        item = self._items.popleft()
        if not self._items and self._room_came is not None:
            self._room_came.set()
            self._room_came = None
        return item

    @property
    def has_items(self) -> bool:
        """True if an item can be read without waiting."""
        return bool(self._items)

    @property
    def is_exhausted(self) -> bool:
        """True if everything was produced and read."""
        return self._is_finished and not self._items

    async def aclose(self) -> None:
        """Stop the producer, and wait until it has ended."""
        task, self._task = self._task, None
        self._is_closed = True
        if task is not None and not task.done():
            task.cancel()
            with anyio.CancelScope(shield=True):
                await task.wait(None)

    async def _wait(self) -> None:
        """Wait for an item, or for the end of the producer."""
        if self._task is None:
            self._task = start_task(self._run, is_hidden=False)
        if not self._task.done():
            self._item_came = anyio.Event()
            self._is_reading = True
            try:
                await self._item_came.wait()
            finally:
                self._is_reading = False
        if not self._items and self._task is not None and self._task.done():
            self._end(self._task)

    def _end(self, task: Task[None]) -> None:
        self._task = None
        # If the program canceled the task along with others, the next wait starts it again.
        if not task.cancelled():
            self._is_finished = True
            task.result()

    async def _run(self) -> None:
        try:
            await self._produce(self)
        finally:
            if self._item_came is not None:
                self._item_came.set()
                self._item_came = None
