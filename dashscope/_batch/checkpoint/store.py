"""What a batch notes in its checkpoint: each step is on the disk before the next one is taken."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from attrs import define

from dashscope._api.decoding import structure
from dashscope._batch.checkpoint.base import Entry, Ledger
from dashscope._batch.checkpoint.fingerprint import digest_of, preview
from dashscope._batch.checkpoint.sqlite import CheckpointFile, Statement, Stored
from dashscope._batch.row import Row, Running
from dashscope._common.logging import logger
from dashscope._errors import CheckpointError
from dashscope._runtime.runtime import Runtime
from dashscope.types.http import Headers, Response
from dashscope.types.prediction import Prediction

READ_AT_ONCE: Final = 500
"""Rows of an earlier call that are read together."""

_INTEND: Final = (
    "INSERT INTO row (position, digest, preview, sent, intended_at) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (position) DO UPDATE SET sent = excluded.sent, intended_at = excluded.intended_at"
)
_CREATED: Final = "UPDATE row SET prediction = ?, created_at = ?, leaving = 0 WHERE position = ?"
_ENDED: Final = "UPDATE row SET prediction = ?, outcome = ?, leaving = 0 WHERE position = ?"
_LEAVE: Final = "UPDATE row SET leaving = 1 WHERE position = ?"
_FORGET: Final = (
    "UPDATE row SET sent = NULL, intended_at = NULL, prediction = NULL, created_at = NULL, "
    "leaving = 0, outcome = NULL WHERE position = ?"
)


@define(eq=False)
class _Note:
    """Statements that wait to be written."""

    statements: Sequence[Statement]
    is_written: bool = False


class KeptLedger(Ledger):
    """Notes everything in a file.

    Whoever has to write takes along what others have to write, so that many steps cost one
    access of the disk.
    """

    is_kept = True

    def __init__(self, runtime: Runtime, path: str, ref: str, *, skips: bool) -> None:
        self._runtime = runtime
        self._path = path
        self._file = CheckpointFile(path, ref)
        self._skips = skips
        self._lock = threading.Lock()
        self._notes: list[_Note] = []
        # Apart from the other lock, which is held while the disk is at work.
        self._notes_lock = threading.Lock()
        self._failure: str | None = None
        self._stored: dict[int, Stored] = {}
        self._stored_to = 0
        self._skew = timedelta(0)

    @property
    def is_broken(self) -> bool:
        """Can nothing be noted any more?"""
        return self._failure is not None

    @property
    def last_write(self) -> datetime:
        """When an earlier call noted something last."""
        return datetime.fromtimestamp(self._file.last_write, UTC)

    async def open(self) -> None:
        await self._runtime.in_thread(self._file.open)

    async def close(self) -> None:
        await self._runtime.in_thread(self.drop)

    def drop(self) -> None:
        with self._lock:
            self._file.close()

    async def find(self, index: int, input: Mapping[str, Any]) -> tuple[bytes | None, Entry | None]:
        digest = await digest_of(input, self._runtime)
        if index >= self._file.rows:
            return digest, None
        if index >= self._stored_to:
            self._stored = await self._runtime.in_thread(self._read, index)
            self._stored_to = index + READ_AT_ONCE
        stored = self._stored.pop(index, None)
        if stored is None:
            return digest, None
        if stored.digest != digest:
            raise CheckpointError(
                f"The inputs have changed since {self._path} was written: the one at index {index} "
                f"was {stored.preview} and is {preview(input)}. Use the same inputs, or another "
                "checkpoint."
            )
        return digest, await self._entry(stored)

    async def intend(self, row: Row) -> None:
        if row.is_noted:
            return
        row.is_noted = True
        intended_at = datetime.now(UTC) + self._skew
        values = (row.index, row.digest, preview(row.input), row.sent, intended_at.isoformat())
        await self._write([(_INTEND, values)])

    async def created(self, row: Row, prediction: Prediction) -> None:
        at = prediction.created_at
        if at is not None:
            self._skew = at - datetime.now(UTC)
        values = (prediction.id, None if at is None else at.isoformat(), row.index)
        await self._write([(_CREATED, values)])

    async def ended(self, over: Sequence[tuple[Row, Prediction]]) -> None:
        await self._write(
            [(_ENDED, (prediction.id, _kept(prediction), row.index)) for row, prediction in over]
        )

    async def forget(self, rows: Collection[Row]) -> None:
        for row in rows:
            row.is_noted = False
        await self._write([(_FORGET, (row.index,)) for row in rows])

    async def leave(self, left: Collection[Running]) -> None:
        await self._write([(_LEAVE, (running.row.index,)) for running in left])

    async def claimed(self, ids: Collection[str]) -> set[str]:
        return await self._runtime.in_thread(self._claimed, ids)

    async def count(self, rows: int) -> None:
        if rows < self._file.rows:
            logger.warning(
                "%s has %d rows, and the inputs have %d: those from index %d on are missing",
                self._path,
                self._file.rows,
                rows,
                rows,
            )

    async def _entry(self, stored: Stored) -> Entry:
        outcome = None
        if stored.is_over and not self._skips:
            outcome = _restored(await self._runtime.in_thread(self._outcome, stored.position))
        return Entry(
            sent=stored.sent,
            intended_at=_time(stored.intended_at),
            id=stored.prediction,
            created_at=_time(stored.created_at),
            was_left=bool(stored.leaving),
            is_over=bool(stored.is_over),
            outcome=outcome,
        )

    async def _write(self, statements: Sequence[Statement]) -> None:
        if not statements:
            return
        note = _Note(statements)
        with self._notes_lock:
            self._notes.append(note)
        await self._runtime.in_thread(self._flush, note)
        if self._failure is not None:
            raise CheckpointError(self._failure)

    def _flush(self, note: _Note) -> None:
        with self._lock:
            if note.is_written or self._failure is not None:
                return
            with self._notes_lock:
                notes, self._notes = self._notes, []
            try:
                self._file.write([each for one in notes for each in one.statements])
            except CheckpointError as error:
                self._failure = str(error)
            for one in notes:
                one.is_written = True

    def _read(self, first: int) -> dict[int, Stored]:
        with self._lock:
            return self._file.read(first, READ_AT_ONCE)

    def _outcome(self, position: int) -> str:
        with self._lock:
            return self._file.outcome(position)

    def _claimed(self, ids: Collection[str]) -> set[str]:
        with self._lock:
            return self._file.claimed(ids)


def _kept(prediction: Prediction) -> str:
    """A prediction as it is stored: without its input, which the batch has, and may be large."""
    return json.dumps({name: value for name, value in prediction.raw.items() if name != "input"})


def _restored(text: str) -> Prediction:
    response = Response(status=HTTPStatus.OK, headers=Headers({}), content=text.encode())
    return structure(response, Prediction)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
