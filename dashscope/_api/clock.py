"""`ServerClock`: the difference between the server's clock and ours."""

from __future__ import annotations

import time
from datetime import timedelta

from dashscope._api.retry import parse_date


class ServerClock:
    """Derives the clock skew from the `Date` header of the latest response."""

    def __init__(self) -> None:
        self._latest: tuple[str, float] | None = None

    def observe(self, date: str | None) -> None:
        """Store the `Date` header of a response that has just arrived."""
        # Parsing takes longer than the rest of this, and most clients never need the skew.
        if date is not None:
            self._latest = date, time.time()

    @property
    def skew(self) -> timedelta | None:
        """How far the server's clock is ahead of ours. `None` if it is unknown."""
        if self._latest is None:
            return None
        header, received_at = self._latest
        date = parse_date(header)
        return None if date is None else timedelta(seconds=date - received_at)
