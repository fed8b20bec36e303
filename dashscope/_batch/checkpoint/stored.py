"""`StoredCheckpoint`: records each step of a batch in a store before the next step starts."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, cast

from attrs import define

from dashscope._api.clock import ServerClock
from dashscope._batch.checkpoint.base import Checkpoint, CheckpointEntry
from dashscope._batch.checkpoint.events import (
    CancelRequested,
    Created,
    Event,
    Finished,
    Intended,
    Key,
    Reset,
    SkewKnown,
)
from dashscope._batch.checkpoint.fingerprint import input_fingerprint, preview
from dashscope._batch.checkpoint.keys import Keys
from dashscope._batch.checkpoint.store import Store, StoredRow
from dashscope._batch.row import Row, RunningPrediction
from dashscope._common.logging import logger
from dashscope._common.urls import segment
from dashscope._errors import CheckpointError
from dashscope._runtime.resource_lock import ResourceLock
from dashscope._runtime.runtime import Runtime
from dashscope.types._structure import fitted
from dashscope.types.prediction import Prediction

OUTCOMES_AHEAD: Final = 16
"""Finished predictions that are read together."""


@define(eq=False)
class _Write:
    """Events that wait to be written."""

    events: Sequence[Event]
    is_written: bool = False


class StoredCheckpoint(Checkpoint):
    """A checkpoint in a file, a folder or a database.

    Concurrent writes share a transaction: the thread that writes takes the pending writes of all
    other threads with it, so that many steps cost one disk access.

    Args:
        runtime: Runs the store in worker threads.
        clock: Provides the clock skew, which is stored with each intent.
        store: Keeps the rows.
        keys: Identifies the rows.
        skip_finished: Whether finished rows are skipped, so that their predictions are not read.
    """

    is_persistent = True

    def __init__(
        self, runtime: Runtime, clock: ServerClock, store: Store, keys: Keys, *, skip_finished: bool
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._store = store
        self._keys = keys
        self._skip_finished = skip_finished
        self._store_lock = ResourceLock()
        self._is_closed = False
        self._pending: list[_Write] = []
        # A second lock, because the first one is held during disk access.
        self._pending_lock = threading.Lock()
        self._failure: str | None = None
        self._is_broken = False
        self._read_rows: dict[Key, StoredRow | None] = {}
        self._outcomes: dict[Key, str] = {}
        self._fallback_skew: timedelta | None = None
        self._without_skew: set[Key] = set()
        self._has_matched = False

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be recorded any more."""
        return self._is_broken

    @property
    def last_write(self) -> datetime:
        """When an earlier call recorded something last."""
        return datetime.fromtimestamp(self._store.last_write, UTC)

    async def open(self) -> None:
        await self._runtime.in_thread(self._open)

    async def close(self) -> None:
        self._is_closed = True
        await self._runtime.in_thread(self._close)

    def close_nowait(self) -> None:
        self._is_closed = True
        self._store_lock.run_when_free(self._close_store)

    async def load(self, row: Row) -> CheckpointEntry | None:
        if row.fingerprint is None:
            row.fingerprint = await input_fingerprint(row.input, self._runtime)
        key = self._keys.key(row.index, row.fingerprint)
        row.key = key
        if not self._store.is_shared and self._store.rows == 0:
            return None
        if key not in self._read_rows:
            self._read_rows = await self._runtime.in_thread(
                self._read, self._keys.ahead(row.index, key)
            )
        stored = self._read_rows.pop(key)
        if stored is None:
            return None
        self._has_matched = True
        if stored.digest is not None and stored.digest != row.fingerprint:
            raise CheckpointError(
                f"The inputs have changed since {self._store.name} was written: the input at index "
                f"{row.index} was {stored.preview} and is now {preview(row.input)}. Use the same "
                "inputs, or another checkpoint."
            )
        return await self._entry(row, stored)

    async def reload(self, rows: Sequence[Row]) -> Sequence[CheckpointEntry | None]:
        if not self._store.is_shared:
            return await super().reload(rows)
        stored = await self._runtime.in_thread(self._read, [_key(row) for row in rows])
        entries: list[CheckpointEntry | None] = []
        for row in rows:
            found = stored[_key(row)]
            entries.append(None if found is None else await self._entry(row, found))
        return entries

    async def undecided(self, rows: Sequence[Row]) -> set[bytes]:
        sent = {row.sent_fingerprint for row in rows if row.sent_fingerprint is not None}
        keys = [_key(row) for row in rows]
        return await self._runtime.in_thread(self._undecided, sent, keys)

    async def is_stopped(self) -> bool:
        return await self._runtime.in_thread(self._store.is_stopped)

    def check_can_create(self) -> None:
        self._store.check_can_create()

    async def record_intent(self, row: Row) -> None:
        if row.is_recorded:
            return
        row.is_recorded = True
        skew = self._skew
        if skew is None:
            with self._pending_lock:
                self._without_skew.add(_key(row))
        intended = Intended(
            key=_key(row),
            digest=cast("bytes", row.fingerprint),
            preview="" if self._store.is_shared else preview(row.input),
            sent=row.sent_fingerprint,
            at=datetime.now(UTC).isoformat(),
            clock_skew=None if skew is None else skew.total_seconds(),
        )
        await self._write([intended])

    async def record_created(self, row: Row, prediction: Prediction) -> None:
        at = prediction.created_at
        with self._pending_lock:
            self._without_skew.discard(_key(row))
        if at is not None and row.is_sent:
            self._fallback_skew = at - datetime.now(UTC)
        await self._write([_created(row, prediction), *self._missing_skews()])

    async def claim(self, row: Row, prediction: Prediction) -> bool:
        with self._pending_lock:
            self._without_skew.discard(_key(row))
        return await self._runtime.in_thread(self._claim, _created(row, prediction))

    async def record_finished(self, finished: Sequence[tuple[Row, Prediction]]) -> None:
        await self._write(
            [
                Finished(_key(row), prediction.id, _to_json(prediction))
                for row, prediction in finished
            ]
        )

    async def record_cancel_requested(self, running: Collection[RunningPrediction]) -> None:
        await self._write([CancelRequested(_key(each.row)) for each in running])

    async def reset(self, rows: Collection[Row]) -> None:
        for row in rows:
            row.is_recorded = False
        await self._write([Reset(row.key) for row in rows if row.key is not None])

    async def recorded_ids(self, ids: Collection[str]) -> set[str]:
        return await self._runtime.in_thread(self._recorded_ids, ids)

    async def check_row_count(self, rows: int) -> None:
        stored = self._store.rows
        if self._store.is_shared:
            if rows > 0 and stored > 0 and not self._has_matched:
                logger.warning(
                    "%s has %d rows, but none of them matches the inputs: all rows were created",
                    self._store.name,
                    stored,
                )
        elif rows < stored:
            logger.warning(
                "%s has %d rows, but the inputs end after %d: rows from index %d on are missing",
                self._store.name,
                stored,
                rows,
                rows,
            )

    @property
    def _skew(self) -> timedelta | None:
        """The clock skew, from the `Date` of responses or else from the latest create."""
        skew = self._clock.skew
        return self._fallback_skew if skew is None else skew

    def _missing_skews(self) -> list[Event]:
        """Return events that add the clock skew to intents recorded before it was known."""
        skew = self._skew
        if skew is None or not self._without_skew:
            return []
        with self._pending_lock:
            keys, self._without_skew = self._without_skew, set()
        return [SkewKnown(key, skew.total_seconds()) for key in keys]

    async def _entry(self, row: Row, stored: StoredRow) -> CheckpointEntry:
        text = None
        if stored.is_finished and not self._skip_finished:
            text = self._outcomes.pop(stored.key, None)
            if text is None:
                others = (row for row in self._read_rows.values() if row is not None)
                ahead = (row.key for row in others if row.is_finished)
                keys = [stored.key, *islice(ahead, OUTCOMES_AHEAD - 1)]
                outcomes = await self._runtime.in_thread(self._read_outcomes, keys)
                text = outcomes.pop(stored.key, "")
                self._outcomes = outcomes
        try:
            return _decode(stored, text)
        except (TypeError, ValueError, OverflowError) as error:
            reason = str(error)
        raise CheckpointError(
            f"{self._store.name} is damaged: what it recorded for the input at index {row.index} "
            f"cannot be read ({reason}). Restore it from a backup, or use another checkpoint."
        )

    async def _write(self, events: Sequence[Event]) -> None:
        if not events:
            return
        write = _Write(events)
        with self._pending_lock:
            self._pending.append(write)
        await self._runtime.in_thread(self._flush, write)
        if self._failure is not None:
            raise CheckpointError(self._failure)

    def _flush(self, write: _Write) -> None:
        with self._store_lock.held():
            if write.is_written or self._is_broken:
                return
            with self._pending_lock:
                pending, self._pending = self._pending, []
            try:
                self._store.write([event for each in pending for event in each.events])
            except CheckpointError as error:
                self._failure, self._is_broken = str(error), True
            else:
                # The store can still be written. If it was moved rather than deleted, its new
                # place should know what is canceled when the batch is closed.
                self._failure = self._failure or self._store.problem()
            for each in pending:
                each.is_written = True

    def _open(self) -> None:
        with self._store_lock.held():
            if not self._is_closed:  # a canceled batch may be closed before this thread starts
                self._store.open()

    def _close(self) -> None:
        with self._store_lock.held():
            self._close_store()

    def _close_store(self) -> None:
        self._store.close()
        self._keys.close()

    def _claim(self, created: Created) -> bool:
        with self._store_lock.held():
            return self._store.claim(created)

    def _read(self, keys: Sequence[Key]) -> dict[Key, StoredRow | None]:
        with self._store_lock.held():
            rows = self._store.read(keys)
        return {key: rows.get(key) for key in keys}

    def _read_outcomes(self, keys: Sequence[Key]) -> dict[Key, str]:
        with self._store_lock.held():
            return dict(self._store.read_outcomes(keys))

    def _recorded_ids(self, ids: Collection[str]) -> set[str]:
        with self._store_lock.held():
            return self._store.recorded_ids(ids)

    def _undecided(self, sent: Collection[bytes], keys: Collection[Key]) -> set[bytes]:
        with self._store_lock.held():
            return self._store.undecided(sent, keys)


