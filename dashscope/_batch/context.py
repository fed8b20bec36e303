"""`BatchContext`: the state that the parts of a batch share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import define, field

from dashscope import types
from dashscope._api.instrumentation import Operation, begin
from dashscope._api.requestor import Requestor
from dashscope._batch.checkpoint.base import Checkpoint
from dashscope._batch.options import Options
from dashscope._batch.permits import Permits
from dashscope._batch.result_buffer import ResultBuffer
from dashscope._batch.row import Row, RunningPrediction
from dashscope._batch.scheduler import Scheduler, now
from dashscope._predictions.outcome import output_of
from dashscope.types.batch import BatchResult


@define(eq=False, kw_only=True)
class BatchContext:
    """The state of one batch.

    Attributes:
        api: Sends API requests.
        options: The arguments of `map()`.
        scheduler: Tracks queued rows and running predictions.
        checkpoint: Records each step.
        results: Holds finished results.
        permits: Limits the rate of creates together with other batches.
        notify: Wakes everything that waits for a change.
        is_closed: Whether the batch has been closed. No new work is started.
        is_canceling: Whether running predictions are being canceled. A create that completes after
            that cancels its own prediction.
        unrecorded: Predictions that were created but are not in the checkpoint and the scheduler
            yet.
        unpollable: Predictions that may still be running but whose polls failed.
        operations: The instrumented operation of each unfinished row.
    """

    api: Requestor
    options: Options
    scheduler: Scheduler
    checkpoint: Checkpoint
    results: ResultBuffer
    permits: Permits
    notify: Callable[[], None]
    is_closed: bool = False
    is_canceling: bool = False
    unrecorded: set[RunningPrediction] = field(factory=set[RunningPrediction])
    unpollable: list[RunningPrediction] = field(factory=list[RunningPrediction])
    operations: dict[Row, Operation] = field(factory=dict["Row", Operation])

    def operation_of(self, row: Row) -> Operation:
        """Return the operation of a row, from its first create attempt to its result."""
        if row not in self.operations:
            self.operations[row] = begin("row", self.api.config.base_url, self.options.ref)
        return self.operations[row]

    def end_operation(
        self, row: Row, error: BaseException | None, prediction: types.Prediction | None
    ) -> None:
        """End the operation of a row."""
        operation = self.operations.pop(row, None)
        if operation is not None:
            if prediction is not None:
                operation.saw(prediction)
            operation.end(error)

    def track(
        self, row: Row, id: str, created_at: datetime | None, **options: Any
    ) -> RunningPrediction:
        """Return a record of a row's running prediction, with its deadline counted from now.

        Args:
            row: The row.
            id: The prediction's id.
            created_at: When the server created the prediction.
            **options: Other attributes of the `RunningPrediction`.
        """
        timeout, started = self.options.timeout, now()
        deadline = None if timeout is None else started + timeout
        return RunningPrediction(
            row=row, id=id, created_at=created_at, started=started, deadline=deadline, **options
        )

    def put_prediction(
        self, row: Row, prediction: types.Prediction, *, from_checkpoint: bool = False
    ) -> None:
        """Finish a row with the output or the error of its finished prediction."""
        output, error = None, None
        try:
            output = output_of(self.options.ref, prediction)
        except Exception as failure:  # noqa: BLE001 (the error is the row's result)
            error = failure
        result = BatchResult(
            index=row.index,
            input=row.input,
            output=output,
            error=error,
            prediction=prediction,
            from_checkpoint=from_checkpoint,
        )
        self._put(row, result)

    def put_error(
        self, row: Row, error: Exception, prediction: types.Prediction | None = None
    ) -> None:
        """Finish a row with an error."""
        self._put(
            row,
            BatchResult(index=row.index, input=row.input, error=error, prediction=prediction),
        )

    def _put(self, row: Row, result: BatchResult) -> None:
        self.end_operation(row, result.error, result.prediction)
        self.results.put(row.index, result)
        self.notify()
