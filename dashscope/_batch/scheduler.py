"""`Scheduler`: decides what a batch does next.

The scheduler sends nothing and waits for nothing. The workers report what happened, and `next()`
returns the tasks that are due. All methods are thread-safe.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from attrs import frozen

from dashscope import types
from dashscope._api import polling
from dashscope._batch.poll_schedule import PollSchedule, duration
from dashscope._batch.rate_limiter import RateLimiter
from dashscope._batch.row import Row, RunningPrediction
from dashscope._common import random


@frozen
class Create:
    """Create a row's prediction."""

    row: Row


@frozen
class Poll:
    """Poll one prediction."""

    running: RunningPrediction


@frozen
class PollList:
    """Poll all running predictions through pages of the list."""

    running: Sequence[RunningPrediction]


@frozen
class Expire:
    """Cancel a prediction whose deadline has passed."""

    running: RunningPrediction


@frozen
class Recover:
    """Find the predictions of rows that an interrupted call may have created."""

    rows: Sequence[Row]


Task: TypeAlias = Create | Poll | PollList | Expire | Recover


class Scheduler:
    """Tracks the unfinished rows of a batch.

    Args:
        limiter: Decides when a prediction may be created.
        schedule: Decides how often predictions are polled.
    """

    def __init__(self, limiter: RateLimiter, schedule: PollSchedule) -> None:
        self._limiter = limiter
        self._schedule = schedule
        self._lock = threading.Lock()
        self._queue: deque[Row] = deque()
        self._creating: dict[int, Row] = {}
        self._running: dict[int, RunningPrediction] = {}
        self._polls: list[tuple[float, int, RunningPrediction]] = []
        self._count = itertools.count()
        self._first_created: float | None = None
        self._last_list_poll = 0.0
        self._next_list_poll = 0.0
        self._pages = 1
        self._is_polling_list = False
        self._unconfirmed: deque[Row] = deque()
        self._next_recovery = 0.0
        self._recovering = 0

    def add(self, row: Row) -> None:
        """Queue a row whose prediction is to be created."""
        with self._lock:
            self._queue.append(row)

    def add_unconfirmed(self, row: Row) -> None:
        """Queue a row whose prediction an interrupted call may have created."""
        with self._lock:
            self._unconfirmed.append(row)

    @property
    def limit(self) -> int:
        """The number of predictions that may be in flight at the moment."""
        return self._limiter.limit

    def counts(self) -> tuple[int, int]:
        """Return the number of queued rows and the number of running predictions."""
        with self._lock:
            queued = len(self._queue) + len(self._creating) + len(self._unconfirmed)
            return queued + self._recovering, len(self._running)

    def next(self, now: float) -> tuple[list[Task], float | None]:
        """Return the tasks that are due and the seconds until the next call.

        The seconds are `None` if nothing is due until a worker reports something.
        """
        with self._lock:
            tasks: list[Task] = []
            pauses = [
                pause
                for pause in (
                    self._next_recoveries(now, tasks),
                    self._next_creates(now, tasks),
                    self._next_expiries(now, tasks),
                    self._next_polls(now, tasks),
                )
                if pause is not None
            ]
            return tasks, min(pauses, default=None)

    def created(self, running: RunningPrediction, now: float) -> None:
        """Start polling a prediction that was created or attached to."""
        with self._lock:
            if self._creating.pop(running.row.index, None) is not None:
                self._limiter.accepted()
            if self._first_created is None:
                self._first_created = now
            if not self._running:
                self._last_list_poll, self._next_list_poll = now, float("inf")
            first_end = running.started + self._schedule.until_first_end()
            self._next_list_poll = min(self._next_list_poll, first_end)
            self._running[running.row.index] = running
            if running.created_at is None:
                self._poll_at(running, now + self._until_poll(running, now))

    def not_created(self, row: Row) -> None:
        """Remove a row whose create failed for good."""
        with self._lock:
            self._creating.pop(row.index, None)

    def retry(self, row: Row, pause: float, now: float) -> None:
        """Queue a row again, and block all creates for `pause` seconds."""
        with self._lock:
            self._limiter.block(pause, now)
            self._creating.pop(row.index, None)
            self._queue.appendleft(row)

    def rejected(
        self,
        row: Row,
        *,
        sent: float,
        now: float,
        retry_after: float | None,
        can_retry: bool,
    ) -> bool:
        """Slow down because the server rejected a create.

        Args:
            row: The row.
            sent: When the request was sent.
            now: When the response arrived.
            retry_after: The seconds that the server asks to wait, or `None`.
            can_retry: Whether a retry cannot create the prediction twice.

        Returns:
            Whether the row was queued again.
        """
        with self._lock:
            del self._creating[row.index]
            should_retry = self._limiter.rejected(
                sent=sent,
                now=now,
                in_flight=len(self._creating) + len(self._running),
                retry_after=retry_after,
                chance=random.chance(),
            )
            if should_retry and can_retry:
                self._queue.appendleft(row)
            return should_retry and can_retry

    def running_by_id(self) -> dict[str, list[RunningPrediction]]:
        """Return the running predictions by id. Two rows of a checkpoint may share one."""
        with self._lock:
            by_id: dict[str, list[RunningPrediction]] = {}
            for running in self._running.values():
                by_id.setdefault(running.id, []).append(running)
            return by_id

    def finish(
        self, running: RunningPrediction, now: float, prediction: types.Prediction | None = None
    ) -> bool:
        """Remove a prediction that has finished.

        Args:
            running: The prediction while it was running.
            now: The current time.
            prediction: The finished prediction. `None` if it could not be retrieved.

        Returns:
            `False` if another worker has already removed the prediction.
        """
        with self._lock:
            if self._running.pop(running.row.index, None) is None:
                return False
            if not running.is_attached:
                self._schedule.finished(duration(running, prediction, now))
            return True

    def polled(self, running: RunningPrediction, prediction: types.Prediction, now: float) -> None:
        """Record that an individual poll found the prediction still running."""
        with self._lock:
            running.latest, running.seen_at = prediction, now
            running.failures = None
            running.is_polling = False
            self._poll_at(running, now + self._until_poll(running, now))

    def poll_failed(self, running: RunningPrediction, pause: float, now: float) -> None:
        """Record that an individual poll failed, and repeat it after `pause` seconds."""
        with self._lock:
            running.is_polling = False
            self._poll_at(running, now + pause)

    def poll_now(self, running: RunningPrediction, now: float) -> None:
        """Poll a prediction individually as soon as possible."""
        with self._lock:
            if not running.is_polling:
                self._poll_at(running, now)

    def list_polled(
        self,
        seen: Collection[tuple[RunningPrediction, types.Prediction]],
        unseen: Collection[RunningPrediction],
        *,
        pages: int,
        useful: bool,
        now: float,
    ) -> None:
        """Record the result of a list poll.

        Args:
            seen: Predictions that the list showed as still running.
            unseen: Predictions that the list did not show.
            pages: The number of pages requested.
            useful: Whether the list showed any of our predictions.
            now: When the list poll ended.
        """
        with self._lock:
            self._is_polling_list = False
            self._schedule.listed(useful=useful, now=now)
            # When the finished predictions have been removed, the next task computes the time.
            self._last_list_poll, self._next_list_poll = now, now + polling.SHORTEST
            self._pages = pages
            for running, prediction in seen:
                running.latest, running.seen_at = prediction, now
                running.failures = None
                running.poll_at = None
            for running in unseen:
                has_poll = running.poll_at is not None or running.is_polling
                if not has_poll and running.row.index in self._running:
                    self._poll_at(running, now + self._until_poll(running, now))

    def recovered(self, unconfirmed: Sequence[Row], now: float, pause: float) -> None:
        """Record that a recovery ended, and queue the rows that are still unconfirmed.

        Args:
            unconfirmed: Rows to search for again.
            now: The current time.
            pause: Seconds until the next recovery.
        """
        with self._lock:
            self._recovering = 0
            self._unconfirmed.extendleft(reversed(unconfirmed))
            self._next_recovery = now + pause

    def unfinished(self) -> tuple[list[RunningPrediction], list[Row]]:
        """Return the running predictions, and the tried rows that have no prediction."""
        with self._lock:
            tried = [row for row in self._queue if row.attempts > 0]
            return list(self._running.values()), [*self._creating.values(), *tried]

    def _next_recoveries(self, now: float, tasks: list[Task]) -> float | None:
        if not self._unconfirmed or self._recovering:
            return None
        if now < self._next_recovery:
            return self._next_recovery - now
        # A recovery must not mistake a create in progress for one of the interrupted call.
        if not self._creating:
            self._recovering = len(self._unconfirmed)
            tasks.append(Recover(tuple(self._unconfirmed)))
            self._unconfirmed.clear()
        return None

    def _next_creates(self, now: float, tasks: list[Task]) -> float | None:
        if self._recovering or (self._unconfirmed and now >= self._next_recovery):
            return None
        while self._queue:
            self._limiter.block(self._schedule.blocked_for(), now)
            pause = self._limiter.delay(len(self._creating) + len(self._running), now)
            if pause is None or pause > 0:
                return pause
            self._limiter.reserve(now)
            row = self._queue.popleft()
            self._creating[row.index] = row
            tasks.append(Create(row))
        return None

    def _next_expiries(self, now: float, tasks: list[Task]) -> float | None:
        # All predictions have the same timeout, so they expire in the order of this dict.
        for running in self._running.values():
            if running.deadline is None:
                return None
            if running.deadline > now:
                return running.deadline - now
            if not running.is_expired:
                running.is_expired = True
                tasks.append(Expire(running))
        return None

    def _next_polls(self, now: float, tasks: list[Task]) -> float | None:
        if not self._running:
            return None
        blocked = self._schedule.blocked_for()
        if blocked > 0:
            return blocked
        if not self._is_polling_list and now >= self._next_list_poll:
            self._next_list_poll = self._list_poll_at()
        if not self._is_polling_list and now >= self._next_list_poll:
            if len(self._running) > 1 and self._schedule.can_list(now):
                self._is_polling_list = True
                tasks.append(PollList(tuple(self._running.values())))
            else:
                for running in self._without_poll():
                    self._poll_at(running, now)
                self._last_list_poll, self._pages = now, 1
                self._next_list_poll = self._list_poll_at()
        while self._polls and self._polls[0][0] <= now:
            poll_at, _, running = heapq.heappop(self._polls)
            # The heap keeps entries of polls that were rescheduled or are no longer needed.
            if running.poll_at == poll_at and self._running.get(running.row.index) is running:
                running.poll_at = None
                running.is_polling = True
                tasks.append(Poll(running))
        pauses = [] if self._is_polling_list else [self._next_list_poll - now]
        pauses += [self._polls[0][0] - now] if self._polls else []
        return min(pauses, default=None)

    def _without_poll(self) -> Iterator[RunningPrediction]:
        return (
            running
            for running in self._running.values()
            if running.poll_at is None and not running.is_polling
        )

    def _poll_at(self, running: RunningPrediction, at: float) -> None:
        running.poll_at = at
        heapq.heappush(self._polls, (at, next(self._count), running))

    def _list_poll_at(self) -> float:
        last = self._last_list_poll
        return self._schedule.next_list_poll(
            tuple(self._running.values()),
            waited=last - (self._first_created if self._first_created is not None else last),
            last=last,
            pages=self._pages,
            chance=random.chance(),
        )

    def _until_poll(self, running: RunningPrediction, now: float) -> float:
        return self._schedule.until_poll(
            now - running.started,
            running=len(self._running),
            chance=random.chance(),
        )


def now() -> float:
    """Return the time on the monotonic clock that the whole batch uses."""
    return time.monotonic()
