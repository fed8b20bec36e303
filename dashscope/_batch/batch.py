"""`AsyncBatch`: the block behind which a batch runs, and the iterator of its results."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from attrs import evolve

from dashscope._api.instrumentation import NOTHING, Operation, begin
from dashscope._api.requestor import Requestor
from dashscope._batch.checkpoint.base import Ledger
from dashscope._batch.context import Desk
from dashscope._batch.creator import Creator
from dashscope._batch.input_reader import Inlet, total_of
from dashscope._batch.options import Options
from dashscope._batch.poll_schedule import Looks
from dashscope._batch.poller import Watcher
from dashscope._batch.rate_limiter import Gate
from dashscope._batch.recovery import Finder
from dashscope._batch.result_buffer import Outbox
from dashscope._batch.scheduler import Create, Expire, Find, Look, Scheduler, Sweep, Task, now
from dashscope._batch.shutdown import leave
from dashscope._files.file_output import wrap_file_outputs
from dashscope._runtime.forking import load_before_fork
from dashscope._runtime.workers import Channel, ClosedError, Signal
from dashscope._transport.pool import CLOSED
from dashscope.types.batch import BatchProgress, BatchResult

TELL: Final = 0.25
"""Seconds between two calls of `progress`."""
WATCHERS_SHARE: Final = 4
"""One hand watches for so many that create."""
WIND_UP: Final = 15.0
"""Seconds that leaving a batch may take: creates that are under way, then cancels."""


load_before_fork("dashscope._batch.checkpoint.store")


class AsyncBatch:
    """The results of a batch, as they come: `async with`, then `async for`.

    ```python
    inputs = [{"text": name} for name in ("Alice", "Bob")]
    async with client.map("dashscope/hello-world", inputs) as results:
        async for result in results:
            print(result.index, result.output if result.ok else result.error)
    ```
    """

    def __init__(self, api: Requestor, inputs: Any, options: Options) -> None:
        self._api = api
        self._options = options
        self._items = api.runtime.iterate("inputs", inputs)
        self._total = total_of(inputs)
        self._entered = False
        self._has_begun = False
        self._winding_up = False
        self._closed: RuntimeError | None = None
        self._failure: BaseException | None = None
        self._told_at = float("-inf")
        self._operation: Operation = NOTHING

    @property
    def progress(self) -> BatchProgress:
        """How far it is."""
        self._check_entered()
        return self._progress(is_over=self._desk.is_over)

    def _repr_html_(self) -> str:
        if not self._entered:
            return "<p>A batch that was not opened yet.</p>"
        return self.progress._repr_html_()  # pyright: ignore[reportPrivateUsage]

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a batch is used once: call map() again")
        self._entered = True
        self._set_up()
        self._operation = begin("map", self._api.config.base_url, self._options.ref)
        try:
            with self._operation.active():
                await self._api.runtime.shield(self._desk.ledger.open)
                self._has_begun = True
                self._start()
                self._api.state.open_operations.add(self._cancel_if_running)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchResult:
        """The next result.

        Raises:
            CheckpointError: when the checkpoint cannot be used.
            Exception: what the inputs raise, after the results of all rows before; with
                `on_error="raise"`, the first error of a row.
        """
        self._check_entered()
        desk, outbox = self._desk, self._desk.outbox
        while not desk.is_over:
            await self._tell()
            if not self._api.runtime.is_shared:
                await self._feed()
            result = outbox.next()
            if result is not None:
                self._changed()
                return self._handed(result)
            if self._failure is not None:
                raise self._failure
            if outbox.is_exhausted:
                break
            with suppress(ClosedError):  # left by another task or thread
                await self._to_user.wait(None if self._options.progress is None else TELL)
        if self._closed is not None:
            raise self._closed
        if (error := outbox.ending()) is not None:
            raise error
        raise StopAsyncIteration

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._desk.is_over = True
        if isinstance(error, GeneratorExit):
            # A coroutine that is thrown away may not wait for anything.
            self._hush()
            self._workers.drop()
            self._desk.ledger.drop()
            self._end(error)
            return
        try:
            with self._operation.active():
                await self._api.runtime.shield(partial(self._wind_up, error), grace=WIND_UP)
        finally:
            self._end(error)

    async def _cancel_if_running(self, error: BaseException | None) -> None:
        """Cancel what it created and has not finished, since its client is being closed.

        Whoever iterates is told so. A batch of another event loop ends by its requests, which
        are refused.
        """
        if self._winding_up or not self._workers.is_here:
            return
        self._closed = RuntimeError(CLOSED)
        self._desk.is_over = True
        failure = error or self._closed
        await self._api.runtime.shield(partial(self._wind_up, failure), grace=WIND_UP)

    def _end(self, error: BaseException | None) -> None:
        """Nobody watches any more."""
        self._api.state.open_operations.discard(self._cancel_if_running)
        for row in list(self._desk.operations):
            self._desk.end(row, error, None)
        progress = self._progress(is_over=True)
        operation, self._operation = self._operation, NOTHING
        operation.counted(done=progress.done, failed=progress.failed)
        operation.end(error)

    def _hush(self) -> None:
        for signal in (self._to_user, self._to_plan, self._to_feed):
            signal.close()
        self._to_create.close()
        self._to_watch.close()

    async def _wind_up(self, error: BaseException | None) -> None:
        self._hush()
        if self._winding_up:
            if self._closed is None:  # somebody would not wait for the first time
                self._desk.ledger.drop()
            return
        self._winding_up = True
        try:
            await leave(self._desk, self._workers, error)
        finally:
            if self._options.progress is not None and self._has_begun:
                await self._api.runtime.call(self._options.progress, self._progress(is_over=True))

    def _set_up(self) -> None:
        options, runtime = self._options, self._api.runtime
        gate = Gate(options.concurrency, options.max_rate, self._api.config.max_retries)
        self._to_user, self._to_plan, self._to_feed = (Signal(runtime.channel()) for _ in range(3))
        self._to_create: Channel[Task] = runtime.channel()
        self._to_watch: Channel[Task] = runtime.channel()
        self._workers = runtime.worker_group()
        self._desk = Desk(
            api=self._api,
            options=options,
            scheduler=Scheduler(gate, Looks(options.poll_interval, self._api.state.pace)),
            ledger=self._ledger(),
            outbox=Outbox(
                options.concurrency, ordered=options.ordered, total=self._total, now=now()
            ),
            changed=self._changed,
        )
        self._watcher = Watcher(self._desk)
        self._creator = Creator(self._desk, self._watcher)
        self._finder = Finder(self._desk)
        self._inlet = Inlet(self._desk, self._items)

    def _ledger(self) -> Ledger:
        options = self._options
        if options.checkpoint is None:
            return Ledger()
        from dashscope._batch.checkpoint.store import KeptLedger

        return KeptLedger(
            self._api.runtime, options.checkpoint, options.ref, skips=options.resume == "skip"
        )

    def _start(self) -> None:
        creators = min(self._options.concurrency, self._api.runtime.most_workers)
        watchers = max(1, creators // WATCHERS_SHARE)
        works: list[Callable[[], Coroutine[Any, Any, None]]] = [self._plan]
        works += [partial(self._work, self._to_create)] * creators
        works += [partial(self._work, self._to_watch)] * watchers
        if self._api.runtime.is_shared:
            works.append(self._feed_on)
        for work in works:
            self._workers.start(partial(self._guarded, work))

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work until the batch is over; what goes wrong with it, ends the batch."""
        try:
            await work()
        except ClosedError:
            pass
        except BaseException as error:
            if not self._desk.is_over:
                self._failure = self._failure or error
                self._changed()
            if not isinstance(error, Exception):
                raise

    async def _plan(self) -> None:
        while True:
            tasks, pause = self._desk.scheduler.next(now())
            for task in tasks:
                (self._to_create if isinstance(task, Create) else self._to_watch).put(task)
            await self._to_plan.wait(pause)

    async def _work(self, channel: Channel[Task]) -> None:
        while not self._desk.is_over:
            task = await channel.get()
            if task is not None and not self._desk.is_over:
                await self._do(task)
                self._changed()

    async def _do(self, task: Task) -> None:
        match task:
            case Create(row):
                await self._creator.create(row)
            case Look(running):
                await self._watcher.look(running)
            case Sweep(crowd):
                await self._watcher.sweep(crowd)
            case Expire(running):
                await self._watcher.expire(running)
            case Find(rows):
                await self._finder.find(rows)

    async def _feed_on(self) -> None:
        try:
            while True:
                await self._feed()
                await self._to_feed.wait()
        finally:
            # In the task that ran it: an async generator may hold scopes open.
            await self._inlet.aclose()

    async def _feed(self) -> None:
        """Read inputs for as long as there is room."""
        try:
            while self._desk.outbox.has_room and self._failure is None:
                await self._inlet.read()
                self._to_plan.notify()
                self._to_user.notify()
        except Exception as error:  # noqa: BLE001 (raised to the one who iterates)
            self._failure = self._failure or error
            self._changed()

    def _changed(self) -> None:
        for signal in (self._to_user, self._to_plan, self._to_feed):
            signal.notify()

    def _handed(self, result: BatchResult) -> BatchResult:
        if result.error is not None:
            if self._options.on_error == "raise":
                result.error.add_note(f"The input at index {result.index} brought this error.")
                raise result.error
            return result
        if not self._options.use_file_output:
            return result
        return evolve(result, output=wrap_file_outputs(result.output, self._api))

    async def _tell(self) -> None:
        progress = self._options.progress
        if progress is not None and now() - self._told_at >= TELL:
            self._told_at = now()
            await self._api.runtime.call(progress, self._progress())

    def _progress(self, *, is_over: bool = False) -> BatchProgress:
        waiting, running = self._desk.scheduler.counts()
        return self._desk.outbox.progress(
            waiting=waiting, running=running, now=now(), is_over=is_over
        )

    def _check_entered(self) -> None:
        if not self._entered:
            raise self._api.runtime.unopened("a batch", "client.map(...) as results")


AsyncBatch.__module__ = "dashscope"
