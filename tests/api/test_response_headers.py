"""`x-should-retry` and `Date`: what the client learns from response headers."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import formatdate

from dashscope._api.clock import ServerClock
from dashscope._api.retry import attempt_result, may_have_executed, may_repeat
from dashscope._errors import APIStatusError
from dashscope.types.http import Headers
from tests.variants import variants


def error(status: int, headers: dict[str, str]) -> APIStatusError:
    return APIStatusError(
        "no",
        status=status,
        title=None,
        detail=None,
        headers=Headers(headers),
        body="",
        retry_after=None,
    )


@variants(
    ("status", "headers", "is_retried"),
    [
        (503, {"X-Should-Retry": "true"}, True),
        (503, {"x-should-retry": "false"}, False),
        (503, {}, False),
        # Other statuses may mean that a proxy lost the response.
        (500, {"x-should-retry": "true"}, False),
        (502, {"x-should-retry": "true"}, False),
        (504, {"x-should-retry": "true"}, False),
        (429, {}, True),
    ],
)
def test_a_create_is_retried_only_if_it_was_not_executed(
    status: int, headers: dict[str, str], is_retried: bool
) -> None:
    result = attempt_result(error(status, headers))
    assert may_repeat(result, repeatable=False) is is_retried
    assert may_have_executed(result) is not is_retried


def test_the_clock_skew_comes_from_the_latest_date() -> None:
    clock = ServerClock()
    assert clock.skew is None
    clock.observe("not a date")
    assert clock.skew is None
    for seconds in (90, -3600):
        clock.observe(formatdate(time.time() + seconds, usegmt=True))
        clock.observe(None)
        assert clock.skew is not None
        assert abs(clock.skew - timedelta(seconds=seconds)) <= timedelta(seconds=2)
