"""`PollSchedule`: decides how often a batch polls its predictions.

A page of `predictions.list()` shows 100 predictions for the price of one request, so a batch polls
the list. Predictions that the list does not show are polled individually, less often the longer
they run. The schedule is pure: the caller passes the time and the random numbers.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from dashscope._api import polling
from dashscope._api.polling import Pace

MIN_PER_PAGE: Final = 3
"""A list poll requests another page only if the last page showed this many of our predictions."""
SMALL_BATCH: Final = 8
"""Up to this many running predictions are polled individually as often as `run()` polls."""
INDIVIDUAL_SHARE: Final = 0.2
INDIVIDUAL_MIN: Final = 0.5
INDIVIDUAL_MAX: Final = 5.0
"""In larger batches, the individual poll interval is this share of a prediction's age, clamped."""
DURATION_WEIGHT: Final = 0.1
"""Weight of the latest prediction in the moving average of durations."""
RECENT: Final = 64
"""The number of recent durations from which the next one is estimated."""
ENOUGH: Final = 8
"""The number of durations that an estimate needs."""
SHORT: Final = 0.1
"""The share of predictions that may finish before the estimate."""
EARLY: Final = 0.95
"""List polls start at this share of the estimate. If predictions become faster, so does this."""
UNLISTED_MIN: Final = 1.0
"""Seconds without list polls after a useless one. Doubles each time, up to `UNLISTED_MAX`."""
UNLISTED_MAX: Final = 300.0


class PollSchedule:
    """Computes poll intervals from the durations seen so far.

    Args:
        interval: The user's `poll_interval`, or `None` for adaptive intervals.
        pace: The polling pace that the client's waiters share.
    """

    def __init__(self, interval: float | None, pace: Pace) -> None:
        self._interval = interval
        self._pace = pace
        self._typical_duration: float | None = None
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._useless_lists = 0
        self._no_list_before = float("-inf")

    def blocked_for(self) -> float:
        """Return the seconds for which the server requested no polls."""
        return self._pace.held(0.0)

    def finished(self, seconds: float) -> None:
        """Record that a prediction finished after `seconds`."""
        old = self._typical_duration
        self._typical_duration = seconds if old is None else old + DURATION_WEIGHT * (seconds - old)
        self._recent.append(seconds)

    def until_list_poll(self, waited: float, *, oldest: float, pages: int, chance: float) -> float:
        """Return the seconds until the next list poll.

        The interval is a tenth of the typical duration, and longer if list polls take many pages.
        While all predictions are too young to have finished, there is no list poll.

        Args:
            waited: Seconds since the first prediction was created. It replaces the typical
                duration until a prediction has finished.
            oldest: The age of the oldest running prediction in seconds.
            pages: The number of pages that the last list poll took.
            chance: A random number from 0 to 1, for the jitter.
        """
        typical = waited if self._typical_duration is None else self._typical_duration
        usual = self._delay(typical, chance) * max(1.0, pages / 2)
        return max(usual, self._shortest() - oldest)

    def _shortest(self) -> float:
        """Return the age before which few predictions finish."""
        if self._interval is not None or len(self._recent) < ENOUGH:
            return 0.0
        return sorted(self._recent)[int(len(self._recent) * SHORT)] * EARLY

    def until_poll(self, age: float, *, running: int, chance: float) -> float:
        """Return the seconds until a prediction is polled individually.

        Args:
            age: Seconds for which the prediction has been running.
            running: The number of running predictions.
            chance: A random number from 0 to 1, for the jitter.
        """
        if running <= SMALL_BATCH or self._interval is not None:
            return self._delay(age, chance)
        seconds = min(max(age * INDIVIDUAL_SHARE, INDIVIDUAL_MIN), INDIVIDUAL_MAX)
        return seconds * self._pace.slowdown * (1 + polling.SPREAD * (2 * chance - 1))

    def can_list(self, now: float) -> bool:
        """Return whether list polls are expected to be useful."""
        return now >= self._no_list_before

    def listed(self, *, useful: bool, now: float) -> None:
        """Record that a list poll ended, and whether it showed any of our predictions."""
        if useful:
            self._useless_lists = 0
            return
        self._useless_lists += 1
        pause = UNLISTED_MIN * 2.0 ** min(self._useless_lists - 1, 10)
        self._no_list_before = now + min(pause, UNLISTED_MAX)

    def _delay(self, waited: float, chance: float) -> float:
        return polling.delay(
            waited, interval=self._interval, slowdown=self._pace.slowdown, chance=chance
        )
