"""`ResultBuffer`: holds finished results until the user reads them, and counts them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from dashscope.types.batch import BatchProgress, BatchResult

UNORDERED_WINDOW: Final = 2
"""Maximum number of rows in memory, as a multiple of the concurrency."""
ORDERED_WINDOW: Final = 4
"""The same for `ordered=True`, where a slow row delays the results after it."""
SAMPLE_INTERVAL: Final = 0.5
"""Seconds between two samples of the number of finished rows."""
RATE_WINDOW: Final = 30.0
"""Seconds of samples from which the rate is computed."""


class ResultBuffer:
    """Buffers the results of a batch, in input order if `ordered`.

    Args:
        concurrency: The concurrency of the batch.
        ordered: Whether to return the results in the order of the inputs.
        total: The number of inputs, or `None` if it is unknown.
        now: The current time.
    """

    def __init__(self, concurrency: int, *, ordered: bool, total: int | None, now: float) -> None:
        self._window = concurrency * (ORDERED_WINDOW if ordered else UNORDERED_WINDOW)
        self._ordered = ordered
        self._total = total
        self._started = now
        self._lock = threading.Lock()
        self._ready: deque[BatchResult] = deque()
        self._out_of_order: dict[int, BatchResult | None] = {}
        self._rows = 0
        self._returned = 0
        self._next_index = 0
        self._done = self._failed = self._skipped = self._fresh = 0
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])
        self._has_ended = False
        self._input_error: BaseException | None = None

    @property
    def has_room(self) -> bool:
        """Whether another input may be read."""
        return not self._has_ended and self._rows - self._returned < self._window

    @property
    def rows(self) -> int:
        """The number of rows read so far."""
        return self._rows

    def add_row(self) -> int:
        """Count a row that was read, and return its index."""
        self._rows += 1
        return self._rows - 1

    def end_inputs(self, error: BaseException | None) -> None:
        """Record that there are no more inputs, or that reading them raised `error`."""
        self._input_error = error
        self._has_ended = True

    def put(self, index: int, result: BatchResult | None) -> None:
        """Add the result of a row. `None` skips the row."""
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
            self._out_of_order[index] = result
            while self._next_index in self._out_of_order:
                self._release(self._out_of_order.pop(self._next_index))
                self._next_index += 1

    def pop(self) -> BatchResult | None:
        """Remove and return the next result, or `None` if none is ready."""
        with self._lock:
            if not self._ready:
                return None
            self._returned += 1
            return self._ready.popleft()

    @property
    def is_exhausted(self) -> bool:
        """Whether the inputs have ended and every result has been returned."""
        with self._lock:
            return self._has_ended and self._returned == self._rows

    def pop_input_error(self) -> BaseException | None:
        """Return the error that reading the inputs raised, the first time this is called."""
        error, self._input_error = self._input_error, None
        return error

    def progress(
        self, *, queued: int, running: int, now: float, is_over: bool = False
    ) -> BatchProgress:
        """Return the counts.

        Args:
            queued: The number of rows that wait to be created.
            running: The number of running predictions.
            now: The current time.
            is_over: Whether the batch has been closed.
        """
        with self._lock:
            finished = self._done + self._failed + self._skipped
            since, fresh = self._samples[0]
            rate = (self._fresh - fresh) / (now - since) if now > since else 0.0
            if now - self._samples[-1][0] >= SAMPLE_INTERVAL:
                self._samples.append((now, self._fresh))
                while self._samples[0][0] < now - RATE_WINDOW:
                    self._samples.popleft()
            unfinished = None if self._total is None else max(0, self._total - finished)
            remaining = None
            if unfinished is not None and (rate > 0 or unfinished == 0):
                remaining = unfinished / rate if unfinished else 0.0
            return BatchProgress(
                total=self._total,
                queued=queued if unfinished is None else max(0, unfinished - running),
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
            self._returned += 1
        else:
            self._ready.append(result)
