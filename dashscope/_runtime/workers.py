"""Work behind a block: workers, and the channels by which they tell each other.

The interface, and how it is with tasks; `thread_workers` has the same with threads.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import anyio
from anyio.lowlevel import current_token
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from dashscope._runtime.tasks import Task, start_task

T = TypeVar("T")


class ClosedError(Exception):
    """Nothing more comes through a channel."""


class Channel(ABC, Generic[T]):
    """A queue without a bound: anyone puts, and each item is got once."""

    @abstractmethod
    def put(self, item: T) -> None:
        """Put an item in; once it is closed, nothing happens."""

    @abstractmethod
    async def get(self, seconds: float | None = None) -> T | None:
        """The next item, `None` when none came in time.

        Raises:
            ClosedError: when the channel is closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Wake up all who wait; items that nobody got are lost."""


class Crew(ABC):
    """Calls that run beside the caller until they end or are stopped."""

    @property
    @abstractmethod
    def is_here(self) -> bool:
        """Whether the caller can wait for them: tasks cannot be waited for in another loop."""

    @abstractmethod
    def start(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a call; it has to handle its own errors."""

    @abstractmethod
    async def join(self, seconds: float) -> None:
        """Wait until all have ended, so many seconds at the most."""

    async def stop(self, seconds: float) -> None:
        """End them all; what `finish()` protects gets so many seconds."""
        self.drop()
        await self.join(seconds)

    @abstractmethod
    def drop(self) -> None:
        """End them all without waiting."""


class Bell:
    """Wakes up the one who waits for something to change; many rings in between count once."""

    def __init__(self, channel: Channel[bool]) -> None:
        self._channel = channel
        self._rung = False

    def ring(self) -> None:
        """Say that something has changed."""
        if not self._rung:
            self._rung = True
            self._channel.put(True)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring since the last wait, so many seconds at the most.

        Raises:
            ClosedError: when it is closed.
        """
        await self._channel.get(seconds)
        self._rung = False

    def close(self) -> None:
        """Wake up who waits; it rings no more."""
        self._channel.close()


class TaskChannel(Channel[T]):
    """A channel between tasks of one event loop."""

    def __init__(self) -> None:
        streams = anyio.create_memory_object_stream[T](float("inf"))
        self._in: MemoryObjectSendStream[T] = streams[0]
        self._out: MemoryObjectReceiveStream[T] = streams[1]
        self._is_closed = False

    def put(self, item: T) -> None:
        if not self._is_closed:
            self._in.send_nowait(item)

    async def get(self, seconds: float | None = None) -> T | None:
        if not self._is_closed:
            try:
                with anyio.move_on_after(seconds):
                    return await self._out.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                pass
            else:
                return None
        raise ClosedError

    def close(self) -> None:
        # The receiving end is closed with the sending one, at which whoever waits wakes up.
        self._is_closed = True
        self._in.close()
        self._out.close()


class TaskCrew(Crew):
    """Calls in tasks of their own, outside the caller's scopes."""

    def __init__(self) -> None:
        self._loop = current_token()
        self._tasks: list[Task[None]] = []

    @property
    def is_here(self) -> bool:
        return current_token() == self._loop

    def start(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(start_task(call))

    async def join(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for task in self._tasks:
            await task.wait_out(max(0.0, end - time.monotonic()))

    def drop(self) -> None:
        for task in self._tasks:
            if not task.done():
                task.cancel()
