"""Wait for a condition that another thread or process makes true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout: float = 30.0) -> T:
    """Call `condition`, at first every 10 ms and later every 0.1 s, until it returns a true value.

    Args:
        condition: The function to call.
        timeout: The number of seconds after which to give up.

    Returns:
        What `condition` returned.

    Raises:
        AssertionError: The condition is still false after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    pause = 0.01
    while not (result := condition()):
        assert time.monotonic() < end, f"The condition is still false after {timeout} s."
        time.sleep(pause)
        pause = min(1.2 * pause, 0.1)
    return result


def wait_for_status(
    http: httpx.Client, prediction: dict[str, Any], *statuses: str
) -> dict[str, Any]:
    """Poll a prediction or training until it has one of these statuses, and return it."""

    def poll() -> dict[str, Any] | None:
        document: dict[str, Any] = http.get(prediction["urls"]["get"]).json()
        return document if document["status"] in statuses else None

    return wait_until(poll)