def _key(row: Row) -> Key:
    assert row.key is not None
    return row.key


def _created(row: Row, prediction: Prediction) -> Created:
    at = prediction.created_at
    return Created(_key(row), prediction.id, None if at is None else at.isoformat())


def _to_json(prediction: Prediction) -> str:
    """Return a prediction as JSON, without its input, which may be large and the user has."""
    return json.dumps({name: value for name, value in prediction.raw.items() if name != "input"})


def _decode(stored: StoredRow, text: str | None) -> CheckpointEntry:
    """Decode a row and the JSON of its finished prediction.

    Raises:
        ValueError: If a value is not what the batch writes.
        TypeError: If a value has another type.
        OverflowError: If the clock skew is out of range.
    """
    if stored.prediction is not None:
        segment("the prediction id", stored.prediction)
    return CheckpointEntry(
        sent_fingerprint=stored.sent,
        intended_at=_decode_time(stored.intended_at),
        clock_skew=None if stored.clock_skew is None else timedelta(seconds=stored.clock_skew),
        id=stored.prediction,
        created_at=_decode_time(stored.created_at),
        cancel_requested=bool(stored.cancel_requested),
        is_busy=stored.is_busy,
        is_finished=bool(stored.is_finished),
        prediction=None if text is None else _decode_prediction(text, stored.prediction),
    )


def _decode_prediction(text: str, id: str | None) -> Prediction:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("the prediction is nested too deeply") from None
    prediction = fitted(value, Prediction)
    if prediction.id != id or not prediction.is_done:
        raise ValueError(f"it is not the finished prediction {id}")
    return prediction


def _decode_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return at
