"""`AsyncRuntime`: waits by suspending, on asyncio, uvloop and trio."""

from __future__ import annotations

import inspect
import time
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Final, TypeVar

import anyio
from anyio.lowlevel import RunVar

from dashscope._common.deadline import Deadline
from dashscope._common.validation import shown
from dashscope._runtime.forking import LOADED_LATER
from dashscope._runtime.read_ahead import ReadAhead
from dashscope._runtime.runtime import GRACE, Runtime, is_async_iterable, one_by_one
from dashscope._runtime.tasks import Task, start_task
from dashscope._runtime.threads import run_in_thread
from dashscope._runtime.workers import Channel, WorkerGroup

T = TypeVar("T")

LAST: Final = 0.02
"""Seconds after a deadline when a wait is canceled."""


class AsyncRuntime(Runtime):
    """Waits by suspending. Works on several event loops, one after another or at once."""

    is_shared = True
    most_workers = 64

    def __init__(self) -> None:
        super().__init__()
        self._start()

    def _start(self) -> None:
        self._turns: RunVar[weakref.WeakValueDictionary[str, anyio.Lock]] = RunVar("turns")
        self._shielded: RunVar[set[Task[Any]] | None] = RunVar("shielded", None)

    def bound(self, deadline: Deadline) -> AbstractContextManager[object]:
        left = deadline.left()
        # The timeouts of the connection should fire first: they know whether the request was sent.
        return nullcontext() if left is None else anyio.move_on_after(left + LAST)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await run_in_thread(function, *args)

    async def gather(
        self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, limit: int
    ) -> None:
        slots = anyio.CapacityLimiter(limit)
        failures: list[Exception] = []

        async def run(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
            async with slots:
                try:
                    await call()
                except Exception as error:  # noqa: BLE001 (raised below, not in an exception group)
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(run, call)
        if failures:
            raise failures[0]

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None]:
        turns = self._turns.get(None)
        if turns is None:
            turns = weakref.WeakValueDictionary[str, anyio.Lock]()
            self._turns.set(turns)
        turn = turns.setdefault(key, anyio.Lock())
        async with turn:
            yield

    async def shield(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, grace: float = GRACE
    ) -> T:
        task = start_task(call)
        shielded = self._shielded.get()
        if shielded is None:
            shielded = set[Task[Any]]()
            self._shielded.set(shielded)
        shielded.add(task)
        try:
            return await self._outcome(task, grace)
        finally:
            shielded.discard(task)

    async def _outcome(self, task: Task[T], grace: float) -> T:
        try:
            await task.wait(None)
        except GeneratorExit:
            task.cancel()  # the coroutine is being closed and cannot await
            raise
        except BaseException:
            # Shielded from cancel scopes. `wait_out()` catches native cancellations.
            with anyio.CancelScope(shield=True):
                await task.wait_out(grace)
            raise
        try:
            return task.result()
        finally:
            await anyio.lowlevel.checkpoint_if_cancelled()

    def worker_group(self) -> WorkerGroup:
        from dashscope._runtime.task_workers import TaskWorkerGroup

        return TaskWorkerGroup()

    def channel(self) -> Channel[Any]:
        from dashscope._runtime.task_workers import TaskChannel

        return TaskChannel()

    async def poll_beside(
        self,
        listen: Callable[[], Coroutine[Any, Any, bool]],
        poll: Callable[[], Coroutine[Any, Any, bool]],
        pause: Callable[[], float],
    ) -> bool:
        task = start_task(listen, is_hidden=False)
        try:
            while True:
                await task.wait(pause())
                if task.done():
                    return task.result()
                if await poll():
                    return True
        finally:
            if not task.done():
                task.cancel()
                with anyio.CancelScope(shield=True):
                    await task.wait(None)

    def read_ahead(
        self, produce: Callable[[ReadAhead[T]], Coroutine[Any, Any, None]]
    ) -> ReadAhead[T] | None:
        return ReadAhead(produce)

    def iterate(self, name: str, items: Any) -> AsyncIterator[Any]:
        if is_async_iterable(items):
            return aiter(items)
        return one_by_one(name, items, "an iterable or async iterable")

    async def call(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def call_blocking(self, function: Callable[..., object], *args: Any) -> None:
        if inspect.iscoroutinefunction(function):
            await function(*args)
        else:
            await self.in_thread(function, *args)

    def check_callback(self, name: str, function: object) -> None:
        if not callable(function):
            raise TypeError(
                f"{name} must be a function or a coroutine function, not {shown(function)}"
            )

    def own(self, value: T) -> T:
        return value

    async def aclose(self) -> None:
        await self._let_finish()

    async def _let_finish(self) -> None:
        """Wait for shielded calls to finish, such as the cancellation of a prediction."""
        end = time.monotonic() + GRACE
        for task in list(self._shielded.get() or ()):
            await task.wait(max(0.0, end - time.monotonic()))

    def loaded_later(self) -> Iterable[str]:
        return LOADED_LATER

    def forget(self) -> None:
        self._start()
