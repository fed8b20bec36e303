"""`Idle`: the connections that nobody uses at the moment, a list for each origin."""

from __future__ import annotations

import time
from collections import deque
from typing import Final, Generic, TypeAlias, TypeVar

import httpcore

C = TypeVar("C", bound=httpcore.AsyncConnectionInterface | httpcore.ConnectionInterface)

KEEPALIVE_EXPIRY: Final = 4.0
"""Shorter than the five seconds after which common servers close, so that they rarely win."""

Key: TypeAlias = "tuple[object, bytes, int | None]"
"""What makes connections the same: the route, the host and the port."""


class Idle(Generic[C]):
    """The connections that nobody uses, the one used last at the end of its list.

    No method waits, and each step is one that threads cannot come between.
    """

    def __init__(self) -> None:
        self._lists: dict[Key, deque[tuple[C, float]]] = {}

    def __len__(self) -> int:
        return sum(map(len, list(self._lists.values())))

    def put(self, key: Key, connection: C) -> None:
        self._lists.setdefault(key, deque()).append((connection, time.monotonic()))

    def take(self, key: Key, idle_for: float) -> tuple[C | None, list[C]]:
        """One that can be used, if there is one, and those found to be of no use.

        Args:
            key: which.
            idle_for: seconds that it may have been idle.
        """
        useless: list[C] = []
        waiting = self._lists.get(key)
        while waiting:
            try:
                connection, since = waiting.pop()
            except IndexError:  # another thread was quicker
                break
            if since < time.monotonic() - idle_for and not connection.has_expired():
                waiting.append((connection, since))  # the others have been idle for longer
                break
            # The server has closed it, perhaps, or it has been kept for too long.
            if connection.is_idle() and not connection.has_expired():
                return connection, useless
            useless.append(connection)
        return None, useless

    def expired(self) -> C | None:
        """One that has been kept for too long."""
        kept_since = time.monotonic() - KEEPALIVE_EXPIRY
        for waiting in list(self._lists.values()):
            if (connection := _popped(waiting, kept_since)) is not None:
                return connection
        return None

    def oldest(self) -> C | None:
        """One to be closed, so that another can be opened."""
        for waiting in list(self._lists.values()):
            if (connection := _popped(waiting)) is not None:
                return connection
        return None

    def all(self) -> list[C]:
        useless: list[C] = []
        while (connection := self.oldest()) is not None:
            useless.append(connection)
        return useless


def _popped(waiting: deque[tuple[C, float]], before: float = float("inf")) -> C | None:
    try:
        return waiting.popleft()[0] if waiting[0][1] < before else None
    except IndexError:  # another thread was quicker
        return None
