"""Blocks that signal handlers do not interrupt, and waits that they do interrupt.

The sync client creates and cancels predictions in `defer_signals()`. Otherwise an exception in a
handler (Ctrl-C, a SIGTERM that is turned into an exception, a soft time limit) could lose the
response to a create, and with it the id to cancel.
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Final, TypeAlias, TypeVar

Handler: TypeAlias = Callable[[int, "FrameType | None"], Any]

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGBREAK")
NUMBERS: Final = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""The signals that programs turn into exceptions."""

LOOK_UP: Final = 0.5
"""How often, in seconds, a waiting thread lets signal handlers run."""

T = TypeVar("T")


def taken(items: SimpleQueue[T]) -> T:
    """Return the next item of a queue. For waits on the main thread.

    A signal that another thread receives, or that arrives just before the wait, does not end the
    wait. Its handler runs when this thread runs.
    """
    while True:
        with suppress(Empty):
            return items.get(timeout=LOOK_UP)


@contextmanager
def defer_signals(seconds: float) -> Generator[None]:
    """Call handlers of signals that come in the block when it is over.

    The second signal of a kind is handled at once, and so is the first one `seconds` after it
    came. Only what runs in Python, on the main thread, is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = _Held(seconds)
    try:
        held.begin()
        yield
    finally:
        held.end()


class _Held:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._handlers: dict[int, Handler] = {}
        self._came: dict[int, FrameType | None] = {}
        self._over: list[_thread.LockType] = []
        self._ending = _thread.allocate_lock()
        self._ended = False

    def begin(self) -> None:
        for number in NUMBERS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._defer)

    def end(self) -> None:
        interruption: BaseException | None = None
        try:
            for lock in self._over:
                lock.release()
            with self._ending:
                self._ended = True
        except BaseException as error:  # noqa: BLE001 (raised below: first, all are put back)
            interruption = error
        handlers = list(self._handlers.items())
        while handlers:
            try:
                signal.signal(*handlers[-1])
            except BaseException as error:  # noqa: BLE001 (as above)
                interruption = error
            else:
                handlers.pop()
        self._call(iter(list(self._came.items())))
        if interruption is not None:
            raise interruption

    def _defer(self, number: int, frame: FrameType | None) -> None:
        if number in self._came:
            del self._came[number]
            self._handlers[number](number, frame)
            return
        self._came[number] = frame
        over = _thread.allocate_lock()
        over.acquire()
        self._over.append(over)
        # Not by `threading`, whose locks the code that was interrupted may hold.
        _thread.start_new_thread(self._hurry, (number, over))

    def _hurry(self, number: int, over: _thread.LockType) -> None:
        """Send the signal once more, so that it comes through, unless the block is over first."""
        if over.acquire(timeout=self._seconds):
            return
        with self._ending:
            if not self._ended:
                _to_main_thread(number)

    def _call(self, came: Iterator[tuple[int, FrameType | None]]) -> None:
        """Call the handlers, also those after one that raises."""
        for number, frame in came:
            try:
                self._handlers[number](number, frame)
            finally:
                self._call(came)


def _to_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, number)  # what waits there, wakes up
    else:
        _thread.interrupt_main(signal.Signals(number))
