"""Cancel a coroutine, or call a function, at a chosen suspension of the coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from attrs import frozen


@frozen
class Interruption:
    """The result of a coroutine that was canceled at a suspension.

    Attributes:
        reached: Whether the coroutine reached the suspension.
        canceled: Whether the cancellation propagated to the caller.
    """

    reached: bool
    canceled: bool


async def cancel_at_suspension(
    suspension: int, coroutine: Coroutine[Any, Any, Any]
) -> Interruption:
    """Run a coroutine and cancel it at a suspension.

    On asyncio the task is canceled natively. On trio a surrounding scope is canceled.

    Args:
        suspension: The number of the suspension, counted from 1.
        coroutine: The coroutine.
    """
    counted = SuspensionCounter(coroutine, suspension)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with anyio.CancelScope() as scope:
            counted.then = scope.cancel
            await counted
        return Interruption(counted.reached, scope.cancelled_caught)

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        counted.then = task.cancel
        await counted

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return Interruption(counted.reached, task.cancelled())


async def cancel_at_every_suspension(attempt: Callable[[int], Awaitable[Interruption]]) -> int:
    """Call `attempt` with 1, 2 and so on, until its coroutine completes before the suspension.

    Returns:
        The number of attempts.

    Raises:
        AssertionError: The coroutine has not completed after 100 suspensions.
    """
    for suspension in range(1, 100):
        if not (await attempt(suspension)).reached:
            return suspension
    raise AssertionError("The coroutine never ran to its end.")


class SuspensionCounter:
    """An awaitable that runs a coroutine, and calls a function at one of its suspensions.

    Args:
        coroutine: The coroutine.
        at: The number of the suspension, counted from 1.
        again: Whether to call the function at each later suspension as well.

    Attributes:
        then: The function.
        reached: Whether the coroutine reached the suspension.
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
async def cancel_once(condition: Callable[[], object]) -> AsyncIterator[anyio.CancelScope]:
    """A scope that is canceled once `condition` returns a true value."""

    async def watch() -> None:
        while not condition():
            await anyio.sleep(0.01)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        with anyio.CancelScope() as scope:
            yield scope
        group.cancel_scope.cancel()
