"""`ResourceLock`: who closes a resource that a thread may still be using."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

from dashscope._runtime import signals
from dashscope._runtime.runtime import GRACE


class ResourceLock:
    """Lets one thread at a time use a resource, and others say what to do after that.

    Closing a resource while another thread uses it is an error, and waiting for that thread would
    block the event loop. Therefore `run_when_free()` leaves the work to the thread that has the
    lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._later: deque[Callable[[], object]] = deque()

    @contextmanager
    def held(self) -> Generator[None]:
        """Return a block that only one thread enters at a time. Signals are deferred in it."""
        with signals.defer_signals(GRACE):
            try:
                with self._lock:
                    yield
            finally:
                self._run_later()

    def run_when_free(self, function: Callable[[], object]) -> None:
        """Call a function with the lock: now, or when the thread that has the lock releases it."""
        with signals.defer_signals(GRACE):
            self._later.append(function)
            self._run_later()

    def _run_later(self) -> None:
        # Another thread may add a function just before the lock is released.
        while self._later and self._lock.acquire(blocking=False):
            try:
                while self._later:
                    self._later.popleft()()
            finally:
                self._lock.release()
