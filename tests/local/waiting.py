"""Waiting for what happens by itself."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

T = TypeVar("T")


def until(check: Callable[[], T], *, seconds: float = 30) -> T:
    """Return what ``check`` gives once it is true."""
    end = time.monotonic() + seconds
    pause = 0.01
    while True:
        if seen := check():
            return seen
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.1)


def reach(http: httpx.Client, prediction: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """Return a prediction or training once it has one of these statuses."""

    def check() -> dict[str, Any] | None:
        seen = http.get(prediction["urls"]["get"]).json()
        return seen if seen["status"] in statuses else None

    return until(check)
