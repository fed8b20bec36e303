"""The connections of an event loop, for as long as it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from dashscope._pool import AsyncPool


class LoopPool:
    """The connections of one event loop, which closes them as it ends."""

    def __init__(self, pool: AsyncPool, loops: set[LoopPool]) -> None:
        self.pool = pool
        self._loops = loops
        self._lifetime = self._live()
        loops.add(self)

    async def enter(self) -> None:
        # Starting an async generator makes the loop know of it: it is closed at the loop's end.
        await anext(self._lifetime)

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._loops.discard(self)
            with anyio.CancelScope(shield=True):
                await self.pool.aclose()

    async def aclose(self) -> None:
        await self._lifetime.aclose()
