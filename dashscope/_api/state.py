"""The state that a client shares with its `with_options()` views."""

from __future__ import annotations

from typing import Final, Protocol

MOST_AT_ONCE: Final = 100
"""Each takes a connection for as long as its prediction runs."""


class Leavable(Protocol):
    """What is under way, and cancels what it created when its client is closed."""

    async def leave(self, error: BaseException | None, /) -> None: ...


class Listening:
    """The streams that a client listens to at the moment, of which there may be so many."""

    def __init__(self, max_connections: int) -> None:
        # Half of the connections at the most: those who create and cancel need some too.
        self._free = min(MOST_AT_ONCE, max_connections // 2)

    def start(self) -> bool:
        """Take a place, if one is free."""
        # Races between threads cost accuracy only.
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def stop(self) -> None:
        """Give the place back."""
        self._free += 1
