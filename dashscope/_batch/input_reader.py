"""`InputReader`: reads one input at a time and decides how to process it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from dashscope._batch.checkpoint.base import CheckpointEntry
from dashscope._batch.context import BatchContext
from dashscope._batch.row import Row
from dashscope._batch.scheduler import now
from dashscope._errors import CheckpointError, FileError
from dashscope._files import inputs as _inputs


class InputReader:
    """Reads the inputs of a batch and passes them to the scheduler.

    Args:
        context: The batch.
        items: The inputs.
    """

    def __init__(self, context: BatchContext, items: AsyncIterator[Any]) -> None:
        self._context = context
        self._items = items

    async def read(self) -> None:
        """Read one input.

        An exception from the iterator ends the inputs. The user sees it after the results of all
        rows before it.

        Raises:
            CheckpointError: If the checkpoint cannot be used, or the input has changed.
        """
        results = self._context.results
        try:
            input = await anext(self._items)
        except StopAsyncIteration:
            await self._context.checkpoint.check_row_count(results.rows)
            results.end_inputs(None)
            return
        except Exception as error:  # noqa: BLE001 (raised to the user later)
            results.end_inputs(error)
            return
        await self._add(Row(index=results.add_row(), input=input))

    async def aclose(self) -> None:
        """Close the inputs if they are an async generator."""
        items: Any = self._items
        if isinstance(items, AsyncGenerator):
            await items.aclose()

    async def _add(self, row: Row) -> None:
        context = self._context
        try:
            _inputs.check(row.input)
            row.fingerprint, entry = await context.checkpoint.load(row.index, row.input)
        except CheckpointError:
            raise
        except (FileError, TypeError, ValueError) as error:
            context.put_error(row, error)
            return
        if entry is None:
            context.scheduler.add(row)
        else:
            self._resume(row, entry)

    def _resume(self, row: Row, entry: CheckpointEntry) -> None:
        """Resume a row from what an earlier call recorded."""
        context = self._context
        row.sent_fingerprint = entry.sent_fingerprint
        if entry.id is not None:
            context.api.expect_server()  # it may be restarting
        if entry.prediction is not None:
            context.put_prediction(row, entry.prediction, from_checkpoint=True)
        elif entry.is_finished:
            context.results.put(row.index, None)
        elif entry.id is not None:
            running = context.track(
                row,
                entry.id,
                entry.created_at,
                is_attached=True,
                cancel_requested=entry.cancel_requested,
            )
            context.scheduler.created(running, now())
        elif entry.intended_at is not None:
            row.intended_at, row.clock_skew = entry.intended_at, entry.clock_skew
            context.scheduler.add_unconfirmed(row)
        else:
            context.scheduler.add(row)


def total_of(inputs: Any) -> int | None:
    """Return the number of inputs, or `None` if they have no length."""
    if isinstance(inputs, Mapping) or not hasattr(inputs, "__len__"):
        return None
    return len(inputs)
