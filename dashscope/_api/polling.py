"""Poll intervals. Pure, except for the pace that the waits of a client share."""

from __future__ import annotations

import time
from typing import Final

SHORTEST: Final = 0.1
LONGEST: Final = 0.5
SHARE: Final = 0.1
"""The interval as a share of the time already waited."""
SPREAD: Final = 0.1
"""The interval varies by this share, up and down, so that many runs do not poll at once."""


def delay(waited: float, *, interval: float | None, slowdown: float, chance: float) -> float:
    """Return the seconds until the next poll.

    Args:
        waited: Seconds waited so far.
        interval: A fixed interval in seconds, or `None` for a growing one.
        slowdown: A factor of at least 1, from the client's `Pace`.
        chance: A random number from 0 to 1, for the jitter.
    """
    if interval is not None:
        return interval * slowdown
    seconds = min(max(waited * SHARE, SHORTEST), LONGEST)
    return seconds * slowdown * (1 + SPREAD * (2 * chance - 1))


class Pace:
    """How much slower a client polls because the server responded with 429.

    All waits of a client share one pace. Each 429 doubles the factor, up to `SLOWEST`. Each
    successful poll multiplies it by `RECOVERY`. Races between threads only cost accuracy.
    """

    SLOWEST: Final = 32.0
    RECOVERY: Final = 0.9

    def __init__(self) -> None:
        self.slowdown = 1.0
        self._not_before = 0.0

    def throttled(self, retry_after: float | None) -> None:
        """Slow down, because a poll was answered with 429."""
        self.slowdown = min(self.SLOWEST, self.slowdown * 2)
        if retry_after is not None:
            self._not_before = max(self._not_before, time.monotonic() + retry_after)

    def succeeded(self) -> None:
        """Speed up, because a poll succeeded."""
        if self.slowdown > 1.0:
            self.slowdown = max(1.0, self.slowdown * self.RECOVERY)

    def held(self, chance: float) -> float:
        """Return the seconds to wait as requested by the server, or 0.

        Args:
            chance: A random number from 0 to 1. It spreads the next polls over one interval.
        """
        left = self._not_before - time.monotonic()
        return left + chance * LONGEST * self.slowdown if left > 0 else 0.0
