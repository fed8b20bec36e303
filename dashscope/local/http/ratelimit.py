"""A rate limit to rehearse with: so many requests a second, minute or hour, then 429."""

import math
import re
from typing import Final

_RATE: Final = re.compile(r"([0-9]{1,9})(?:/(s|m|h))?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


class RateLimit:
    """A bucket of requests that refills steadily, and holds as many as one period allows."""

    def __init__(self, rate: str) -> None:
        match = _RATE.fullmatch(rate.strip())
        if not match or int(match[1]) == 0:
            raise ValueError(f"A rate limit is a number like 600/m, 10/s or 5000/h, not {rate!r}.")
        self._size = float(match[1])
        self._per_second = self._size / _SECONDS[match[2] or "s"]
        self._left = self._size
        self._at = 0.0

    def take(self, at: float) -> int | None:
        """Take a request at a moment of a steady clock; the seconds to wait where none is left."""
        self._left = min(self._size, self._left + (at - self._at) * self._per_second)
        self._at = at
        if self._left >= 1:
            self._left -= 1
            return None
        return max(1, math.ceil((1 - self._left) / self._per_second))
