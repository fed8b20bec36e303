"""Measure scaling out: `python -m benchmarks.distributed PART... [--rows N] [--kills N]`."""

from __future__ import annotations

# Spawned processes cannot import functions from a `__main__` module of a package.
from benchmarks.distributed.measure import main

if __name__ == "__main__":
    main()
