"""`AsyncEventStream`: a prediction's events as they come, without a hole.

Where the connection breaks, stalls or ends too soon, the stream asks again from the last event
that the user was given. Where that cannot be, the finished prediction fills what is missing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Final, Self

from dashscope._api.instrumentation import begin
from dashscope._api.retry import RETRIED_STATUSES, Outcome
from dashscope._common import random
from dashscope._common.deadline import Deadline
from dashscope._common.json import object_in
from dashscope._common.logging import logger
from dashscope._errors import APIConnectionError, APIError, StreamError
from dashscope._failures import outcome_of
from dashscope._files.file_output import claim
from dashscope._predictions.missing_output import parts_of, rest_of_logs, rest_of_output
from dashscope._predictions.outcome import failure_of
from dashscope._predictions.sse import SSEParser, data_of, id_of, ids_of, recalled, texts_of
from dashscope._predictions.stream_end import STREAM_HEADERS
from dashscope.types.event import (
    DoneEvent,
    Event,
    LogsEvent,
    OtherEvent,
    OutputEvent,
    output_event,
    output_events,
)

if TYPE_CHECKING:
    from types import TracebackType

    from httpx_sse import ServerSentEvent

    from dashscope._api.requestor import API
    from dashscope._predictions.watch import Watch
    from dashscope._runtime.runtime import Body
    from dashscope.resources.predictions import Prediction

MOST_FAILURES: Final = 8
"""Connections in a row that may fail or bring nothing before the stream stops asking."""
LONGEST_PAUSE: Final = 10.0

_GONE: Final = frozenset({204, 404, 410})

_FIRST_PIECE: Final = 16 * 1024
_EVENTS_AT_ONCE: Final = 320
"""About so many are understood before the first of them is handed over: within 1 ms."""


class AsyncEventStream:
    """The events of a prediction, as they come: `async with`, then `async for`.

    ```python
    async with client.stream("dashscope/countdown", {"start": 3}) as stream:
        async for event in stream:
            print(str(event), end="")
    ```
    """

    def __init__(
        self,
        api: API,
        watch: Watch[Prediction],
        begin: Callable[[], Awaitable[None]],
        *,
        ref: str | None,
        deadline: Deadline,
        stall_timeout: float,
        claims: bool,
    ) -> None:
        self._api = api
        self._watch = watch
        self._begin = begin
        self._ref = ref
        self._deadline = deadline
        self._stall_timeout = stall_timeout
        self._claims = claims
        self._body: Body | None = None
        self._unread = b""  # of the last chunk
        self._piece = _FIRST_PIECE  # bytes that are understood at once
        # Whatever breaks in there (Ctrl-C, say) takes the rest of the piece along, which then
        # has to be asked for again.
        self._is_mid_piece = False
        self._entered = False
        self._left = False
        self._is_being_read = False
        self._over = False
        self._reading: Iterator[Event] = iter(())
        self._parser = SSEParser(api.config.max_response_bytes)
        # What the user was given: strings rather than events, of which the garbage collector
        # would go through ever more. Where a block has nothing but outputs, the block itself.
        self._ids: list[str | bytes] = []
        self._texts: list[str | bytes] = []
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

    @property
    def prediction(self) -> Prediction:
        """The prediction, as last seen."""
        if self._watch.latest is None:
            raise self._unopened()
        return self._watch.latest

    @property
    def reconnections(self) -> int:
        """How often the connection had to be made again."""
        return max(0, self._connections - 1)

    async def result(self) -> Prediction:
        """The finished prediction; before the end of the stream, waits for it.

        Raises:
            PredictionTimeoutError: when it was not over within the stream's `timeout`.
        """
        _ = self.prediction
        return await self._watch.until_done(
            interval=None, deadline=self._deadline, progress=None, at_once=True, listens=False
        )

    def _unopened(self) -> RuntimeError:
        return self._api.runtime.unopened("a stream", "client.stream(...) as stream")

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream is used once: ask for another one")
        self._entered = True
        watch = self._watch
        watch.operation = begin("stream", self._api.config.base_url, self._ref)
        try:
            with watch.operation.active():
                try:
                    await self._begin()
                    self._check_streams()
                    return self  # noqa: TRY300 (this line belongs to what is tried)
                except BaseException as error:
                    try:
                        await watch.leave(error)
                    finally:
                        watch.operation.end(error)
                    raise
        except BaseException as error:
            await watch.leave(error)  # an interrupt on the way out; nothing is done twice
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        operation = self._watch.operation
        self._left = True
        with operation.active():
            try:
                await self._close()
            finally:
                try:
                    if not self._over:
                        await self._watch.leave(error)
                finally:
                    self._watch.end()
                    operation.end(error)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            ModelError: when the model failed.
            StreamError: when something is missing that nothing can fill.
            PredictionTimeoutError: when the stream's `timeout` passed.
        """
        while True:
            event = next(self._reading, None)
            if event is not None:
                return event
            if not await self._read_on():
                raise StopAsyncIteration

    async def _read_on(self) -> bool:
        """Have more to hand over, where that is to be had at once; `False` at the end."""
        if not self._entered:
            raise self._unopened()
        if self._left and not self._over:
            raise RuntimeError("this stream was left before its end, and has no more events")
        if self._is_being_read:
            raise RuntimeError("another task or thread waits for this stream's next event")
        try:
            self._is_being_read = True
            return await self._more()
        finally:
            self._is_being_read = False

    async def _more(self) -> bool:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._over:
            return False
        body, chunk = self._body, None
        if body is not None and self._ending is None and not self._is_mid_piece:
            self._is_mid_piece = True
            try:
                if self._deadline.at is None:  # entering nothing for each chunk would cost, too
                    chunk = self._unread or await body.chunk()
                else:
                    with self._api.runtime.bound(self._deadline):
                        chunk = self._unread or await body.chunk()
            except APIConnectionError as error:
                logger.info("stream of %s: %s", self.prediction.id, error)
        if chunk is not None:
            if self._unread or len(chunk) > self._piece:
                chunk, self._unread = chunk[: self._piece], chunk[self._piece :]
            events = self._parser.feed(chunk)
            outputs = self._outputs(events) if len(events) > 1 else None
            self._reading = self._each(events) if outputs is None else outputs
            return True
        with self._watch.operation.active():
            if self._ending is not None:
                await self._fill(*self._ending)
            elif body is None:
                await self._connect()
            else:
                await self._close()
                self._check_deadline()
                await self._again()
        return True

    def _check_streams(self) -> None:
        if self._stream_url() is None and not self.prediction.is_done:
            raise StreamError(
                f"{self.prediction.model or 'This model'} does not stream: the prediction "
                f"{self.prediction.id} has no urls.stream. Use run() or wait()."
            )

    def _stream_url(self) -> str | None:
        urls = self.prediction.urls
        return None if urls is None else urls.stream

    def _outputs(self, events: list[ServerSentEvent]) -> Iterator[Event] | None:
        """Events that are new outputs and nothing else, `None` where others are among them.

        Most are: nothing is done here for each of them that can be done for all.
        """
        parser, seen = self._parser, self._seen
        if parser.is_marked or [event.event for event in events].count("output") < len(events):
            return None
        texts, ids = parser.data, ids_of(events)
        if not all(ids) or (seen and not seen.isdisjoint(ids)):
            return None
        self._piece = len(parser.block) * _EVENTS_AT_ONCE // len(events)
        events.clear()  # the garbage collector comes when so many more are alive
        if self._claims and ":" in "".join(texts):
            texts = [
                claim(text, self._api) if text[0] in "hHdD" and ":" in text else text
                for text in texts
            ]
        return chain(output_events(texts, ids), self._noted(parser.block, ids[-1]))

    def _noted(self, block: bytes, last_id: str) -> Iterator[Event]:
        """Nothing, but remembers a block of outputs, now that the user has them."""
        self._texts.append(block)
        self._ids.append(block)
        self._last_id = self._current_id = last_id
        self._failures = 0
        self._is_mid_piece = False
        yield from ()

    def _each(self, events: list[ServerSentEvent]) -> Iterator[Event]:
        """What events say, as the user takes them.

        What they say to the client is heeded in its place among them: not before the user has
        those before it.
        """
        seen, claims, ids, texts = self._seen, self._claims, self._ids, self._texts
        marked = self._parser.is_marked
        for event in events:
            data, id = event.data, event.id or None
            if marked:
                own, id = data_of(event), id_of(event) or None
                if event.retry is not None:
                    self._retry = event.retry / 1000
                if own is None:  # this is not for the user
                    self._heed_id(id)
                    continue
                data = own
            if seen and id in seen:
                self._current_id = id
                continue  # the server says again what the user has
            kind = event.event
            if kind == "output":
                text = data
                if claims and ":" in data and data[0] in "hHdD":
                    text = claim(data, self._api)
                yield output_event(text, id)
                texts.append(data)
            elif kind == "logs":
                yield LogsEvent(data, id)
                self._logs.append(data)
            elif kind == "error":
                self._ending = _word("detail", data) or data, None
                return
            elif kind != "done":
                yield OtherEvent(kind, data, id)
            elif self.reconnections > 0:
                # After a break, the finished prediction tells whether anything is missing.
                self._ending = "", _word("reason", data)
                return
            else:
                self._over = True
                yield DoneEvent(_word("reason", data), id)
                return
            # Only now does the user have it.
            if id is None:  # it may be an event that the user has
                self._heed_id(None)
                self._are_some_unnamed = True
            else:
                ids.append(id)
                self._last_id = self._current_id = id
                self._failures = 0
        self._is_mid_piece = False

    def _heed_id(self, id: str | None) -> None:
        """Remember an id for the next connection, or that it was reset."""
        if id is not None or self._current_id is not None:
            self._last_id = self._current_id = id

    async def _connect(self) -> None:
        url = self._stream_url()
        if url is None:  # it is over already, and was never to be streamed
            await self._fill()
            return
        headers = dict(STREAM_HEADERS)
        last_id = self._last_id
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        self._parser = SSEParser(self._api.config.max_response_bytes)
        self._seen = frozenset(recalled(self._ids, ids_of))
        self._current_id = None
        self._unread = b""
        self._is_mid_piece = False
        self._connections += 1
        try:
            body = await self._api.follow(
                url,
                headers=headers,
                deadline=self._deadline,
                patience=self._deadline.within(self._stall_timeout),
            )
        except APIConnectionError as error:
            logger.info("stream of %s: %s", self.prediction.id, error)
            self._check_deadline()
            if error.permanent:
                raise
            await self._again(error)
            return
        if body.status == HTTPStatus.OK:
            await self._check_type(body)
            self._api.quota.give_back(retried=self._failures > 0)
            self._body = body
            return
        refused = await self._api.refused(body)
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
                f"The stream of {self.prediction.id} is not a stream of events but "
                f"{kind or 'unnamed content'}."
            )

    async def _again(self, error: APIError | None = None) -> None:
        """Pause before the next connection, or give up asking."""
        self._failures += 1
        # Without an id, a second connection could start anywhere.
        lost = bool(self._ids or self._are_some_unnamed) and self._last_id is None
        outcome = Outcome() if error is None else outcome_of(error)
        if (
            lost
            or self._failures > MOST_FAILURES
            or not self._api.quota.take(outcome, attempts=self._failures)
        ):
            await self._fill()
            return
        pause = self._retry if outcome.retry_after is None else outcome.retry_after
        if pause is None:
            pause = random.chance() * 0.1 * 2.0**self._failures
        await self._api.runtime.sleep(self._deadline.within(min(pause, LONGEST_PAUSE)))
        self._check_deadline()

    async def _fill(self, detail: str = "", reason: str | None = "") -> None:
        """Hand over what the finished prediction has and the stream did not bring."""
        await self._close()
        prediction = await self.result()
        self._over = True
        events: list[Event] = []
        texts = list(recalled(self._texts, texts_of))
        rest = rest_of_output(prediction, texts)
        if rest is not None:
            events.extend(
                OutputEvent(claim(part, self._api) if self._claims else part) for part in rest
            )
        elif prediction.status != "failed" and reason is not None:
            has = len(parts_of(prediction.output))
            raise StreamError(
                f"The stream of {prediction.id} broke, and parts of its output are missing: "
                f"{len(texts)} came, and the prediction has "
                f"{'none any more' if prediction.data_removed else has}."
            )
        logs = rest_of_logs(prediction, "".join(self._logs))
        if logs is None:
            logger.warning("stream of %s: a part of its logs is missing", prediction.id)
        elif logs:
            events.append(LogsEvent(logs))
        self._reading = iter(events)
        if prediction.status == "failed" or reason is None:
            self._failure = failure_of(prediction.model or "The model", prediction, detail)
            return
        ended = "" if prediction.status == "succeeded" else prediction.status
        events.append(DoneEvent(reason=reason or ended))

    async def _close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            await body.aclose()

    def _check_deadline(self) -> None:
        if self._deadline.expired:
            raise self._watch.timed_out()


def _word(name: str, data: str) -> str:
    """A text in an event's JSON, or nothing."""
    value = object_in(data).get(name)
    return value if isinstance(value, str) else ""
