"""`Checkpoint`: the interface of checkpoints, and the checkpoint that records nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from dashscope import types
from dashscope._batch.row import Row, RunningPrediction


@frozen(kw_only=True)
class CheckpointEntry:
    """What an earlier call recorded about a row.

    Attributes:
        sent_fingerprint: Fingerprint of the input as it was sent.
        intended_at: When the prediction was about to be created, by our clock.
        clock_skew: How far the server's clock was ahead of ours. `None` if it was unknown.
        id: The id of the prediction.
        created_at: When the server created the prediction, by the server's clock.
        cancel_requested: Whether the prediction was about to be canceled.
        is_finished: Whether the prediction has finished.
        prediction: The finished prediction. `None` if finished rows are skipped.
    """

    sent_fingerprint: bytes | None = None
    intended_at: datetime | None = None
    clock_skew: timedelta | None = None
    id: str | None = None
    created_at: datetime | None = None
    cancel_requested: bool = False
    is_finished: bool = False
    prediction: types.Prediction | None = None


class Checkpoint:
    """The checkpoint of a batch without a checkpoint file. It records nothing.

    Attributes:
        is_persistent: Whether a later call can resume from this checkpoint.
    """

    is_persistent = False

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be recorded any more."""
        return False

    @property
    def last_write(self) -> datetime:
        """When an earlier call recorded something last."""
        return datetime.min.replace(tzinfo=UTC)

    async def open(self) -> None:
        """Open the checkpoint.

        Raises:
            CheckpointError: If the checkpoint is in use or does not belong to this batch.
        """

    async def close(self) -> None:
        """Close the checkpoint."""

    def close_nowait(self) -> None:
        """Close the checkpoint without suspending."""

    async def load(
        self, index: int, input: Mapping[str, Any]
    ) -> tuple[bytes | None, CheckpointEntry | None]:
        """Return the fingerprint of an input and what an earlier call recorded about its row.

        Args:
            index: The row's index.
            input: The row's input.

        Returns:
            The fingerprint, and `None` or the entry.

        Raises:
            CheckpointError: If the input has changed since the entry was recorded.
            FileError: If a file of the input cannot be read.
        """
        return None, None

    async def record_intent(self, row: Row) -> None:
        """Record that a row's prediction is about to be created."""

    async def record_created(self, row: Row, prediction: types.Prediction) -> None:
        """Record that a row's prediction was created."""

    async def record_finished(self, finished: Sequence[tuple[Row, types.Prediction]]) -> None:
        """Record finished predictions."""

    async def record_cancel_requested(self, running: Collection[RunningPrediction]) -> None:
        """Record that predictions are about to be canceled."""

    async def reset(self, rows: Collection[Row]) -> None:
        """Remove what was recorded about rows, so that they are created again."""

    async def recorded_ids(self, ids: Collection[str]) -> set[str]:
        """Return the ids that belong to a row."""
        return set()

    async def check_row_count(self, rows: int) -> None:
        """Log a warning if the inputs have fewer rows than the checkpoint."""
