"""Notifies open pages that a job was created, started or finished, or a webhook was attempted.

A notification only says that something changed. The receiver then reads the current state, so a
missed notification does no harm.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from dashscope.local.jobs.runs import Run

KEEP_ALIVE: Final = 15.0
"""Seconds without a change after which None is yielded, to keep the connection open."""

PACE: Final = 0.2
"""Minimum seconds between two notifications. Changes in between are combined."""


class ChangeFeed:
    """Counts changes and wakes the tasks that wait for the next one."""

    def __init__(self) -> None:
        # Start at a random number, so that a count from an earlier server never matches.
        self.count = secrets.randbelow(2**40)
        self._closed = False
        self._changed = asyncio.Event()

    def on_event(self, run: Run, event: str) -> None:
        """Count an event of a run if lists show it."""
        if event in {"created", "start", "completed"}:
            self.notify()

    def notify(self) -> None:
        """Count a change and wake all waiting tasks."""
        self.count += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """End all iterations of ``changes``."""
        self._closed = True
        self.notify()

    async def changes(self, seen: int | None) -> AsyncIterator[int | None]:
        """Yield the count after each change, and None after ``KEEP_ALIVE`` without a change."""
        while not self._closed:
            changed = self._changed
            if self.count == seen:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KEEP_ALIVE):
                        await changed.wait()
            if self._closed:
                return
            if self.count == seen:
                yield None
                continue
            seen = self.count
            yield seen
            await asyncio.sleep(PACE)
