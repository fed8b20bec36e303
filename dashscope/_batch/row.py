"""The records that the parts of a batch pass around: a row, and its running prediction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import Factory, define

from dashscope import types
from dashscope._api.requestor import Call
from dashscope._batch.checkpoint.events import Key
from dashscope._predictions.watch import PollFailures


@define(eq=False, kw_only=True)
class Row:
    """One input of the batch.

    Attributes:
        index: Position of the input, starting at 0.
        input: The input as the user passed it.
        key: What identifies the row in the checkpoint. `None` without a checkpoint.
        fingerprint: Fingerprint of `input` in the checkpoint. `None` without a checkpoint.
        sent_fingerprint: Fingerprint of the input as it was sent, with its files encoded. It
            identifies the prediction in `predictions.list()`.
        call: The create request. `None` until the files are encoded or uploaded.
        attempts: Number of create attempts so far.
        first_attempt: Monotonic time of the first create attempt.
        is_sent: Whether the server may have received the create request.
        intended_at: When an earlier call recorded that it was about to create the prediction, by
            the clock of that call.
        clock_skew: How far the server's clock was ahead of that clock. `None` if the earlier call
            ended before it knew.
        unconfirmed_since: Monotonic time since when it is unknown whether an earlier call created
            the prediction.
        is_recorded: Whether the checkpoint contains the intent to create the prediction.
    """

    index: int
    input: Mapping[str, Any]
    key: Key | None = None
    fingerprint: bytes | None = None
    sent_fingerprint: bytes | None = None
    call: Call | None = None
    attempts: int = 0
    first_attempt: float = 0.0
    is_sent: bool = False
    intended_at: datetime | None = None
    clock_skew: timedelta | None = None
    unconfirmed_since: float | None = None
    is_recorded: bool = False


@define(eq=False, kw_only=True)
class RunningPrediction:
    """A prediction that has not reached a terminal status, as far as the batch knows.

    Attributes:
        row: The row that the prediction belongs to.
        id: The prediction's id.
        created_at: When the server created the prediction, by the server's clock.
        started: Monotonic time at which this batch created or attached to the prediction.
        deadline: Monotonic time at which the prediction times out. `None` without a timeout.
        seen_at: Monotonic time of the last response that showed the prediction running.
        latest: The prediction as last seen.
        poll_at: When to poll the prediction individually. `None` while list polls include it.
        is_polling: Whether an individual poll is in progress.
        failures: The failed individual polls since the last successful one.
        is_expired: Whether the deadline has passed and the cancel is in progress.
        is_attached: Whether an earlier call created the prediction.
        cancel_requested: Whether an earlier call was about to cancel the prediction.
    """

    row: Row
    id: str
    created_at: datetime | None
    started: float
    deadline: float | None = None
    seen_at: float = Factory(lambda self: self.started, takes_self=True)
    latest: types.Prediction | None = None
    poll_at: float | None = None
    is_polling: bool = False
    failures: PollFailures | None = None
    is_expired: bool = False
    is_attached: bool = False
    cancel_requested: bool = False
