"""`chance()`: random numbers for delays, so that clients do not retry in step.

The numbers come from the system, not from the module `random`. That module belongs to the program:
a program that seeds it expects the same numbers again, and forked processes would all wait equally
long.
"""

from __future__ import annotations

from random import SystemRandom

_system = SystemRandom()


def chance() -> float:
    """Return a random number from 0 to 1."""
    return _system.random()
