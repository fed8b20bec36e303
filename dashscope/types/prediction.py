"""Predictions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from attrs import field, frozen

from dashscope._common.base_error import DashscopeError
from dashscope.types import _notebook
from dashscope.types._value import PartialValue, Serializable, Value

Status: TypeAlias = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
"""The known statuses of a prediction or training. A server may send others."""
TERMINAL: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})

# The total must be complete: a line that is still being written may end inside the number.
# The bar itself has no `|`, which keeps the matching time linear.
_BAR = re.compile(r"(\d{1,3})%\|[^|]*\|\s{0,9}(\d{1,18})/(\d{1,18})(?=[^\d.a-zA-Z])", re.ASCII)
_WHOLE_BAR = re.compile(_BAR.pattern.replace("(?=[", "(?=$|["), re.ASCII)


def is_terminal(status: str) -> bool:
    """Return whether a prediction or training with this status is finished.

    An unknown status counts as running.
    """
    return status in TERMINAL


@frozen(kw_only=True, repr=False)
class Progress(Value):
    """The progress of a prediction, from the progress bar in its logs.

    Attributes:
        percentage: The finished share, from 0.0 to 1.0.
        current: The number of finished steps.
        total: The number of steps.
    """

    percentage: float
    current: int
    total: int

    @classmethod
    def parse(cls, logs: str) -> Progress | None:
        """Return the last complete `tqdm` progress bar in logs, or `None`."""
        # The last line may end inside a number.
        *complete, last = re.split(r"[\r\n]", logs)
        for line, bar in [(last, _BAR), *((line, _WHOLE_BAR) for line in reversed(complete))]:
            bars = bar.findall(line)
            if bars:
                percentage, current, total = map(int, bars[-1])
                return cls(percentage=min(percentage, 100) / 100, current=current, total=total)
        return None


@frozen(kw_only=True, repr=False)
class Metrics(Value):
    """The measurements of a prediction or training.

    Attributes:
        predict_time: Seconds that the model ran.
        total_time: Seconds from the creation to the end.
        raw: The JSON as received, including other measurements of the model.
    """

    predict_time: float | None = None
    total_time: float | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class PredictionURLs(Serializable):
    """The URLs of a prediction or training.

    Attributes:
        get: Returns the current state.
        cancel: Cancels it.
        stream: Streams the events, for models that stream.
        web: The web page.
        raw: The JSON as received.
    """

    get: str | None = None
    cancel: str | None = None
    stream: str | None = None
    web: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False, eq=False, getstate_setstate=False)
class Prediction(PartialValue):
    """A run of a model, in its state when the server responded.

    The state does not change. `client.wait()` and `client.predictions.get()` return a newer one.

    Attributes:
        id: The id.
        status: `starting`, `processing`, `succeeded`, `failed`, `canceled` or `aborted`. A server
            may send other statuses, which count as running.
        model: The model, as `owner/name`.
        version: The id of the model's version, or `hidden`.
        input: The model's inputs.
        output: The model's output: any JSON value, `None` until there is one.
        error: Why the prediction failed.
        logs: The text that the model printed.
        metrics: The measurements.
        created_at: When the prediction was created.
        started_at: When the model started.
        completed_at: When the prediction finished.
        deadline: When the server cancels the prediction.
        deployment: The deployment that runs the model.
        source: `api` or `web`.
        data_removed: Whether the service has removed the input and output.
        urls: The URLs.
        raw: The JSON as received.
    """

    id: str
    status: Status
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

    def _unavailable(self, name: str) -> Exception:
        return DashscopeError(
            f"The list that the prediction {self.id} is from omits its {name}. "
            f"Get it with client.predictions.get({self.id!r}).{name}."
        )

    @property
    def is_done(self) -> bool:
        """True once the status is terminal. An unknown status counts as running."""
        return is_terminal(self.status)

    @property
    def progress(self) -> Progress | None:
        """The progress, from the last complete progress bar in the logs, or `None`."""
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
        input: Mapping[str, Any] | None = self["input"]
        output = self["output"]
        rows += [(f"input: {name}", value(item)) for name, item in (input or {}).items()]
        if output is not None:
            rows.append(("output", value(output)))
        if self.error:
            rows.append(("error", text(self.error)))
        if self.logs:
            logs = f"<details><summary>show</summary><pre>{text(self.logs)}</pre></details>"
            rows.append(("logs", logs))
        return _notebook.facts(rows)
