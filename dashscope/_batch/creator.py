"""Creating a row's prediction: its files first, then a note of the intent, then the request."""

from __future__ import annotations

from functools import partial
from typing import Final, cast

from dashscope._api.requestor import Call
from dashscope._api.retry import AttemptResult
from dashscope._batch.checkpoint.fingerprint import digest
from dashscope._batch.context import Desk
from dashscope._batch.poller import Watcher
from dashscope._batch.row import Row, Running
from dashscope._batch.scheduler import now
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._errors import (
    APIConnectionError,
    APIError,
    CheckpointError,
    DashscopeError,
    RateLimitError,
)
from dashscope._predictions.create import creation
from dashscope._predictions.operations import cancel_prediction, send_creation
from dashscope._predictions.watch import CLEAN_UP, DEADLINE_MARGIN

_BAD_INPUT: Final = (DashscopeError, TypeError, ValueError)


class Creator:
    """Creates predictions, each once."""

    def __init__(self, desk: Desk, watcher: Watcher) -> None:
        self._desk = desk
        self._watcher = watcher
        # A refusal concerns the whole batch, so no request waits by itself to be repeated.
        self._once = desk.api.with_config(max_retries=0)

    async def create(self, row: Row) -> None:
        """Create a row's prediction, or find out why there can be none."""
        with self._desk.operation_of(row).active():
            await self._create(row)

    async def _create(self, row: Row) -> None:
        row.attempts += 1
        if row.attempts == 1:
            row.first_attempt = now()
        try:
            await self._prepare(row)
        except CheckpointError:
            raise
        except _BAD_INPUT as error:
            self._give_up(row, error)
            return
        sent = now()
        try:
            await self._desk.api.runtime.shield(partial(self._post, row))
        except CheckpointError:
            raise
        except APIError as error:
            await self._not_created(row, error, sent)

    async def _prepare(self, row: Row) -> None:
        options = self._desk.options
        if row.call is None:
            if options.check is not None:
                await options.check(row.input)
            timeout = options.timeout
            row.call = await creation(
                self._desk.api,
                options.reference.path,
                version=options.reference.version,
                input=row.input,
                cancel_after=None if timeout is None else timeout + DEADLINE_MARGIN,
                file_encoding=options.file_encoding,
            )
            if self._desk.ledger.is_kept:
                row.sent = digest(row.call.json["input"])
        await self._desk.ledger.intend(row)

    async def _post(self, row: Row) -> None:
        desk = self._desk
        row.is_sent = True
        try:
            prediction = await send_creation(self._once, cast("Call", row.call))
        except APIError as error:
            row.is_sent = error.may_have_been_created
            raise
        running = desk.watch(row, prediction.id, prediction.created_at, latest=prediction)
        desk.fresh.add(running)
        desk.operation_of(row).saw(prediction)
        if desk.has_left:
            await self._cancel_late(running)
            return
        # Noted before anyone watches it: what becomes of it is not to be noted first.
        await desk.ledger.created(row, prediction)
        desk.scheduler.created(running, now())
        desk.fresh.discard(running)
        row.call = None  # it may hold whole files
        if prediction.is_done:
            await self._watcher.settle([(running, prediction)])

    async def _cancel_late(self, running: Running) -> None:
        """Cancel what was created when the batch had been left for long."""
        try:
            await cancel_prediction(self._desk.api, running.id, deadline=Deadline.after(CLEAN_UP))
        except APIError as error:
            logger.warning("%s could not be cancelled: %s", running.id, error)

    async def _not_created(self, row: Row, error: APIError, sent: float) -> None:
        desk = self._desk
        if isinstance(error, RateLimitError):
            retry_after = error.retry_after
            if desk.scheduler.refused(row, sent=sent, now=now(), retry_after=retry_after):
                logger.info("row %d: 429; at most %d in flight", row.index, desk.scheduler.limit)
                return
        elif isinstance(error, APIConnectionError) and not error.request_sent:
            pause = desk.api.retry_delay(
                AttemptResult(request_sent=False),
                row.attempts,
                now() - row.first_attempt,
                Deadline.NEVER,
                repeatable=False,
            )
            if pause is not None:
                desk.scheduler.again(row, pause, now())
                return
        error.after(
            attempts=row.attempts,
            elapsed=now() - row.first_attempt,
            may_have_been_created=error.may_have_been_created,
        )
        if not error.may_have_been_created:
            await desk.ledger.forget([row])
        self._give_up(row, error)

    def _give_up(self, row: Row, error: Exception) -> None:
        self._desk.scheduler.not_created(row)
        self._desk.give_error(row, error)
