"""`Store`: where a checkpoint keeps its rows: a file, a folder or a database.

The methods block, so the batch calls them in worker threads. When `write()` returns, what it wrote
survives the process and the machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen

from dashscope._batch.checkpoint.events import Created, Event, Key


@frozen(kw_only=True)
class StoredRow:
    """A row as it is stored, without its finished prediction.

    Attributes:
        key: What identifies the row.
        digest: Fingerprint of the input. `None` if the key is a digest already.
        preview: The start of the input.
        sent: Fingerprint of the input as it was sent.
        intended_at: When the prediction was about to be created.
        clock_skew: Seconds that the server's clock was ahead.
        prediction: The id of the prediction.
        created_at: When the server created the prediction.
        cancel_requested: Whether the prediction was about to be canceled.
        is_finished: Whether the prediction has finished.
        is_busy: Whether another caller that is still alive is working on the row.
    """

    key: Key
    digest: bytes | None = None
    preview: str = ""
    sent: bytes | None = None
    intended_at: str | None = None
    clock_skew: float | None = None
    prediction: str | None = None
    created_at: str | None = None
    cancel_requested: int = 0
    is_finished: int = 0
    is_busy: bool = False


class Store(ABC):
    """The rows of a checkpoint, for one batch.

    Attributes:
        name: The path or the URL, for messages.
        is_shared: Whether other processes may use the store at the same time.
    """

    name: str
    is_shared: bool

    @property
    @abstractmethod
    def rows(self) -> int:
        """The number of rows when the store was opened."""

    @property
    @abstractmethod
    def last_write(self) -> float:
        """When another process recorded something last, in seconds since the epoch."""

    @abstractmethod
    def open(self) -> None:
        """Open or create the store.

        Raises:
            CheckpointError: If the store cannot be used.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the store, and let others work on the rows of this batch."""

    @abstractmethod
    def read(self, keys: Sequence[Key]) -> Mapping[Key, StoredRow]:
        """Return what is stored about rows, and reserve the unfinished ones for this batch.

        Raises:
            CheckpointError: If the store cannot be read.
        """

    @abstractmethod
    def read_outcomes(self, keys: Sequence[Key]) -> Mapping[Key, str]:
        """Return the finished predictions of rows as JSON."""

    @abstractmethod
    def write(self, events: Iterable[Event]) -> None:
        """Record events, in order.

        Raises:
            CheckpointError: If they cannot be recorded.
        """

    @abstractmethod
    def recorded_ids(self, ids: Collection[str]) -> set[str]:
        """Return the prediction ids that belong to a row."""

    def claim(self, event: Created) -> bool:
        """Record the prediction of a row, unless the prediction belongs to another row.

        Returns:
            Whether it was recorded.
        """
        if self.recorded_ids([event.prediction]):
            return False
        self.write([event])
        return True

    def undecided(self, sent: Collection[bytes], keys: Collection[Key]) -> set[bytes]:
        """Return the fingerprints of inputs that another live caller may be creating.

        A prediction with such an input may belong to the other caller's row.

        Args:
            sent: Fingerprints of inputs as they are sent.
            keys: The rows that ask. They are not counted.
        """
        return set()

    def problem(self) -> str | None:
        """Return why what is written now would be lost, or `None`."""
        return None

    def is_stopped(self) -> bool:
        """Return whether the driver canceled the run of this batch."""
        return False

    def check_can_create(self) -> None:
        """Raise a `CheckpointError` if this batch must not create predictions any more."""
        return


class SharedStore(Store):
    """A store that several processes use at the same time."""

    is_shared = True

    @abstractmethod
    def stop(self) -> None:
        """Keep all workers of the run from creating predictions."""

    @abstractmethod
    def request_cancel(self) -> Sequence[StoredRow]:
        """Return the unfinished rows of the run.

        It is recorded that their predictions are about to be canceled.
        """
