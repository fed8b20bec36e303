"""What the parts of a batch share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import define, field

from dashscope import types
from dashscope._api.instrumentation import Operation, begin
from dashscope._api.requestor import Requestor
from dashscope._batch.checkpoint.base import Ledger
from dashscope._batch.options import Options
from dashscope._batch.result_buffer import Outbox
from dashscope._batch.row import Row, Running
from dashscope._batch.scheduler import Scheduler, now
from dashscope._predictions.outcome import output_of
from dashscope.types.batch import BatchResult


@define(eq=False, kw_only=True)
class Desk:
    """A batch's tools.

    Attributes:
        api: the API.
        options: what is asked for.
        scheduler: what is under way.
        ledger: what is noted.
        outbox: what is over.
        changed: wakes up all who wait for a change.
        is_over: whether the batch is being left.
        has_left: whether what ran is being cancelled, or was: who comes now, comes late.
        fresh: predictions that were created just now, and are not watched yet.
        unwatched: predictions that may run, and cannot be looked at.
        operations: what watches the rows that are under way.
    """

    api: Requestor
    options: Options
    scheduler: Scheduler
    ledger: Ledger
    outbox: Outbox
    changed: Callable[[], None]
    is_over: bool = False
    has_left: bool = False
    fresh: set[Running] = field(factory=set[Running])
    unwatched: list[Running] = field(factory=list[Running])
    operations: dict[Row, Operation] = field(factory=dict["Row", Operation])

    def operation_of(self, row: Row) -> Operation:
        """What watches a row, from the first try to create its prediction to its result."""
        if row not in self.operations:
            self.operations[row] = begin("row", self.api.config.base_url, self.options.ref)
        return self.operations[row]

    def end(
        self, row: Row, error: BaseException | None, prediction: types.Prediction | None
    ) -> None:
        """A row is over, or left."""
        operation = self.operations.pop(row, None)
        if operation is not None:
            if prediction is not None:
                operation.saw(prediction)
            operation.end(error)

    def watch(self, row: Row, id: str, created_at: datetime | None, **options: Any) -> Running:
        """The prediction of a row, from now on."""
        timeout, since = self.options.timeout, now()
        deadline = None if timeout is None else since + timeout
        return Running(
            row=row, id=id, created_at=created_at, since=since, deadline=deadline, **options
        )

    def give(
        self, row: Row, prediction: types.Prediction, *, from_checkpoint: bool = False
    ) -> None:
        """Hand out what a prediction that is over came to."""
        output, error = None, None
        try:
            output = output_of(self.options.ref, prediction)
        except Exception as failure:  # noqa: BLE001 (it is the row's result)
            error = failure
        result = BatchResult(
            index=row.index,
            input=row.input,
            output=output,
            error=error,
            prediction=prediction,
            from_checkpoint=from_checkpoint,
        )
        self.end(row, error, prediction)
        self.outbox.put(row.index, result)
        self.changed()

    def give_error(
        self, row: Row, error: Exception, prediction: types.Prediction | None = None
    ) -> None:
        """Hand out why a row has no output."""
        result = BatchResult(index=row.index, input=row.input, error=error, prediction=prediction)
        self.end(row, error, prediction)
        self.outbox.put(row.index, result)
        self.changed()
