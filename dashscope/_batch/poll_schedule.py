"""How often a batch looks at what runs. Pure: the caller has the clock and the dice.

Pages of `predictions.list` show a hundred predictions at the price of one, so the whole crowd is
looked at in sweeps through them. What no page shows is looked at by itself, less often the
longer it runs.
"""

from __future__ import annotations

from typing import Final

from dashscope._api import polling
from dashscope._api.polling import Pace

WORTH: Final = 3
"""Predictions that a page has to show for the next one to be asked for."""
CROWD: Final = 8
"""Predictions up to which each is looked at by itself as often as `run()` does it."""
CROWD_SHARE: Final = 0.2
CROWD_SHORTEST: Final = 0.5
CROWD_LONGEST: Final = 5.0
"""Of more than that, each is looked at after this share of its age, within these seconds."""
WEIGHT: Final = 0.1
"""How much the last prediction counts for what is typical."""
UNSERVED: Final = 1.0
"""Seconds without lists, after one that did not serve; doubled each time, to a limit."""
LONGEST_UNSERVED: Final = 300.0


class Looks:
    """When to look again."""

    def __init__(self, interval: float | None, pace: Pace) -> None:
        self._interval = interval
        self._pace = pace
        self._typical: float | None = None
        self._useless = 0
        self._no_list_before = float("-inf")

    def held(self) -> float:
        """Seconds for which the server wants nobody to look."""
        return self._pace.held(0.0)

    def ended(self, seconds: float) -> None:
        """A prediction was over after so many seconds."""
        old = self._typical
        self._typical = seconds if old is None else old + WEIGHT * (seconds - old)

    def until_sweep(self, waited: float, *, pages: int, chance: float) -> float:
        """Seconds until the next sweep: a tenth of what is typical, more where it takes pages.

        Args:
            waited: seconds since the first prediction was created, for as long as none ended.
            pages: how many pages the last sweep took.
            chance: a random number from 0 to 1: the jitter.
        """
        typical = waited if self._typical is None else self._typical
        return self._delay(typical, chance) * max(1.0, pages / 2)

    def until_look(self, age: float, *, crowd: int, chance: float) -> float:
        """Seconds until one prediction is looked at by itself.

        Args:
            age: seconds that it has run.
            crowd: how many run.
            chance: a random number from 0 to 1: the jitter.
        """
        if crowd <= CROWD or self._interval is not None:
            return self._delay(age, chance)
        seconds = min(max(age * CROWD_SHARE, CROWD_SHORTEST), CROWD_LONGEST)
        return seconds * self._pace.slowdown * (1 + polling.SPREAD * (2 * chance - 1))

    def may_list(self, now: float) -> bool:
        """Do lists serve, by what was seen so far?"""
        return now >= self._no_list_before

    def listed(self, *, useful: bool, now: float) -> None:
        """A sweep came to its end; was it of use?"""
        if useful:
            self._useless = 0
            return
        self._useless += 1
        pause = UNSERVED * 2.0 ** min(self._useless - 1, 10)
        self._no_list_before = now + min(pause, LONGEST_UNSERVED)

    def _delay(self, waited: float, chance: float) -> float:
        return polling.delay(
            waited, interval=self._interval, slowdown=self._pace.slowdown, chance=chance
        )
