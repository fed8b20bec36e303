"""Closing a batch early: cancel the predictions that have not finished, within a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashscope._batch.context import BatchContext
from dashscope._batch.poller import is_canceled
from dashscope._batch.row import Row, RunningPrediction
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._errors import CheckpointError
from dashscope._predictions.operations import cancel_prediction
from dashscope._predictions.watch import CLEAN_UP
from dashscope._runtime.runtime import GRACE
from dashscope._runtime.workers import WorkerGroup

CANCEL_CONCURRENCY: Final = 32
"""Number of concurrent cancel requests."""
STOP_MARGIN: Final = 1.0
"""Seconds that the workers get beyond the grace period of creates in progress."""


async def cancel_unfinished(
    context: BatchContext, workers: WorkerGroup, error: BaseException | None
) -> None:
    """Stop the workers, cancel the running predictions, and close the checkpoint.

    Args:
        context: The batch.
        workers: The workers of the batch.
        error: The exception that ends the batch, if any. It gets a note for each prediction that
            could not be canceled.
    """
    try:
        await workers.stop(GRACE + STOP_MARGIN)
        location = context.options.checkpoint
        if location is not None and location.leaves_running:
            await _leave_running(context)
            return
        context.is_canceling = True
        running, tried = context.scheduler.unfinished()
        running += context.unrecorded
        if not context.checkpoint.is_persistent:
            running += context.unpollable
        await _record(context, running, tried)
        if context.checkpoint.is_broken:
            # The next call would take an unrecorded cancel for one by somebody else.
            logger.warning(
                "the checkpoint cannot be written: %d predictions keep running", len(running)
            )
            return
        canceled = await _cancel(context, running, error)
        await _reset(context, canceled)
    finally:
        await context.checkpoint.close()


async def _leave_running(context: BatchContext) -> None:
    """Leave the predictions running for a retry, which finds them in the checkpoint."""
    running, tried = context.scheduler.unfinished()
    await _reset(context, [row for row in tried if not row.is_sent])
    try:
        for one in context.unrecorded:
            if one.latest is not None:
                await context.checkpoint.record_created(one.row, one.latest)
    except CheckpointError as failure:
        logger.warning("%s", failure)
    if running:
        logger.info("%d predictions keep running for a retry", len(running))


async def _record(
    context: BatchContext, running: Sequence[RunningPrediction], tried: Sequence[Row]
) -> None:
    """Record which predictions are about to be canceled, and which rows were never sent."""
    await _reset(context, [row for row in tried if not row.is_sent])
    try:
        await context.checkpoint.record_cancel_requested(running)
    except CheckpointError as failure:
        logger.warning("%s", failure)


async def _reset(context: BatchContext, rows: Sequence[Row]) -> None:
    try:
        await context.checkpoint.reset(rows)
    except CheckpointError as failure:
        logger.warning("%s", failure)


async def _cancel(
    context: BatchContext, running: Sequence[RunningPrediction], error: BaseException | None
) -> list[Row]:
    """Cancel predictions and return the rows of those that were canceled."""
    deadline = Deadline.after(CLEAN_UP)
    remaining = list(running)
    canceled: list[Row] = []

    async def work() -> None:
        while remaining:
            one = remaining.pop()
            try:
                prediction = await cancel_prediction(context.api, one.id, deadline=deadline)
            except Exception as failure:  # noqa: BLE001 (logged; the others must still be canceled)
                logger.warning("could not cancel %s: %s", one.id, failure)
                if error is not None:
                    error.add_note(f"{one.id} may still be running: it could not be canceled.")
            else:
                if is_canceled(prediction):
                    canceled.append(one.row)

    # Not `gather()`: a second Ctrl-C would have to wait for its threads.
    workers = context.api.runtime.worker_group()
    for _ in range(min(CANCEL_CONCURRENCY, len(remaining))):
        workers.start(work)
    await workers.join(CLEAN_UP + STOP_MARGIN)
    if running:
        logger.info("canceled %d predictions because the batch was closed", len(canceled))
    return canceled
