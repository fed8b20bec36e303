"""`Watch`: a prediction or training that is waited for, and cancelled when it is left running.

`run()`, `wait()` and `trainings.wait()` are made of it. A watch is an async context manager:
when its block is left by an exception before the end was seen, it cancels what it was told
to, and lets the exception go on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast

from dashscope import types
from dashscope._api import polling
from dashscope._api.instrumentation import NOTHING, Operation
from dashscope._api.requestor import Requestor
from dashscope._common import random
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._common.validation import check_flag, check_interval, check_timeout
from dashscope._errors import APIError, APITimeoutError, PredictionTimeoutError
from dashscope._predictions.stream_end import hear_end

MOST_STREAMS: Final = 3
"""How often a stream that breaks off is asked again before polling takes its place."""
NEARLY: Final = 0.05
"""Seconds before a deadline that count as it: some event loops' timers go off a little early."""
CLEAN_UP: Final = 5.0
"""Seconds that cancelling an abandoned prediction may take."""
DEADLINE_MARGIN: Final = 5.0
"""Seconds after the client's own deadline at which the server is told to stop by itself."""


class Job(Protocol):
    """A prediction or a training."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def raw(self) -> Any: ...
    @property
    def is_done(self) -> bool: ...


J = TypeVar("J", bound=Job)


class Watch(Generic[J]):
    """A prediction or training under way.

    Attributes:
        operation: what it is watched for.
    """

    def __init__(
        self,
        api: Requestor,
        *,
        look: Callable[[str, Deadline], Awaitable[J]],
        cancel: Callable[[str, Deadline], Coroutine[Any, Any, J]],
        cancel_on_exit: bool,
        deadline: Deadline = Deadline.NEVER,
        stream_of: Callable[[J], str | None] = lambda _: None,
        operation: Operation = NOTHING,
    ) -> None:
        self._api = api
        self._look = look
        self._cancel = cancel
        self._cancel_on_exit = check_flag("cancel_on_exit", cancel_on_exit)
        self._deadline = deadline
        self._stream_of = stream_of
        self._id: str | None = None
        self._left = False
        self._latest: J | None = None
        self.operation = operation

    @property
    def latest(self) -> J | None:
        """Its state as last seen, `None` before it is known."""
        return self._latest

    @latest.setter
    def latest(self, job: J) -> None:
        self._latest = job
        self.operation.saw(cast("types.Prediction", job))

    async def create(
        self, create: Callable[[], Coroutine[Any, Any, J]], progress: Callable[[J], object] | None
    ) -> None:
        """Create it, to the end even when the caller is cancelled, so that its id is known."""

        async def note() -> None:
            self.latest = created = await create()
            self._id = created.id
            self._begin()

        try:
            await self._api.runtime.finish(note, grace=CLEAN_UP)
        except BaseException as error:
            if self._id is None and not isinstance(error, Exception):
                error.add_note(
                    "A prediction may have been created and still be running: no answer told "
                    "its id in time."
                )
            raise
        await self._tell(progress)

    async def attach(
        self, job: J | str, *, deadline: Deadline, progress: Callable[[J], object] | None
    ) -> None:
        """Watch one that exists already, given by its id or an older state of it."""
        if isinstance(job, str):
            self._id = job
        else:
            self._id, self.latest = job.id, job
        self._begin()
        # A state from a list may be partial: over, but without its output.
        if self.latest is None or (self.latest.is_done and "output" not in self.latest.raw):
            await self._see(deadline, progress)
        elif self.latest.is_done:
            await self._tell(progress)

    async def until_done(
        self,
        *,
        interval: float | None,
        deadline: Deadline,
        progress: Callable[[J], object] | None,
        at_once: bool = False,
        listens: bool = True,
    ) -> J:
        """Look at it until it is over, the first time after a pause or `at_once`.

        Where it `listens`, there is a stream, and nobody wants each look: when that says so.

        Raises:
            PredictionTimeoutError: when the deadline passes first.
        """
        job = cast("J", self.latest)
        if at_once and not job.is_done:
            job = await self._see(deadline, progress)
        if listens and interval is None and progress is None:
            job = await self._hear(job, deadline)
        started = time.monotonic()
        pace = self._api.state.pace
        while not job.is_done:
            chance = random.chance()
            pause = polling.delay(
                time.monotonic() - started,
                interval=interval,
                slowdown=pace.slowdown,
                chance=chance,
            )
            await self._api.runtime.sleep(deadline.within(max(pause, pace.held(chance))))
            if deadline.expired:
                raise self.timed_out()
            job = await self._see(deadline, progress)
        return job

    async def _hear(self, job: J, deadline: Deadline) -> J:
        """Look at it when its stream says that it is over, or says nothing more."""
        for _ in range(MOST_STREAMS):
            url = None if job.is_done else self._stream_of(job)
            if url is None or not self._api.transport.honors_timeouts:
                break
            heard = await hear_end(self._api, url, deadline)
            if deadline.expired:
                raise self.timed_out()
            job = await self._see(deadline, None)
            if heard:
                break
        return job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A coroutine that is thrown away, rather than cancelled, may not wait for anything.
        if error is not None and not isinstance(error, GeneratorExit):
            await self.cancel_if_running(error)
        self.end()

    def _begin(self) -> None:
        if self._cancel_on_exit:
            self._api.state.open_operations.add(self.cancel_if_running)

    def end(self) -> None:
        """Nobody waits for it any more, for whatever reason: closing the client leaves it alone."""
        self._api.state.open_operations.discard(self.cancel_if_running)

    async def cancel_if_running(self, error: BaseException | None) -> None:
        """Cancel it where it was not seen to be over, and is to be cancelled then.

        Args:
            error: what ended the wait, and goes on; a failure to cancel becomes a note of it.
        """
        try:
            await self._cancel_if_running(error)
        except GeneratorExit:
            raise
        except BaseException:
            # An interrupt may have come before it began; it does nothing twice.
            await self._cancel_if_running(error)
            raise

    async def _cancel_if_running(self, error: BaseException | None) -> None:
        if not self._cancel_on_exit or self._id is None or self._left:
            return
        if self.latest is None or not self.latest.is_done:
            await self._abandon(self._id, error)

    def timed_out(self) -> PredictionTimeoutError:
        """The error for a deadline that passed first."""
        job = cast("J", self.latest)
        return PredictionTimeoutError(
            f"{job.id} was still {job.status} when the time was up.",
            prediction=cast("types.Prediction", job),
        )

    async def _see(self, deadline: Deadline, progress: Callable[[J], object] | None) -> J:
        assert self._id is not None
        try:
            self.latest = seen = await self._look(self._id, deadline)
        except APITimeoutError:
            left = deadline.left()
            if self.latest is None or left is None or left > NEARLY:
                raise
        else:
            self._api.state.pace.succeeded()
            await self._tell(progress)
            return seen
        raise self.timed_out()

    async def _tell(self, progress: Callable[[J], object] | None) -> None:
        if progress is not None:
            await self._api.runtime.call(progress, self.latest)

    async def _abandon(self, id: str, error: BaseException | None) -> None:
        # Whoever set a time does not wait for longer; the server was told to stop by itself.
        late = isinstance(error, TimeoutError) and self._deadline.expired
        limit = self._deadline.overtime if late else CLEAN_UP

        failure: APIError | None = None
        cancelled = False

        async def cancel() -> None:
            nonlocal failure, cancelled
            self._left = True
            try:
                self.latest = await self._cancel(id, Deadline.after(limit))
                cancelled = True
            except APIError as caught:
                failure = caught

        raised, other = error, None
        try:
            await self._api.runtime.finish(cancel, grace=limit)
        except BaseException as interruption:  # noqa: BLE001 (raised below, with its note)
            # Cancelled once more. An error of the ordinary kind gives way to a cancellation;
            # a cancellation goes on as it is.
            if error is None or isinstance(error, Exception):
                raised = interruption
            elif isinstance(interruption, Exception):
                other = interruption
        if cancelled:
            logger.info("%s cancelled: nobody waits for it any more", id)
        else:
            reason = failure or other or "no answer in time"
            logger.warning("%s could not be cancelled: %s", id, reason)
            if raised is None and failure is not None:
                raise failure
            if raised is not None:
                raised.add_note(f"{id} may still be running: it could not be cancelled ({reason}).")
        if raised is not None and raised is not error:
            raise raised


def check_wait(
    api: Requestor,
    poll_interval: float | None,
    timeout: float | None,
    progress: Callable[[Any], object] | None,
) -> tuple[float | None, Deadline]:
    """Check the arguments of a wait: the interval, and the deadline from now."""
    interval = check_interval(poll_interval)
    if progress is not None:
        api.runtime.check_callback("progress", progress)
    return interval, Deadline.after(check_timeout(timeout))
