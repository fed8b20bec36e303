"""A call in a task of its own, which goes on when its caller is cancelled: asyncio and trio."""

from __future__ import annotations

import asyncio
import contextvars
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast

import anyio

T = TypeVar("T")


class Task(ABC, Generic[T]):
    """A call that runs in a task of its own, outside the caller's scopes."""

    @abstractmethod
    async def wait(self, seconds: float | None) -> None:
        """Wait until it is over, `seconds` at most; a cancellation of the caller ends the wait."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask it to stop."""

    @abstractmethod
    def done(self) -> bool:
        """Is it over?"""

    @abstractmethod
    def cancelled(self) -> bool:
        """True if it ended because it was cancelled."""

    @abstractmethod
    def result(self) -> T:
        """What it returned; what it raised, is raised."""

    async def wait_out(self, seconds: float) -> None:
        """Wait whatever happens to the caller; past `seconds`, cancel it and wait for its end."""
        end = time.monotonic() + seconds
        while not self.done():
            left = end - time.monotonic()
            if left <= 0:
                self.cancel()
            try:
                await self.wait(left if left > 0 else None)
            except BaseException:  # noqa: BLE001, S112 (the first cancellation goes on later)
                continue


class AsyncioTask(Task[T]):
    """A task of asyncio.

    `all_tasks()` does not have it: at the end of `asyncio.run()` all that it has are cancelled,
    and the loop then runs until they are over. One of them is the caller, who waits for this
    one, and for no longer than its grace.
    """

    def __init__(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, is_hidden: bool = True
    ) -> None:
        self._task = asyncio.get_running_loop().create_task(call())
        self._task.add_done_callback(_retrieve)
        if is_hidden:
            asyncio._unregister_task(self._task)

    async def wait(self, seconds: float | None) -> None:
        await asyncio.wait({self._task}, timeout=seconds)

    def when_done(self, then: Callable[[], object]) -> None:
        """Call a function once it is over."""
        self._task.add_done_callback(lambda _: then())

    def cancel(self) -> None:
        self._task.cancel()

    def done(self) -> bool:
        return self._task.done()

    def cancelled(self) -> bool:
        return self._task.cancelled()

    def result(self) -> T:
        return self._task.result()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark the exception of a task as seen: its caller may be gone."""
    if not task.cancelled():
        task.exception()


class TrioTask(Task[T]):
    """A system task of trio."""

    def __init__(self, call: Callable[[], Coroutine[Any, Any, T]]) -> None:
        import trio

        self._call = call
        self._over = trio.Event()
        self._scope = trio.CancelScope()
        self._result: T | None = None
        self._error: BaseException | None = None
        trio.lowlevel.spawn_system_task(self._run, context=contextvars.copy_context())

    async def _run(self) -> None:
        try:
            with self._scope:
                self._result = await self._call()
        except BaseException as error:  # noqa: BLE001 (a system task that raises ends trio)
            self._error = error
        finally:
            self._over.set()

    async def wait(self, seconds: float | None) -> None:
        with anyio.move_on_after(seconds):
            await self._over.wait()

    def cancel(self) -> None:
        self._scope.cancel()

    def done(self) -> bool:
        return self._over.is_set()

    def cancelled(self) -> bool:
        return self._scope.cancelled_caught

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return cast("T", self._result)


def starter() -> Callable[[Callable[[], Coroutine[Any, Any, object]]], None]:
    """What starts a call in the event loop that runs now, whatever runs when it is asked to.

    Where that loop is over, it does nothing.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _trio_starter()
    started: set[AsyncioTask[object]] = set()

    def start(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        task = AsyncioTask(call)
        started.add(task)
        task.when_done(lambda: started.discard(task))

    def start_soon(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        with suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(start, call)

    return start_soon


def _trio_starter() -> Callable[[Callable[[], Coroutine[Any, Any, object]]], None]:
    import trio

    token = trio.lowlevel.current_trio_token()

    def start(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        with suppress(RuntimeError):  # it is about to be over
            TrioTask(call)

    def start_soon(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(start, call)

    return start_soon


def start_later(seconds: float, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a call in the running event loop after a while, unless that is over by then."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        with suppress(RuntimeError):  # it is about to be over
            TrioTask(partial(_after, seconds, call))
        return
    # No task waits for it: the end of a loop would have to cancel that.
    loop.call_later(seconds, _start, loop, call)


def _start(loop: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = loop.create_task(call())
    _started.add(task)
    task.add_done_callback(_started.discard)
    task.add_done_callback(_retrieve)


_started: set[asyncio.Task[None]] = set()
"""A loop itself does not keep its tasks alive."""


async def _after(seconds: float, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await anyio.sleep(seconds)
    await call()


def start_task(call: Callable[[], Coroutine[Any, Any, T]], *, is_hidden: bool = True) -> Task[T]:
    """Start a call in a task of the running event loop.

    Args:
        call: The call.
        is_hidden: Whether the end of `asyncio.run()` leaves the task to finish by itself,
            rather than cancelling it with all others.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return TrioTask(call)
    return AsyncioTask(call, is_hidden=is_hidden)
