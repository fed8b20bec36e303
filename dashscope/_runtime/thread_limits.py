"""The limits of a thread of the sync client, which cannot be canceled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from dashscope._common.deadline import Deadline
from dashscope._errors import timed_out


class Bounds(threading.local):
    """The limits of the calling thread.

    Attributes:
        deadline: The deadline of the current block.
        abort: Set when the result is no longer needed.
        polls: The polls to make while the thread waits for a socket.
    """

    deadline = Deadline.NEVER
    abort: threading.Event | None = None
    polls: PollsBeside | None = None

    def left(self) -> float | None:
        """Return the seconds left, or `None` without a deadline."""
        return self.deadline.left()

    def check(self, what: str) -> None:
        """Raise if the deadline has passed or the thread was aborted."""
        if self.abort is None and self.deadline.at is None:
            return  # the common case, for each chunk of a stream
        if self.deadline.expired or (self.abort is not None and self.abort.is_set()):
            raise timed_out(what)


class PollsBeside:
    """Polls that a thread makes while it waits for a socket.

    Args:
        bounds: The bounds of the thread.
        pause: Returns the seconds until the next poll.
        poll: Polls, and returns whether there is nothing more to wait for.
    """

    def __init__(
        self, bounds: Bounds, pause: Callable[[], float], poll: Callable[[], bool]
    ) -> None:
        self._bounds = bounds
        self._pause = pause
        self._poll = poll
        self._due = time.monotonic() + pause()

    def seconds_left(self) -> float:
        """Return the seconds until the next poll is due."""
        return self._due - time.monotonic()

    def run(self) -> None:
        """Poll.

        Raises:
            PollsFinishedError: If there is nothing more to wait for.
        """
        self._bounds.polls = None  # its own requests wait without polling
        try:
            is_finished = self._poll()
        finally:
            self._bounds.polls = self
        if is_finished:
            raise PollsFinishedError
        self._due = time.monotonic() + self._pause()


class PollsFinishedError(Exception):
    """Ends the wait for a socket, because a poll has brought the result."""


class Within(AbstractContextManager[None]):
    """A block of a thread with its own deadline."""

    # A class, because each chunk of a stream is read in such a block and a generator-based
    # context manager takes twice as long.
    def __init__(self, bounds: Bounds, deadline: Deadline) -> None:
        self._bounds = bounds
        self._outer = bounds.deadline
        self._deadline = bounds.deadline.sooner(deadline)

    def __enter__(self) -> None:
        self._bounds.deadline = self._deadline

    def __exit__(self, *_: object) -> None:
        self._bounds.deadline = self._outer
