"""News for whoever looks on: that some job was created, started or ended, or a webhook tried.

It says only that something changed. Who hears it looks again, which is right however much was
missed meanwhile.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from dashscope.local.jobs.runs import Run

KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which nothing is told, to show that the connection lives."""

PACE: Final = 0.5
"""Seconds between two pieces of news; what happens meanwhile is one."""


class ChangeFeed:
    """A count of changes, and those who wait for the next one."""

    def __init__(self) -> None:
        # From a random start, so that a count of an earlier server is never taken for one of ours.
        self.count = secrets.randbelow(2**40)
        self._closed = False
        self._changed = asyncio.Event()

    def on_event(self, run: Run, event: str) -> None:
        """Take note of what happened to a run."""
        if event in {"created", "start", "completed"}:
            self.notify()

    def notify(self) -> None:
        """Wake everyone who waits for a change."""
        self.count += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """Let everyone go who waits."""
        self._closed = True
        self.notify()

    async def changes(self, seen: int | None) -> AsyncIterator[int | None]:
        """Yield the count each time it has changed, and None after a long silence."""
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
