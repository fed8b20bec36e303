"""What a batch notes of each row, before and after each step: here, nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from dashscope import types
from dashscope._batch.row import Row, Running


@frozen(kw_only=True)
class Entry:
    """What was noted of a row by an earlier call.

    Attributes:
        sent: what its input is recognized by in a list of predictions.
        intended_at: when it was about to be created.
        id: the id of its prediction.
        created_at: when that was created, by the server's clock.
        was_left: whether it was about to be cancelled, since the batch was left.
        is_over: whether that is over.
        outcome: its prediction, where that is over, and is to be given.
    """

    sent: bytes | None = None
    intended_at: datetime | None = None
    id: str | None = None
    created_at: datetime | None = None
    was_left: bool = False
    is_over: bool = False
    outcome: types.Prediction | None = None


class Ledger:
    """A batch without a checkpoint notes nothing.

    Attributes:
        is_kept: whether another call can go on from here.
    """

    is_kept = False

    @property
    def is_broken(self) -> bool:
        """Can nothing be noted any more?"""
        return False

    @property
    def last_write(self) -> datetime:
        """When an earlier call noted something last."""
        return datetime.min.replace(tzinfo=UTC)

    async def open(self) -> None:
        """Begin."""

    async def close(self) -> None:
        """End."""

    def drop(self) -> None:
        """End, without waiting for anything."""

    async def find(self, index: int, input: Mapping[str, Any]) -> tuple[bytes | None, Entry | None]:
        """The digest of a row's input, and what was noted of the row."""
        return None, None

    async def intend(self, row: Row) -> None:
        """Its prediction is about to be created."""

    async def created(self, row: Row, prediction: types.Prediction) -> None:
        """Its prediction was created."""

    async def ended(self, over: Sequence[tuple[Row, types.Prediction]]) -> None:
        """Their predictions are over."""

    async def forget(self, rows: Collection[Row]) -> None:
        """They are as if they had never been tried."""

    async def leave(self, left: Collection[Running]) -> None:
        """They are about to be cancelled."""

    async def claimed(self, ids: Collection[str]) -> set[str]:
        """Those of these predictions that a row has."""
        return set()

    async def count(self, rows: int) -> None:
        """The inputs had so many rows."""
