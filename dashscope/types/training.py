"""Trainings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value
from dashscope.types.prediction import Metrics, PredictionURLs, Progress, Status, is_terminal


@frozen(kw_only=True, repr=False)
class TrainingOutput(Value):
    """The result of a training.

    Attributes:
        version: The new version, as `owner/name:version`.
        weights: The URL of the trained weights.
        raw: The JSON as received.
    """

    version: str | None = None
    weights: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class Training(Value):
    """A training, in its state when the server responded.

    The state does not change. `client.wait()` and `client.trainings.get()` return a newer one.

    Attributes:
        id: The id.
        status: `starting`, `processing`, `succeeded`, `failed`, `canceled` or `aborted`. A server
            may send other statuses, which count as running.
        model: The model that is trained, as `owner/name`.
        version: The id of the model's version.
        input: The training's inputs.
        output: The result, or `None` until there is one.
        error: Why the training failed.
        logs: The text that the training printed.
        metrics: The measurements.
        created_at: When the training was created.
        started_at: When the training started.
        completed_at: When the training finished.
        source: `api` or `web`.
        urls: The URLs.
        raw: The JSON as received.
    """

    id: str
    status: Status
    model: str | None = None
    version: str | None = None
    input: Mapping[str, Any] | None = field(default=None, hash=False)
    output: TrainingOutput | None = None
    error: str | None = None
    logs: str | None = None
    metrics: Metrics | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    source: str | None = None
    urls: PredictionURLs | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)

    @property
    def is_done(self) -> bool:
        """True once the status is terminal. An unknown status counts as running."""
        return is_terminal(self.status)

    @property
    def progress(self) -> Progress | None:
        """The progress, from the last complete progress bar in the logs, or `None`."""
        return Progress.parse(self.logs) if self.logs else None
