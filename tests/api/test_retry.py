"""Retry decisions: which results are retried, after which delay, and the retry quota."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime, formatdate
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from dashscope._api.retry import (
    AttemptResult,
    RetryQuota,
    delay,
    may_repeat,
    parse_retry_after,
    retry_after_of,
)
from tests.variants import variants

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

LOST = AttemptResult(request_sent=True)
NEVER_SENT = AttemptResult(request_sent=False)
TIMED_OUT = AttemptResult(request_sent=True, timed_out=True)


@variants(
    ("result", "repeatable", "verdict"),
    [
        # Idempotent requests are retried on every transient error.
        (LOST, True, True),
        (NEVER_SENT, True, True),
        (TIMED_OUT, True, True),
        *[(AttemptResult(status=status), True, True) for status in (408, 429, 500, 502, 503, 504)],
        *[
            (AttemptResult(status=status), True, False)
            for status in (200, 301, 400, 401, 402, 403, 404, 409, 413, 422, 501, 505)
        ],
        # Other requests are retried only if they cannot have been executed.
        (LOST, False, False),
        (TIMED_OUT, False, False),
        (NEVER_SENT, False, True),
        (AttemptResult(status=429), False, True),
        *[
            (AttemptResult(status=status), False, False)
            for status in (408, 500, 502, 503, 504, 404)
        ],
    ],
)
def test_retry_decisions(result: AttemptResult, repeatable: bool, verdict: bool) -> None:
    assert may_repeat(result, repeatable=repeatable) is verdict


@variants(
    ("attempts", "most"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (50, 8.0), (100_000, 8.0)],
)
def test_the_back_off_doubles_from_half_a_second_to_eight(attempts: int, most: float) -> None:
    options = {"attempts": attempts, "elapsed": 0.0, "left": None}
    assert delay(AttemptResult(status=503), **options, chance=1.0) == most
    assert delay(AttemptResult(status=503), **options, chance=0.5) == most / 2
    assert delay(AttemptResult(status=503), **options, chance=0.0) == 0.0


@given(
    attempts=st.integers(1, 10**6),
    elapsed=st.floats(0, 300),
    left=st.none() | st.floats(0, 300),
    chance=st.floats(0, 1),
    retry_after=st.none() | st.floats(0, 1e6),
)
def test_delays_never_exceed_their_bounds(
    attempts: int, elapsed: float, left: float | None, chance: float, retry_after: float | None
) -> None:
    result = AttemptResult(status=503, retry_after=retry_after)
    seconds = delay(result, attempts=attempts, elapsed=elapsed, left=left, chance=chance)
    if seconds is None:
        return
    assert 0 <= seconds <= 60
    assert elapsed + seconds <= 120
    assert left is None or seconds < left
    backoff = chance * min(8.0, 0.5 * 2.0 ** min(attempts - 1, 10))
    assert seconds == max(backoff, retry_after or 0.0)


@variants(
    ("retry_after", "elapsed", "left", "expected"),
    [
        (7.0, 0.0, None, 7.0),
        (0.0, 0.0, None, 0.5),
        (60.0, 0.0, None, 60.0),
        (60.1, 0.0, None, None),
        (3600.0, 0.0, None, None),
        # within 120 s of the first attempt
        (60.0, 60.0, None, 60.0),
        (60.0, 60.1, None, None),
        (0.0, 119.6, None, None),
        # within the deadline, which must leave time for the attempt
        (5.0, 0.0, 5.1, 5.0),
        (5.0, 0.0, 5.0, None),
        (5.0, 0.0, 1.0, None),
        (0.0, 0.0, 0.0, None),
    ],
)
def test_retry_after_is_honored_within_bounds(
    retry_after: float, elapsed: float, left: float | None, expected: float | None
) -> None:
    result = AttemptResult(status=429, retry_after=retry_after)
    # It never shortens the back-off, which is at most half a second before the second attempt.
    assert delay(result, attempts=1, elapsed=elapsed, left=left, chance=1.0) == expected


@variants(
    ("header", "seconds"),
    [
        ("9" * 400, 1e9),
        ("1" + "0" * 5000, 1e9),
        ("0", 0.0),
        ("5", 5.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("007", 7.0),
        ("999999999", 999999999.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW, usegmt=True), 0.0),
        (format_datetime(NOW - timedelta(days=400), usegmt=True), 0.0),
        # another time zone, and RFC 5322's -0000, which is UTC
        (
            format_datetime((NOW + timedelta(hours=1)).astimezone(timezone(timedelta(hours=5)))),
            3600,
        ),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        # the two obsolete forms of an HTTP date
        ("Friday, 02-Jan-26 03:04:15 GMT", 10.0),
        ("Fri Jan  2 03:04:15 2026", 10.0),
        # not a delay
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("-0.5", None),
        ("+5", None),
        ("5 s", None),
        ("5,5", None),
        ("5.", None),
        ("1e3", None),
        ("0x10", None),
        ("1_000", None),
        ("nan", None),
        ("inf", None),
        ("٥", None),
        ("５", None),
        ("²", None),
        ("1\n2", None),
        ("Fri, 99 Foo 2026 03:04:15 GMT", None),
        ("Fri, 02 Jan 2026 25:61:61 GMT", None),
        ("Fri, 02 Jan 2026 03:04:15 +9999999999999", None),
    ],
)
def test_retry_after_may_be_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, date=format_datetime(NOW)) == seconds


def test_a_date_without_a_date_header_uses_the_local_clock() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    seconds = parse_retry_after(header)
    assert seconds is not None
    assert 25 < seconds <= 30


@given(st.text(max_size=60) | st.from_regex(r"\s*[-+]?[0-9٠-٩.eE_]{1,30}\s*", fullmatch=True))
def test_any_retry_after_is_none_or_finite(header: str) -> None:
    seconds = parse_retry_after(header, date="Thu, 01 Jan 1970 00:00:00 GMT")
    assert seconds is None or 0 <= seconds < inf


@given(st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1)), st.integers(0, 2**31))
def test_a_past_date_is_no_delay_and_a_future_date_its_distance(when: datetime, now: int) -> None:
    when = when.replace(microsecond=0, tzinfo=UTC)
    header = format_datetime(when, usegmt=True)
    assert parse_retry_after(header, date=formatdate(now, usegmt=True)) == max(
        0, when.timestamp() - now
    )


@variants(
    ("header", "body", "seconds"),
    [
        ("3", {"retry_after": 5}, 3.0),
        (None, {"retry_after": 5}, 5.0),
        (None, {"retry_after": 0}, 0.0),
        (None, {"retry_after": 2.5}, 2.5),
        (None, {"retry_after": "5"}, 5.0),
        ("soon", {"retry_after": 5}, 5.0),
        (None, {}, None),
        (None, {"retry_after": None}, None),
        (None, {"retry_after": True}, None),
        (None, {"retry_after": -1}, None),
        (None, {"retry_after": float("nan")}, None),
        (None, {"retry_after": [5]}, None),
        (None, {"retry_after": "soon"}, None),
        (None, {"Retry_After": 5}, None),
        (None, [5], None),
        (None, "5", None),
        (None, None, None),
    ],
)
def test_the_body_is_used_without_a_header(
    header: str | None, body: object, seconds: float | None
) -> None:
    assert retry_after_of({} if header is None else {"retry-after": header}, body) == seconds


class TestQuota:
    def test_the_quota_allows_a_hundred_retries_beyond_the_first(self) -> None:
        quota = RetryQuota()
        assert all(quota.take(AttemptResult(status=503), attempts=2) for _ in range(100))
        assert not quota.take(AttemptResult(status=503), attempts=2)
        assert not quota.take(AttemptResult(status=503), attempts=1)

    def test_the_quota_allows_first_retries_of_five_hundred_requests(self) -> None:
        quota = RetryQuota()
        for _ in range(250):
            assert quota.take(LOST, attempts=1)
            assert quota.take(TIMED_OUT, attempts=1)
        assert not quota.take(LOST, attempts=1)

    def test_a_timeout_costs_twice_as_much(self) -> None:
        quota = RetryQuota()
        assert all(quota.take(TIMED_OUT, attempts=2) for _ in range(50))
        assert not quota.take(TIMED_OUT, attempts=2)
        assert not quota.take(LOST, attempts=2)

    def test_a_retry_requested_by_the_server_is_free(self) -> None:
        quota = used_up()
        assert quota.take(AttemptResult(status=429, retry_after=1.0), attempts=3)
        assert quota.take(AttemptResult(status=429, retry_after=0.0), attempts=3)
        assert not quota.take(AttemptResult(status=429), attempts=3)
        assert not quota.take(AttemptResult(status=503, retry_after=1.0), attempts=3)

    def test_a_success_after_retries_refunds_one_retry(self) -> None:
        quota = used_up()
        quota.give_back(retried=True)
        assert quota.take(LOST, attempts=2)
        assert not quota.take(LOST, attempts=2)

    def test_five_other_successes_refund_one_retry(self) -> None:
        quota = used_up()
        for _ in range(4):
            quota.give_back(retried=False)
        assert not quota.take(LOST, attempts=2)
        quota.give_back(retried=False)
        assert quota.take(LOST, attempts=2)

    def test_the_quota_never_exceeds_its_initial_value(self) -> None:
        quota = RetryQuota()
        for _ in range(1000):
            quota.give_back(retried=True)
        assert all(quota.take(LOST, attempts=2) for _ in range(100))
        assert not quota.take(LOST, attempts=2)


def used_up() -> RetryQuota:
    quota = RetryQuota()
    while quota.take(LOST, attempts=2):
        pass
    return quota
