"""The results and the progress of a batch."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from dashscope.types import _notebook
from dashscope.types.prediction import Prediction


@frozen(kw_only=True)
class BatchResult:
    """The result of one input of a batch.

    Attributes:
        index: The position of the input, from 0.
        input: The input, as it was passed.
        output: The model's output. `None` if there is an `error`.
        error: Why there is no output, or `None`.
        prediction: The prediction, as last seen. `None` if none was created. From a list it may
            lack its logs, and from a checkpoint its input.
        from_checkpoint: Whether the result comes from the checkpoint of an earlier run.
    """

    index: int
    input: Any = field(hash=False)
    output: Any = field(default=None, hash=False)
    error: Exception | None = field(default=None, hash=False)
    prediction: Prediction | None = None
    from_checkpoint: bool = False

    @property
    def ok(self) -> bool:
        """True if there is an output."""
        return self.error is None

    def _repr_html_(self) -> str:
        value = _notebook.value
        shown = ("output", value(self.output)) if self.ok else ("error", _notebook.text(self.error))
        return _notebook.facts(
            [("index", _notebook.text(self.index)), ("input", value(self.input)), shown]
        )


@frozen(kw_only=True)
class BatchProgress:
    """The progress of a batch.

    Attributes:
        total: The number of inputs, or `None` if the inputs have no `len()`.
        queued: How many have not started. If `total` is unknown, only those read so far count.
        running: How many are running.
        done: How many have succeeded.
        failed: How many have ended with an error.
        skipped: How many were finished before and are skipped (`resume="skip"`).
        rate: How many finish per second, on average over the last seconds.
        elapsed: Seconds since the start.
        remaining: The estimated seconds until the end, or `None` if unknown.
        is_over: Whether this is the last call, at the end of the block.
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
