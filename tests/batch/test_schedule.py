"""What is done next: the scheduler, as a table of moments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dashscope._api.polling import Pace
from dashscope._batch.poll_schedule import Looks
from dashscope._batch.rate_limiter import Gate
from dashscope._batch.result_buffer import Outbox
from dashscope._batch.row import Row, Running
from dashscope._batch.scheduler import Create, Expire, Find, Look, Scheduler, Sweep
from dashscope.types.batch import BatchResult


def scheduler(concurrency: int = 4, interval: float | None = None, **gate: Any) -> Scheduler:
    options = {"max_rate": None, "max_retries": 5, **gate}
    return Scheduler(Gate(concurrency, **options), Looks(interval, Pace()))


def row(index: int) -> Row:
    return Row(index=index, input={"value": index})


def running(index: int, since: float = 0.0, **options: Any) -> Running:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    options = {"created_at": at, **options}
    return Running(row=row(index), id=f"p{index}", since=since, **options)


def kinds(tasks: list[Any]) -> list[str]:
    return [type(task).__name__ for task in tasks]


def test_rows_are_created_up_to_the_concurrency() -> None:
    plan = scheduler(2)
    for index in range(3):
        plan.add(row(index))
    tasks, pause = plan.next(0.0)
    assert [task.row.index for task in tasks if isinstance(task, Create)] == [0, 1]
    assert pause is None
    plan.not_created(tasks[0].row)  # type: ignore[union-attr]
    assert kinds(plan.next(0.0)[0]) == ["Create"]


def test_what_runs_counts_as_in_flight() -> None:
    plan = scheduler(1)
    one = running(0)
    plan.created(one, 0.0)
    plan.add(row(1))
    assert "Create" not in kinds(plan.next(0.0)[0])
    assert plan.take(one, 0.0)
    assert not plan.take(one, 0.0)
    assert kinds(plan.next(0.0)[0]) == ["Create"]


def test_one_is_looked_at_by_itself_and_many_in_a_sweep() -> None:
    plan = scheduler()
    plan.created(running(0), 0.0)
    tasks, pause = plan.next(0.0)
    assert tasks == []
    assert pause is not None
    assert 0.05 < pause < 0.15
    assert kinds(plan.next(0.2)[0]) == ["Look"]
    plan.created(running(1), 0.2)
    (sweep,) = plan.next(0.5)[0]
    assert isinstance(sweep, Sweep)
    assert [one.id for one in sweep.running] == ["p0", "p1"]
    assert plan.next(9.0)[0] == []  # one sweep at a time


def test_what_a_sweep_does_not_show_is_looked_at_by_itself() -> None:
    plan = scheduler()
    both = [running(0), running(1)]
    for one in both:
        plan.created(one, 0.0)
    plan.next(0.2)
    shown: Any = None
    plan.swept([(both[0], shown)], [both[1]], pages=1, useful=True, now=0.3)
    looks = [task for at in (0.31, 0.5, 1.0) for task in plan.next(at)[0] if isinstance(task, Look)]
    assert [look.running.id for look in looks] == ["p1"]
    plan.looked(both[1], shown, 1.0)
    assert not any(isinstance(task, Look) for task in plan.next(1.05)[0])


def test_without_lists_each_is_looked_at_and_lists_are_tried_again_later() -> None:
    plan = scheduler()
    both = [running(0), running(1)]
    for one in both:
        plan.created(one, 0.0)
    plan.next(0.2)
    plan.swept([], both, pages=0, useful=False, now=0.2)
    tasks = plan.next(0.9)[0]
    assert kinds(tasks) == ["Look", "Look"]
    assert kinds(plan.next(3.0)[0]) == ["Sweep"]


def test_a_prediction_without_a_time_is_looked_at_by_itself() -> None:
    plan = scheduler()
    plan.created(running(0, created_at=None), 0.0)
    plan.created(running(1, created_at=None), 0.0)
    assert sorted(kinds(plan.next(0.3)[0])) == ["Look", "Look", "Sweep"]


def test_predictions_expire_in_turn_and_once() -> None:
    plan = scheduler(interval=100.0)
    plan.created(running(0, deadline=5.0), 0.0)
    plan.created(running(1, deadline=6.0), 0.0)
    assert plan.next(1.0)[1] == pytest.approx(4.0)
    assert [task.running.id for task in plan.next(5.0)[0] if isinstance(task, Expire)] == ["p0"]
    assert plan.next(5.5) == ([], pytest.approx(0.5))
    assert [task.running.id for task in plan.next(6.5)[0] if isinstance(task, Expire)] == ["p1"]


def test_lost_rows_are_looked_for_while_nothing_is_created() -> None:
    plan = scheduler()
    plan.add(row(0))
    (create,) = plan.next(0.0)[0]
    assert isinstance(create, Create)
    plan.add_lost(row(5))
    plan.add(row(1))
    assert plan.next(0.0)[0] == []  # what is just being created might be taken for it
    plan.not_created(create.row)
    (find,) = plan.next(0.0)[0]
    assert isinstance(find, Find)
    assert plan.counts() == (2, 0)
    assert plan.next(0.0)[0] == []
    plan.found(find.rows, 0.0, 1.0)
    assert kinds(plan.next(0.5)[0]) == ["Create"]


def test_a_refused_row_is_tried_again_before_the_others() -> None:
    plan = scheduler(4)
    for index in range(2):
        plan.add(row(index))
    first, second = (task.row for task in plan.next(0.0)[0] if isinstance(task, Create))
    assert plan.refused(first, sent=0.0, now=0.1, retry_after=2.0)
    assert plan.next(0.1) == ([], None)  # one in flight is as many as may be
    plan.not_created(second)
    assert plan.next(0.1) == ([], pytest.approx(2.0))
    (again,) = plan.next(2.2)[0]
    assert isinstance(again, Create)
    assert again.row is first


def result(index: int, **options: Any) -> BatchResult:
    return BatchResult(index=index, input={}, **options)


def test_the_outbox_keeps_order_and_counts() -> None:
    box = Outbox(2, ordered=True, total=4, now=0.0)
    for _ in range(4):
        assert box.has_room
        box.take()
    box.put(2, result(2))
    box.put(1, None)
    assert box.next() is None
    box.put(0, result(0, error=ValueError()))
    assert [one.index for one in (box.next(), box.next()) if one is not None] == [0, 2]
    box.end(None)
    assert not box.is_exhausted
    progress = box.progress(waiting=0, running=1, now=2.0)
    assert (progress.done, progress.failed, progress.skipped, progress.queued) == (1, 1, 1, 0)
    assert (progress.rate, progress.remaining) == (1.0, 1.0)
    box.put(3, result(3, from_checkpoint=True))
    assert box.next() is not None
    assert box.is_exhausted
    assert box.progress(waiting=0, running=0, now=2.0).rate == 1.0


def test_the_outbox_holds_a_window() -> None:
    box = Outbox(2, ordered=False, total=None, now=0.0)
    for _ in range(4):
        box.take()
    assert not box.has_room
    box.put(3, result(3))
    assert not box.has_room
    assert box.next() is not None
    assert box.has_room
