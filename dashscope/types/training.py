"""Trainings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope.types.prediction import Metrics, PredictionURLs, Progress, is_terminal


@frozen(kw_only=True)
class TrainingOutput:
    """What a training made.

    Attributes:
        version: `owner/name:version` of the new version.
        weights: the URL of the trained weights.
        raw: the JSON as received.
    """

    version: str | None = None
    weights: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Training:
    """A training, as it was when the server answered.

    Attributes:
        id: its id.
        status: `starting`, `processing`, `succeeded`, `failed`, `canceled` or `aborted`.
        model: `owner/name` of the model that is trained.
        version: the id of the model's version.
        input: the training's inputs.
        output: what it made, `None` until then.
        error: why it failed.
        logs: what it printed.
        metrics: what it took.
        created_at: when it was created.
        started_at: when it began.
        completed_at: when it was over.
        source: `api` or `web`.
        urls: where it can be found.
        raw: the JSON as received.
    """

    id: str
    status: str
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
        """Is it over, in whatever way? A status we do not know counts as running."""
        return is_terminal(self.status)

    @property
    def progress(self) -> Progress | None:
        """How far it is, by the last complete progress bar in its logs."""
        return Progress.parse(self.logs) if self.logs else None
