"""Which result is retried, and after how long. Pure but for the quota's counter.

Requests that may be repeated (reads, deletes, cancels, uploads) are retried on a lost
connection and on the statuses that pass. Others only where they cannot have been carried
out: the connection was never made, or the server rejected the request with 429, or with 503 and
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
"""The longest wait, in seconds, that a server may ask of us."""
LONGEST_SHOWN: Final = 1e9
"""Seconds; what a server asks beyond counts as this."""
LONGEST_TOTAL: Final = 120.0
"""Seconds from the first attempt after which no further one is started."""

_DELAY_SECONDS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*", re.ASCII)


@frozen(kw_only=True)
class AttemptResult:
    """How an attempt ended without success.

    Attributes:
        status: the HTTP status, or `None` when no answer came.
        request_sent: whether the server may have received the request.
        timed_out: whether it ended for lack of time.
        permanent: whether the next attempt would end in the same way.
        retry_after: seconds the server asked us to wait.
        not_executed: Whether the server says, by `x-should-retry: true`, that it rejected the
            request with 503 without executing it.
    """

    status: int | None = None
    request_sent: bool = True
    timed_out: bool = False
    permanent: bool = False
    retry_after: float | None = None
    not_executed: bool = False


def may_repeat(result: AttemptResult, *, repeatable: bool) -> bool:
    """Does another attempt make sense, and do no harm?"""
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
    """Seconds until the next attempt, or `None` where that would be too late.

    Args:
        result: how the last attempt ended.
        attempts: how many there have been, 1 or more.
        elapsed: seconds since the first began.
        left: seconds until the deadline, `None` for ever.
        chance: a random number from 0 to 1: the jitter.
    """
    if result.retry_after is not None and result.retry_after > LONGEST_REQUESTED_DELAY:
        return None
    seconds = backoff(result, attempts=attempts, chance=chance)
    if elapsed + seconds > LONGEST_TOTAL or (left is not None and seconds >= left):
        return None
    return seconds


def backoff(result: AttemptResult, *, attempts: int, chance: float) -> float:
    """Return the jittered back-off, or what the server asked for if that is longer.

    Args:
        result: How the last attempt ended.
        attempts: The number of attempts so far, 1 or more.
        chance: A random number from 0 to 1: the jitter.
    """
    # The exponent is bounded as well: 2.0 ** 1100 does not fit a float.
    seconds = chance * min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempts - 1, 10))
    requested = result.retry_after or 0.0
    return max(seconds, min(requested, LONGEST_REQUESTED_DELAY))


def parse_retry_after(header: str | None, *, date: str | None = None) -> float | None:
    """Return the seconds to wait by a `Retry-After` header: a number, or an HTTP date.

    Args:
        header: The header's value.
        date: The response's `Date`, by which the server's clock is known. Defaults to this
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
    """Return an HTTP date as seconds since the epoch, or `None` if it is none."""
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
    """Return the seconds to wait by `Retry-After`, or by the `retry_after` of the JSON body."""
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

    Each retry takes from it and each success gives back, so that a dead server is not hit by
    every request's retries at once. A request's first retry costs little: a moment's trouble
    hits all that are in flight, and is to cost none of them. A retry the server itself asked
    for costs nothing. Races between threads cost accuracy only.
    """

    CAPACITY: Final = 500
    FIRST_COST: Final = 1
    COST: Final = 5
    TIMEOUT_COST: Final = 10

    def __init__(self) -> None:
        self._left = self.CAPACITY

    def take(self, result: AttemptResult, *, attempts: int) -> bool:
        """Pay for a retry after `result`; `False` when the budget is used up.

        Args:
            result: how the last attempt ended.
            attempts: how many the request has had, 1 or more.
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
        """Pay in after a success, more when retries were needed for it."""
        self._left = min(self.CAPACITY, self._left + (self.COST if retried else 1))


def attempt_result(error: APIError) -> AttemptResult:
    """How an attempt ended, by its error."""
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
    )


def is_refused(result: AttemptResult) -> bool:
    """Was the connection refused?"""
    return result.status is None and not result.request_sent and not result.timed_out


def may_have_executed(result: AttemptResult) -> bool:
    """May the server have carried the request out all the same?"""
    if result.status is None:
        return result.request_sent
    return not result.not_executed and (result.status in (408, 499) or result.status >= 500)
