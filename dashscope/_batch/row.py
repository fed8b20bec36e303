"""What a batch is about: a row of the input, its running prediction, its result, and the counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from dashscope.types import _notebook

if TYPE_CHECKING:
    from dashscope._api.requestor import Call
    from dashscope.resources.predictions import Prediction


@frozen(kw_only=True)
class BatchResult:
    """What became of one input of a batch.

    Attributes:
        index: the input's place, from 0.
        input: the input, as it was given.
        output: the model's output; `None` where there is an `error`.
        error: why there is no output, else `None`.
        prediction: the prediction, as last seen; `None` where none was created. One that was seen
            in a list may be without its logs, one from a checkpoint is without its input.
        from_checkpoint: whether it was over before this call, and comes from the checkpoint.
    """

    index: int
    input: Any = field(hash=False)
    output: Any = field(default=None, hash=False)
    error: Exception | None = field(default=None, hash=False)
    prediction: Prediction | None = None
    from_checkpoint: bool = False

    @property
    def ok(self) -> bool:
        """Is there an output?"""
        return self.error is None

    def _repr_html_(self) -> str:
        return _notebook.batch_result(self)


@frozen(kw_only=True)
class BatchProgress:
    """How far a batch is.

    Attributes:
        total: how many inputs there are; `None` where they do not say (`len()`).
        queued: how many were not begun yet; of an unknown total, of those read so far.
        running: how many run.
        done: how many succeeded.
        failed: how many brought an error.
        skipped: how many were over before, and left out (`resume="skip"`).
        rate: how many were finished per second, lately.
        elapsed: seconds since the start.
        remaining: seconds until the end at this rate; `None` where that is unknown.
        is_over: whether this is the last call: the block was left.
    """

    total: int | None
    queued: int
    running: int
    done: int
    failed: int
    skipped: int
    rate: float
    elapsed: float
    remaining: float | None
    is_over: bool = False

    def _repr_html_(self) -> str:
        return _notebook.batch_progress(self)


@define(eq=False, kw_only=True)
class Row:
    """An input on its way.

    Attributes:
        index: its place, from 0.
        input: the input, as it was given.
        digest: what it is recognized by in a checkpoint; `None` without one.
        call: the request that creates its prediction, once its files are sent.
        sent: what its input is recognized by in a list of predictions.
        attempts: how often its creation was tried.
        first_attempt: when it was tried first.
        is_sent: whether the server may know of it.
        intended_at: when an earlier call was about to create it.
        is_noted: whether the checkpoint has the intent to create it.
    """

    index: int
    input: Mapping[str, Any]
    digest: bytes | None = None
    call: Call | None = None
    sent: bytes | None = None
    attempts: int = 0
    first_attempt: float = 0.0
    is_sent: bool = False
    intended_at: datetime | None = None
    is_noted: bool = False


@define(eq=False, kw_only=True)
class Running:
    """A prediction that is watched.

    Attributes:
        row: the row it is for.
        id: its id.
        created_at: when it was created, by the server's clock.
        since: when it was created or attached to, by ours.
        deadline: when its time is up.
        latest: its state as last seen.
        due: when it is looked at by itself, `None` while lists show it.
        is_fetched: whether a look at it is under way.
        is_expired: whether its time is up.
        is_attached: whether it was created before this batch.
        was_left: whether an earlier batch was about to cancel it.
    """

    row: Row
    id: str
    created_at: datetime | None
    since: float
    deadline: float | None = None
    latest: Prediction | None = None
    due: float | None = None
    is_fetched: bool = False
    is_expired: bool = False
    is_attached: bool = False
    was_left: bool = False
