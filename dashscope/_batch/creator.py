"""`Creator`: creates predictions.

Each create has three steps: send the files of the input, record the intent in the checkpoint, and
send the create request.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Final, cast

from dashscope import types
from dashscope._api.requestor import Call
from dashscope._api.retry import attempt_result
from dashscope._batch.checkpoint.fingerprint import fingerprint
from dashscope._batch.context import BatchContext
from dashscope._batch.poller import Poller
from dashscope._batch.row import Row, RunningPrediction
from dashscope._batch.scheduler import now
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    CheckpointError,
    DashscopeError,
)
from dashscope._predictions.create import cancel_after_for, creation
from dashscope._predictions.operations import cancel_prediction, send_creation
from dashscope._predictions.watch import CLEAN_UP

BACK_PRESSURE: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""Statuses that slow down the whole batch."""

_INPUT_ERRORS: Final = (DashscopeError, TypeError, ValueError)


class Creator:
    """Creates the prediction of each row at most once.

    Args:
        context: The batch.
        poller: Finishes predictions that are created with a terminal status.
    """

    def __init__(self, context: BatchContext, poller: Poller) -> None:
        self._context = context
        self._poller = poller
        # The rate limiter delays the whole batch, so a single request must not retry by itself.
        self._api = context.api.with_config(max_retries=0)

    async def create(self, row: Row) -> None:
        """Create a row's prediction, or finish the row with the error.

        Raises:
            CheckpointError: If the checkpoint cannot be written.
        """
        with self._context.operation_of(row).active():
            await self._create(row)

    async def _create(self, row: Row) -> None:
        row.attempts += 1
        if row.attempts == 1:
            row.first_attempt = now()
        try:
            await self._prepare(row)
        except CheckpointError:
            raise
        except _INPUT_ERRORS as error:
            self._fail(row, error)
            return
        sent = now()
        try:
            await self._context.api.runtime.shield(partial(self._post, row))
        except CheckpointError:
            raise
        except APIError as error:
            await self._not_created(row, error, sent)

    async def _prepare(self, row: Row) -> None:
        options = self._context.options
        if row.call is None:
            row.call = await creation(
                self._context.api,
                options.reference.path,
                version=options.reference.version,
                input=await options.check(row.input),
                cancel_after=cancel_after_for(options.timeout),
                file_encoding=options.file_encoding,
            )
            if self._context.checkpoint.is_persistent:
                row.sent_fingerprint = fingerprint(row.call.json["input"])
        await self._context.permits.take()
        await self._context.checkpoint.record_intent(row)

    async def _post(self, row: Row) -> None:
        context = self._context
        context.checkpoint.check_can_create()
        row.is_sent = True
        created: list[RunningPrediction] = []

        def track(prediction: types.Prediction) -> None:
            # Before any response hook, which may raise.
            running = context.track(row, prediction.id, prediction.created_at, latest=prediction)
            created.append(running)
            context.unrecorded.add(running)

        try:
            prediction = await send_creation(self._api, cast("Call", row.call), created=track)
        except APIError as error:
            row.is_sent = error.may_have_been_created
            raise
        running = created[-1]
        context.operation_of(row).saw(prediction)
        if context.is_canceling:
            await self._cancel(running)
            return
        # Record the create first. Once the prediction is scheduled, a poller may record its end.
        await context.checkpoint.record_created(row, prediction)
        context.scheduler.created(running, now())
        context.unrecorded.discard(running)
        row.call = None  # it may contain whole files
        if prediction.is_done:
            await self._poller.finish([(running, prediction)])

    async def _cancel(self, running: RunningPrediction) -> None:
        """Cancel a prediction whose create completed after the batch was closed."""
        try:
            await cancel_prediction(
                self._context.api, running.id, deadline=Deadline.after(CLEAN_UP)
            )
        except APIError as error:
            logger.warning("could not cancel %s: %s", running.id, error)

    async def _not_created(self, row: Row, error: APIError, sent: float) -> None:
        context = self._context
        if isinstance(error, APIStatusError) and error.status in BACK_PRESSURE:
            was_queued = context.scheduler.rejected(
                row,
                sent=sent,
                now=now(),
                retry_after=error.retry_after,
                can_retry=not error.may_have_been_created,
            )
            logger.info(
                "row %d: %d, concurrency is now %d",
                row.index,
                error.status,
                context.scheduler.limit,
            )
            await context.permits.back_off(error.retry_after or 1.0)
            if was_queued:
                return
        elif isinstance(error, APIConnectionError) and not error.request_sent:
            pause = context.api.retry_delay(
                attempt_result(error),
                row.attempts,
                now() - row.first_attempt,
                Deadline.NEVER,
                repeatable=False,
            )
            if pause is not None:
                context.scheduler.retry(row, pause, now())
                return
        error.after(
            attempts=row.attempts,
            elapsed=now() - row.first_attempt,
            may_have_been_created=error.may_have_been_created,
        )
        if not error.may_have_been_created:
            await context.checkpoint.reset([row])
        self._fail(row, error)

    def _fail(self, row: Row, error: Exception) -> None:
        self._context.scheduler.not_created(row)
        self._context.put_error(row, error)
