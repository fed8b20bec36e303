"""`Recovery`: finds predictions that an interrupted call may have created.

If a process is killed after the server created a prediction and before the checkpoint recorded
its id, the row has an intent but no id. Its prediction has the same version and the same input,
was created around the time of the intent, and belongs to no other row.

Callers that share a checkpoint also wait here for rows that another caller is working on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import define, field

from dashscope import types
from dashscope._batch.checkpoint.base import CheckpointEntry
from dashscope._batch.checkpoint.fingerprint import fingerprint
from dashscope._batch.context import BatchContext
from dashscope._batch.poller import is_canceled, list_page
from dashscope._batch.row import Row
from dashscope._batch.scheduler import now
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._common.urls import Reference
from dashscope._errors import (
    APIConnectionError,
    APIError,
    CheckpointError,
    InternalServerError,
    NotFoundError,
)
from dashscope._predictions.operations import get_prediction

CLOCK_MARGIN: Final = timedelta(seconds=60)
"""How far the creation time may be before the intent, after correcting the clock skew."""
CREATE_WINDOW: Final = timedelta(minutes=10)
"""How long after the intent the server may create the prediction."""
IN_TRANSIT: Final = timedelta(seconds=5)
"""How long a request of a killed process may take to reach the server."""
SEARCH_INTERVAL: Final = 1.0
"""Seconds between two searches for a request that may be in transit."""


@define(eq=False)
class _Candidates:
    """Predictions that may belong to unconfirmed rows.

    Attributes:
        known: Predictions whose input is known.
        opaque: Predictions whose input the service does not return.
        undecided: Fingerprints of inputs for which another caller's create is in progress. Each
            prediction with such an input may be the other caller's.
    """

    known: list[types.Prediction]
    opaque: list[types.Prediction]
    undecided: set[bytes] = field(factory=set[bytes])


class Recovery:
    """Matches unconfirmed rows with the predictions on the server.

    Args:
        context: The batch.
    """

    def __init__(self, context: BatchContext) -> None:
        self._context = context

    async def recover(self, rows: Sequence[Row]) -> None:
        """Attach each row to its prediction, create it again, or finish it with an error.

        Rows whose create request may be in transit, and rows that another caller is working on,
        are returned to the scheduler.

        Raises:
            CheckpointError: If the checkpoint cannot be read or written.
        """
        waiting: list[Row] = []
        unconfirmed = await self._unconfirmed(rows, waiting)
        try:
            candidates = await self._search(unconfirmed) if unconfirmed else _Candidates([], [])
        except (APIConnectionError, InternalServerError) as error:
            for row in unconfirmed:
                self._context.put_error(row, error)
        except APIError as error:
            for row in unconfirmed:
                await self._unknown(row, f"predictions cannot be listed ({error})")
        else:
            for row in unconfirmed:
                if row.sent_fingerprint in candidates.undecided:
                    waiting.append(row)
                else:
                    await self._match(row, candidates, waiting)
        self._context.scheduler.recovered(waiting, now(), SEARCH_INTERVAL)

    async def _unconfirmed(self, rows: Sequence[Row], waiting: list[Row]) -> list[Row]:
        """Return the rows that are still unconfirmed, and resume the others."""
        unconfirmed: list[Row] = []
        entries = await self._context.checkpoint.reload(rows)
        for row, entry in zip(rows, entries, strict=True):
            if entry is not None and entry.is_busy:
                waiting.append(row)
            elif not resume(self._context, row, entry):
                row.unconfirmed_since = row.unconfirmed_since or now()
                unconfirmed.append(row)
        return unconfirmed

    async def _match(self, row: Row, candidates: _Candidates, in_transit: list[Row]) -> None:
        context = self._context
        matches = [
            prediction
            for prediction in candidates.known
            if self._fits(row, prediction) and sent_fingerprint(prediction) == row.sent_fingerprint
        ]
        if matches:
            # Choose a canceled prediction last, because it would be created again.
            prediction = min(matches, key=lambda match: (is_canceled(match), match.created_at))
            candidates.known.remove(prediction)
            if await context.checkpoint.claim(row, prediction):
                self._attach(row, prediction)
            else:
                in_transit.append(row)  # another caller claimed it in the meantime
        elif any(self._fits(row, prediction) for prediction in candidates.opaque):
            await self._unknown(row, "the service does not return the inputs of its predictions")
        elif self._may_be_in_transit(row):
            in_transit.append(row)
        else:
            await self._create(row)

    async def _search(self, rows: Sequence[Row]) -> _Candidates:
        """Return all predictions that may belong to these rows."""
        context = self._context
        if context.api.state.clock.skew is None and any(row.clock_skew is None for row in rows):
            # Any response will do: its `Date` shows the clock skew.
            await list_page(context.api, datetime.now(UTC), None)
        intents = [self._intended_at(row) for row in rows]
        since, until = min(intents) - CLOCK_MARGIN, max(intents) + CREATE_WINDOW
        listed: dict[str, types.Prediction] = {}
        cursor: str | None = None
        while True:
            page = await list_page(context.api, since, cursor, until=until)
            size = len(listed)
            listed.update((prediction.id, prediction) for prediction in page)
            last = page[-1].created_at if len(page) > 0 else None
            cursor = page.next
            ends_before = last is not None and last < since
            if cursor is None or len(listed) == size or ends_before:
                break
        reference = context.options.reference
        same_model = [each for each in listed.values() if is_of(reference, each)]
        # In this order: a create that is decided in the meantime is in `recorded`.
        candidates = _Candidates([], [], await context.checkpoint.undecided(rows))
        recorded = await context.checkpoint.recorded_ids([each.id for each in same_model])
        for prediction in same_model:
            if prediction.id in recorded or not any(self._fits(row, prediction) for row in rows):
                continue
            whole = prediction
            if sent_fingerprint(prediction) is None:
                try:
                    whole = await get_prediction(
                        context.api, prediction.id, deadline=Deadline.NEVER, is_poll=False
                    )
                except NotFoundError:
                    continue
            if sent_fingerprint(whole) is None:
                candidates.opaque.append(whole)
            else:
                candidates.known.append(whole)
        return candidates

    def _intended_at(self, row: Row) -> datetime:
        """Return the time of a row's intent by the server's clock."""
        assert row.intended_at is not None
        skew = row.clock_skew
        if skew is None:
            skew = self._context.api.state.clock.skew
        return row.intended_at + (skew or timedelta(0))

    def _fits(self, row: Row, prediction: types.Prediction) -> bool:
        """Return whether a prediction was created around the time of a row's intent."""
        at, intended_at = prediction.created_at, self._intended_at(row)
        return at is None or intended_at - CLOCK_MARGIN <= at <= intended_at + CREATE_WINDOW

    def _may_be_in_transit(self, row: Row) -> bool:
        last_write = self._context.checkpoint.last_write
        at = max(row.intended_at or last_write, last_write)
        # The second condition bounds the wait if the checkpoint comes from a machine whose clock is
        # ahead of ours: the earlier call ended before this batch saw the row.
        is_recent = datetime.now(UTC) - at < IN_TRANSIT
        waited = now() - (row.unconfirmed_since or now())
        return is_recent and waited < IN_TRANSIT.total_seconds()

    def _attach(self, row: Row, prediction: types.Prediction) -> None:
        context = self._context
        logger.info("row %d: recovered prediction %s", row.index, prediction.id)
        running = context.track(
            row,
            prediction.id,
            prediction.created_at,
            latest=prediction,
            is_attached=True,
            cancel_requested=True,
        )
        context.scheduler.created(running, now())

    async def _create(self, row: Row) -> None:
        await self._context.checkpoint.reset([row])
        self._context.scheduler.add(row)

    async def _unknown(self, row: Row, reason: str) -> None:
        if self._context.options.on_unknown == "recreate":
            await self._create(row)
            return
        at = self._intended_at(row).isoformat(timespec="seconds")
        self._context.put_error(
            row,
            CheckpointError(
                f"The prediction for the input at index {row.index} may have been created at {at}, "
                f"but it cannot be identified: {reason}. Look for it on the server, or pass "
                "on_unknown='recreate' to create it again."
            ),
        )


