"""Calls that run in separate tasks and survive the cancellation of their caller."""

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
    """A call that runs in a separate task, outside the caller's cancel scopes."""

    @abstractmethod
    async def wait(self, seconds: float | None) -> None:
        """Wait for the end of the task, at most `seconds`. Raise if the caller is canceled."""

    @abstractmethod
    def cancel(self) -> None:
        """Cancel the task."""

    @abstractmethod
    def done(self) -> bool:
        """Return whether the task has ended."""

    @abstractmethod
    def cancelled(self) -> bool:
        """Return whether the task ended because it was canceled."""

    @abstractmethod
    def result(self) -> T:
        """Return the result of the task, or raise its exception."""

    async def wait_out(self, seconds: float) -> None:
        """Wait for the end of the task despite cancellations. Cancel the task after `seconds`."""
        end = time.monotonic() + seconds
        while not self.done():
            left = end - time.monotonic()
            if left <= 0:
                self.cancel()
            try:
                await self.wait(left if left > 0 else None)
            except BaseException:  # noqa: BLE001, S112 (the caller raises the cancellation later)
                continue


class AsyncioTask(Task[T]):
    """A task of asyncio.

    A hidden task is not in `all_tasks()`. At the end of `asyncio.run()` all tasks in `all_tasks()`
    are canceled and awaited. One of them is the caller, which waits for this task, up to its grace
    period.
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
        """Call a function when the task ends."""
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
    """Mark the exception of a task as retrieved: its caller may be gone."""
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
        except BaseException as error:  # noqa: BLE001 (an exception in a system task would crash trio)
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
    """Return a function that starts a call in the current event loop, from any thread.

    If that loop is closed by then, the function does nothing.
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
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(start, call)

    return start_soon


def _trio_starter() -> Callable[[Callable[[], Coroutine[Any, Any, object]]], None]:
    import trio

    token = trio.lowlevel.current_trio_token()

    def start(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        with suppress(RuntimeError):  # the loop is ending
            TrioTask(call)

    def start_soon(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(start, call)

    return start_soon


def start_later(seconds: float, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a call in the running event loop after a while, unless the loop is closed by then."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        with suppress(RuntimeError):  # the loop is ending
            TrioTask(partial(_after, seconds, call))
        return
    # A timer, because a sleeping task would have to be canceled at the end of the loop.
    loop.call_later(seconds, _start, loop, call)


def _start(loop: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = loop.create_task(call())
    _started.add(task)
    task.add_done_callback(_started.discard)
    task.add_done_callback(_retrieve)


_started: set[asyncio.Task[None]] = set()
"""The tasks that are running: an event loop only keeps weak references to tasks."""


async def _after(seconds: float, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await anyio.sleep(seconds)
    await call()


def start_task(call: Callable[[], Coroutine[Any, Any, T]], *, is_hidden: bool = True) -> Task[T]:
    """Start a call in a task of the running event loop.

    Args:
        call: The call.
        is_hidden: Whether the end of `asyncio.run()` leaves the task to finish by itself,
            rather than canceling it with all others.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return TrioTask(call)
    return AsyncioTask(call, is_hidden=is_hidden)
