"""`Turns`: the `max_connections` of a blocking client, for whoever has waited the longest.

Threads share it, and a signal's handler may break in between any two lines: there is no lock that
it could find held, and each step is one that threads cannot come between.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

LOOK_UP: Final = 1.0
"""Seconds after which a thread that waits makes sure that it still stands in the queue."""


class Turn:
    """One of them.

    An interrupt may take an answer along: a turn that nobody has any more leaves a new one in
    its place. Those that are given back never come to that.
    """

    __slots__ = ("_turns",)

    def __init__(self, turns: weakref.ref[Turns]) -> None:
        self._turns = turns

    def __del__(self) -> None:
        turns = self._turns()
        if turns is not None:
            turns.give(Turn(self._turns))


class Turns:
    """All of them."""

    def __init__(self, number: int) -> None:
        self._free = deque(Turn(weakref.ref(self)) for _ in range(number))
        self._waiting: deque[SimpleQueue[Turn]] = deque()

    def __len__(self) -> int:
        return len(self._free)

    def take(self, left: float | None) -> Turn | None:
        """Wait until it is the caller's turn; `None` where the seconds `left` are over before."""
        if self._free and not self._waiting:
            with suppress(IndexError):  # another thread was quicker
                return self._free.popleft()
        until = float("inf") if left is None else time.monotonic() + left
        mine: SimpleQueue[Turn] = SimpleQueue()
        try:
            self._waiting.append(mine)
            self._hand_out()
            while (left_now := until - time.monotonic()) > 0:
                with suppress(Empty):
                    return mine.get(timeout=min(left_now, LOOK_UP))
                if mine not in self._waiting:  # an interrupt has thrown it out
                    self._waiting.appendleft(mine)
                    self._hand_out()
            return None
        finally:
            with suppress(ValueError):
                self._waiting.remove(mine)
            # A turn that came too late goes with it, and so comes back.
            del mine

    def give(self, turn: Turn) -> None:
        """Give a turn back."""
        self._free.append(turn)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            try:
                turn = self._free.popleft()
            except IndexError:  # another thread was quicker
                continue
            try:
                self._waiting.popleft().put(turn)
            except IndexError:
                self._free.append(turn)
