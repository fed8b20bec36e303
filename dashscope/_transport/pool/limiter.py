"""`ConnectionLimiter`: the `max_connections` of a sync client, in FIFO order.

Threads share it, and a signal handler may interrupt any line of it. There is no lock that the
handler could find held: every change is a single atomic operation of a `deque` or a queue.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from dashscope._runtime import signals

RECHECK_INTERVAL: Final = 1.0
"""Seconds after which a waiting thread checks that it is still in the queue."""


class Permit:
    """The right to use one connection.

    An interrupt may lose a response together with its permit. A permit that is garbage
    collected without having been released leaves a new one in its place.
    """

    __slots__ = ("_limiter",)

    def __init__(self, limiter: weakref.ref[ConnectionLimiter]) -> None:
        self._limiter = limiter

    def __del__(self) -> None:
        limiter = self._limiter()
        if limiter is not None:
            limiter.release(Permit(self._limiter))


class Waiter(SimpleQueue[Permit]):
    """Receives the permit for a waiting thread.

    Attributes:
        has_left: Whether the thread no longer waits.
    """

    has_left = False

    def take_back(self) -> Permit | None:
        """Return a permit that arrived too late, to the first of the two threads that ask."""
        try:
            return self.get_nowait()
        except Empty:
            return None


class ConnectionLimiter:
    """Hands out a fixed number of permits.

    Args:
        number: The number of permits.
    """

    def __init__(self, number: int) -> None:
        self._free = deque(Permit(weakref.ref(self)) for _ in range(number))
        self._waiting: deque[Waiter] = deque()

    def __len__(self) -> int:
        return len(self._free)

    def acquire(self, timeout: float | None) -> Permit | None:
        """Wait for a permit, and return `None` if there is none within `timeout` seconds."""
        if self._free and not self._waiting:
            with suppress(IndexError):  # another thread took it
                return self._free.popleft()
        until = float("inf") if timeout is None else time.monotonic() + timeout
        mine = Waiter()
        try:
            self._waiting.append(mine)
            self._hand_out()
            while (left := until - time.monotonic()) > 0:
                signals.handle_overdue()
                with suppress(Empty):
                    return mine.get(timeout=min(left, RECHECK_INTERVAL))
                if mine not in self._waiting:  # an interrupt has removed it
                    self._waiting.appendleft(mine)
                    self._hand_out()
            return None
        finally:
            with suppress(ValueError):
                self._waiting.remove(mine)
            mine.has_left = True
            if (late := mine.take_back()) is not None:
                self.release(late)

    def release(self, permit: Permit) -> None:
        """Give a permit back."""
        self._free.append(permit)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            try:
                permit = self._free.popleft()
            except IndexError:  # another thread took it
                continue
            try:
                waiter = self._waiting.popleft()
            except IndexError:
                self._free.append(permit)
                continue
            waiter.put(permit)
            if waiter.has_left and (late := waiter.take_back()) is not None:
                self._free.append(late)
