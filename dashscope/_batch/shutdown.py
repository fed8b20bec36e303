"""Leaving a batch: what it created and has not finished is cancelled, within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashscope._batch.context import Desk
from dashscope._batch.poller import is_stopped
from dashscope._batch.row import Row, Running
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._errors import CheckpointError
from dashscope._predictions.operations import cancel_prediction
from dashscope._predictions.watch import CLEAN_UP
from dashscope._runtime.runtime import GRACE
from dashscope._runtime.workers import WorkerGroup

AT_ONCE: Final = 32
"""Predictions that are cancelled at the same time."""
MARGIN: Final = 1.0
"""Seconds beyond the grace of its last creates that the workers get."""


async def leave(desk: Desk, workers: WorkerGroup, error: BaseException | None) -> None:
    """Stop the workers, and cancel what runs.

    Args:
        desk: the batch.
        workers: its workers.
        error: what ended the batch, and goes on; what cannot be cancelled becomes a note of it.
    """
    try:
        await workers.stop(GRACE + MARGIN)
        desk.has_left = True
        running, waiting = desk.scheduler.left()
        running += desk.fresh
        if not desk.ledger.is_kept:
            running += desk.unwatched
        await _note(desk, running, waiting)
        if desk.ledger.is_broken:
            # Cancelled without a note of it, they would count as cancelled by somebody else.
            logger.warning("%d predictions go on: the checkpoint cannot be written", len(running))
            return
        cancelled = await _cancel(desk, running, error)
        await _forget(desk, cancelled)
    finally:
        await desk.ledger.close()


async def _note(desk: Desk, running: Sequence[Running], waiting: Sequence[Row]) -> None:
    """Note what is about to be cancelled, and which rows were never sent."""
    await _forget(desk, [row for row in waiting if not row.is_sent])
    try:
        await desk.ledger.leave(running)
    except CheckpointError as failure:
        logger.warning("%s", failure)


async def _forget(desk: Desk, rows: Sequence[Row]) -> None:
    try:
        await desk.ledger.forget(rows)
    except CheckpointError as failure:
        logger.warning("%s", failure)


async def _cancel(desk: Desk, running: Sequence[Running], error: BaseException | None) -> list[Row]:
    """Cancel predictions; the rows of those that were."""
    deadline = Deadline.after(CLEAN_UP)
    left = list(running)
    cancelled: list[Row] = []

    async def work() -> None:
        while left:
            one = left.pop()
            try:
                prediction = await cancel_prediction(desk.api, one.id, deadline=deadline)
            except Exception as failure:  # noqa: BLE001 (said, and the others have their turn)
                logger.warning("%s could not be cancelled: %s", one.id, failure)
                if error is not None:
                    error.add_note(f"{one.id} may still be running: it could not be cancelled.")
            else:
                if is_stopped(prediction):
                    cancelled.append(one.row)

    # Not `gather()`, whose threads a second Ctrl-C would have to wait for.
    workers = desk.api.runtime.worker_group()
    for _ in range(min(AT_ONCE, len(left))):
        workers.start(work)
    await workers.join(CLEAN_UP + MARGIN)
    if running:
        logger.info("%d predictions cancelled: the batch was left", len(cancelled))
    return cancelled
