"""`RateLimiter`: decides when the next prediction may be created.

The limiter combines the concurrency limit, `max_rate`, and the waits that the server asks for. It
is pure: the caller passes the time. The concurrency limit halves when the server rejects a create
and grows by one per round of successful creates (additive increase, multiplicative decrease).
"""

from __future__ import annotations

from typing import Final

from dashscope._api.retry import FIRST_DELAY, LONGEST_DELAY

MAX_RETRY_AFTER: Final = 900.0
"""Longest wait in seconds that a server may ask for. A longer one fails the row."""
REJECTION_TIMEOUT: Final = 120.0
"""Seconds of uninterrupted rejections after which rejected rows fail."""


class RateLimiter:
    """Limits the concurrency and the rate of creates for a whole batch.

    Args:
        concurrency: The maximum number of predictions in flight.
        max_rate: The maximum number of creates per second, or `None`.
        max_retries: The client's `max_retries`.
    """

    def __init__(self, concurrency: int, max_rate: float | None, max_retries: int) -> None:
        self._concurrency = concurrency
        self._interval = 0.0 if max_rate is None else 1.0 / max_rate
        self._max_retries = max_retries
        self._limit = float(concurrency)
        self._blocked_until = float("-inf")
        self._next_create = float("-inf")
        self._lowered_at = float("-inf")
        self._rejections = 0
        self._rejected_since = float("inf")

    @property
    def limit(self) -> int:
        """The number of predictions that may be in flight at the moment."""
        return int(self._limit)

    def delay(self, in_flight: int, now: float) -> float | None:
        """Return the seconds until the next create may start.

        Args:
            in_flight: The number of predictions in flight.
            now: The current time.

        Returns:
            0 if a create may start now. `None` if one of the predictions in flight has to finish
            first.
        """
        if in_flight >= self.limit:
            return None
        return max(0.0, self._blocked_until - now, self._next_create - now)

    def reserve(self, now: float) -> None:
        """Record that a create starts now."""
        self._next_create = max(self._next_create, now) + self._interval

    def block(self, seconds: float, now: float) -> None:
        """Block all creates for `seconds`."""
        self._blocked_until = max(self._blocked_until, now + seconds)

    def accepted(self) -> None:
        """Record a successful create."""
        self._rejections = 0
        self._rejected_since = float("inf")
        if self._limit < self._concurrency:
            self._limit = min(float(self._concurrency), self._limit + 1.0 / self._limit)

    def rejected(
        self, *, sent: float, now: float, in_flight: int, retry_after: float | None, chance: float
    ) -> bool:
        """Record that the server rejected a create because it is overloaded.

        Args:
            sent: When the request was sent.
            now: When the response arrived.
            in_flight: The number of other predictions in flight.
            retry_after: The seconds that the server asks to wait, or `None`.
            chance: A random number from 0 to 1, for the jitter.

        Returns:
            Whether the create should be retried.
        """
        # Requests that were in flight when the limit was lowered carry no new information.
        if sent > self._lowered_at:
            self._lowered_at = now
            self._rejections += 1
            self._rejected_since = min(self._rejected_since, now)
            self._limit = max(1.0, min(self._limit, in_flight + 1.0) / 2)
        if retry_after is not None and retry_after > MAX_RETRY_AFTER:
            return False
        if retry_after is None:
            back_off = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._rejections - 1, 10))
            retry_after = back_off * (1.0 + chance) / 2
        self.block(retry_after, now)
        if self._max_retries == 0:
            return False
        return (
            self._rejections <= self._max_retries or now - self._rejected_since < REJECTION_TIMEOUT
        )
