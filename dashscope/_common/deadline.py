"""`Deadline`: a point in time, passed down from call to call."""

from __future__ import annotations

import time
from typing import ClassVar

from attrs import frozen


@frozen
class Deadline:
    """A point in time on the monotonic clock, or never.

    Attributes:
        at: The time, or `None` for never.
        seconds: The seconds between the creation of the deadline and `at`.
    """

    at: float | None
    seconds: float = 0.0

    NEVER: ClassVar[Deadline]

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return the deadline `seconds` from now. `None` means never."""
        return cls.NEVER if seconds is None else cls(time.monotonic() + seconds, seconds)

    def left(self) -> float | None:
        """Return the seconds until the deadline, at least 0, or `None` for never."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    @property
    def overtime(self) -> float:
        """Seconds that cleanup may take after the deadline: 8% of its length, and at least 0.4."""
        return max(0.4, self.seconds * 0.08)

    @property
    def expired(self) -> bool:
        """True once the deadline has passed."""
        return self.at is not None and time.monotonic() >= self.at

    def within(self, seconds: float) -> float:
        """Return `seconds`, or the time left if that is shorter."""
        left = self.left()
        return seconds if left is None else min(seconds, left)

    def sooner(self, other: Deadline) -> Deadline:
        """Return the earlier of two deadlines."""
        if self.at is None:
            return other
        return self if other.at is None or self.at <= other.at else other


Deadline.NEVER = Deadline(None)
