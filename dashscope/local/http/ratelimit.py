"""A rate limit for testing clients: requests per second, minute or hour."""

import math
import re
from typing import Final

_RATE: Final = re.compile(r"([0-9]{1,9})(?:/(s|m|h))?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


class RateLimit:
    """A token bucket that holds one period's worth of requests."""

    def __init__(self, rate: str) -> None:
        match = _RATE.fullmatch(rate.strip())
        if not match or int(match[1]) == 0:
            raise ValueError(f"A rate limit has the form 10/s, 600/m or 5000/h, not {rate!r}.")
        self._size = float(match[1])
        self._per_second = self._size / _SECONDS[match[2] or "s"]
        self._left = self._size
        self._at = 0.0

    def take(self, at: float) -> int | None:
        """Count a request at a monotonic time. Return None, or the seconds to wait if exceeded."""
        self._left = min(self._size, self._left + (at - self._at) * self._per_second)
        self._at = at
        if self._left >= 1:
            self._left -= 1
            return None
        return max(1, math.ceil((1 - self._left) / self._per_second))
