"""A model that streams, for the local server."""

import time
from collections.abc import Iterator

from dashscope.local import model


@model("test/verse", concurrency=2)
def verse(lines: int = 4, delay: float = 0.0) -> Iterator[str]:
    """Streams text, and prints a log."""
    for number in range(lines):
        print(f"line {number} of {lines} ✓")
        yield f"Zeile {number}: Grüße,\n"
        yield "" if number % 2 else "\n"
        time.sleep(delay)
