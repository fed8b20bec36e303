"""Predictions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from dashscope.types import _notebook

TERMINAL: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})

# The total follows as a whole number: a line that is still being written has none yet.
# No bar has a stroke in it, which keeps the time linear in what the model prints.
_BAR = re.compile(r"(\d{1,3})%\|[^|]*\|\s{0,9}(\d{1,18})/(\d{1,18})(?=[^\d.a-zA-Z])", re.ASCII)
_WHOLE_BAR = re.compile(_BAR.pattern.replace("(?=[", "(?=$|["), re.ASCII)


def is_terminal(status: str) -> bool:
    """Return whether a prediction or training with this status is finished.

    An unknown status counts as running.
    """
    return status in TERMINAL


@frozen(kw_only=True)
class Progress:
    """How far a prediction is, by the progress bar in its logs.

    Attributes:
        percentage: the part that is done, from 0.0 to 1.0.
        current: how many steps are done.
        total: how many there are.
    """

    percentage: float
    current: int
    total: int

    @classmethod
    def parse(cls, logs: str) -> Progress | None:
        """Read the last complete bar in logs, drawn as `tqdm` does, or `None`."""
        # What nothing follows yet may be half a number.
        *complete, last = re.split(r"[\r\n]", logs)
        for line, bar in [(last, _BAR), *((line, _WHOLE_BAR) for line in reversed(complete))]:
            bars = bar.findall(line)
            if bars:
                percentage, current, total = map(int, bars[-1])
                return cls(percentage=min(percentage, 100) / 100, current=current, total=total)
        return None


@frozen(kw_only=True)
class Metrics:
    """What a prediction or training took.

    Attributes:
        predict_time: seconds the model ran.
        total_time: seconds from its creation to its end.
        raw: the JSON as received, with what else the model measured.
    """

    predict_time: float | None = None
    total_time: float | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class PredictionURLs:
    """Where a prediction or training can be found.

    Attributes:
        get: its state.
        cancel: cancels it.
        stream: its output as it comes, for models that stream.
        web: its page for people.
        raw: the JSON as received.
    """

    get: str | None = None
    cancel: str | None = None
    stream: str | None = None
    web: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Prediction:
    """A run of a model, as it was when the server answered.

    Attributes:
        id: its id.
        status: `starting`, `processing`, `succeeded`, `failed`, `canceled` or `aborted`.
        model: `owner/name` of the model.
        version: the id of the model's version, or `hidden`.
        input: the model's inputs.
        output: the model's output: any JSON, `None` until there is one.
        error: why it failed.
        logs: what the model printed.
        metrics: what it took.
        created_at: when it was created.
        started_at: when the model began.
        completed_at: when it was over.
        deadline: when the server cancels it.
        deployment: the deployment it was created by.
        source: `api` or `web`.
        data_removed: whether the service has removed its input and output.
        urls: where it can be found.
        raw: the JSON as received.
    """

    id: str
    status: str
    model: str | None = None
    version: str | None = None
    input: Mapping[str, Any] | None = field(default=None, hash=False)
    output: Any = field(default=None, hash=False)
    error: str | None = None
    logs: str | None = None
    metrics: Metrics | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    deadline: datetime | None = None
    deployment: str | None = None
    source: str | None = None
    data_removed: bool | None = None
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

    def _repr_html_(self) -> str:
        text, value = _notebook.text, _notebook.value
        rows = [
            ("id", text(self.id)),
            ("model", text(self.model or "")),
            ("status", text(self.status)),
        ]
        if self.metrics is not None and self.metrics.predict_time is not None:
            rows.append(("seconds", text(f"{self.metrics.predict_time:.2f}")))
        rows += [(f"input: {name}", value(item)) for name, item in (self.input or {}).items()]
        if self.output is not None:
            rows.append(("output", value(self.output)))
        if self.error:
            rows.append(("error", text(self.error)))
        if self.logs:
            logs = f"<details><summary>show</summary><pre>{text(self.logs)}</pre></details>"
            rows.append(("logs", logs))
        return _notebook.facts(rows)