def resume(context: BatchContext, row: Row, entry: CheckpointEntry | None) -> bool:
    """Resume a row from what another call recorded.

    Returns:
        `False` if it is unknown whether the row's prediction was created.
    """
    if entry is None:
        context.scheduler.add(row)
        return True
    row.sent_fingerprint = entry.sent_fingerprint
    if entry.id is not None:
        context.api.expect_server()  # it may be restarting
    if entry.prediction is not None:
        context.put_prediction(row, entry.prediction, from_checkpoint=True)
    elif entry.is_finished:
        context.results.put(row.index, None)
    elif entry.id is not None:
        running = context.track(
            row,
            entry.id,
            entry.created_at,
            is_attached=True,
            cancel_requested=entry.cancel_requested,
        )
        context.scheduler.created(running, now())
    elif entry.intended_at is not None:
        row.intended_at, row.clock_skew = entry.intended_at, entry.clock_skew
        return False
    else:
        context.scheduler.add(row)
    return True


def is_of(reference: Reference, prediction: types.Prediction) -> bool:
    """Return whether a prediction may be of a model or version."""
    if reference.version is not None:
        return prediction.version in (None, reference.version)
    return prediction.model in (None, f"{reference.owner}/{reference.name}")


def sent_fingerprint(prediction: types.Prediction) -> bytes | None:
    """Return the fingerprint of a prediction's input, or `None` if the service omits the input."""
    input = prediction["input"]
    return None if input is None or prediction.data_removed else fingerprint(dict(input))
