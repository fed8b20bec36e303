"""`Poller`: polls running predictions, through the list or individually, and enforces timeouts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from dashscope import types
from dashscope._api.decoding import structure_page
from dashscope._api.requestor import Call, Requestor
from dashscope._api.resource import page_params
from dashscope._batch.context import BatchContext
from dashscope._batch.poll_schedule import MIN_PER_PAGE
from dashscope._batch.row import RunningPrediction
from dashscope._batch.scheduler import now
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._errors import (
    APIError,
    CheckpointError,
    PredictionTimeoutError,
    RateLimitError,
)
from dashscope._predictions.operations import cancel_prediction, get_prediction
from dashscope._predictions.watch import CLEAN_UP, CREATE_SETTLE_TIME, PollFailures
from dashscope.types.prediction import Prediction


class Poller:
    """Polls predictions and finishes their rows.

    Args:
        context: The batch.
    """

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._api = context.api.with_config(max_retries=0)

    async def poll(self, running: RunningPrediction) -> None:
        """Poll one prediction. A failed poll is repeated for as long as an outage may last."""
        context = self._context
        try:
            prediction = await get_prediction(
                context.api, running.id, deadline=Deadline.NEVER, is_poll=True, retries=False
            )
        except APIError as error:
            self._poll_failed(running, error)
            return
        context.api.state.pace.succeeded()
        if prediction.is_done:
            await self.finish([(running, prediction)])
        else:
            context.scheduler.polled(running, prediction, now())

    def _poll_failed(self, running: RunningPrediction, error: APIError) -> None:
        context = self._context
        running.failures = running.failures or PollFailures(running.id)
        try:
            pause = running.failures.pause_after(error, is_new=self._is_new(running))
        except APIError:
            if not context.is_closed and context.scheduler.finish(running, now()):
                context.unpollable.append(running)
                context.put_error(running.row, error, running.latest)
        else:
            context.scheduler.poll_failed(running, pause, now())

    def _is_new(self, running: RunningPrediction) -> bool:
        """Return whether a 404 may mean that the server does not know the prediction yet."""
        return not running.is_attached and now() - running.started < CREATE_SETTLE_TIME

    async def poll_list(self, expected: Sequence[RunningPrediction]) -> None:
        """Poll many predictions through pages of the list, newest first.

        Args:
            expected: The predictions that were running when the list poll was scheduled.
        """
        context = self._context
        since = min((r.created_at for r in expected if r.created_at is not None), default=None)
        still_running: list[tuple[RunningPrediction, Prediction]] = []
        finished: list[tuple[RunningPrediction, Prediction]] = []
        seen: set[int] = set()
        pages, useful, cursor = 0, True, None
        while since is not None:
            try:
                page = await list_page(self._api, since, cursor)
            except RateLimitError:
                break  # sending it has already slowed down the client's polling pace
            except APIError as error:
                logger.info("listing failed, polling predictions individually: %s", error)
                useful = False
                break
            pages += 1
            found = 0
            # Not `expected`: more predictions may have been created in the meantime.
            by_id = context.scheduler.running_by_id()
            for prediction in page:
                for running in by_id.get(prediction.id, ()):
                    found += 1
                    seen.add(running.row.index)
                    (finished if prediction.is_done else still_running).append(
                        (running, prediction)
                    )
            cursor = page.next
            is_complete = all(running.row.index in seen for running in expected)
            if cursor is None or found < MIN_PER_PAGE or is_complete or _ends_before(page, since):
                break
        if pages > 0:
            context.api.state.pace.succeeded()
            useful = useful and bool(seen)
        unseen = [running for running in expected if running.row.index not in seen]
        context.scheduler.list_polled(still_running, unseen, pages=pages, useful=useful, now=now())
        await self.finish(finished, listed=True)

    async def finish(
        self,
        finished: Iterable[tuple[RunningPrediction, Prediction]],
        *,
        listed: bool = False,
    ) -> None:
        """Record finished predictions and add their results.

        Args:
            finished: The predictions and their final state.
            listed: Whether the state comes from a list, which may omit fields. Predictions with
                missing fields are polled individually first.

        Raises:
            CheckpointError: If the checkpoint cannot be written.
        """
        context = self._context
        results: list[tuple[RunningPrediction, Prediction]] = []
        for running, prediction in finished:
            if listed and is_partial(prediction, running):
                context.scheduler.poll_now(running, now())
            elif context.scheduler.finish(running, now(), prediction):
                if is_canceled(prediction) and self._is_canceled_by_batch(running, prediction):
                    await self._finish_canceled(running, prediction)
                elif is_canceled(prediction) and await context.checkpoint.is_stopped():
                    raise CheckpointError("The driver canceled the run of this batch.")
                else:
                    results.append((running, prediction))
        if not results:
            return
        await context.checkpoint.record_finished(
            [(running.row, prediction) for running, prediction in results]
        )
        for running, prediction in results:
            context.put_prediction(running.row, prediction)

    def _is_canceled_by_batch(self, running: RunningPrediction, prediction: Prediction) -> bool:
        """Return whether this or an earlier call canceled the prediction, or its timeout did."""
        if running.cancel_requested or running.is_expired:
            return True
        has_deadline = running.is_attached or self._context.options.timeout is not None
        return has_deadline and _timed_out_on_server(prediction)

    async def _finish_canceled(self, running: RunningPrediction, prediction: Prediction) -> None:
        """Reset the row of a prediction that a batch canceled, so that it can be created again."""
        context = self._context
        await context.checkpoint.reset([running.row])
        if running.is_attached and not running.is_expired:
            context.scheduler.add(running.row)
        else:
            context.put_error(running.row, self._timeout_error(running, prediction), prediction)

    def _timeout_error(
        self, running: RunningPrediction, prediction: Prediction
    ) -> PredictionTimeoutError:
        return PredictionTimeoutError(
            f"{running.id} did not finish within {self._context.options.timeout or 0:g} s.",
            prediction=prediction,
        )

    async def expire(self, running: RunningPrediction) -> None:
        """Cancel a prediction whose deadline has passed.

        Raises:
            CheckpointError: If the checkpoint cannot be written.
        """
        context = self._context
        row, latest, note = running.row, running.latest, None
        await context.checkpoint.record_cancel_requested([running])
        try:
            latest = await cancel_prediction(
                context.api, running.id, deadline=Deadline.after(CLEAN_UP)
            )
        except APIError as failure:
            note = f"{running.id} may still be running: it could not be canceled ({failure})."
        else:
            if latest.is_done and not is_canceled(latest):
                await self.finish([(running, latest)])
                return
        if not context.scheduler.finish(running, now(), latest):
            return
        if note is None:
            await context.checkpoint.reset([row])
        assert latest is not None
        error = self._timeout_error(running, latest)
        if note is not None:
            error.add_note(note)
        context.put_error(row, error, latest)


async def list_page(
    api: Requestor, since: datetime, cursor: str | None, *, until: datetime | None = None
) -> types.Page[Prediction]:
    """Return a page of predictions, newest first.

    Args:
        api: Sends the request.
        since: Return predictions created at or after this time.
        cursor: The cursor of the page. `None` for the first page.
        until: Return predictions created before this time.

    Raises:
        APIError: If the list cannot be retrieved.
    """
    before = None if until is None else until.isoformat()
    params = page_params(cursor, {"created_after": since.isoformat(), "created_before": before})
    call = Call(method="GET", path="/predictions", params=params)
    return structure_page(await api.send(call, is_poll=True), Prediction)


def is_partial(prediction: Prediction, running: RunningPrediction) -> bool:
    """Return whether the list may have omitted a field that the result needs."""
    if is_canceled(prediction):
        return running.is_attached and prediction.deadline is None
    if prediction.status == "succeeded":
        return prediction["output"] is None and not prediction.data_removed
    return prediction.status == "failed" and None in (prediction.error, prediction.logs)


def is_canceled(prediction: Prediction) -> bool:
    """Return whether the prediction was canceled, by a client or by the server."""
    return prediction.status in ("canceled", "aborted")


def _timed_out_on_server(prediction: Prediction) -> bool:
    """Return whether the server canceled the prediction at the deadline that the batch set."""
    deadline, end = prediction.deadline, prediction.completed_at
    if prediction.status == "aborted":
        return True
    return deadline is not None and end is not None and end >= deadline - timedelta(seconds=1)


def _ends_before(page: types.Page[Prediction], since: datetime) -> bool:
    """Return whether a page reaches past `since`, because the server ignores that filter."""
    last = page[-1].created_at if len(page) > 0 else None
    return len(page) == 0 or (last is not None and last < since)
