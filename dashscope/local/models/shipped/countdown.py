"""``dashscope/countdown``: streams numbers, and writes logs with a progress bar."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from dashscope.local import model


@model(
    "dashscope/countdown",
    readme="# countdown\n\nCounts down from `start`, streams each number, and writes a log.\n",
    collections=("shipped", "text", "streaming"),
)
def countdown(
    start: Annotated[int, Field(ge=0, le=1000)] = 5,
    delay: Annotated[float, Field(ge=0, le=60)] = 0.1,
) -> Iterator[str]:
    """Counts down to zero, and streams each number.

    Args:
        start: The number to start from.
        delay: Seconds between numbers.
    """
    sys.stdout.write(f"Counting down from {start}\n")
    total = start + 1
    for done, number in enumerate(range(start, -1, -1), start=1):
        yield f"{number}\n"
        filled = "█" * (done * 10 // total)
        percent = done * 100 // total
        sys.stderr.write(f"\r{percent:3}%|{filled:<10}| {done}/{total}")
        if done < total:
            time.sleep(delay)
    sys.stderr.write("\n")
