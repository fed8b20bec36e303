"""The pure parts of a batch: scheduler, rate limiter and result buffer, with explicit times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dashscope._api.polling import Pace
from dashscope._batch.poll_schedule import PollSchedule
from dashscope._batch.rate_limiter import RateLimiter
from dashscope._batch.result_buffer import ResultBuffer
from dashscope._batch.row import Row, RunningPrediction
from dashscope._batch.scheduler import Create, Expire, Poll, PollList, Recover, Scheduler
from dashscope.types.batch import BatchResult


def make_scheduler(concurrency: int = 4, interval: float | None = None) -> Scheduler:
    limiter = RateLimiter(concurrency, max_rate=None, max_retries=5)
    return Scheduler(limiter, PollSchedule(interval, Pace()))


def make_row(index: int) -> Row:
    return Row(index=index, input={"value": index})


def make_running(index: int, **options: Any) -> RunningPrediction:
    options = {"created_at": datetime(2026, 1, 1, tzinfo=UTC), "started": 0.0, **options}
    return RunningPrediction(row=make_row(index), id=f"p{index}", **options)


def names(tasks: list[Any]) -> list[str]:
    return [type(task).__name__ for task in tasks]


def test_rows_are_created_up_to_the_concurrency() -> None:
    scheduler = make_scheduler(2)
    for index in range(3):
        scheduler.add(make_row(index))
    tasks, pause = scheduler.next(0.0)
    creates = [task for task in tasks if isinstance(task, Create)]
    assert [create.row.index for create in creates] == [0, 1]
    assert pause is None
    scheduler.not_created(creates[0].row)
    assert names(scheduler.next(0.0)[0]) == ["Create"]


def test_running_predictions_count_as_in_flight() -> None:
    scheduler = make_scheduler(1)
    running = make_running(0)
    scheduler.created(running, 0.0)
    scheduler.add(make_row(1))
    assert "Create" not in names(scheduler.next(0.0)[0])
    assert scheduler.finish(running, 0.0)
    assert not scheduler.finish(running, 0.0)
    assert names(scheduler.next(0.0)[0]) == ["Create"]


def test_one_prediction_is_polled_individually_and_many_through_the_list() -> None:
    scheduler = make_scheduler()
    scheduler.created(make_running(0), 0.0)
    tasks, pause = scheduler.next(0.0)
    assert tasks == []
    assert pause is not None
    assert 0.05 < pause < 0.15
    assert names(scheduler.next(0.2)[0]) == ["Poll"]
    scheduler.created(make_running(1, started=0.2), 0.2)
    (poll,) = scheduler.next(0.5)[0]
    assert isinstance(poll, PollList)
    assert [running.id for running in poll.running] == ["p0", "p1"]
    assert scheduler.next(9.0)[0] == []  # one list poll at a time


def test_predictions_that_the_list_does_not_show_are_polled_individually() -> None:
    scheduler = make_scheduler()
    both = [make_running(0), make_running(1)]
    for running in both:
        scheduler.created(running, 0.0)
    scheduler.next(0.2)
    shown: Any = None
    scheduler.list_polled([(both[0], shown)], [both[1]], pages=1, useful=True, now=0.3)
    tasks = [task for at in (0.31, 0.5, 1.0) for task in scheduler.next(at)[0]]
    assert [task.running.id for task in tasks if isinstance(task, Poll)] == ["p1"]
    scheduler.polled(both[1], shown, 1.0)
    assert not any(isinstance(task, Poll) for task in scheduler.next(1.05)[0])


def test_a_useless_list_is_tried_again_later() -> None:
    scheduler = make_scheduler()
    both = [make_running(0), make_running(1)]
    for running in both:
        scheduler.created(running, 0.0)
    scheduler.next(0.2)
    scheduler.list_polled([], both, pages=0, useful=False, now=0.2)
    assert names(scheduler.next(0.9)[0]) == ["Poll", "Poll"]
    assert names(scheduler.next(3.0)[0]) == ["PollList"]


def test_a_prediction_without_a_creation_time_is_polled_individually() -> None:
    scheduler = make_scheduler()
    scheduler.created(make_running(0, created_at=None), 0.0)
    scheduler.created(make_running(1, created_at=None), 0.0)
    assert sorted(names(scheduler.next(0.3)[0])) == ["Poll", "Poll", "PollList"]


def test_each_prediction_expires_once() -> None:
    scheduler = make_scheduler(interval=100.0)
    scheduler.created(make_running(0, deadline=5.0), 0.0)
    scheduler.created(make_running(1, deadline=6.0), 0.0)
    assert scheduler.next(1.0)[1] == pytest.approx(4.0)
    tasks = scheduler.next(5.0)[0]
    assert [task.running.id for task in tasks if isinstance(task, Expire)] == ["p0"]
    assert scheduler.next(5.5)[0] == []
    assert scheduler.next(5.5)[1] == pytest.approx(0.5)
    tasks = scheduler.next(6.5)[0]
    assert [task.running.id for task in tasks if isinstance(task, Expire)] == ["p1"]


def test_recovery_runs_while_no_create_is_in_progress() -> None:
    scheduler = make_scheduler()
    scheduler.add(make_row(0))
    (create,) = scheduler.next(0.0)[0]
    assert isinstance(create, Create)
    scheduler.add_unconfirmed(make_row(5))
    scheduler.add(make_row(1))
    assert scheduler.next(0.0)[0] == []  # recovery might mistake row 0 for row 5
    scheduler.not_created(create.row)
    (recover,) = scheduler.next(0.0)[0]
    assert isinstance(recover, Recover)
    assert scheduler.counts() == (2, 0)
    assert scheduler.next(0.0)[0] == []
    scheduler.recovered(recover.rows, 0.0, 1.0)
    assert names(scheduler.next(0.5)[0]) == ["Create"]


def test_a_rejected_row_is_retried_before_the_others() -> None:
    scheduler = make_scheduler(4)
    for index in range(2):
        scheduler.add(make_row(index))
    first, second = (task.row for task in scheduler.next(0.0)[0] if isinstance(task, Create))
    assert scheduler.rejected(first, sent=0.0, now=0.1, retry_after=2.0, can_retry=True)
    assert scheduler.next(0.1) == ([], None)  # the limit is now 1
    scheduler.not_created(second)
    assert scheduler.next(0.1)[0] == []
    assert scheduler.next(0.1)[1] == pytest.approx(2.0)
    (retry,) = scheduler.next(2.2)[0]
    assert isinstance(retry, Create)
    assert retry.row is first


def test_the_limit_halves_on_a_rejection_and_grows_with_successes() -> None:
    limiter = RateLimiter(32, None, 5)
    assert limiter.limit == 32
    assert limiter.rejected(sent=1.0, now=1.1, in_flight=31, retry_after=2.0, chance=0.0)
    assert limiter.limit == 16
    for _ in range(31):  # sent before the limit was lowered
        limiter.rejected(sent=1.05, now=1.2, in_flight=20, retry_after=2.0, chance=0.0)
    assert limiter.limit == 16
    assert limiter.delay(0, 1.2) == pytest.approx(2.0)
    assert limiter.delay(0, 3.3) == 0
    assert limiter.delay(16, 3.3) is None
    for _ in range(17):
        limiter.accepted()
    assert limiter.limit == 17
    for _ in range(1000):
        limiter.accepted()
    assert limiter.limit == 32


def test_the_limit_stays_at_least_one() -> None:
    limiter = RateLimiter(4, None, 5)
    for at in range(1, 20):
        limiter.rejected(sent=at, now=at + 0.1, in_flight=0, retry_after=None, chance=0.5)
    assert limiter.limit == 1


def test_rejections_are_retried_for_a_limited_time() -> None:
    limiter = RateLimiter(4, None, 5)
    retried = [
        limiter.rejected(sent=at, now=at + 0.1, in_flight=3, retry_after=1.0, chance=0.5)
        for at in range(1, 200, 10)
    ]
    assert retried.count(True) >= 12
    assert not retried[-1]
    too_long: dict[str, Any] = {
        "sent": 1.0,
        "now": 2.0,
        "in_flight": 0,
        "retry_after": 1e6,
        "chance": 0.0,
    }
    assert not RateLimiter(4, None, 5).rejected(**too_long)
    without_retries = {**too_long, "retry_after": 1.0}
    assert not RateLimiter(4, None, 0).rejected(**without_retries)


def test_max_rate_spaces_creates() -> None:
    limiter = RateLimiter(100, 4.0, 5)
    assert limiter.delay(0, 10.0) == 0
    limiter.reserve(10.0)
    assert limiter.delay(0, 10.0) == pytest.approx(0.25)
    limiter.reserve(10.25)
    assert limiter.delay(0, 10.3) == pytest.approx(0.2)
    assert limiter.delay(0, 99.0) == 0


def result(index: int, **options: Any) -> BatchResult:
    return BatchResult(index=index, input={}, **options)


def test_the_result_buffer_keeps_the_order_and_counts() -> None:
    buffer = ResultBuffer(2, ordered=True, total=4, now=0.0)
    for _ in range(4):
        assert buffer.has_room
        buffer.add_row()
    buffer.put(2, result(2))
    buffer.put(1, None)
    assert buffer.pop() is None
    buffer.put(0, result(0, error=ValueError()))
    assert [item.index for item in (buffer.pop(), buffer.pop()) if item is not None] == [0, 2]
    buffer.end_inputs(None)
    assert not buffer.is_exhausted
    progress = buffer.progress(queued=0, running=1, now=2.0)
    assert (progress.done, progress.failed, progress.skipped, progress.queued) == (1, 1, 1, 0)
    assert (progress.rate, progress.remaining) == (1.0, 1.0)
    buffer.put(3, result(3, from_checkpoint=True))
    assert buffer.pop() is not None
    assert buffer.is_exhausted
    assert buffer.progress(queued=0, running=0, now=2.0).rate == 1.0


def test_the_result_buffer_is_bounded() -> None:
    buffer = ResultBuffer(2, ordered=False, total=None, now=0.0)
    for _ in range(4):
        buffer.add_row()
    assert not buffer.has_room
    buffer.put(3, result(3))
    assert not buffer.has_room
    assert buffer.pop() is not None
    assert buffer.has_room


def test_the_list_is_not_polled_before_a_prediction_can_have_finished() -> None:
    schedule = PollSchedule(None, Pace())
    for _ in range(8):
        assert schedule.until_list_poll(1.0, oldest=0.0, pages=1, chance=0.5) <= 0.6
        schedule.finished(5.0)
    assert schedule.until_list_poll(1.0, oldest=0.0, pages=1, chance=0.5) == pytest.approx(4.75)
    assert schedule.until_list_poll(1.0, oldest=4.0, pages=1, chance=0.5) == pytest.approx(0.75)
    assert schedule.until_list_poll(1.0, oldest=6.0, pages=1, chance=0.5) <= 0.6
    for _ in range(8):  # more than a tenth are fast
        schedule.finished(0.2)
    assert schedule.until_list_poll(1.0, oldest=0.0, pages=1, chance=0.5) <= 0.6
