"""`chance()`: the random number in delays, so that those who wait do not come back in step.

It comes from the system. The numbers of the module `random` are the program's own: a program that
seeds them counts on getting the same ones again, and processes that are forked from one, or seeded
alike, would all wait equally long.
"""

from __future__ import annotations

from random import SystemRandom

_system = SystemRandom()


def chance() -> float:
    """A number from 0 to 1."""
    return _system.random()
