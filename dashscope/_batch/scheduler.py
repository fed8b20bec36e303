"""What a batch does next: which row is created, which prediction is looked at, and when.

It waits for nothing and sends nothing: the hands tell it what happened, and `next()` says what
is to be done. All of its methods may be called from any thread.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from attrs import frozen

from dashscope import types
from dashscope._batch.poll_schedule import Looks
from dashscope._batch.rate_limiter import Gate
from dashscope._batch.row import Row, Running
from dashscope._common import random


@frozen
class Create:
    """Create a row's prediction."""

    row: Row


@frozen
class Look:
    """Look at one prediction."""

    running: Running


@frozen
class Sweep:
    """Look at all of them, through pages of the list."""

    running: Sequence[Running]


@frozen
class Expire:
    """Cancel a prediction whose time is up."""

    running: Running


@frozen
class Find:
    """Look for the predictions of rows that may have been created."""

    rows: Sequence[Row]


Task: TypeAlias = Create | Look | Sweep | Expire | Find


class Scheduler:
    """The rows and predictions of a batch that are under way."""

    def __init__(self, gate: Gate, looks: Looks) -> None:
        self._gate = gate
        self._looks = looks
        self._lock = threading.Lock()
        self._queue: deque[Row] = deque()
        self._creating: dict[int, Row] = {}
        self._running: dict[int, Running] = {}
        self._due: list[tuple[float, int, Running]] = []
        self._count = itertools.count()
        self._first_created: float | None = None
        self._next_sweep = 0.0
        self._is_sweeping = False
        self._lost: deque[Row] = deque()
        self._next_find = 0.0
        self._finding = 0

    def add(self, row: Row) -> None:
        """A row that is to be created."""
        with self._lock:
            self._queue.append(row)

    def add_lost(self, row: Row) -> None:
        """A row of which nobody knows whether it was created."""
        with self._lock:
            self._lost.append(row)

    @property
    def limit(self) -> int:
        """How many predictions may be in flight now."""
        return self._gate.limit

    def counts(self) -> tuple[int, int]:
        """How many rows wait, and how many run."""
        with self._lock:
            waiting = len(self._queue) + len(self._creating) + len(self._lost)
            return waiting + self._finding, len(self._running)

    def next(self, now: float) -> tuple[list[Task], float | None]:
        """What is to be done now, and after how many seconds to ask again; `None`: when told."""
        with self._lock:
            tasks: list[Task] = []
            pauses = [
                pause
                for pause in (
                    self._next_finds(now, tasks),
                    self._next_creates(now, tasks),
                    self._next_expiries(now, tasks),
                    self._next_looks(now, tasks),
                )
                if pause is not None
            ]
            return tasks, min(pauses, default=None)

    def created(self, running: Running, now: float) -> None:
        """A row's prediction was created; or one that was created before is attached to."""
        with self._lock:
            if self._creating.pop(running.row.index, None) is not None:
                self._gate.accepted()
            if self._first_created is None:
                self._first_created = now
            if not self._running:
                self._next_sweep = now + self._until_sweep(now, pages=1)
            self._running[running.row.index] = running
            if running.created_at is None:
                self._look_at(running, now + self._until_look(running, now))

    def not_created(self, row: Row) -> None:
        """A row's prediction was not created, and is not to be."""
        with self._lock:
            self._creating.pop(row.index, None)

    def again(self, row: Row, pause: float, now: float) -> None:
        """A row is to be tried again, after a pause for all."""
        with self._lock:
            self._gate.hold(pause, now)
            self._creating.pop(row.index, None)
            self._queue.appendleft(row)

    def refused(self, row: Row, *, sent: float, now: float, retry_after: float | None) -> bool:
        """A row's creation was answered with 429; is it tried again?"""
        with self._lock:
            del self._creating[row.index]
            again = self._gate.refused(
                sent=sent,
                now=now,
                in_flight=len(self._creating) + len(self._running),
                retry_after=retry_after,
                chance=random.chance(),
            )
            if again:
                self._queue.appendleft(row)
            return again

    def running(self) -> dict[str, list[Running]]:
        """What runs, by its id."""
        with self._lock:
            by_id: dict[str, list[Running]] = {}
            for running in self._running.values():
                by_id.setdefault(running.id, []).append(running)
            return by_id

    def take(self, running: Running, now: float) -> bool:
        """A prediction is over; `False` where somebody else was told so first."""
        with self._lock:
            if self._running.pop(running.row.index, None) is None:
                return False
            if not running.is_attached:
                self._looks.ended(now - running.since)
            return True

    def looked(self, running: Running, prediction: types.Prediction, now: float) -> None:
        """A prediction was looked at by itself, and runs."""
        with self._lock:
            running.latest = prediction
            running.is_fetched = False
            self._look_at(running, now + self._until_look(running, now))

    def fetch(self, running: Running, now: float) -> None:
        """A prediction is to be looked at by itself, at once."""
        with self._lock:
            if not running.is_fetched:
                self._look_at(running, now)

    def swept(
        self,
        seen: Iterable[tuple[Running, types.Prediction]],
        unseen: Iterable[Running],
        *,
        pages: int,
        useful: bool,
        now: float,
    ) -> None:
        """A sweep is over.

        Args:
            seen: predictions that it showed, and that run.
            unseen: those that it did not show.
            pages: how many pages it took.
            useful: whether lists serve.
            now: when it was over.
        """
        with self._lock:
            self._is_sweeping = False
            self._looks.listed(useful=useful, now=now)
            self._next_sweep = now + self._until_sweep(now, pages=pages)
            for running, prediction in seen:
                running.latest = prediction
                running.due = None
            for running in unseen:
                is_watched = running.due is not None or running.is_fetched
                if not is_watched and running.row.index in self._running:
                    self._look_at(running, now + self._until_look(running, now))

    def found(self, lost: Sequence[Row], now: float, pause: float) -> None:
        """A search is over; these rows are to be looked for again, after a pause."""
        with self._lock:
            self._finding = 0
            self._lost.extendleft(reversed(lost))
            self._next_find = now + pause

    def left(self) -> tuple[list[Running], list[Row]]:
        """When all is to end: what runs, and which rows were tried and have no prediction."""
        with self._lock:
            tried = [row for row in self._queue if row.attempts > 0]
            return list(self._running.values()), [*self._creating.values(), *tried]

    def _next_finds(self, now: float, tasks: list[Task]) -> float | None:
        if not self._lost or self._finding:
            return None
        if now < self._next_find:
            return self._next_find - now
        # What is just being created must not be taken for what was created before.
        if not self._creating:
            self._finding = len(self._lost)
            tasks.append(Find(tuple(self._lost)))
            self._lost.clear()
        return None

    def _next_creates(self, now: float, tasks: list[Task]) -> float | None:
        if self._finding or (self._lost and now >= self._next_find):
            return None
        while self._queue:
            self._gate.hold(self._looks.held(), now)
            pause = self._gate.pause(len(self._creating) + len(self._running), now)
            if pause is None or pause > 0:
                return pause
            self._gate.take_turn(now)
            row = self._queue.popleft()
            self._creating[row.index] = row
            tasks.append(Create(row))
        return None

    def _next_expiries(self, now: float, tasks: list[Task]) -> float | None:
        # All have the same time, so the first ones are up first.
        for running in self._running.values():
            if running.deadline is None:
                return None
            if running.deadline > now:
                return running.deadline - now
            if not running.is_expired:
                running.is_expired = True
                tasks.append(Expire(running))
        return None

    def _next_looks(self, now: float, tasks: list[Task]) -> float | None:
        if not self._running:
            return None
        held = self._looks.held()
        if held > 0:
            return held
        if not self._is_sweeping and now >= self._next_sweep:
            if len(self._running) > 1 and self._looks.may_list(now):
                self._is_sweeping = True
                tasks.append(Sweep(tuple(self._running.values())))
            else:
                for running in self._unwatched():
                    self._look_at(running, now)
                self._next_sweep = now + self._until_sweep(now, pages=1)
        while self._due and self._due[0][0] <= now:
            due, _, running = heapq.heappop(self._due)
            if running.due == due and self._running.get(running.row.index) is running:
                running.due = None
                running.is_fetched = True
                tasks.append(Look(running))
        pauses = [] if self._is_sweeping else [self._next_sweep - now]
        pauses += [self._due[0][0] - now] if self._due else []
        return min(pauses, default=None)

    def _unwatched(self) -> Iterator[Running]:
        return (
            running
            for running in self._running.values()
            if running.due is None and not running.is_fetched
        )

    def _look_at(self, running: Running, due: float) -> None:
        running.due = due
        heapq.heappush(self._due, (due, next(self._count), running))

    def _until_sweep(self, now: float, *, pages: int) -> float:
        waited = now - (self._first_created if self._first_created is not None else now)
        return self._looks.until_sweep(waited, pages=pages, chance=random.chance())

    def _until_look(self, running: Running, now: float) -> float:
        return self._looks.until_look(
            now - running.since,
            crowd=len(self._running),
            chance=random.chance(),
        )


def now() -> float:
    """The clock that all of a batch goes by."""
    return time.monotonic()
