"""The connections of an event loop, for as long as it runs, or the client lives.

They are held here, and not by the client alone: one that is dropped without being closed
would take them along to the garbage collector, which knows no loop to close them in.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import anyio

from dashscope._runtime.tasks import starter
from dashscope._runtime.warnings import warn

if TYPE_CHECKING:
    from dashscope._transport.pool import AsyncPool


class LoopPool:
    """The connections of one event loop, which closes them as it ends."""

    def __init__(self, pool: AsyncPool, loops: set[LoopPool]) -> None:
        self.pool = pool
        self._loops = loops
        self._start = starter()
        self._lifetime = self._live()
        self._is_ending = False
        self._over: anyio.Event | None = None
        loops.add(self)

    async def enter(self) -> None:
        # Starting an async generator makes the loop know of it: it is closed at the loop's end.
        await anext(self._lifetime)

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._is_ending = True
            await self._close()

    async def _close(self) -> None:
        """Close the connections; who comes later waits for the one who is about it."""
        self._loops.discard(self)
        if self._over is not None:
            if not self._over.is_set():
                await self._over.wait()
            return
        self._over = anyio.Event()
        try:
            with anyio.CancelScope(shield=True):
                await self.pool.aclose()
        finally:
            self._over.set()

    async def aclose(self) -> None:
        """Close the connections, within the loop."""
        await self._close()
        if not self._is_ending:
            await self._lifetime.aclose()

    def close_soon(self) -> None:
        """Close the connections, from anywhere, unless the loop is over."""
        self._start(self.aclose)


def close_with(owner: object, loops: set[LoopPool], name: str) -> weakref.finalize[..., object]:
    """Close the connections of all loops when their owner is dropped, and complain."""
    finalizer = weakref.finalize(owner, _dropped, loops, name)
    finalizer.atexit = False
    return finalizer


def _dropped(loops: set[LoopPool], name: str) -> None:
    left = list(loops)
    for loop in left:
        loop.close_soon()
    if left:
        warn(name, "aclose()")
