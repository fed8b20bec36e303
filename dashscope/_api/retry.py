"""Which attempts are retried, and when. Pure, except for the counter of the quota.

Requests that may be repeated (reads, deletes, cancels, uploads) are retried on connection failures
and on `RETRIED_STATUSES`. Other requests are retried only if they cannot have been executed: the
connection was never established, or the server rejected the request with 429, or with 503 and
`x-should-retry: true`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from attrs import frozen

from dashscope._common.json import is_object
from dashscope._errors import APIConnectionError, APIError, APIStatusError, APITimeoutError

RETRIED_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 8.0
LONGEST_REQUESTED_DELAY: Final = 60.0
"""The longest wait, in seconds, that a server may ask for."""
LONGEST_SHOWN: Final = 1e9
"""The upper limit, in seconds, of the wait that an error reports."""
LONGEST_TOTAL: Final = 120.0
"""Seconds after the first attempt when no further attempt is started."""

_DELAY_SECONDS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*", re.ASCII)


@frozen(kw_only=True)
class AttemptResult:
    """How an attempt ended without success.

    Attributes:
        status: The HTTP status, or `None` if no response arrived.
        request_sent: Whether the server may have received the request.
        timed_out: Whether the attempt timed out.
        permanent: Whether another attempt would end in the same way.
        refused: Whether the connection was refused.
        retry_after: The seconds to wait that the server requested.
        not_executed: Whether the server says, by `x-should-retry: true`, that it rejected the
            request with 503 without executing it.
    """

    status: int | None = None
    request_sent: bool = True
    timed_out: bool = False
    permanent: bool = False
    refused: bool = False
    retry_after: float | None = None
    not_executed: bool = False


def may_repeat(result: AttemptResult, *, repeatable: bool) -> bool:
    """Return whether another attempt is useful and harmless."""
    if result.permanent:
        return False
    if result.status is None:
        return repeatable or not result.request_sent
    if repeatable:
        return result.status in RETRIED_STATUSES
    return result.status == 429 or result.not_executed


def delay(
    result: AttemptResult, *, attempts: int, elapsed: float, left: float | None, chance: float
) -> float | None:
    """Return the seconds until the next attempt, or `None` if it would be too late.

    Args:
        result: How the last attempt ended.
        attempts: The number of attempts so far, at least 1.
        elapsed: Seconds since the start of the first attempt.
        left: Seconds until the deadline, or `None`.
        chance: A random number from 0 to 1, for the jitter.
    """
    if result.retry_after is not None and result.retry_after > LONGEST_REQUESTED_DELAY:
        return None
    seconds = backoff(result, attempts=attempts, chance=chance)
    if elapsed + seconds > LONGEST_TOTAL or (left is not None and seconds >= left):
        return None
    return seconds


def backoff(result: AttemptResult, *, attempts: int, chance: float) -> float:
    """Return the jittered back-off, or the longer wait that the server requested.

    Args:
        result: How the last attempt ended.
        attempts: The number of attempts so far, at least 1.
        chance: A random number from 0 to 1, for the jitter.
    """
    # The exponent is limited because 2.0 ** 1100 overflows.
    seconds = chance * min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempts - 1, 10))
    requested = result.retry_after or 0.0
    return max(seconds, min(requested, LONGEST_REQUESTED_DELAY))


def parse_retry_after(header: str | None, *, date: str | None = None) -> float | None:
    """Return the seconds in a `Retry-After` header: a number or an HTTP date.

    Args:
        header: The value of the header.
        date: The response's `Date` header, which tells the server's clock. Defaults to this
            machine's clock.
    """
    if header is None:
        return None
    number = _DELAY_SECONDS.fullmatch(header)
    if number is not None:
        return min(float(number[1]), LONGEST_SHOWN)
    until = parse_date(header)
    if until is None:
        return None
    now = parse_date(date)
    return max(0.0, until - (time.time() if now is None else now))


def parse_date(header: str | None) -> float | None:
    """Return an HTTP date in seconds since the epoch, or `None` if it is invalid."""
    if header is None:
        return None
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return date.timestamp()


def retry_after_of(headers: Mapping[str, str], body: object) -> float | None:
    """Return the seconds to wait: from `Retry-After`, or from `retry_after` in the JSON body."""
    seconds = parse_retry_after(headers.get("retry-after"), date=headers.get("date"))
    if seconds is None and is_object(body):
        value: object = body.get("retry_after")
        if isinstance(value, str):
            return parse_retry_after(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(min(value, LONGEST_SHOWN))
    return seconds


class RetryQuota:
    """A budget of retries that all requests of a client share.

    Each retry takes from the budget and each success pays back, so that a dead server is not hit by
    the retries of every request at once. The first retry of a request is cheap, because a short
    outage hits all requests in flight and should fail none of them. A retry that the server
    requested is free. Races between threads only cost accuracy.
    """

    CAPACITY: Final = 500
    FIRST_COST: Final = 1
    COST: Final = 5
    TIMEOUT_COST: Final = 10

    def __init__(self) -> None:
        self._left = self.CAPACITY

    def take(self, result: AttemptResult, *, attempts: int) -> bool:
        """Take a retry from the budget. Return false if the budget is used up.

        Args:
            result: How the last attempt ended.
            attempts: The number of attempts so far, at least 1.
        """
        if result.status == 429 and result.retry_after is not None:
            return True
        cost = self.TIMEOUT_COST if result.timed_out else self.COST
        if attempts == 1:
            cost = self.FIRST_COST
        if self._left < cost:
            return False
        self._left -= cost
        return True

    def give_back(self, *, retried: bool) -> None:
        """Pay back for a success, and more if the request was retried."""
        self._left = min(self.CAPACITY, self._left + (self.COST if retried else 1))


def attempt_result(error: APIError) -> AttemptResult:
    """Return how an attempt ended, from its error."""
    if isinstance(error, APIStatusError):
        should_retry = error.headers.get("x-should-retry", "").strip().lower() == "true"
        return AttemptResult(
            status=error.status,
            retry_after=error.retry_after,
            not_executed=should_retry and error.status == HTTPStatus.SERVICE_UNAVAILABLE,
        )
    if not isinstance(error, APIConnectionError):
        return AttemptResult(permanent=True)
    return AttemptResult(
        request_sent=error.request_sent,
        timed_out=isinstance(error, APITimeoutError),
        permanent=error.permanent,
        refused=error.refused,
    )


def may_have_executed(result: AttemptResult) -> bool:
    """Return whether the server may have executed the request."""
    if result.status is None:
        return result.request_sent
    return not result.not_executed and (result.status in (408, 499) or result.status >= 500)
