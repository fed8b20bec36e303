"""Assigns jobs to workers: each version has a pool with a queue and its workers.

A worker is reused for the next job of its version. One spare process is always started in advance,
so that the first job of a version does not wait for Python to start.
"""

import asyncio
import contextlib
import time
from collections import deque
from typing import Final, Generic, TypeVar
from weakref import WeakSet

from dashscope.local.jobs.launching import make_launcher
from dashscope.local.jobs.processes import Setup, Worker, WorkerError, WorkerLostError

IDLE_LIMIT: Final = 60.0
"""Seconds after which an idle worker is stopped."""

MAX_LOST: Final = 4
"""Number of workers that may be lost before they load, because the fork server was killed."""

MAX_IDLE: Final = 16
"""Maximum number of idle workers of all versions."""

Item = TypeVar("Item")


class WorkerProcesses:
    """All worker processes, including a spare one that is started in advance."""

    def __init__(self) -> None:
        self._all: set[Worker] = set()
        self._starting: set[asyncio.Task[Worker]] = set()
        self._next: asyncio.Task[Worker] | None = None
        self._launcher = make_launcher()

    def prepare(self) -> None:
        """Start the spare process if there is none, or if its start has failed."""
        spare = self._next
        if spare is None or (spare.done() and spare.exception() is not None):
            self._next = asyncio.create_task(self._start())
            self._starting.add(self._next)
            self._next.add_done_callback(self._starting.discard)

    async def acquire(self) -> Worker:
        """Return a worker that has not loaded a model, and start the next spare process."""
        while True:
            self.prepare()
            spare, self._next = self._next, None
            if spare is None:
                continue
            self.prepare()
            try:
                worker = await asyncio.shield(spare)
            except asyncio.CancelledError:
                spare.add_done_callback(_kill_started)
                raise
            if worker.alive:
                return worker

    async def stop(self) -> None:
        """Stop all worker processes."""
        self._next = None
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._all))
        await self._launcher.stop()

    async def _start(self) -> Worker:
        worker = await Worker.start(self._launcher)
        self._all.add(worker)
        worker.ended.add_done_callback(lambda _: self._all.discard(worker))
        return worker


def _kill_started(starting: asyncio.Task[Worker]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().kill()


class WorkerPool(Generic[Item]):
    """The queue and the workers of one version."""

    def __init__(self, setup: Setup, concurrency: int, processes: WorkerProcesses) -> None:
        self.queue: deque[Item] = deque()
        self.active = 0
        self._setup = setup
        self._concurrency = concurrency
        self._processes = processes
        self._idle: list[tuple[float, Worker]] = []
        self._current: WeakSet[Worker] = WeakSet()

    @property
    def has_capacity(self) -> bool:
        """Whether another job can start now."""
        return self.active < self._concurrency

    async def worker(self) -> Worker:
        """Return a worker that has loaded this version.

        Raises:
            WorkerError: The code cannot be loaded, or no process can be started.
        """
        while self._idle:
            _, worker = self._idle.pop()
            if worker.alive:
                return worker
        for _ in range(MAX_LOST):
            with contextlib.suppress(WorkerLostError):
                return await self._start()
        return await self._start()

    async def _start(self) -> Worker:
        current = self._current
        try:
            worker = await self._processes.acquire()
        except OSError as error:
            raise WorkerError(f"The model's process could not be started: {error}") from error
        try:
            await worker.load(self._setup)
        except BaseException:
            worker.kill()
            raise
        current.add(worker)
        return worker

    def release(self, worker: Worker) -> None:
        """Keep a worker for the next job, or kill it if its modules have changed."""
        if worker not in self._current:
            worker.kill()
        elif worker.alive:
            self._idle.append((time.monotonic(), worker))

    async def reload(self) -> None:
        """Use each worker for no other job, because a module that it has loaded has changed."""
        self._current = WeakSet()
        await self.stop()

    @property
    def idle_since(self) -> list[float]:
        """The times at which the idle workers became idle."""
        return [since for since, _ in self._idle]

    async def stop(self, idle_since: float = float("inf")) -> None:
        """Stop the workers that have been idle since a time. Defaults to all idle workers."""
        expired = [worker for since, worker in self._idle if since <= idle_since]
        self._idle = [(since, worker) for since, worker in self._idle if since > idle_since]
        await asyncio.gather(*(worker.stop() for worker in expired))
