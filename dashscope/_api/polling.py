"""When to look at a prediction again. Pure but for the pace that a client's waiters share."""

from __future__ import annotations

import time
from typing import Final

SHORTEST: Final = 0.1
LONGEST: Final = 0.5
SHARE: Final = 0.1
"""The delay is this share of the time already waited."""
SPREAD: Final = 0.1
"""The delay varies by this much, up and down, so that many runs do not poll in step."""


def delay(waited: float, *, interval: float | None, slowdown: float, chance: float) -> float:
    """Seconds until the next look.

    Args:
        waited: seconds waited so far.
        interval: a fixed delay in seconds instead, `None` for the growing one.
        slowdown: a factor of 1 or more, by the client's `Pace`.
        chance: a random number from 0 to 1: the jitter.
    """
    if interval is not None:
        return interval * slowdown
    seconds = min(max(waited * SHARE, SHORTEST), LONGEST)
    return seconds * slowdown * (1 + SPREAD * (2 * chance - 1))


class Pace:
    """How much slower than usual a client polls, because the server said 429.

    All waiters of a client share one. Each 429 doubles the factor, up to `SLOWEST`; each look
    that succeeds brings it a tenth of the way back. Races between threads cost accuracy only.
    """

    SLOWEST: Final = 32.0
    RECOVERY: Final = 0.9

    def __init__(self) -> None:
        self.slowdown = 1.0
        self._not_before = 0.0

    def throttled(self, retry_after: float | None) -> None:
        """A look was answered with 429."""
        self.slowdown = min(self.SLOWEST, self.slowdown * 2)
        if retry_after is not None:
            self._not_before = max(self._not_before, time.monotonic() + retry_after)

    def succeeded(self) -> None:
        """A look was answered."""
        if self.slowdown > 1.0:
            self.slowdown = max(1.0, self.slowdown * self.RECOVERY)

    def held(self, chance: float) -> float:
        """Seconds until the next look, for which the server wants nobody to look.

        Args:
            chance: a random number from 0 to 1: its waiters come back spread over the time
                that a delay has by now, rather than all at once.
        """
        left = self._not_before - time.monotonic()
        return left + chance * LONGEST * self.slowdown if left > 0 else 0.0
