"""Polling: the delays between polls, and how a 429 slows down all polls of a client."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope._api import polling
from dashscope._api.polling import Pace, delay
from dashscope._common.validation import check_interval
from dashscope.types.prediction import is_terminal
from tests.variants import variants


@variants(
    ("status", "over"),
    [
        ("starting", False),
        ("processing", False),
        ("succeeded", True),
        ("failed", True),
        ("canceled", True),
        ("aborted", True),
        ("queued", False),
        ("Succeeded", False),
        ("", False),
    ],
)
def test_an_unknown_status_counts_as_running(status: str, over: bool) -> None:
    assert is_terminal(status) is over


@variants(
    ("waited", "seconds"),
    [(0, 0.1), (0.5, 0.1), (1, 0.1), (2, 0.2), (3.3, 0.33), (5, 0.5), (5.1, 0.5), (3600, 0.5)],
)
def test_the_delay_is_a_tenth_of_the_elapsed_time(waited: float, seconds: float) -> None:
    middle = delay(waited, interval=None, slowdown=1.0, chance=0.5)
    assert middle == pytest.approx(seconds)
    assert delay(waited, interval=None, slowdown=1.0, chance=0.0) == pytest.approx(seconds * 0.9)
    assert delay(waited, interval=None, slowdown=1.0, chance=1.0) == pytest.approx(seconds * 1.1)


@given(st.floats(0, 1e6), st.floats(1, 32), st.floats(0, 1))
def test_jitter_keeps_the_delay_within_ten_percent_of_its_bounds(
    waited: float, slowdown: float, chance: float
) -> None:
    seconds = delay(waited, interval=None, slowdown=slowdown, chance=chance)
    assert 0.0899 * slowdown <= seconds <= 0.5501 * slowdown


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_a_fixed_interval_has_no_jitter(waited: float, chance: float) -> None:
    assert delay(waited, interval=2.0, slowdown=1.0, chance=chance) == 2.0
    assert delay(waited, interval=2.0, slowdown=4.0, chance=chance) == 8.0


@pytest.mark.parametrize("interval", [0.001, 1, 2.5, 86400])
def test_an_interval_may_be_an_int_or_a_float(interval: float) -> None:
    checked = check_interval(interval)
    assert checked == interval
    assert type(checked) is float
    assert check_interval(None) is None


@variants("interval", [0, 0.0, -1, -0.001, float("inf"), float("nan")])
def test_an_interval_must_be_positive(interval: float) -> None:
    with pytest.raises(ValueError, match="poll_interval must be a positive number"):
        check_interval(interval)


@pytest.mark.parametrize("interval", ["1", True, [1], object()])
def test_an_interval_must_be_a_number(interval: Any) -> None:
    with pytest.raises(TypeError, match="poll_interval must be a number"):
        check_interval(interval)


class TestPace:
    def test_each_429_doubles_the_delay_up_to_a_maximum(self) -> None:
        pace = Pace()
        seen = []
        for _ in range(7):
            pace.throttled(None)
            seen.append(pace.slowdown)
        assert seen == [2, 4, 8, 16, 32, 32, 32]

    def test_successful_polls_reduce_the_delay_again(self) -> None:
        pace = Pace()
        for _ in range(5):
            pace.throttled(None)
        pace.succeeded()
        assert 16 < pace.slowdown < 32
        for _ in range(60):
            pace.succeeded()
        assert pace.slowdown == 1.0

    def test_polls_wait_for_retry_after(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr(polling.time, "monotonic", lambda: now)
        pace = Pace()
        assert pace.held(0.0) == 0
        pace.throttled(5.0)
        pace.throttled(2.0)  # a shorter wait does not shorten the longer one
        pace.throttled(None)
        assert pace.held(0.0) == 5.0
        now = 1003.0
        assert pace.held(0.0) == 2.0
        now = 1006.0
        assert pace.held(1.0) == 0

    def test_delayed_polls_are_spread_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(polling.time, "monotonic", lambda: 1000.0)
        pace = Pace()
        pace.throttled(5.0)
        assert [pace.held(chance) for chance in (0.0, 0.5, 1.0)] == [5.0, 5.5, 6.0]
        pace.throttled(None)
        assert pace.held(1.0) == 7.0
