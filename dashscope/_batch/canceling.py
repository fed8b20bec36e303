"""Canceling a run of an engine: the driver cancels what its workers have not finished."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, cast

from dashscope._api.requestor import Requestor
from dashscope._batch.checkpoint.location import Location
from dashscope._batch.checkpoint.store import SharedStore, StoredRow
from dashscope._batch.poller import is_canceled, list_page
from dashscope._batch.recovery import CLOCK_MARGIN, CREATE_WINDOW, is_of, sent_fingerprint
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._common.urls import Reference
from dashscope._errors import APIError
from dashscope._predictions.operations import cancel_prediction
from dashscope._predictions.watch import CLEAN_UP

CONCURRENCY: Final = 32
"""Number of concurrent cancel requests."""
DECISION_TIMEOUT: Final = 6.0
"""Seconds for which creates in progress may end and be recorded."""
INTERVAL: Final = 0.5


async def cancel_run(api: Requestor, ref: str, location: Location) -> int:
    """Cancel the unfinished predictions of a run, also those of workers that died.

    Args:
        api: Sends API requests.
        ref: The model.
        location: The checkpoint, with the run.

    Returns:
        How many predictions were canceled.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
    """
    in_thread = api.runtime.in_thread
    store = cast("SharedStore", location.store(ref, by_digest=True))
    await in_thread(store.open)
    canceled: set[str] = set()
    seen: set[str] = set()
    deadline = Deadline.after(DECISION_TIMEOUT)
    try:
        await in_thread(store.stop)
        while True:
            rows = await in_thread(store.request_cancel)
            ids = {row.prediction for row in rows if row.prediction is not None} - seen
            seen |= ids
            canceled |= await _cancel(api, list(ids))
            undecided = [row for row in rows if row.prediction is None]
            if not undecided or deadline.left() == 0:
                break
            await api.runtime.sleep(INTERVAL)
        if undecided:
            found = await _search(api, ref, undecided)
            recorded = await in_thread(store.recorded_ids, found)
            canceled |= await _cancel(api, [id for id in found if id not in recorded])
    finally:
        await in_thread(store.close)
    return len(canceled)


async def _cancel(api: Requestor, ids: Sequence[str]) -> set[str]:
    canceled: set[str] = set()

    async def cancel(id: str) -> None:
        try:
            prediction = await cancel_prediction(api, id, deadline=Deadline.after(CLEAN_UP))
        except APIError as error:
            logger.warning("could not cancel %s: %s", id, error)
        else:
            if is_canceled(prediction):
                canceled.add(id)

    await api.runtime.gather([partial(cancel, id) for id in ids], limit=CONCURRENCY)
    return canceled


async def _search(api: Requestor, ref: str, rows: Sequence[StoredRow]) -> list[str]:
    """Return the predictions on the server that belong to rows of workers that died."""
    reference, sent = Reference.parse(ref), {row.sent for row in rows}
    intents = [
        datetime.fromisoformat(row.intended_at) + timedelta(seconds=row.clock_skew or 0.0)
        for row in rows
        if row.intended_at is not None
    ]
    since, until = min(intents) - CLOCK_MARGIN, max(intents) + CREATE_WINDOW
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await list_page(api, since, cursor, until=until)
        found += [
            each.id
            for each in page
            if is_of(reference, each) and not each.is_done and sent_fingerprint(each) in sent
        ]
        last = page[-1].created_at if len(page) > 0 else None
        cursor = page.next
        if cursor is None or last is None or last < since:
            return found
