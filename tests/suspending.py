"""Something happens at one suspension of many of the code under test, chosen by its number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from attrs import frozen


@frozen
class Interrupted:
    """How a coroutine took it.

    Attributes:
        reached: whether it came to the suspension at all.
        cancelled: whether the cancellation went through it to its caller.
    """

    reached: bool
    cancelled: bool


async def interrupted_at(suspension: int, coroutine: Coroutine[Any, Any, Any]) -> Interrupted:
    """Run a coroutine and cancel it at its suspension of this number, counted from 1.

    On asyncio the task is cancelled, natively; on trio, a scope around it.
    """
    counted = Counted(coroutine, suspension)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with anyio.CancelScope() as scope:
            counted.then = scope.cancel
            await counted
        return Interrupted(counted.reached, scope.cancelled_caught)

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        counted.then = task.cancel
        await counted

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return Interrupted(counted.reached, task.cancelled())


async def interrupted_everywhere(attempt: Callable[[int], Awaitable[Interrupted]]) -> int:
    """Interrupt attempts at their first suspension, the second and so on; gives how many it took.

    Raises:
        AssertionError: when none of them comes to its end.
    """
    for suspension in range(1, 100):
        if not (await attempt(suspension)).reached:
            return suspension
    raise AssertionError("it never ran to its end")


class Counted:
    """An awaitable that counts the suspensions of a coroutine, and calls a function at one.

    Args:
        coroutine: the coroutine.
        at: the number of the suspension, counted from 1.
        again: whether to call it at each later one as well.

    Attributes:
        then: the function.
        reached: whether the coroutine came to that suspension at all.
    """

    then: Callable[[], object]

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], at: int, *, again: bool = False
    ) -> None:
        self._coroutine = coroutine
        self._at = at
        self._again = again
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        count = 0
        step = self._coroutine.send
        value: Any = None
        while True:
            try:
                suspended = step(value)
            except StopIteration as stop:
                return stop.value
            count += 1
            if count == self._at or (self._again and count > self._at):
                self.reached = True
                self.then()
            try:
                value = yield suspended
                step = self._coroutine.send
            except BaseException as error:
                value = error
                step = self._coroutine.throw


@asynccontextmanager
async def left_once(condition: Callable[[], object]) -> AsyncIterator[anyio.CancelScope]:
    """A scope that is cancelled once something has come about, however long that takes."""

    async def watch() -> None:
        while not condition():
            await anyio.sleep(0.01)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        with anyio.CancelScope() as scope:
            yield scope
        group.cancel_scope.cancel()
