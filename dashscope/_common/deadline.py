"""`Deadline`: a moment by which something must be over, handed down from call to call."""

from __future__ import annotations

import time
from typing import ClassVar

from attrs import frozen


@frozen
class Deadline:
    """A moment on the monotonic clock, or never.

    Attributes:
        at: the moment.
        seconds: how long it was until then.
    """

    at: float | None
    seconds: float = 0.0

    NEVER: ClassVar[Deadline]

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """The moment `seconds` from now; `None` is never."""
        return cls.NEVER if seconds is None else cls(time.monotonic() + seconds, seconds)

    def left(self) -> float | None:
        """Seconds until then, not below 0; `None` is for ever."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    @property
    def overtime(self) -> float:
        """Seconds that tidying up may take after it: less than half of one, or a tenth."""
        return max(0.4, self.seconds * 0.08)

    @property
    def expired(self) -> bool:
        """Is it over?"""
        return self.at is not None and time.monotonic() >= self.at

    def within(self, seconds: float) -> float:
        """`seconds`, or what is left if that is less."""
        left = self.left()
        return seconds if left is None else min(seconds, left)

    def sooner(self, other: Deadline) -> Deadline:
        """The earlier of the two."""
        if self.at is None:
            return other
        return self if other.at is None or self.at <= other.at else other


Deadline.NEVER = Deadline(None)
