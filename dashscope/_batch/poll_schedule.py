"""`PollSchedule`: decides how often a batch polls its predictions.

A page of `predictions.list()` shows 100 predictions for the price of one request, so a batch polls
the list. Predictions that the list does not show are polled individually, less often the longer
they run. The schedule is pure: the caller passes the time and the random numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final

from dashscope import types
from dashscope._api import polling
from dashscope._api.polling import Pace
from dashscope._batch.row import RunningPrediction

MIN_PER_PAGE: Final = 3
"""A list poll requests another page only if the last page showed this many of our predictions."""
SMALL_BATCH: Final = 8
"""Up to this many running predictions are polled individually as often as `run()` polls."""
INDIVIDUAL_SHARE: Final = 0.2
INDIVIDUAL_MIN: Final = 0.5
INDIVIDUAL_MAX: Final = 5.0
"""In larger batches, the individual poll interval is this share of a prediction's age, clamped."""
FIRST_SHARE: Final = 0.2
FIRST_MAX: Final = 1.0
"""In larger batches, the first list polls follow each other after this share of the time waited."""
RECENT: Final = 64
"""The number of recent durations from which the next ones are predicted."""
ENOUGH: Final = 8
"""The number of durations that a prediction needs."""
SAMPLE: Final = 16
"""How many durations and how many running predictions are combined, to bound the work."""
SHORT: Final = 0.1
"""The share of predictions that may finish before a list poll is considered."""
LATE: Final = 0.02
LATE_MAX: Final = 0.1
"""A list poll follows the expected end after this share of the typical duration, clamped."""
WINDOW: Final = 0.2
WINDOW_MAX: Final = 2.0
"""A list poll waits for more ends for this share of the typical duration, clamped."""
EARLY: Final = 0.9
"""A duration of which only polls are known may be shorter, down to this share."""
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
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._durations: Sequence[float] = ()
        self._useless_lists = 0
        self._no_list_before = float("-inf")

    def blocked_for(self) -> float:
        """Return the seconds for which the server requested no polls."""
        return self._pace.held(0.0)

    def finished(self, seconds: float) -> None:
        """Record that a prediction finished after `seconds`."""
        self._recent.append(seconds)
        if len(self._recent) >= ENOUGH:
            ordered = sorted(self._recent)
            self._durations = ordered[:: max(1, len(ordered) // SAMPLE)]

    def until_first_end(self) -> float:
        """Return the seconds after a create before which the list need not be polled for it."""
        if not self._durations or self._interval is not None:
            return polling.SHORTEST
        shortest = self._durations[int(len(self._durations) * SHORT)]
        return max(polling.SHORTEST, shortest + self._late)

    def next_list_poll(
        self,
        running: Sequence[RunningPrediction],
        *,
        waited: float,
        last: float,
        pages: int,
        chance: float,
    ) -> float:
        """Return the time of the next list poll.

        The poll follows the next expected end. It waits a little longer if more ends are expected
        soon. While no durations are known, the interval grows with the time waited.

        Args:
            running: The running predictions.
            waited: Seconds from the first create to the last list poll.
            last: The time of the last list poll, or of the first create if there was none.
            pages: The number of pages that the last list poll took.
            chance: A random number from 0 to 1, for the jitter.
        """
        many = max(1.0, pages / 2)
        if self._durations and self._interval is None:
            # If the server is overloaded, expected ends do not matter.
            usual = self._typical if self._pace.slowdown > 1 else 0.0
            return max(self._next_end(running), last + self._delay(usual, chance) * many)
        if len(running) <= SMALL_BATCH or self._interval is not None:
            return last + self._delay(waited, chance) * many
        seconds = min(max(waited * FIRST_SHARE, polling.SHORTEST), FIRST_MAX)
        return last + self._spread(seconds, chance) * many

    def _next_end(self, running: Sequence[RunningPrediction]) -> float:
        """Return when the next predictions are expected to have finished.

        The durations of a prediction are those among the recent ones that it has not exceeded.
        """
        step = max(1, len(running) // SAMPLE)
        ends: list[tuple[float, float]] = []
        for one in running[::step]:
            age = one.seen_at - one.started
            possible = self._durations[bisect_right(self._durations, age) :]
            if possible:
                share = step / len(possible)
                ends += [(one.started + seconds, share) for seconds in possible]
            else:
                ends.append((one.seen_at + self._delay(age, 0.5), step))
        ends.sort()
        typical = self._typical
        window = min(typical * WINDOW, WINDOW_MAX)
        if len(running) <= SMALL_BATCH:
            window = polling.delay(typical, interval=None, slowdown=1.0, chance=0.5)
        expected, first = 0.0, float("inf")
        end = first
        for at, share in ends:
            expected += share
            if expected > 0.99 and first == float("inf"):
                first = at
            if at > first + window:
                break
            end = at
        return end + self._late

    @property
    def _typical(self) -> float:
        return self._durations[len(self._durations) // 2]

    @property
    def _late(self) -> float:
        return min(self._typical * LATE, LATE_MAX)

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
        return self._spread(seconds, chance)

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

    def _spread(self, seconds: float, chance: float) -> float:
        return seconds * self._pace.slowdown * (1 + polling.SPREAD * (2 * chance - 1))


def duration(running: RunningPrediction, prediction: types.Prediction | None, now: float) -> float:
    """Return how long a prediction ran, in seconds.

    The server's times are exact. Ours include the time until a poll noticed the end.

    Args:
        running: The prediction while it was running.
        prediction: The finished prediction. `None` if it could not be retrieved.
        now: When its end was noticed.
    """
    shortest, longest = running.seen_at - running.started, now - running.started
    start = None if prediction is None else prediction.created_at
    end = None if prediction is None else prediction.completed_at
    if start is None or end is None:
        return max((shortest + longest) / 2, longest * EARLY)
    return min(max(shortest, (end - start).total_seconds()), longest)
