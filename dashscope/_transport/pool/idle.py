"""`IdleConnections`: the connections that are not in use, in one list per origin."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Final, Generic, TypeAlias, TypeVar

import httpcore

C = TypeVar("C", bound=httpcore.AsyncConnectionInterface | httpcore.ConnectionInterface)

KEEPALIVE_EXPIRY: Final = 4.0
"""Shorter than the five seconds after which common servers close, so that they rarely do."""

Key: TypeAlias = "tuple[object, bytes, int | None]"
"""What connections are shared by: the route, the host and the port."""


class IdleConnections(Generic[C]):
    """The connections that are not in use. The one used last is at the end of its list.

    No method waits or locks: a signal handler may interrupt any method and call another one.
    Every change is a single atomic operation of a `deque` or a `dict`.
    """

    def __init__(self) -> None:
        self._lists: dict[Key, deque[tuple[C, float]]] = {}

    def __len__(self) -> int:
        return sum(map(len, list(self._lists.values())))

    def put(self, key: Key, connection: C) -> None:
        self._put(key, (connection, time.monotonic()))

    def take(self, key: Key, idle_limit: float) -> tuple[C | None, list[C]]:
        """Take a usable connection, if there is one, and the unusable ones that were found.

        Args:
            key: The list to take from.
            idle_limit: The seconds for which it may have been idle.
        """
        unusable: list[C] = []
        idle = self._lists.get(key)
        if idle is None:
            return None, unusable
        while idle:
            try:
                connection, since = idle.pop()
            except IndexError:  # another thread took it
                break
            if since < time.monotonic() - idle_limit and not connection.has_expired():
                idle.append((connection, since))  # the others have been idle for longer
                break
            # The server may have closed it, or it has expired.
            if connection.is_idle() and not connection.has_expired():
                return connection, unusable
            unusable.append(connection)
        self._forget_if_empty(key)
        return None, unusable

    def expired(self) -> C | None:
        """Take a connection that has been idle for too long."""
        before = time.monotonic() - KEEPALIVE_EXPIRY
        for key in list(self._lists):
            if (connection := self._first(key, before)) is not None:
                return connection
        return None

    def oldest(self) -> C | None:
        """Take a connection to close, so that another one can be opened."""
        for key in list(self._lists):
            if (connection := self._first(key)) is not None:
                return connection
        return None

    def all(self) -> list[C]:
        """Take all connections."""
        connections: list[C] = []
        while (connection := self.oldest()) is not None:
            connections.append(connection)
        return connections

    def _put(self, key: Key, item: tuple[C, float]) -> None:
        while True:
            idle = self._lists.setdefault(key, deque())
            idle.append(item)
            if self._lists.get(key) is idle:
                return
            try:
                idle.remove(item)
            except ValueError:
                return  # the thread that removed the list puts it back

    def _first(self, key: Key, before: float = float("inf")) -> C | None:
        idle = self._lists.get(key)
        if idle is None:
            return None
        try:
            if idle[0][1] >= before:
                return None
            connection, _ = idle.popleft()
        except IndexError:  # another thread took it
            return None
        self._forget_if_empty(key)
        return connection

    def _forget_if_empty(self, key: Key) -> None:
        """Remove an empty list, so that a client that meets many origins does not grow."""
        if self._lists.get(key):
            return
        removed = self._lists.pop(key, None)
        while removed:  # another thread has put a connection into it meanwhile
            with suppress(IndexError):
                self._put(key, removed.popleft())
