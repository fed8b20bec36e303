"""The results and the progress of a batch."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from dashscope.types import _notebook
from dashscope.types.prediction import Prediction


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
        value = _notebook.value
        shown = ("output", value(self.output)) if self.ok else ("error", _notebook.text(self.error))
        return _notebook.facts(
            [("index", _notebook.text(self.index)), ("input", value(self.input)), shown]
        )


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
        facts = {
            "rows": "unknown" if self.total is None else self.total,
            "waiting": self.queued,
            "running": self.running,
            "done": self.done,
            "failed": self.failed,
            "seconds": f"{self.elapsed:.1f}",
        }
        return _notebook.facts((name, _notebook.text(fact)) for name, fact in facts.items())
