"""`AsyncBatch`: the async context manager and iterator that `map()` returns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from attrs import evolve

from dashscope._api.instrumentation import NOTHING, Operation, begin
from dashscope._api.requestor import Requestor
from dashscope._batch.checkpoint.base import Checkpoint
from dashscope._batch.context import BatchContext
from dashscope._batch.creator import Creator
from dashscope._batch.input_reader import InputReader, rows_of, total_of
from dashscope._batch.options import Options
from dashscope._batch.permits import Permits, check
from dashscope._batch.poll_schedule import PollSchedule
from dashscope._batch.poller import Poller
from dashscope._batch.rate_limiter import RateLimiter
from dashscope._batch.recovery import Recovery
from dashscope._batch.result_buffer import ResultBuffer
from dashscope._batch.scheduler import (
    Create,
    Expire,
    Poll,
    PollList,
    Recover,
    Scheduler,
    Task,
    now,
)
from dashscope._batch.shutdown import cancel_unfinished
from dashscope._files.file_output import wrap_file_outputs
from dashscope._runtime.forking import load_before_fork
from dashscope._runtime.workers import Channel, ClosedError, Signal
from dashscope._transport.pool import CLOSED
from dashscope.types.batch import BatchProgress, BatchResult

PROGRESS_INTERVAL: Final = 0.25
"""Seconds between two calls of `progress`."""
CREATORS_PER_POLLER: Final = 4
"""Number of create workers for each poll worker."""
EXIT_TIMEOUT: Final = 15.0
"""Seconds that closing a batch may take: creates in progress, then cancels."""


load_before_fork(
    *(f"dashscope._batch.checkpoint.{name}" for name in ("stored", "sqlite", "folder")),
)


class AsyncBatch:
    """The results of a batch: use `async with`, then `async for`.

    Example:
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
        inputs = rows_of(inputs)
        if options.shared_rate is not None:
            check(api.runtime, options.shared_rate)
        self._items = api.runtime.iterate("inputs", inputs)
        self._total = total_of(inputs)
        self._entered = False
        self._has_started = False
        self._is_exiting = False
        self._closed_error: RuntimeError | None = None
        self._failure: BaseException | None = None
        self._last_progress = float("-inf")
        self._operation: Operation = NOTHING

    @property
    def progress(self) -> BatchProgress:
        """The current progress.

        Raises:
            RuntimeError: If the batch has not been entered.
        """
        self._check_entered()
        return self._progress(is_over=self._context.is_closed)

    def __repr__(self) -> str:
        if not self._entered:
            return f"<AsyncBatch of {self._options.ref}, not entered>"
        seen = self.progress
        counts = ("done", "failed", "skipped", "running", "queued")
        told = ", ".join(f"{getattr(seen, name)} {name}" for name in counts if getattr(seen, name))
        return f"<AsyncBatch of {self._options.ref}: {told or 'no rows yet'}>"

    def _repr_html_(self) -> str:
        if not self._entered:
            return "<p>A batch that has not been entered.</p>"
        return self.progress._repr_html_()  # pyright: ignore[reportPrivateUsage]

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("A batch can be used only once. Call map() again.")
        self._entered = True
        self._set_up()
        self._operation = begin("map", self._api.config.base_url, self._options.ref)
        try:
            with self._operation.active():
                await self._api.runtime.shield(self._context.checkpoint.open)
                self._has_started = True
                self._start_workers()
                self._api.state.open_operations.add(self._cancel_if_running)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchResult:
        """Return the next result.

        Raises:
            CheckpointError: If the checkpoint cannot be used.
            Exception: If the inputs raise: their exception, after the results of all rows before.
                With `on_error="raise"`: the first error of a row.
        """
        self._check_entered()
        context, results = self._context, self._context.results
        while not context.is_closed:
            await self._report_progress()
            if not self._api.runtime.is_shared:
                await self._read_inputs()
            result = results.pop()
            if result is not None:
                self._notify()
                return self._returned(result)
            if self._failure is not None:
                raise self._failure
            if results.is_exhausted:
                break
            with suppress(ClosedError):  # another task or thread closed the batch
                await self._user_signal.wait(
                    None if self._options.progress is None else PROGRESS_INTERVAL
                )
        if self._closed_error is not None:
            raise self._closed_error
        if (error := results.pop_input_error()) is not None:
            raise error
        raise StopAsyncIteration

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.is_closed = True
        if isinstance(error, GeneratorExit):
            # A coroutine that is being closed must not await anything.
            self._close_channels()
            self._workers.drop()
            self._context.checkpoint.close_nowait()
            self._end_operations(error)
            return
        try:
            with self._operation.active():
                await self._api.runtime.shield(partial(self._exit, error), grace=EXIT_TIMEOUT)
        finally:
            self._end_operations(error)

    async def _cancel_if_running(self, error: BaseException | None) -> None:
        """Cancel the unfinished predictions because the client is being closed.

        The iteration then raises. A batch of another event loop ends because its requests fail.
        """
        if self._is_exiting or not self._workers.is_here:
            return
        self._closed_error = RuntimeError(CLOSED)
        self._context.is_closed = True
        failure = error or self._closed_error
        await self._api.runtime.shield(partial(self._exit, failure), grace=EXIT_TIMEOUT)

    def _end_operations(self, error: BaseException | None) -> None:
        self._api.state.open_operations.discard(self._cancel_if_running)
        for row in list(self._context.operations):
            self._context.end_operation(row, error, None)
        progress = self._progress(is_over=True)
        operation, self._operation = self._operation, NOTHING
        operation.counted(done=progress.done, failed=progress.failed)
        operation.end(error)

    def _close_channels(self) -> None:
        for signal in (self._user_signal, self._planner_signal, self._reader_signal):
            signal.close()
        self._create_tasks.close()
        self._poll_tasks.close()

    async def _exit(self, error: BaseException | None) -> None:
        self._close_channels()
        if self._is_exiting:
            if self._closed_error is None:  # the first exit was interrupted
                self._context.checkpoint.close_nowait()
            return
        self._is_exiting = True
        try:
            await cancel_unfinished(self._context, self._workers, error)
        finally:
            if self._options.progress is not None and self._has_started:
                await self._api.runtime.call(self._options.progress, self._progress(is_over=True))

    def _set_up(self) -> None:
        options, runtime = self._options, self._api.runtime
        limiter = RateLimiter(options.concurrency, options.max_rate, self._api.config.max_retries)
        schedule = PollSchedule(options.poll_interval, self._api.state.pace)
        self._user_signal = Signal(runtime.channel())
        self._planner_signal = Signal(runtime.channel())
        self._reader_signal = Signal(runtime.channel())
        self._create_tasks: Channel[Task] = runtime.channel()
        self._poll_tasks: Channel[Task] = runtime.channel()
        self._workers = runtime.worker_group()
        self._context = BatchContext(
            api=self._api,
            options=options,
            scheduler=Scheduler(limiter, schedule),
            checkpoint=self._checkpoint(),
            results=ResultBuffer(
                options.concurrency, ordered=options.ordered, total=self._total, now=now()
            ),
            permits=Permits(runtime, options.shared_rate),
            notify=self._notify,
        )
        self._poller = Poller(self._context)
        self._creator = Creator(self._context, self._poller)
        self._recovery = Recovery(self._context)
        self._reader = InputReader(self._context, self._items)

    def _checkpoint(self) -> Checkpoint:
        options = self._options
        location = options.checkpoint
        if location is None:
            return Checkpoint()
        from dashscope._batch.checkpoint import keys
        from dashscope._batch.checkpoint.stored import StoredCheckpoint

        by: keys.Keys
        if options.keys is not None:
            by = keys.KnownKeys(options.keys)
        elif location.is_shared:
            by = keys.Digests(options.ref, location.salt)
        else:
            by = keys.Positions()
        return StoredCheckpoint(
            self._api.runtime,
            self._api.state.clock,
            location.store(options.ref, by_digest=options.keys is not None),
            by,
            skip_finished=options.resume == "skip",
        )

    def _start_workers(self) -> None:
        creators = min(self._options.concurrency, self._api.runtime.most_workers)
        pollers = max(1, creators // CREATORS_PER_POLLER)
        works: list[Callable[[], Coroutine[Any, Any, None]]] = [self._plan]
        works += [partial(self._work, self._create_tasks)] * creators
        works += [partial(self._work, self._poll_tasks)] * pollers
        if self._api.runtime.is_shared:
            works.append(self._keep_reading)
        for work in works:
            self._workers.start(partial(self._guard, work))

    async def _guard(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a worker. If it raises, the iteration raises the same exception."""
        try:
            await work()
        except ClosedError:
            pass
        except BaseException as error:
            if not self._context.is_closed:
                self._failure = self._failure or error
                self._notify()
            if not isinstance(error, Exception):
                raise

    async def _plan(self) -> None:
        while True:
            tasks, pause = self._context.scheduler.next(now())
            for task in tasks:
                channel = self._create_tasks if isinstance(task, Create) else self._poll_tasks
                channel.put(task)
            await self._planner_signal.wait(pause)

    async def _work(self, channel: Channel[Task]) -> None:
        while not self._context.is_closed:
            task = await channel.get()
            if task is not None and not self._context.is_closed:
                await self._run_task(task)
                self._notify()

    async def _run_task(self, task: Task) -> None:
        match task:
            case Create(row):
                await self._creator.create(row)
            case Poll(running):
                await self._poller.poll(running)
            case PollList(running):
                await self._poller.poll_list(running)
            case Expire(running):
                await self._poller.expire(running)
            case Recover(rows):
                await self._recovery.recover(rows)

    async def _keep_reading(self) -> None:
        try:
            while True:
                await self._read_inputs()
                await self._reader_signal.wait()
        finally:
            # In the task that iterated, because an async generator may hold scopes open.
            await self._reader.aclose()

    async def _read_inputs(self) -> None:
        """Read inputs while the result buffer has room."""
        try:
            while self._context.results.has_room and self._failure is None:
                await self._reader.read()
                self._planner_signal.notify()
                self._user_signal.notify()
        except Exception as error:  # noqa: BLE001 (the iteration raises it)
            self._failure = self._failure or error
            self._notify()

    def _notify(self) -> None:
        for signal in (self._user_signal, self._planner_signal, self._reader_signal):
            signal.notify()

    def _returned(self, result: BatchResult) -> BatchResult:
        """Return the result as the user sees it, or raise its error."""
        if result.error is not None:
            if self._options.on_error == "raise":
                result.error.add_note(f"The input at index {result.index} raised this error.")
                raise result.error
            return result
        if not self._options.use_file_output:
            return result
        return evolve(result, output=wrap_file_outputs(result.output, self._api))

    async def _report_progress(self) -> None:
        progress = self._options.progress
        if progress is not None and now() - self._last_progress >= PROGRESS_INTERVAL:
            self._last_progress = now()
            await self._api.runtime.call(progress, self._progress())

    def _progress(self, *, is_over: bool = False) -> BatchProgress:
        queued, running = self._context.scheduler.counts()
        return self._context.results.progress(
            queued=queued, running=running, now=now(), is_over=is_over
        )

    def _check_entered(self) -> None:
        if not self._entered:
            raise self._api.runtime.unopened("a batch", "client.map(...) as results")


AsyncBatch.__module__ = "dashscope"
