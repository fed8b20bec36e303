"""How long something took, and how much of it the machine took for something else."""

from __future__ import annotations

import time
from pathlib import Path

from attrs import frozen


@frozen
class Lasted:
    """Seconds: all that went by, and those that were ours."""

    wall: float
    ours: float


class Stopwatch:
    """Measures from when it is made.

    A promise in seconds is one of this package, not of a machine that is busy with something
    else: `ours` leaves out the time in which a thread of this process could have run and was not
    let. On a machine that is not busy, both are the same.
    """

    def __init__(self) -> None:
        self._waited = _waited()
        self._began = time.monotonic()

    def now(self) -> Lasted:
        """How long it has been so far."""
        return Lasted(self.wall, self.ours)

    @property
    def wall(self) -> float:
        """Seconds that went by; what took at least so long is compared with these."""
        return time.monotonic() - self._began

    @property
    def ours(self) -> float:
        """Seconds without those of waiting for a processor; for what takes at most so long."""
        wall, waited = self.wall, _waited()
        return wall - sum(
            max(0.0, seconds - self._waited.get(thread, 0.0)) for thread, seconds in waited.items()
        )


def _waited() -> dict[str, float]:
    """Seconds that each thread of this process has waited for a processor, where Linux says so."""
    waited = {}
    for task in Path("/proc/self/task").glob("*"):
        try:
            waited[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # it has just ended, or the system does not count
            continue
    return waited
