"""Looking for predictions that may have been created, though nobody noted their ids.

A process that is killed between the server's yes and its own note of it leaves a row with an
intent and no id. Its prediction is the one of the same version and the same input, created from
the intent on, that no other row has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import define

from dashscope import types
from dashscope._batch.checkpoint.fingerprint import digest
from dashscope._batch.context import Desk
from dashscope._batch.poller import is_stopped, list_page
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

MARGIN: Final = timedelta(seconds=60)
"""What the server's clock may be behind ours."""
LATEST: Final = timedelta(minutes=10)
"""What a server may take to create a prediction, or be ahead of us."""
SETTLED: Final = timedelta(seconds=5)
"""How long a request of a killed process may still be on its way."""
AGAIN: Final = 1.0
"""Seconds until the next look for what may still come."""


@define(eq=False)
class _Found:
    """What a search brought.

    Attributes:
        known: predictions whose input is known, and that no row has.
        opaque: predictions of which nobody says what their input was.
    """

    known: list[types.Prediction]
    opaque: list[types.Prediction]


class Finder:
    """Finds the predictions of lost rows."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def find(self, rows: Sequence[Row]) -> None:
        """Look for the predictions of rows; what comes of it is told to the scheduler."""
        later: list[Row] = []
        try:
            found = await self._search(rows)
        except (APIConnectionError, InternalServerError) as error:
            for row in rows:
                self._desk.give_error(row, error)
        except APIError as error:
            for row in rows:
                await self._unknown(row, f"predictions cannot be listed ({error})")
        else:
            for row in rows:
                await self._decide(row, found, later)
        self._desk.scheduler.found(later, now(), AGAIN)

    async def _decide(self, row: Row, found: _Found, later: list[Row]) -> None:
        fitting = [one for one in found.known if _fits(row, one)]
        mine = [one for one in fitting if _digest(one) == row.sent]
        if mine:
            # One that was cancelled is created again, so it is the last to be chosen.
            prediction = min(mine, key=lambda one: (is_stopped(one), one.created_at))
            found.known.remove(prediction)
            await self._attach(row, prediction)
        elif any(_fits(row, one) for one in found.opaque):
            await self._unknown(row, "the service does not say what its predictions' inputs were")
        elif self._may_still_come(row):
            later.append(row)
        else:
            await self._create(row)

    async def _search(self, rows: Sequence[Row]) -> _Found:
        """All that may be the predictions of these rows."""
        desk = self._desk
        intents = [row.intended_at for row in rows if row.intended_at is not None]
        since, until = min(intents) - MARGIN, max(intents) + LATEST
        listed: dict[str, types.Prediction] = {}
        cursor: str | None = None
        while True:
            page = await list_page(desk.api, since, cursor, until=until)
            size = len(listed)
            listed.update((one.id, one) for one in page)
            last = page[-1].created_at if len(page) > 0 else None
            cursor = page.next
            is_older = last is not None and last < since
            if cursor is None or len(listed) == size or is_older:
                break
        ours = [one for one in listed.values() if self._is_same(one)]
        claimed = await desk.ledger.claimed([one.id for one in ours])
        found = _Found([], [])
        for one in ours:
            if one.id in claimed or not any(_fits(row, one) for row in rows):
                continue
            whole = one
            if _digest(one) is None:
                try:
                    whole = await get_prediction(
                        desk.api, one.id, deadline=Deadline.NEVER, is_poll=False
                    )
                except NotFoundError:
                    continue
            (found.opaque if _digest(whole) is None else found.known).append(whole)
        return found

    def _is_same(self, prediction: types.Prediction) -> bool:
        """Is it of this batch's version; or does nobody say?"""
        reference = self._desk.options.reference
        if reference.version is not None:
            return prediction.version in (None, reference.version)
        return prediction.model in (None, f"{reference.owner}/{reference.name}")

    def _may_still_come(self, row: Row) -> bool:
        at = max(row.intended_at or self._desk.ledger.last_write, self._desk.ledger.last_write)
        return datetime.now(UTC) - at < SETTLED

    async def _attach(self, row: Row, prediction: types.Prediction) -> None:
        desk = self._desk
        logger.info("row %d: found again as %s", row.index, prediction.id)
        await desk.ledger.created(row, prediction)
        running = desk.watch(
            row,
            prediction.id,
            prediction.created_at,
            latest=prediction,
            is_attached=True,
            was_left=True,
        )
        desk.scheduler.created(running, now())

    async def _create(self, row: Row) -> None:
        await self._desk.ledger.forget([row])
        self._desk.scheduler.add(row)

    async def _unknown(self, row: Row, why: str) -> None:
        if self._desk.options.on_unknown == "recreate":
            await self._create(row)
            return
        assert row.intended_at is not None
        at = row.intended_at.isoformat(timespec="seconds")
        self._desk.give_error(
            row,
            CheckpointError(
                f"The input at index {row.index} may have been created at {at}, and that cannot be "
                f"found out: {why}. Look for it by hand; on_unknown='recreate' creates it again."
            ),
        )


def _fits(row: Row, prediction: types.Prediction) -> bool:
    """May it have been created for a row, by the time?"""
    at = prediction.created_at
    if at is None or row.intended_at is None:
        return True
    return row.intended_at - MARGIN <= at <= row.intended_at + LATEST


def _digest(prediction: types.Prediction) -> bytes | None:
    """What its input is recognized by, where the service says what it was."""
    if prediction.input is None or prediction.data_removed:
        return None
    return digest(dict(prediction.input))
