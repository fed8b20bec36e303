"""When one more prediction may be created: how many at once, how fast, and not while told to wait.

Pure: the caller has the clock. The number in flight falls by half when the server says 429 and
rises by one for each round of successes (additive increase, multiplicative decrease).
"""

from __future__ import annotations

from typing import Final

from dashscope._api.retry import FIRST_DELAY, LONGEST_DELAY

LONGEST_WAIT: Final = 900.0
"""Seconds that a server may ask a batch to wait; a row whose refusal asks for more is an error."""
PATIENCE: Final = 120.0
"""Seconds for which a batch that is refused without a break goes on asking."""


class Gate:
    """Whether to create, shared by all that create."""

    def __init__(self, concurrency: int, max_rate: float | None, max_retries: int) -> None:
        self._most = concurrency
        self._spacing = 0.0 if max_rate is None else 1.0 / max_rate
        self._max_retries = max_retries
        self._limit = float(concurrency)
        self._not_before = float("-inf")
        self._next_turn = float("-inf")
        self._lowered_at = float("-inf")
        self._refusals = 0
        self._refused_since = float("inf")

    @property
    def limit(self) -> int:
        """How many predictions may be in flight now."""
        return int(self._limit)

    def pause(self, in_flight: int, now: float) -> float | None:
        """Seconds until the next create, 0 for at once; `None`: not before a prediction ends."""
        if in_flight >= self.limit:
            return None
        return max(0.0, self._not_before - now, self._next_turn - now)

    def take_turn(self, now: float) -> None:
        """A create is on its way."""
        self._next_turn = max(self._next_turn, now) + self._spacing

    def hold(self, seconds: float, now: float) -> None:
        """Nobody creates for so long."""
        self._not_before = max(self._not_before, now + seconds)

    def accepted(self) -> None:
        """A create succeeded."""
        self._refusals = 0
        self._refused_since = float("inf")
        if self._limit < self._most:
            self._limit = min(float(self._most), self._limit + 1.0 / self._limit)

    def refused(
        self, *, sent: float, now: float, in_flight: int, retry_after: float | None, chance: float
    ) -> bool:
        """A create was answered with 429; is it to be tried again?

        Args:
            sent: when it was sent.
            now: when the answer came.
            in_flight: how many predictions are in flight beside it.
            retry_after: seconds the server asks to wait.
            chance: a random number from 0 to 1: the jitter.
        """
        if sent > self._lowered_at:  # those that were on their way already say nothing new
            self._lowered_at = now
            self._refusals += 1
            self._refused_since = min(self._refused_since, now)
            self._limit = max(1.0, min(self._limit, in_flight + 1.0) / 2)
        if retry_after is not None and retry_after > LONGEST_WAIT:
            return False
        if retry_after is None:
            back_off = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._refusals - 1, 10))
            retry_after = back_off * (1.0 + chance) / 2
        self.hold(retry_after, now)
        if self._max_retries == 0:
            return False
        return self._refusals <= self._max_retries or now - self._refused_since < PATIENCE
