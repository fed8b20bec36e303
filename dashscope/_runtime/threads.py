"""`run_in_thread()`: blocking work in worker threads, for async code.

A thread cannot be canceled. anyio shields it from cancel scopes, but a native cancellation
(`task.cancel()`, `asyncio.wait_for()`) would return to the caller while the thread still works.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.to_thread

from dashscope._runtime.runtime import GRACE

T = TypeVar("T")

CHECK_INTERVAL: Final = 0.01
"""How often, in seconds, a canceled caller checks whether its thread has finished."""


async def run_in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run blocking work in a worker thread.

    If the caller is canceled, natively or by a scope, this waits until the thread has finished,
    at most `GRACE` seconds. A call that has not started by then never starts.
    """
    call = _ThreadCall(function, args)
    try:
        return await anyio.to_thread.run_sync(call.run, abandon_on_cancel=True)
    except GeneratorExit:
        raise  # the coroutine is being closed and cannot await
    except BaseException:
        await call.wait_out(GRACE)
        raise


class _ThreadCall(Generic[T]):
    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        # Held by the thread that runs the call, or by the caller that prevents it.
        self._claim = threading.Lock()
        self._is_finished = False

    def run(self) -> T:
        if not self._claim.acquire(blocking=False):
            raise RuntimeError("the caller was canceled")
        try:
            return self._function(*self._args)
        finally:
            self._is_finished = True

    async def wait_out(self, seconds: float) -> None:
        """Wait for the end of the call despite cancellations, at most `seconds`."""
        if self._claim.acquire(blocking=False):
            return
        end = time.monotonic() + seconds
        with anyio.CancelScope(shield=True):
            while not self._is_finished and time.monotonic() < end:
                try:
                    await anyio.sleep(CHECK_INTERVAL)
                except GeneratorExit:
                    raise
                except BaseException:  # noqa: BLE001, S112 (the caller raises the first cancellation)
                    continue
