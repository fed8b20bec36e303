"""`Checkpoint`: the interface of checkpoints, and the checkpoint that records nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

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
        is_busy: Whether another caller that is still alive is working on the row.
        is_finished: Whether the prediction has finished.
        prediction: The finished prediction. `None` if finished rows are skipped.
    """

    sent_fingerprint: bytes | None = None
    intended_at: datetime | None = None
    clock_skew: timedelta | None = None
    id: str | None = None
    created_at: datetime | None = None
    cancel_requested: bool = False
    is_busy: bool = False
    is_finished: bool = False
    prediction: types.Prediction | None = None


class Checkpoint:
    """The checkpoint of a batch without one. It records nothing.

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

    async def load(self, row: Row) -> CheckpointEntry | None:
        """Return what an earlier call recorded about a row, and set the row's key.

        Raises:
            CheckpointError: If the input has changed since the entry was recorded.
            FileError: If a file of the input cannot be read.
        """
        return None

    async def reload(self, rows: Sequence[Row]) -> Sequence[CheckpointEntry | None]:
        """Return what is recorded now about rows of which an intent was recorded."""
        return [
            CheckpointEntry(
                sent_fingerprint=row.sent_fingerprint,
                intended_at=row.intended_at,
                clock_skew=row.clock_skew,
            )
            for row in rows
        ]

    async def undecided(self, rows: Sequence[Row]) -> set[bytes]:
        """Return which sent fingerprints of these rows another live caller may be creating."""
        return set()

    async def is_stopped(self) -> bool:
        """Return whether the driver of an engine canceled the run of this batch."""
        return False

    def check_can_create(self) -> None:
        """Raise a `CheckpointError` if this batch must not create predictions any more."""

    async def record_intent(self, row: Row) -> None:
        """Record that a row's prediction is about to be created."""

    async def record_created(self, row: Row, prediction: types.Prediction) -> None:
        """Record that a row's prediction was created."""

    async def claim(self, row: Row, prediction: types.Prediction) -> bool:
        """Record that a prediction on the server is the row's, unless it is another row's.

        Returns:
            Whether it was recorded.
        """
        return True

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
