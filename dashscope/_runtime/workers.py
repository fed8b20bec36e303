"""Work behind a block: workers, and the channels by which they tell each other.

These are the interfaces; `task_workers` and `thread_workers` implement them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

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


class WorkerGroup(ABC):
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
        """End them all; what `shield()` protects gets so many seconds."""
        self.drop()
        await self.join(seconds)

    @abstractmethod
    def drop(self) -> None:
        """End them all without waiting."""


class Signal:
    """Wakes up the one who waits for something to change; many rings in between count once."""

    def __init__(self, channel: Channel[bool]) -> None:
        self._channel = channel
        self._is_notified = False

    def notify(self) -> None:
        """Say that something has changed."""
        if not self._is_notified:
            self._is_notified = True
            self._channel.put(True)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring since the last wait, so many seconds at the most.

        Raises:
            ClosedError: when it is closed.
        """
        await self._channel.get(seconds)
        self._is_notified = False

    def close(self) -> None:
        """Wake up who waits; it rings no more."""
        self._channel.close()
