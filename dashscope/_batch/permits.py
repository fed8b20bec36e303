"""`Permits`: a rate limit that several batches share, as an object with `acquire()`."""

from __future__ import annotations

import math
import time
from typing import Any, Final, Protocol, runtime_checkable

from dashscope._common.validation import shown
from dashscope._runtime.runtime import Runtime

BLOCK: Final = 0.5
"""Seconds of creates for which permits are fetched together, at most."""


@runtime_checkable
class SharedRate(Protocol):
    """A rate limit that several batches, processes or machines share.

    An object may also have `back_off(seconds)`, which is called when the server rejects a create
    because of its own rate limit.
    """

    def acquire(self, count: int = 1, /) -> object:
        """Wait until `count` predictions may be created. May be a coroutine function."""
        ...


def check(runtime: Runtime, max_rate: SharedRate) -> None:
    """Check that a client can call the methods of a rate limit.

    Raises:
        TypeError: If it cannot.
    """
    if not isinstance(max_rate, SharedRate):
        raise TypeError(
            "max_rate must be creates per second, or an object with acquire(count), not "
            f"{shown(max_rate)}"
        )
    for name in ("acquire", "back_off"):
        method = getattr(max_rate, name, None)
        if method is not None:
            runtime.check_callback(f"max_rate.{name}", method)


class Permits:
    """Fetches permits to create predictions, in blocks.

    Args:
        runtime: Calls the rate limit.
        rate: The rate limit, or `None`.
    """

    def __init__(self, runtime: Runtime, rate: SharedRate | None) -> None:
        self._runtime = runtime
        self._rate = rate
        self._left = 0
        self._block = 1
        self._fetched = float("-inf")

    async def take(self) -> None:
        """Wait until a prediction may be created."""
        if self._rate is None:
            return
        async with self._runtime.lock(f"permits {id(self)}"):
            if self._left == 0:
                self._block = self._next_block(time.monotonic() - self._fetched)
                await self._runtime.call_blocking(self._rate.acquire, self._block)
                self._fetched = time.monotonic()
                self._left = self._block
            self._left -= 1

    def _next_block(self, used: float) -> int:
        """Return how many permits to fetch, if the last block lasted for `used` seconds."""
        most = math.inf
        per_second: Any = getattr(self._rate, "per_second", None)
        if isinstance(per_second, int | float):
            most = max(1, int(per_second * BLOCK))
        wanted = self._block / used * BLOCK if used > 0 else 1.0
        return max(1, int(min(wanted, self._block * 2, most)))

    async def back_off(self, seconds: float) -> None:
        """Tell the other batches that the server rejected a create."""
        method = getattr(self._rate, "back_off", None)
        if method is not None:
            await self._runtime.call_blocking(method, seconds)
