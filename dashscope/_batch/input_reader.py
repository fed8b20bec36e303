"""`InputReader`: reads one input at a time and decides how to process it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from dashscope._batch.context import BatchContext
from dashscope._batch.recovery import resume
from dashscope._batch.row import Row
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
            entry = await context.checkpoint.load(row)
        except CheckpointError:
            raise
        except (FileError, TypeError, ValueError) as error:
            context.put_error(row, error)
            return
        if (entry is not None and entry.is_busy) or not resume(context, row, entry):
            context.scheduler.add_unconfirmed(row)


def total_of(inputs: Any) -> int | None:
    """Return the number of inputs, or `None` if they have no length."""
    if isinstance(inputs, Mapping) or not hasattr(inputs, "__len__"):
        return None
    return len(inputs)
