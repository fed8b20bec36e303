"""The interfaces of workers and of the channels between them.

`task_workers` and `thread_workers` implement them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ClosedError(Exception):
    """The channel is closed."""


class Channel(ABC, Generic[T]):
    """An unbounded queue. Each item is received once."""

    @abstractmethod
    def put(self, item: T) -> None:
        """Add an item. Does nothing if the channel is closed."""

    @abstractmethod
    async def get(self, seconds: float | None = None) -> T | None:
        """Return the next item, or `None` if none arrives in time.

        Raises:
            ClosedError: If the channel is closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Wake up all waiting receivers. Items that were not received are lost."""


class WorkerGroup(ABC):
    """Calls that run concurrently with the caller until they end or are stopped."""

    @property
    @abstractmethod
    def is_here(self) -> bool:
        """Whether the caller can wait for the workers. Tasks cannot be awaited in another loop."""

    @abstractmethod
    def start(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a call. It must handle its own errors."""

    @abstractmethod
    async def join(self, seconds: float) -> None:
        """Wait until all workers have ended, at most `seconds`."""

    async def stop(self, seconds: float) -> None:
        """Cancel all workers and wait for them, at most `seconds`. Shielded calls use that time."""
        self.drop()
        await self.join(seconds)

    @abstractmethod
    def drop(self) -> None:
        """Cancel all workers without waiting."""


class Signal:
    """Wakes up one waiting worker. Several notifications before a wait count as one."""

    def __init__(self, channel: Channel[bool]) -> None:
        self._channel = channel
        self._is_notified = False

    def notify(self) -> None:
        """Notify the waiting worker."""
        if not self._is_notified:
            self._is_notified = True
            self._channel.put(True)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for a notification since the last wait, at most `seconds`.

        Raises:
            ClosedError: If the signal is closed.
        """
        await self._channel.get(seconds)
        self._is_notified = False

    def close(self) -> None:
        """Wake up the waiting worker, and ignore further notifications."""
        self._channel.close()
