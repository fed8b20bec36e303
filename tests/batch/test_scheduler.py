"""The pure parts of a batch: scheduler, rate limiter and result buffer, with explicit times."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from dashscope._api.polling import Pace
from dashscope._batch.poll_schedule import PollSchedule, duration
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


def simulate(seconds: Callable[[random.Random], float], *, rows: int = 320) -> tuple[float, float]:
    """Run a batch of 32 rows at once on a clock of its own, with 10 ms to and from the server.

    Returns:
        The requests per row, and how late the end of a row was noticed on average.
    """
    chance = random.Random(7)
    scheduler = make_scheduler(32)
    for index in range(rows):
        scheduler.add(make_row(index))
    events: list[tuple[float, int, Callable[[], None]]] = []
    count, now, requests = itertools.count(), 0.0, 0
    started = datetime(2026, 1, 1, tzinfo=UTC)
    ends: dict[int, tuple[Any, float]] = {}
    delays: list[float] = []

    def later(work: Callable[[], None]) -> None:
        heapq.heappush(events, (now + 0.01, next(count), work))

    def create(row: Row) -> None:
        created_at, length = started + timedelta(seconds=now), seconds(chance)
        end = created_at + timedelta(seconds=length)
        made: Any = SimpleNamespace(created_at=created_at, completed_at=end)
        ends[row.index] = (made, now + length)

        def answer() -> None:
            running = RunningPrediction(row=row, id="p", created_at=created_at, started=now)
            scheduler.created(running, now)

        later(answer)

    def poll(expected: Sequence[RunningPrediction], *, is_list: bool) -> None:
        done = [one for one in expected if ends[one.row.index][1] <= now]
        still: list[Any] = [(one, None) for one in expected if one not in done]

        def answer() -> None:
            if is_list:
                scheduler.list_polled(still, [], pages=1, useful=True, now=now)
            elif still:
                scheduler.polled(still[0][0], still[0][1], now)
            for one in done:
                made, end = ends[one.row.index]
                if scheduler.finish(one, now, made):
                    delays.append(now - end)

        later(answer)

    while len(delays) < rows:
        tasks, pause = scheduler.next(now)
        for task in tasks:
            requests += 1
            match task:
                case Create(row):
                    later(partial(create, row))
                case PollList(expected):
                    later(partial(poll, expected, is_list=True))
                case Poll(one):
                    later(partial(poll, [one], is_list=False))
                case _:
                    raise AssertionError(task)
        if pause is not None and (not events or now + pause < events[0][0]):
            now += pause
        else:
            now, _, work = heapq.heappop(events)
            work()
    return requests / rows, sum(delays) / rows


@pytest.mark.parametrize(
    ("typical", "spread", "most_requests", "most_late"),
    [
        (1.0, 0.0, 1.1, 0.1),
        (1.0, 0.1, 1.15, 0.16),
        (5.0, 0.0, 1.1, 0.3),
        (5.0, 0.1, 1.12, 0.7),
        (30.0, 0.1, 1.5, 1.5),
    ],
)
def test_lists_are_polled_when_predictions_are_expected_to_have_finished(
    typical: float, spread: float, most_requests: float, most_late: float
) -> None:
    requests, late = simulate(lambda chance: typical * chance.uniform(1 - spread, 1 + spread))
    assert requests <= most_requests
    assert late <= most_late


def test_the_list_poll_follows_the_next_expected_end() -> None:
    pace = Pace()
    schedule = PollSchedule(None, pace)
    both = [make_running(0), make_running(1, started=0.5), make_running(2, started=3.0)]
    options: dict[str, Any] = {"waited": 2.0, "last": 2.0, "pages": 1, "chance": 0.5}
    for _ in range(8):
        assert schedule.until_first_end() == pytest.approx(0.1)
        assert schedule.next_list_poll(both, **options) == pytest.approx(2.2)
        schedule.finished(5.0)
    assert schedule.until_first_end() == pytest.approx(5.1)
    # The second end is awaited, the third is not.
    assert schedule.next_list_poll(both, **options) == pytest.approx(5.6)
    assert schedule.next_list_poll(both[2:], **options) == pytest.approx(8.1)
    # Predictions that take longer than all before are polled more often.
    both[0].seen_at = 6.0
    assert schedule.next_list_poll(both[:1], **options) == pytest.approx(6.6)
    # Never more often than the list can be paged through.
    late = {**options, "last": 9.0, "pages": 10}
    assert schedule.next_list_poll(both, **late) == pytest.approx(9.5)
    # An overloaded server slows down all polls.
    pace.throttled(None)
    assert schedule.next_list_poll(both, **{**options, "last": 9.0}) == pytest.approx(10.0)
    pace.slowdown = 1.0
    # A fast minority is noticed.
    for _ in range(8):
        schedule.finished(0.2)
    assert schedule.until_first_end() <= 0.4


def test_durations_come_from_the_server_if_it_returns_them() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    running = make_running(0, seen_at=4.0)
    for seconds, expected in ((4.5, 4.5), (1.0, 4.0), (9.0, 5.0)):
        made: Any = SimpleNamespace(created_at=at, completed_at=at + timedelta(seconds=seconds))
        assert duration(running, made, 5.0) == expected
    assert duration(running, None, 5.0) == 4.5
    assert duration(make_running(0), None, 5.0) == 4.5
