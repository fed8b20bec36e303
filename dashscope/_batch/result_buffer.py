"""Results on their way to the user: in which order, how many are held, and how many there were."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from dashscope.types.batch import BatchProgress, BatchResult

UNORDERED_WINDOW: Final = 2
"""Rows that are read and not handed out yet, in multiples of the concurrency."""
ORDERED_WINDOW: Final = 4
"""The same, where a slow row holds up those after it."""
SAMPLE: Final = 0.5
"""Seconds between two notes of how many were finished."""
LATELY: Final = 30.0
"""Seconds that count for the rate."""


class Outbox:
    """Results by their rows, each of which is taken in once and handed out once."""

    def __init__(self, concurrency: int, *, ordered: bool, total: int | None, now: float) -> None:
        self._window = concurrency * (ORDERED_WINDOW if ordered else UNORDERED_WINDOW)
        self._ordered = ordered
        self._total = total
        self._started = now
        self._lock = threading.Lock()
        self._ready: deque[BatchResult] = deque()
        self._early: dict[int, BatchResult | None] = {}
        self._taken = 0
        self._handed_out = 0
        self._next = 0
        self._done = self._failed = self._skipped = self._fresh = 0
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])
        self._has_ended = False
        self._error: BaseException | None = None

    @property
    def has_room(self) -> bool:
        """May another row be read?"""
        return not self._has_ended and self._taken - self._handed_out < self._window

    @property
    def taken(self) -> int:
        """How many rows were read."""
        return self._taken

    def take(self) -> int:
        """A row was read: its index."""
        self._taken += 1
        return self._taken - 1

    def end(self, error: BaseException | None) -> None:
        """There are no more rows, or reading them failed."""
        self._error = error
        self._has_ended = True

    def put(self, index: int, result: BatchResult | None) -> None:
        """What became of a row; `None`: it is left out."""
        with self._lock:
            if result is None:
                self._skipped += 1
            else:
                self._done += result.ok
                self._failed += not result.ok
                self._fresh += not result.from_checkpoint
            if not self._ordered:
                self._release(result)
                return
            self._early[index] = result
            while self._next in self._early:
                self._release(self._early.pop(self._next))
                self._next += 1

    def next(self) -> BatchResult | None:
        """The next result, if it is there."""
        with self._lock:
            if not self._ready:
                return None
            self._handed_out += 1
            return self._ready.popleft()

    @property
    def is_exhausted(self) -> bool:
        """Was everything handed out?"""
        with self._lock:
            return self._has_ended and self._handed_out == self._taken

    def ending(self) -> BaseException | None:
        """What ended the rows, where that was an error; it is told once."""
        error, self._error = self._error, None
        return error

    def progress(
        self, *, waiting: int, running: int, now: float, is_over: bool = False
    ) -> BatchProgress:
        """The counts.

        Args:
            waiting: how many rows wait to be created.
            running: how many predictions run.
            now: the time.
            is_over: whether the batch was left.
        """
        with self._lock:
            finished = self._done + self._failed + self._skipped
            since, fresh = self._samples[0]
            rate = (self._fresh - fresh) / (now - since) if now > since else 0.0
            if now - self._samples[-1][0] >= SAMPLE:
                self._samples.append((now, self._fresh))
                while self._samples[0][0] < now - LATELY:
                    self._samples.popleft()
            left = None if self._total is None else max(0, self._total - finished)
            remaining = None
            if left is not None and (rate > 0 or left == 0):
                remaining = left / rate if left else 0.0
            return BatchProgress(
                total=self._total,
                queued=waiting if left is None else max(0, left - running),
                running=running,
                done=self._done,
                failed=self._failed,
                skipped=self._skipped,
                rate=rate,
                elapsed=now - self._started,
                remaining=remaining,
                is_over=is_over,
            )

    def _release(self, result: BatchResult | None) -> None:
        if result is None:
            self._handed_out += 1
        else:
            self._ready.append(result)
