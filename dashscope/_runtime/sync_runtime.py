"""`SyncRuntime`: waits by blocking the calling thread; its coroutines never suspend."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast

from dashscope._common.deadline import Deadline
from dashscope._common.validation import shown
from dashscope._errors import timed_out
from dashscope._runtime import signals
from dashscope._runtime.drive import drive
from dashscope._runtime.forking import LOADED_LATER
from dashscope._runtime.read_ahead import ReadAhead
from dashscope._runtime.runtime import GRACE, Runtime, is_async_iterable, one_by_one
from dashscope._runtime.thread_limits import Bounds, PollsBeside, PollsFinishedError, Within
from dashscope._runtime.workers import Channel, WorkerGroup

T = TypeVar("T")

_UNBOUND: Final = nullcontext()
LOOK_UP: Final = 0.1
"""How often, in seconds, a thread that waits for others checks whether it was aborted."""


class SyncRuntime(Runtime):
    """Waits by blocking the calling thread, without an event loop.

    Args:
        to_sync: Returns the sync object of an async object that does I/O.
    """

    is_shared = False
    most_workers = 16

    def __init__(self, to_sync: Callable[[Any], Any]) -> None:
        super().__init__()
        self._to_sync = to_sync
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self.bounds = Bounds()
        self._turns: weakref.WeakValueDictionary[str, _Turn] = weakref.WeakValueDictionary()

    def bound(self, deadline: Deadline) -> AbstractContextManager[object]:
        if deadline.at is None:
            return _UNBOUND
        return Within(self.bounds, deadline)

    async def sleep(self, seconds: float) -> None:
        abort = self.bounds.abort
        if abort is None:
            signals.sleep(seconds)
        elif abort.wait(seconds):
            raise timed_out("a pause")

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    async def gather(
        self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, limit: int
    ) -> None:
        if len(calls) < 2:
            for call in calls:
                await call()
            return
        deadline = self.bounds.deadline
        outer, abort = self.bounds.abort, threading.Event()
        waiting = deque(calls)
        ended: SimpleQueue[BaseException | None] = SimpleQueue()

        def run() -> None:
            self.bounds.deadline, self.bounds.abort = deadline, abort
            while not abort.is_set():
                try:
                    call = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                try:
                    drive(call())
                except BaseException as error:  # noqa: BLE001 (raised in the calling thread)
                    ended.put(error)
                else:
                    ended.put(None)

        # Daemons, because the end of the process waits for the threads of an executor.
        threads = [
            threading.Thread(
                target=copy_context().run, args=(run,), name="dashscope-gather", daemon=True
            )
            for _ in range(min(limit, len(calls)))
        ]
        try:
            for thread in threads:
                thread.start()
            for _ in calls:
                _wait_for_next(ended, outer)
        except BaseException as error:
            # The other threads stop at their next chunk. Ctrl-C does not wait for them.
            abort.set()
            if isinstance(error, Exception):
                for thread in threads:
                    thread.join()
            raise

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None]:
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
        left = self.bounds.left()
        if not turn.lock.acquire(timeout=-1 if left is None else left):
            raise timed_out(f"waiting for {key}")
        try:
            yield
        finally:
            turn.lock.release()

    async def shield(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, grace: float = GRACE
    ) -> T:
        # A thread cannot be canceled. The timeouts of the call's requests limit it.
        abort, self.bounds.abort = self.bounds.abort, None
        try:
            with signals.defer_signals(grace):
                return await call()
        finally:
            self.bounds.abort = abort

    def worker_group(self) -> WorkerGroup:
        from dashscope._runtime.thread_workers import ThreadWorkerGroup

        def run(call: Callable[[], Coroutine[Any, Any, None]], abort: threading.Event) -> None:
            self.bounds.abort = abort
            drive(call())

        return ThreadWorkerGroup(run)

    def channel(self) -> Channel[Any]:
        from dashscope._runtime.thread_workers import ThreadChannel

        return ThreadChannel()

    async def poll_beside(
        self,
        listen: Callable[[], Coroutine[Any, Any, bool]],
        poll: Callable[[], Coroutine[Any, Any, bool]],
        pause: Callable[[], float],
    ) -> bool:
        self.bounds.polls = PollsBeside(self.bounds, pause, lambda: drive(poll()))
        try:
            return await listen()
        except PollsFinishedError:
            return True
        finally:
            self.bounds.polls = None

    def read_ahead(
        self, produce: Callable[[ReadAhead[T]], Coroutine[Any, Any, None]]
    ) -> ReadAhead[T] | None:
        return None

    def iterate(self, name: str, items: Any) -> AsyncIterator[Any]:
        if is_async_iterable(items):
            raise TypeError(f"{name} must be a plain iterable for Client, not an async one")
        return one_by_one(name, items, "an iterable")

    async def call(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(f"{function!r} returned an awaitable: Client requires plain functions")
        return result

    async def call_blocking(self, function: Callable[..., object], *args: Any) -> None:
        await self.call(function, *args)

    def check_callback(self, name: str, function: object) -> None:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{name} must be a plain function for Client, not a coroutine function")
        if not callable(function):
            raise TypeError(f"{name} must be a function, not {shown(function)}")

    def own(self, value: T) -> T:
        return cast("T", self._to_sync(value))

    async def aclose(self) -> None:
        pass  # shielded calls run in the thread that waits for them

    def loaded_later(self) -> Iterable[str]:
        return LOADED_LATER

    def forget(self) -> None:
        self._start()


def _wait_for_next(ended: SimpleQueue[BaseException | None], abort: threading.Event | None) -> None:
    """Wait until a call has ended.

    Raises:
        APITimeoutError: If the waiting thread is aborted.
        BaseException: What the call raised.
    """
    while abort is None or not abort.is_set():
        with suppress(Empty):
            error = ended.get(timeout=LOOK_UP)
            if error is not None:
                raise error
            return
    raise timed_out("an aborted call")


class _Turn:
    """A lock that is removed when no thread uses it."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
