"""`Recovery`: finds predictions that an interrupted call may have created.

If a process is killed after the server created a prediction and before the checkpoint recorded
its id, the row has an intent but no id. Its prediction has the same version and the same input,
was created around the time of the intent, and belongs to no other row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import define

from dashscope import types
from dashscope._batch.checkpoint.fingerprint import fingerprint
from dashscope._batch.context import BatchContext
from dashscope._batch.poller import is_canceled, list_page
from dashscope._batch.row import Row
from dashscope._batch.scheduler import now
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
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
    """

    known: list[types.Prediction]
    opaque: list[types.Prediction]


class Recovery:
    """Matches unconfirmed rows with the predictions on the server.

    Args:
        context: The batch.
    """

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._started = now()

    async def recover(self, rows: Sequence[Row]) -> None:
        """Attach each row to its prediction, create it again, or finish it with an error.

        Rows whose create request may be in transit are returned to the scheduler.

        Raises:
            CheckpointError: If the checkpoint cannot be read or written.
        """
        in_transit: list[Row] = []
        try:
            candidates = await self._search(rows)
        except (APIConnectionError, InternalServerError) as error:
            for row in rows:
                self._context.put_error(row, error)
        except APIError as error:
            for row in rows:
                await self._unknown(row, f"predictions cannot be listed ({error})")
        else:
            for row in rows:
                await self._match(row, candidates, in_transit)
        self._context.scheduler.recovered(in_transit, now(), SEARCH_INTERVAL)

    async def _match(self, row: Row, candidates: _Candidates, in_transit: list[Row]) -> None:
        matches = [
            prediction
            for prediction in candidates.known
            if self._fits(row, prediction) and _fingerprint(prediction) == row.sent_fingerprint
        ]
        if matches:
            # Choose a canceled prediction last, because it would be created again.
            prediction = min(matches, key=lambda match: (is_canceled(match), match.created_at))
            candidates.known.remove(prediction)
            await self._attach(row, prediction)
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
        same_model = [prediction for prediction in listed.values() if self._is_same(prediction)]
        recorded = await context.checkpoint.recorded_ids([each.id for each in same_model])
        candidates = _Candidates([], [])
        for prediction in same_model:
            if prediction.id in recorded or not any(self._fits(row, prediction) for row in rows):
                continue
            whole = prediction
            if _fingerprint(prediction) is None:
                try:
                    whole = await get_prediction(
                        context.api, prediction.id, deadline=Deadline.NEVER, is_poll=False
                    )
                except NotFoundError:
                    continue
            if _fingerprint(whole) is None:
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

    def _is_same(self, prediction: types.Prediction) -> bool:
        """Return whether a prediction may be of this batch's model or version."""
        reference = self._context.options.reference
        if reference.version is not None:
            return prediction.version in (None, reference.version)
        return prediction.model in (None, f"{reference.owner}/{reference.name}")

    def _may_be_in_transit(self, row: Row) -> bool:
        last_write = self._context.checkpoint.last_write
        at = max(row.intended_at or last_write, last_write)
        # The second condition bounds the wait if the checkpoint comes from a machine whose clock is
        # ahead of ours: the earlier call ended before this batch started.
        is_recent = datetime.now(UTC) - at < IN_TRANSIT
        return is_recent and now() - self._started < IN_TRANSIT.total_seconds()

    async def _attach(self, row: Row, prediction: types.Prediction) -> None:
        context = self._context
        logger.info("row %d: recovered prediction %s", row.index, prediction.id)
        await context.checkpoint.record_created(row, prediction)
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


def _fingerprint(prediction: types.Prediction) -> bytes | None:
    """Return the fingerprint of a prediction's input, or `None` if the service omits the input."""
    input = prediction["input"]
    return None if input is None or prediction.data_removed else fingerprint(dict(input))
