"""The results and the progress of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types import _notebook
from dashscope.types._value import PartialValue, Value, to_json_types, unset
from dashscope.types.prediction import Prediction


@frozen(kw_only=True, repr=False, eq=False, getstate_setstate=False)
class BatchResult(PartialValue):
    """The result of one input of a batch.

    As a mapping and in `to_dict()`, the error is text, and the output of a failed row is `None`.

    Attributes:
        index: The position of the input, from 0.
        input: The input. Rows of tables, and objects with fields, are mappings here.
        output: The model's output. If there is an `error`, reading the output raises the error.
        error: Why there is no output, or `None`.
        prediction: The prediction, as last seen. `None` if none was created. From a list it may
            lack its logs, and from a checkpoint its input.
        from_checkpoint: Whether the checkpoint of an earlier run contained the result.
    """

    index: int
    input: Any = field(hash=False)
    output: Any = field(default=None, hash=False)
    error: Exception | None = field(default=None, hash=False)
    prediction: Prediction | None = None
    from_checkpoint: bool = False

    def __attrs_post_init__(self) -> None:
        if self.error is not None:
            unset(self, "output")

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        if self.error is not None and "output" in state:  # a pickle of version 0.1.0
            unset(self, "output")

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        return str(found) if name == "error" and found is not None else found

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types. Errors are text.

        Returns:
            A dict that every JSON library can encode. Files in the input are data URIs or paths.

        Example:
            ```python
            async with client.map("dashscope/hello-world", [{"text": "Alice"}]) as results:
                async for result in results:
                    print(result.to_dict()["error"])
            ```
        """
        return {name: to_json_types(self[name]) for name in self}

    def _unavailable(self, name: str) -> Exception:
        assert self.error is not None
        return self.error

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


@frozen(kw_only=True, repr=False)
class BatchProgress(Value):
    """The progress of a batch.

    Attributes:
        total: The number of inputs, or `None` if the inputs have no `len()`.
        queued: How many have not started. If `total` is unknown, only those that were read.
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
