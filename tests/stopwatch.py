"""A stopwatch for tests of time limits that also pass on a busy machine."""

from __future__ import annotations

import time
from pathlib import Path

from attrs import frozen


@frozen
class Elapsed:
    """Elapsed seconds.

    Attributes:
        wall: Wall time.
        adjusted: Wall time without the time that threads of this process waited for a CPU.
    """

    wall: float
    adjusted: float


class Stopwatch:
    """Measures the time since its creation.

    Compare lower bounds with `wall` and upper bounds with `adjusted`, which leaves out the time in
    which a thread of this process waited for a CPU. On an idle machine both are the same.
    """

    def __init__(self) -> None:
        self._waited = _waited()
        self._began = time.monotonic()

    def elapsed(self) -> Elapsed:
        """Return the time elapsed so far."""
        return Elapsed(self.wall, self.adjusted)

    @property
    def wall(self) -> float:
        """Elapsed wall time in seconds. Compare lower bounds with it."""
        return time.monotonic() - self._began

    @property
    def adjusted(self) -> float:
        """Elapsed seconds without waiting for a CPU. Compare upper bounds with it."""
        wall, waited = self.wall, _waited()
        return wall - sum(
            max(0.0, seconds - self._waited.get(thread, 0.0)) for thread, seconds in waited.items()
        )


def _waited() -> dict[str, float]:
    """Return the seconds that each thread of this process has waited for a CPU (on Linux)."""
    waited = {}
    for task in Path("/proc/self/task").glob("*"):
        try:
            waited[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # the thread has just ended, or the system has no such file
            continue
    return waited
