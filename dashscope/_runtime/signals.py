"""Blocks that signal handlers do not interrupt, and waits that they do interrupt.

The sync client creates and cancels predictions in `defer_signals()`. Otherwise an exception in a
handler (Ctrl-C, a SIGTERM that is turned into an exception, a soft time limit) could lose the
response to a create, and with it the id to cancel.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Final, TypeAlias, TypeVar

from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger

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
    """Run a block before the handlers of signals that arrive in it.

    The handlers run after the block. If the block takes longer than `seconds` after a signal, the
    next wait of our own client runs its handler. A second signal of a kind is handled at once.
    Only handlers in Python, on the main thread, are deferred.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    deferral = _Deferral(seconds)
    try:
        deferral.begin()
        yield
    finally:
        deferral.end()


def is_deferring() -> bool:
    """Return whether the calling thread defers signals, and so must wait in slices."""
    return _active is not None and threading.current_thread() is threading.main_thread()


def handle_overdue() -> None:
    """Run the handlers of signals that were deferred for too long."""
    if _active is not None and is_deferring():
        _active.handle_overdue()


def sleep(seconds: float) -> None:
    """Sleep, and run the handlers of signals that were deferred for too long."""
    deadline = Deadline.after(seconds)
    while is_deferring() and not deadline.expired:
        time.sleep(deadline.within(LOOK_UP))
        handle_overdue()
    time.sleep(deadline.within(seconds))


class _Deferral:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._outer = _active
        self._handlers: dict[int, Handler] = {}
        self._came: dict[int, FrameType | None] = {}
        self._due = Deadline.NEVER

    def begin(self) -> None:
        global _active
        _active = self
        for number in NUMBERS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                if not _set_handler(number, self._defer):
                    # A sub-interpreter may not set handlers, and receives no signals either.
                    self._handlers.clear()
                    return

    def end(self) -> None:
        global _active
        interruption: BaseException | None = None
        handlers = list(self._handlers.items())
        while handlers:
            try:
                _active = self._outer
                if not _set_handler(*handlers[-1]):
                    logger.warning("the handler of signal %d cannot be restored", handlers[-1][0])
                handlers.pop()
            except BaseException as error:  # noqa: BLE001 (raised below: first, all are put back)
                interruption = error
        _active = self._outer
        self._call_deferred()
        if interruption is not None:
            raise interruption

    def handle_overdue(self) -> None:
        if self._outer is not None:
            self._outer.handle_overdue()
        if self._due.expired:
            self._due = Deadline.NEVER
            self._call_deferred()

    def _defer(self, number: int, frame: FrameType | None) -> None:
        if number in self._came:
            del self._came[number]
            self._handlers[number](number, frame)
            return
        self._came[number] = frame
        self._due = self._due.sooner(Deadline.after(self._seconds))

    def _call_deferred(self) -> None:
        came, self._came = self._came, {}
        self._call(iter(list(came.items())))

    def _call(self, came: Iterator[tuple[int, FrameType | None]]) -> None:
        """Call the handlers, also those after one that raises."""
        for number, frame in came:
            try:
                self._handlers[number](number, frame)
            finally:
                self._call(came)


def _set_handler(number: int, handler: Handler) -> bool:
    """Set the handler of a signal. Return false if Python refuses that.

    An exception may also come from the handler of a signal that arrives here. It is raised.
    """
    try:
        signal.signal(number, handler)
    except ValueError as error:
        try:
            signal.signal(number, handler)
        except ValueError:
            return False
        raise error from None
    return True


_active: _Deferral | None = None
"""The innermost deferral of the main thread."""
