"""Watching what runs: by sweeps through the list, by looks at one, and by its deadline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from dashscope import types
from dashscope._api.decoding import structure_page
from dashscope._api.requestor import Call, Requestor
from dashscope._api.resource import page_params
from dashscope._batch.context import Desk
from dashscope._batch.poll_schedule import WORTH
from dashscope._batch.row import Running
from dashscope._batch.scheduler import now
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._errors import APIError, PredictionTimeoutError, RateLimitError
from dashscope._predictions.operations import cancel_prediction, get_prediction
from dashscope._predictions.watch import CLEAN_UP
from dashscope.types.prediction import Prediction


class Watcher:
    """Finds out what became of predictions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._once = desk.api.with_config(max_retries=0)

    async def look(self, running: Running) -> None:
        """Look at one prediction."""
        desk = self._desk
        try:
            prediction = await get_prediction(
                desk.api, running.id, deadline=Deadline.NEVER, is_poll=True
            )
        except APIError as error:
            if not desk.is_over and desk.scheduler.take(running, now()):
                desk.unwatched.append(running)
                desk.give_error(running.row, error, running.latest)
            return
        desk.api.state.pace.succeeded()
        if prediction.is_done:
            await self.settle([(running, prediction)])
        else:
            desk.scheduler.looked(running, prediction, now())

    async def sweep(self, crowd: Sequence[Running]) -> None:
        """Look at many predictions at once, newest first, for as long as pages show some.

        Args:
            crowd: those that ran when it began, and that a list that serves shows.
        """
        desk = self._desk
        since = min((r.created_at for r in crowd if r.created_at is not None), default=None)
        shown: list[tuple[Running, Prediction]] = []
        over: list[tuple[Running, Prediction]] = []
        seen: set[int] = set()
        pages, useful, cursor = 0, True, None
        while since is not None:
            try:
                page = await list_page(self._once, since, cursor)
            except RateLimitError:
                break  # the client's pace has heard of it
            except APIError as error:
                logger.info("predictions cannot be listed, and are looked at singly: %s", error)
                useful = False
                break
            pages += 1
            found = 0
            running = desk.scheduler.running()  # some were created since the sweep began
            for prediction in page:
                for one in running.get(prediction.id, ()):
                    found += 1
                    seen.add(one.row.index)
                    (over if prediction.is_done else shown).append((one, prediction))
            cursor = page.next
            is_complete = all(one.row.index in seen for one in crowd)
            if cursor is None or found < WORTH or is_complete or _is_older(page, since):
                break
        if pages > 0:
            desk.api.state.pace.succeeded()
            useful = useful and bool(seen)
        hidden = [one for one in crowd if one.row.index not in seen]
        desk.scheduler.swept(shown, hidden, pages=pages, useful=useful, now=now())
        await self.settle(over, listed=True)

    async def settle(
        self, over: Iterable[tuple[Running, Prediction]], *, listed: bool = False
    ) -> None:
        """Note and hand out predictions that are over; what a list left out is fetched first."""
        desk = self._desk
        taken: list[tuple[Running, Prediction]] = []
        for running, prediction in over:
            if listed and is_partial(prediction, running):
                desk.scheduler.fetch(running, now())
            elif desk.scheduler.take(running, now()):
                if is_stopped(prediction) and self._stopped_it(running, prediction):
                    await self._stopped_by_us(running, prediction)
                else:
                    taken.append((running, prediction))
        if not taken:
            return
        await desk.ledger.ended([(running.row, prediction) for running, prediction in taken])
        for running, prediction in taken:
            desk.give(running.row, prediction)

    def _stopped_it(self, running: Running, prediction: Prediction) -> bool:
        """Was it a batch of ours that cancelled it, itself or by its deadline?"""
        if running.was_left:
            return True
        has_deadline = running.is_attached or self._desk.options.timeout is not None
        return has_deadline and _ran_out(prediction)

    async def _stopped_by_us(self, running: Running, prediction: Prediction) -> None:
        """A prediction that a batch cancelled: it is no outcome, for another call."""
        desk = self._desk
        await desk.ledger.forget([running.row])
        if running.is_attached:
            desk.scheduler.add(running.row)
        else:
            desk.give_error(running.row, self._timed_out(running, prediction), prediction)

    def _timed_out(self, running: Running, prediction: Prediction) -> PredictionTimeoutError:
        return PredictionTimeoutError(
            f"{running.id} was not over within {self._desk.options.timeout or 0:g} s.",
            prediction=prediction,
        )

    async def expire(self, running: Running) -> None:
        """Cancel a prediction whose time is up."""
        desk = self._desk
        row, latest, note = running.row, running.latest, None
        await desk.ledger.leave([running])
        try:
            latest = await cancel_prediction(
                desk.api, running.id, deadline=Deadline.after(CLEAN_UP)
            )
        except APIError as failure:
            note = f"{running.id} may still be running: it could not be cancelled ({failure})."
        else:
            if latest.is_done and not is_stopped(latest):
                await self.settle([(running, latest)])
                return
        if not desk.scheduler.take(running, now()):
            return
        if note is None:
            await desk.ledger.forget([row])
        assert latest is not None
        error = self._timed_out(running, latest)
        if note is not None:
            error.add_note(note)
        desk.give_error(row, error, latest)


async def list_page(
    api: Requestor, since: datetime, cursor: str | None, *, until: datetime | None = None
) -> types.Page[Prediction]:
    """A page of the predictions created since then, newest first."""
    before = None if until is None else until.isoformat()
    params = page_params(cursor, {"created_after": since.isoformat(), "created_before": before})
    call = Call(method="GET", path="/predictions", params=params)
    return structure_page(await api.send(call, is_poll=True), Prediction)


def is_partial(prediction: Prediction, running: Running) -> bool:
    """May a list have left out what counts of a prediction that is over?"""
    if is_stopped(prediction):
        return running.is_attached and prediction.deadline is None
    if prediction.status == "succeeded":
        return prediction.output is None and not prediction.data_removed
    return prediction.status == "failed" and None in (prediction.error, prediction.logs)


def is_stopped(prediction: Prediction) -> bool:
    """Was it cancelled?"""
    return prediction.status in ("canceled", "aborted")


def _ran_out(prediction: Prediction) -> bool:
    """Was it cancelled by the server, at the deadline that the batch gave it?"""
    deadline, end = prediction.deadline, prediction.completed_at
    if prediction.status == "aborted":
        return True
    return deadline is not None and end is not None and end >= deadline - timedelta(seconds=1)


def _is_older(page: types.Page[Prediction], since: datetime) -> bool:
    """Does a page reach beyond what was asked for, on a server that knows no such filter?"""
    last = page[-1].created_at if len(page) > 0 else None
    return len(page) == 0 or (last is not None and last < since)
