"""`Watch`: waits for a prediction or training, and cancels it if the wait ends early.

`run()`, `wait()`, `stream()` and `trainings.wait()` use it. A watch is an async context manager. If
an exception ends the block before the prediction finished, the watch cancels the prediction, unless
it is told not to, and the exception is raised.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast, runtime_checkable

from dashscope import types
from dashscope._api import polling, retry
from dashscope._api.instrumentation import NOTHING, Operation
from dashscope._api.requestor import Requestor
from dashscope._api.retry import attempt_result
from dashscope._common import random
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._common.validation import check_flag, check_interval, check_timeout
from dashscope._errors import APIError, APITimeoutError, PredictionTimeoutError
from dashscope._predictions.stream_end import StreamEndListener

MAX_STREAMS: Final = 3
"""Connections to a stream that may end early before polling replaces it."""
STREAM_POLL_INTERVAL: Final = 5.0
"""Seconds between two polls while listening to a stream, which may be wrong or lost."""
SILENT_STREAM_POLL: Final = 3.2
"""Seconds until the first poll if the stream brought no event."""
OUTAGE_WARNING: Final = 5.0
"""Seconds of failed polls after which a warning is logged."""
MAX_OUTAGE: Final = 600.0
"""Seconds of failed polls after which a wait without a timeout gives up."""
CREATE_SETTLE_TIME: Final = 5.0
"""Seconds after our own create in which a 404 may mean that the server does not know the id yet."""
NEARLY: Final = 0.05
"""How many seconds before a deadline count as the deadline, because some timers fire early."""
CLEAN_UP: Final = 5.0
"""Seconds that canceling an abandoned prediction may take."""
LAST_POLL_SHARE: Final = 0.25
"""The share of the time after a deadline for the last poll. Canceling gets the rest."""


@runtime_checkable
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
    """A wait for a prediction or training.

    Attributes:
        deadline: When the wait times out.
        operation: The operation that waits.
    """

    def __init__(
        self,
        api: Requestor,
        *,
        poll: Callable[[str, Deadline], Awaitable[J]],
        cancel: Callable[[str, Deadline], Coroutine[Any, Any, J]],
        cancel_on_exit: bool,
        deadline: Deadline = Deadline.NEVER,
        stream_of: Callable[[J], str | None] = lambda _: None,
        operation: Operation = NOTHING,
    ) -> None:
        self._api = api
        self._get = poll
        self._cancel = cancel
        self._cancel_on_exit = check_flag("cancel_on_exit", cancel_on_exit)
        self.deadline = deadline
        self._stream_of = stream_of
        self._id: str | None = None
        self._is_abandoned = False
        self._latest: J | None = None
        self._created_at = float("-inf")
        self.operation = operation

    @property
    def latest(self) -> J | None:
        """The state as last seen, or `None` before it is known."""
        return self._latest

    @latest.setter
    def latest(self, job: J) -> None:
        self._latest = job
        self.operation.saw(cast("types.Prediction", job))

    async def create(
        self,
        create: Callable[[Callable[[J], None]], Coroutine[Any, Any, J]],
        progress: Callable[[J], object] | None,
    ) -> None:
        """Create the prediction, even if the caller is canceled meanwhile, to know its id.

        Args:
            create: Creates the prediction, and calls its argument when the server has responded.
            progress: Called with the created prediction.
        """

        def created(job: J) -> None:
            self.latest = job
            self._id = job.id
            self._created_at = time.monotonic()
            self._begin()

        async def run() -> None:
            with self._api.state.creating():
                await create(created)

        try:
            await self._api.runtime.shield(run, grace=CLEAN_UP)
        except BaseException as error:
            if self._id is None and not isinstance(error, Exception):
                error.add_note(
                    "A prediction may have been created and may still be running: the response "
                    "with its id did not arrive in time."
                )
            raise
        await self._tell(progress)

    async def attach(
        self, job: J | str, *, deadline: Deadline, progress: Callable[[J], object] | None
    ) -> None:
        """Watch an existing prediction.

        Args:
            job: The prediction, or its id.
            deadline: When to give up.
            progress: Called with the state.
        """
        if isinstance(job, str):
            self._id = job
        else:
            self._id, self.latest = job.id, job
        self._begin()
        # A finished prediction from a list may lack its output.
        if self.latest is None or (self.latest.is_done and "output" not in self.latest.raw):
            await self._poll(deadline, progress)
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
        """Wait until the prediction finishes.

        Without an interval and a `progress` function, the prediction's stream tells when to poll,
        if there is one. A stream is only a hint: it may be silent or wrong, so polls continue
        beside it.

        Args:
            interval: The seconds between polls. Defaults to a growing interval.
            deadline: When to stop waiting.
            progress: Called with each state.
            at_once: Whether to poll at once, without a pause.
            listens: Whether to listen to the stream.

        Raises:
            PredictionTimeoutError: If the deadline passes first.
        """
        job = cast("J", self.latest)
        if at_once and not job.is_done:
            job = await self._poll(deadline, progress)
        if listens and interval is None and progress is None:
            job = await self._listen(job, deadline)
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
                return await self.poll_last(progress)
            job = await self._poll(deadline, progress)
        return job

    async def _listen(self, job: J, deadline: Deadline) -> J:
        """Listen to the stream and poll beside it.

        Returns when the prediction has finished, or the stream is lost.
        """
        transport = self._api.transport
        for _ in range(MAX_STREAMS):
            url = None if job.is_done else self._stream_of(job)
            if url is None or not transport.honors_timeouts:
                break
            until = deadline
            if not transport.polls_beside_reads:
                until = deadline.sooner(Deadline.after(STREAM_POLL_INTERVAL))
            listener = StreamEndListener(self._api, url, until)
            schedule = _StreamPollSchedule(listener, deadline)
            is_finished = await self._api.runtime.poll_beside(
                listener.listen, partial(self._poll_beside, deadline), schedule.pause
            )
            if deadline.expired:
                return await self.poll_last(None)
            job = cast("J", self.latest)
            if not job.is_done:
                job = await self._poll(deadline, None)
            if is_finished:
                break
        return job

    async def _poll_beside(self, deadline: Deadline) -> bool:
        """Poll while listening. Return whether there is nothing more to listen for."""
        return deadline.expired or (await self._poll(deadline, None)).is_done

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A coroutine that is being closed cannot await.
        if error is not None and not isinstance(error, GeneratorExit):
            await self.cancel_if_running(error)
        self.end()

    def _begin(self) -> None:
        if self._cancel_on_exit:
            self._api.state.open_operations.add(self.cancel_if_running)

    def end(self) -> None:
        """Stop watching. Closing the client does not cancel the prediction any more."""
        self._api.state.open_operations.discard(self.cancel_if_running)

    async def cancel_if_running(self, error: BaseException | None) -> None:
        """Cancel the prediction if it has not finished, unless the watch is told not to.

        Args:
            error: The error that ended the wait, or `None`. A failed cancellation is added to it as
                a note.
        """
        try:
            await self._cancel_if_running(error)
        except GeneratorExit:
            raise
        except BaseException:
            # An interrupt may have prevented the cancellation. Canceling twice is harmless.
            await self._cancel_if_running(error)
            raise

    async def _cancel_if_running(self, error: BaseException | None) -> None:
        if not self._cancel_on_exit or self._id is None or self._is_abandoned:
            return
        if self.latest is None or not self.latest.is_done:
            await self._abandon(self._id, error)

    def timed_out(self) -> PredictionTimeoutError:
        """Return the error for a deadline that passed first."""
        job = cast("J", self.latest)
        return PredictionTimeoutError(
            f"The prediction {job.id} was still {job.status} at the timeout.",
            prediction=cast("types.Prediction", job),
        )

    async def _poll(self, deadline: Deadline, progress: Callable[[J], object] | None) -> J:
        """Poll once. Failed polls are repeated for as long as the wait lasts.

        Raises:
            PredictionTimeoutError: If the deadline passed first.
        """
        assert self._id is not None
        failures = PollFailures(self._id)
        while True:
            try:
                self.latest = job = await self._get(self._id, deadline)
            except APIError as error:
                failures.last = error
                if deadline.expired or _is_nearly_over(error, deadline):
                    break
                pause = failures.pause_after(error, self._is_new)
                await self._api.runtime.sleep(deadline.within(pause))
                if deadline.expired:
                    break
            else:
                self._api.state.pace.succeeded()
                await self._tell(progress)
                return job
        if self.latest is None:
            raise failures.last
        return await self.poll_last(progress)

    async def poll_last(self, progress: Callable[[J], object] | None) -> J:
        """Poll once more at the deadline, and return what is finished by now.

        Raises:
            PredictionTimeoutError: If it is still running.
        """
        assert self._id is not None
        job = self.latest
        with suppress(APIError):
            job = await self._get(
                self._id, Deadline.after(self.deadline.overtime * LAST_POLL_SHARE)
            )
        if job is None or not job.is_done:
            raise self.timed_out()
        self.latest = job
        await self._tell(progress)
        return job

    @property
    def _is_new(self) -> bool:
        return time.monotonic() - self._created_at < CREATE_SETTLE_TIME

    async def _tell(self, progress: Callable[[J], object] | None) -> None:
        if progress is not None:
            await self._api.runtime.call(progress, self.latest)

    async def _abandon(self, id: str, error: BaseException | None) -> None:
        # After a timeout, cancel within a short time: the server cancels by itself soon.
        late = isinstance(error, TimeoutError) and self.deadline.expired
        limit = self.deadline.overtime * (1 - LAST_POLL_SHARE) if late else CLEAN_UP

        failure: APIError | None = None
        canceled = False

        async def cancel() -> None:
            nonlocal failure, canceled
            self._is_abandoned = True
            try:
                self.latest = await self._cancel(id, Deadline.after(limit))
                canceled = True
            except APIError as caught:
                failure = caught

        raised, other = error, None
        try:
            await self._api.runtime.shield(cancel, grace=limit)
        except BaseException as interruption:  # noqa: BLE001 (raised below, with its note)
            # Another cancellation. It replaces an ordinary error, but not a cancellation.
            if error is None or isinstance(error, Exception):
                raised = interruption
            elif isinstance(interruption, Exception):
                other = interruption
        if canceled:
            logger.info("%s canceled, because its caller stopped waiting", id)
        else:
            reason = failure or other or "no response in time"
            logger.warning("%s could not be canceled: %s", id, reason)
            if raised is None and failure is not None:
                raise failure
            if raised is not None:
                raised.add_note(f"{id} may still be running: it could not be canceled ({reason}).")
        if raised is not None and raised is not error:
            raise raised


class PollFailures:
    """Consecutive failed polls of one prediction.

    Attributes:
        last: The last failure.
    """

    last: APIError

    def __init__(self, id: str) -> None:
        self._id = id
        self._since = time.monotonic()
        self._number = 0
        self._is_reported = False

    def pause_after(self, error: APIError, is_new: bool) -> float:
        """Return the seconds until the next poll.

        Args:
            error: Why the poll failed.
            is_new: Whether the prediction was created a moment ago.

        Raises:
            APIError: If polling again is of no use.
        """
        attempt = attempt_result(error)
        is_unknown_yet = is_new and attempt.status == HTTPStatus.NOT_FOUND
        if not (is_unknown_yet or retry.may_repeat(attempt, repeatable=True)):
            raise error
        if (attempt.retry_after or 0.0) > retry.LONGEST_REQUESTED_DELAY:
            raise error
        lasted = time.monotonic() - self._since
        if lasted > MAX_OUTAGE:
            error.add(f"Polls of {self._id} have failed for {MAX_OUTAGE / 60:.0f} minutes.")
            raise error
        if lasted > OUTAGE_WARNING and not self._is_reported:
            self._is_reported = True
            logger.warning("polls of %s have failed for %.0f s: %s", self._id, lasted, error)
        self._number += 1
        return retry.backoff(attempt, attempts=self._number, chance=random.chance())


def _is_nearly_over(error: APIError, deadline: Deadline) -> bool:
    left = deadline.left()
    return isinstance(error, APITimeoutError) and left is not None and left <= NEARLY


class _StreamPollSchedule:
    """When to poll beside a stream: every 5 s, and a little earlier if the stream is silent."""

    def __init__(self, listener: StreamEndListener, deadline: Deadline) -> None:
        self._listener = listener
        self._deadline = deadline
        self._is_first = True

    def pause(self) -> float:
        """Return the seconds until the next poll, or until the deadline."""
        is_early = self._is_first and not self._listener.has_events
        self._is_first = False
        return self._deadline.within(SILENT_STREAM_POLL if is_early else STREAM_POLL_INTERVAL)


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
