"""`SqliteCheckpoint`: records each step of a batch on disk before the next step starts."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import define

from dashscope._api.clock import ServerClock
from dashscope._batch.checkpoint import database
from dashscope._batch.checkpoint.base import Checkpoint, CheckpointEntry
from dashscope._batch.checkpoint.database import CheckpointDatabase, Statement, StoredRow
from dashscope._batch.checkpoint.fingerprint import input_fingerprint, preview
from dashscope._batch.row import Row, RunningPrediction
from dashscope._common.logging import logger
from dashscope._common.urls import segment
from dashscope._errors import CheckpointError
from dashscope._runtime.resource_lock import ResourceLock
from dashscope._runtime.runtime import Runtime
from dashscope.types._structure import fitted
from dashscope.types.prediction import Prediction

READ_AHEAD: Final = 500
"""Rows of an earlier call that are read together."""


@define(eq=False)
class _Write:
    """Statements that wait to be written."""

    statements: Sequence[Statement]
    is_written: bool = False


class SqliteCheckpoint(Checkpoint):
    """A checkpoint in an SQLite file.

    Concurrent writes share a transaction: the thread that writes takes the pending writes of all
    other threads with it, so that many steps cost one disk access.

    Args:
        runtime: Runs file access in worker threads.
        clock: Provides the clock skew, which is stored with each intent.
        path: The path of the file.
        ref: The model of the batch.
        skip_finished: Whether finished rows are skipped, so that their predictions are not read.
    """

    is_persistent = True

    def __init__(
        self, runtime: Runtime, clock: ServerClock, path: str, ref: str, *, skip_finished: bool
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._path = path
        self._database = CheckpointDatabase(path, ref)
        self._skip_finished = skip_finished
        self._database_lock = ResourceLock()
        self._is_closed = False
        self._pending: list[_Write] = []
        # A second lock, because the first one is held during disk access.
        self._pending_lock = threading.Lock()
        self._failure: str | None = None
        self._is_broken = False
        self._read_rows: dict[int, StoredRow] = {}
        self._read_until = 0
        self._fallback_skew: timedelta | None = None
        self._without_skew: set[int] = set()

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be recorded any more."""
        return self._is_broken

    @property
    def last_write(self) -> datetime:
        """When an earlier call recorded something last."""
        return datetime.fromtimestamp(self._database.last_write, UTC)

    async def open(self) -> None:
        await self._runtime.in_thread(self._open)

    async def close(self) -> None:
        self._is_closed = True
        await self._runtime.in_thread(self._close)

    def close_nowait(self) -> None:
        self._is_closed = True
        self._database_lock.run_when_free(self._database.close)

    async def load(
        self, index: int, input: Mapping[str, Any]
    ) -> tuple[bytes | None, CheckpointEntry | None]:
        fingerprint = await input_fingerprint(input, self._runtime)
        if index >= self._database.rows:
            return fingerprint, None
        if index >= self._read_until:
            self._read_rows = await self._runtime.in_thread(self._read, index)
            self._read_until = index + READ_AHEAD
        stored = self._read_rows.pop(index, None)
        if stored is None:
            return fingerprint, None
        if stored.digest != fingerprint:
            raise CheckpointError(
                f"The inputs have changed since {self._path} was written: the input at index "
                f"{index} was {stored.preview} and is now {preview(input)}. Use the same inputs, "
                "or another checkpoint."
            )
        return fingerprint, await self._entry(stored)

    async def record_intent(self, row: Row) -> None:
        if row.is_recorded:
            return
        row.is_recorded = True
        skew = self._skew
        if skew is None:
            with self._pending_lock:
                self._without_skew.add(row.index)
        values = (
            row.index,
            row.fingerprint,
            preview(row.input),
            row.sent_fingerprint,
            datetime.now(UTC).isoformat(),
            None if skew is None else skew.total_seconds(),
        )
        await self._write([(database.RECORD_INTENT, values)])

    async def record_created(self, row: Row, prediction: Prediction) -> None:
        at = prediction.created_at
        with self._pending_lock:
            self._without_skew.discard(row.index)
        if at is not None and row.is_sent:
            self._fallback_skew = at - datetime.now(UTC)
        values = (prediction.id, None if at is None else at.isoformat(), row.index)
        await self._write([(database.RECORD_CREATED, values), *self._missing_skews()])

    async def record_finished(self, finished: Sequence[tuple[Row, Prediction]]) -> None:
        await self._write(
            [
                (database.RECORD_FINISHED, (prediction.id, _to_json(prediction), row.index))
                for row, prediction in finished
            ]
        )

    async def record_cancel_requested(self, running: Collection[RunningPrediction]) -> None:
        await self._write(
            [(database.RECORD_CANCEL_REQUESTED, (each.row.index,)) for each in running]
        )

    async def reset(self, rows: Collection[Row]) -> None:
        for row in rows:
            row.is_recorded = False
        await self._write([(database.RESET, (row.index,)) for row in rows])

    async def recorded_ids(self, ids: Collection[str]) -> set[str]:
        return await self._runtime.in_thread(self._recorded_ids, ids)

    async def check_row_count(self, rows: int) -> None:
        stored = self._database.rows
        if rows < stored:
            logger.warning(
                "%s has %d rows, but the inputs end after %d: rows from index %d on are missing",
                self._path,
                stored,
                rows,
                rows,
            )

    @property
    def _skew(self) -> timedelta | None:
        """The clock skew, from the `Date` of responses or else from the latest create."""
        skew = self._clock.skew
        return self._fallback_skew if skew is None else skew

    def _missing_skews(self) -> list[Statement]:
        """Return statements that add the clock skew to intents recorded before it was known."""
        skew = self._skew
        if skew is None or not self._without_skew:
            return []
        with self._pending_lock:
            indexes, self._without_skew = self._without_skew, set()
        return [(database.RECORD_CLOCK_SKEW, (skew.total_seconds(), index)) for index in indexes]

    async def _entry(self, stored: StoredRow) -> CheckpointEntry:
        text = None
        if stored.is_finished and not self._skip_finished:
            text = await self._runtime.in_thread(self._read_prediction, stored.position)
        try:
            return _decode(stored, text)
        except (TypeError, ValueError, OverflowError) as error:
            reason = str(error)
        raise CheckpointError(
            f"{self._path} is damaged: what it recorded for the input at index {stored.position} "
            f"cannot be read ({reason}). Restore the file from a backup, or use another checkpoint."
        )

    async def _write(self, statements: Sequence[Statement]) -> None:
        if not statements:
            return
        write = _Write(statements)
        with self._pending_lock:
            self._pending.append(write)
        await self._runtime.in_thread(self._flush, write)
        if self._failure is not None:
            raise CheckpointError(self._failure)

    def _flush(self, write: _Write) -> None:
        with self._database_lock.held():
            if write.is_written or self._is_broken:
                return
            with self._pending_lock:
                pending, self._pending = self._pending, []
            try:
                self._database.write(
                    [statement for each in pending for statement in each.statements]
                )
            except CheckpointError as error:
                self._failure, self._is_broken = str(error), True
            else:
                if not self._database.is_in_place():
                    # The database can still be written. If it was moved rather than deleted, its
                    # new place should know what is canceled when the batch is closed.
                    self._failure = (
                        f"{self._path} or its -wal file was deleted, moved or replaced while it "
                        "was in use. If it was moved, pass its new path to resume. Otherwise, "
                        "start again with another checkpoint."
                    )
            for each in pending:
                each.is_written = True

    def _open(self) -> None:
        with self._database_lock.held():
            if not self._is_closed:  # a cancelled batch may be closed before this thread starts
                self._database.open()

    def _close(self) -> None:
        with self._database_lock.held():
            self._database.close()

    def _read(self, first: int) -> dict[int, StoredRow]:
        with self._database_lock.held():
            return self._database.read(first, READ_AHEAD)

    def _read_prediction(self, position: int) -> str:
        with self._database_lock.held():
            return self._database.read_prediction(position)

    def _recorded_ids(self, ids: Collection[str]) -> set[str]:
        with self._database_lock.held():
            return self._database.recorded_ids(ids)


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
