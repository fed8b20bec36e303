"""`AsyncEventStream`: the events of a prediction, without gaps.

If the connection breaks, stalls or ends too early, the stream reconnects after the last event it
received. If that is not possible, the finished prediction fills in what is missing.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from httpx_sse import ServerSentEvent

from dashscope import types
from dashscope._api.fetch import fetch, fetch_error
from dashscope._api.instrumentation import begin
from dashscope._api.requestor import Requestor
from dashscope._api.retry import RETRIED_STATUSES, AttemptResult, attempt_result
from dashscope._common import random
from dashscope._common.deadline import Deadline
from dashscope._common.json import object_in
from dashscope._common.logging import logger
from dashscope._errors import APIConnectionError, APIError, StreamError
from dashscope._files.file_output import wrap_file_outputs
from dashscope._predictions.missing_output import parts_of, rest_of_logs, rest_of_output
from dashscope._predictions.outcome import failure_of
from dashscope._predictions.stream_end import STREAM_HEADERS
from dashscope._predictions.watch import Watch
from dashscope._runtime.read_ahead import CLOSED_EARLY, TWO_READERS, ReadAhead
from dashscope._transport.bodies import Body, HiddenFromLoop
from dashscope.types.event import (
    DoneEvent,
    Event,
    LogsEvent,
    OtherEvent,
    OutputEvent,
)

MOST_FAILURES: Final = 8
"""Consecutive connections that may fail or bring nothing before the stream stops reconnecting."""
LONGEST_PAUSE: Final = 10.0

_GONE: Final = frozenset({204, 404, 410})
_SENDABLE_ID: Final = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?")


class AsyncEventStream:
    """The events of a prediction. Enter it with `async with`, then iterate with `async for`.

    Example:
        ```python
        async with client.stream("dashscope/countdown", {"start": 3}) as stream:
            async for event in stream:
                print(str(event), end="")
        ```
    """

    def __init__(
        self,
        api: Requestor,
        watch: Watch[types.Prediction],
        begin: Callable[[Deadline], Awaitable[None]],
        *,
        ref: str | None,
        timeout: float | None,
        stall_timeout: float,
        use_file_output: bool,
    ) -> None:
        self._api = api
        self._watch = watch
        self._begin = begin
        self._ref = ref
        self._timeout = timeout
        self._stall_timeout = stall_timeout
        self._use_file_output = use_file_output
        self._body: Body | None = None
        self._entered = False
        self._exited = False
        self._is_being_read = False
        self._over = False
        # The events of an async client are produced by a separate task, which canceling
        # `anext()` does not disturb. A sync client reads from `_reading`.
        self._queue: ReadAhead[Event] | None = api.runtime.read_ahead(self._produce)
        self._reading: Iterator[Event] = iter(())
        # What was received: strings rather than events, which the garbage collector would
        # traverse again and again.
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._logs: list[str] = []
        self._are_some_unnamed = False
        self._seen: frozenset[str] = frozenset()
        self._current_id: str | None = None
        self._last_id: str | None = None
        self._retry: float | None = None
        self._failures = 0
        self._connections = 0
        self._ending: tuple[str, str | None] | None = None
        self._failure: Exception | None = None

    def __repr__(self) -> str:
        latest = self._watch.latest
        if latest is None:
            return f"<AsyncEventStream of {self._ref or 'a prediction'}, not entered>"
        model = self._ref or latest.model
        return f"<AsyncEventStream of {model}, prediction {latest.id}, {latest.status}>"

    @property
    def prediction(self) -> types.Prediction:
        """The prediction, as last seen."""
        if self._watch.latest is None:
            raise self._unopened()
        return self._watch.latest

    @property
    def reconnections(self) -> int:
        """How often the stream has reconnected."""
        return max(0, self._connections - 1)

    async def result(self) -> types.Prediction:
        """Wait for the prediction to finish, and return its final state.

        Returns:
            The finished prediction.

        Raises:
            PredictionTimeoutError: If the stream's `timeout` passes first.

        Example:
            ```python
            async with client.stream("dashscope/countdown", {"start": 3}) as stream:
                prediction = await stream.result()
            print(prediction.metrics.predict_time)
            ```

        Endpoint: `GET /predictions/{prediction_id}`.
        """
        _ = self.prediction
        with self._watch.operation.active():
            return await self._watch.until_done(
                interval=None,
                deadline=self._watch.deadline,
                progress=None,
                at_once=True,
                listens=False,
            )

    def _unopened(self) -> RuntimeError:
        return self._api.runtime.unopened("a stream", "client.stream(...) as stream")

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream can be used only once: create another one")
        self._entered = True
        watch = self._watch
        watch.deadline = Deadline.after(self._timeout)
        watch.operation = begin("stream", self._api.config.base_url, self._ref)
        try:
            with watch.operation.active():
                try:
                    await self._begin(watch.deadline)
                    self._check_streams()
                    return self  # noqa: TRY300 (an interrupt may still arrive here)
                except BaseException as error:
                    try:
                        await watch.cancel_if_running(error)
                    finally:
                        watch.operation.end(error)
                    raise
        except BaseException as error:
            # An interrupt just before the return. Canceling twice is harmless.
            await watch.cancel_if_running(error)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        operation = self._watch.operation
        self._exited = True
        with operation.active():
            try:
                await self._close()
            finally:
                try:
                    if not self._over:
                        await self._watch.cancel_if_running(error)
                finally:
                    self._watch.end()
                    operation.end(error)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            ModelError: If the model failed.
            StreamError: If something is missing and cannot be filled in.
            PredictionTimeoutError: If the stream's `timeout` passed.
        """
        queue = self._queue
        if queue is not None:
            if self._exited or not queue.has_items:
                self._check_readable(is_read=queue.is_exhausted)
            return await queue.get()
        while True:
            try:
                event = next(self._reading, None)
            except ValueError as error:
                if "already executing" not in str(error):
                    raise
                raise RuntimeError(TWO_READERS) from error
            if event is not None:
                return event
            if not await self._read_on():
                raise StopAsyncIteration

    async def _read_on(self) -> bool:
        """Load more events into `_reading`, in a sync client. Return false at the end."""
        self._check_readable(is_read=self._over)
        if self._is_being_read:
            raise RuntimeError(TWO_READERS)
        try:
            self._is_being_read = True
            return await self._more()
        finally:
            self._is_being_read = False

    def _check_readable(self, *, is_read: bool) -> None:
        if not self._entered:
            raise self._unopened()
        if self._exited and not is_read:
            raise RuntimeError(CLOSED_EARLY)

    async def _produce(self, queue: ReadAhead[Event]) -> None:
        """Put all events into the queue. If it is started again, it continues."""
        try:
            while await self._more():
                for event in self._reading:
                    if not queue.put(event):
                        await queue.wait_for_room()
                if self._body is not None:
                    with self._api.runtime.bound(self._watch.deadline):
                        await self._receive(self._body, queue)
        finally:
            await self._close_body()

    async def _receive(self, body: Body, queue: ReadAhead[Event]) -> None:
        """Put the events of a connection into the queue."""
        events = self._api.transport.async_events(body)
        next_event = events.__anext__
        try:
            sse = await HiddenFromLoop(events, body.left_open)
            while True:
                event = self._event_of(sse)
                if event is not None:
                    has_room = queue.put(event)
                    self._remember(sse, event)
                    if not has_room:
                        await queue.wait_for_room()
                elif self._ending is not None:
                    return
                if self._over:
                    return
                sse = await next_event()
        except StopAsyncIteration:
            return
        except APIConnectionError as error:
            logger.info("stream of %s: %s", self.prediction.id, error)

    def _events_of(self, body: Body) -> Iterator[Event]:
        """Iterate over the events of a connection of a sync client."""
        try:
            for sse in self._api.transport.sync_events(body, self._watch.deadline):
                event = self._event_of(sse)
                if event is not None:
                    yield event
                    # Only now does the caller have it.
                    self._remember(sse, event)
                elif self._ending is not None:
                    return
                if self._over:
                    return
        except APIConnectionError as error:
            logger.info("stream of %s: %s", self.prediction.id, error)

    async def _more(self) -> bool:
        """Connect, reconnect or fill in, whichever is next. Return false at the end."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._over:
            return False
        with self._watch.operation.active():
            if self._ending is not None:
                await self._fill(*self._ending)
            elif self._body is None:
                await self._connect()
            else:
                await self._close_body()
                if not await self._is_finished_at_deadline():
                    await self._again()
        return True

    def _check_streams(self) -> None:
        if self._stream_url() is None and not self.prediction.is_done:
            raise StreamError(
                f"{self.prediction.model or 'This model'} does not stream: its prediction "
                f"{self.prediction.id} has no urls.stream. Use run() or wait()."
            )

    def _stream_url(self) -> str | None:
        urls = self.prediction.urls
        return None if urls is None else urls.stream

    def _event_of(self, sse: ServerSentEvent) -> Event | None:
        """Return the event for the caller, or `None` if there is none.

        Sets `_ending` if the finished prediction must fill in the end, and `_over` at the end.
        """
        data, id = sse.data, sse.id or None
        if sse.retry is not None and sse.retry >= 0:
            self._retry = sse.retry / 1000
        if self._seen and id in self._seen:
            self._current_id = id
            return None  # the server repeats an event
        kind = sse.event
        if kind == "output":
            if self._use_file_output and ":" in data and data[0] in "hHdD":
                return OutputEvent(wrap_file_outputs(data, self._api), id)
            return OutputEvent(data, id)
        if kind == "logs":
            return LogsEvent(data, id)
        if kind == "error":
            self._ending = _word("detail", data) or data, None
            return None
        if kind == "done":
            if self.reconnections == 0:
                self._over = True
                return DoneEvent(_word("reason", data), id)
            # After a break, the finished prediction tells whether anything is missing.
            self._ending = "", _word("reason", data)
            return None
        if kind == "message" and not data:
            self._set_last_id(id)  # an id without an event
            return None
        return OtherEvent(kind, data, id)

    def _remember(self, sse: ServerSentEvent, event: Event) -> None:
        """Remember what a caller has received, for reconnecting and filling in."""
        id = event.id
        if id is None:  # it may be an event that was received before
            self._set_last_id(None)
            self._are_some_unnamed = True
        else:
            self._ids.append(id)
            self._last_id = self._current_id = id
            self._failures = 0
        if sse.event == "output":
            self._texts.append(sse.data)
        elif sse.event == "logs":
            self._logs.append(sse.data)

    def _set_last_id(self, id: str | None) -> None:
        """Set the id for the next connection, or reset it."""
        if id is not None or self._current_id is not None:
            self._last_id = self._current_id = id

    async def _connect(self) -> None:
        url = self._stream_url()
        if url is None:  # a finished prediction that does not stream
            await self._fill()
            return
        headers = dict(STREAM_HEADERS)
        last_id = self._last_id
        # HTTP cannot carry every id. Without one the server starts over, and `_seen` has the rest.
        if last_id is not None and _SENDABLE_ID.fullmatch(last_id):
            headers["Last-Event-ID"] = last_id
        self._seen = frozenset(self._ids)
        self._current_id = None
        self._connections += 1
        try:
            body = await fetch(
                self._api,
                url,
                headers=headers,
                deadline=self._watch.deadline,
                read_timeout=self._watch.deadline.within(self._stall_timeout),
            )
        except APIConnectionError as error:
            logger.info("stream of %s: %s", self.prediction.id, error)
            if await self._is_finished_at_deadline():
                return
            if error.permanent:
                raise
            await self._again(error)
            return
        if body.status == HTTPStatus.OK:
            await self._check_type(body)
            self._api.state.quota.give_back(retried=self._failures > 0)
            self._body = body
            if self._queue is None:
                self._reading = self._events_of(body)
            return
        refused = await fetch_error(self._api, body)
        if body.status in _GONE:
            await self._fill()
        elif body.status in RETRIED_STATUSES:
            await self._again(refused)
        else:
            raise refused

    async def _check_type(self, body: Body) -> None:
        kind = body.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            await body.aclose()
            raise StreamError(
                f"The server sent {kind or 'content without a type'} instead of events for the "
                f"stream of the prediction {self.prediction.id}."
            )

    async def _again(self, error: APIError | None = None) -> None:
        """Pause before the next connection, or use the finished prediction instead."""
        self._failures += 1
        # Without an id, another connection could start at any event.
        lost = bool(self._ids or self._are_some_unnamed) and self._last_id is None
        result = AttemptResult() if error is None else attempt_result(error)
        if (
            lost
            or self._failures > MOST_FAILURES
            or not self._api.state.quota.take(result, attempts=self._failures)
        ):
            await self._fill()
            return
        pause = self._retry if result.retry_after is None else result.retry_after
        if pause is None:
            pause = random.chance() * 0.1 * 2.0**self._failures
        await self._api.runtime.sleep(self._watch.deadline.within(min(pause, LONGEST_PAUSE)))
        await self._is_finished_at_deadline()

    async def _fill(self, detail: str = "", reason: str | None = "") -> None:
        """Produce the events that the finished prediction has and the stream did not deliver."""
        await self._close_body()
        prediction = await self.result()
        self._over = True
        events: list[Event] = []
        texts = self._texts
        rest = rest_of_output(prediction, texts)
        if rest is not None:
            events.extend(
                OutputEvent(wrap_file_outputs(part, self._api) if self._use_file_output else part)
                for part in rest
            )
        elif prediction.status != "failed" and reason is not None:
            has = len(parts_of(prediction.output))
            raise StreamError(
                f"Parts of the output are missing: the stream of the prediction {prediction.id} "
                f"broke after {len(texts)} parts, and the prediction has "
                f"{'no output any more' if prediction.data_removed else has}."
            )
        logs = rest_of_logs(prediction, "".join(self._logs))
        if logs is None:
            logger.warning("stream of %s: a part of the logs is missing", prediction.id)
        elif logs:
            events.append(LogsEvent(logs))
        self._reading = iter(events)
        if prediction.status == "failed" or reason is None:
            self._failure = failure_of(prediction.model or "The model", prediction, detail)
            return
        ended = "" if prediction.status == "succeeded" else prediction.status
        events.append(DoneEvent(reason=reason or ended))

    async def _close(self) -> None:
        try:
            if self._queue is not None:
                await self._queue.aclose()
        finally:
            await self._close_body()

    async def _close_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            await body.aclose()

    async def _is_finished_at_deadline(self) -> bool:
        """Return false before the deadline. After it, whether the prediction has finished.

        Raises:
            PredictionTimeoutError: If the deadline passed and it is still running.
        """
        if not self._watch.deadline.expired:
            return False
        await self._watch.poll_last(None)
        self._ending = "", ""
        return True


AsyncEventStream.__module__ = "dashscope"


def _word(name: str, data: str) -> str:
    """Return a text in an event's JSON, or an empty text."""
    value = object_in(data).get(name)
    return value if isinstance(value, str) else ""
