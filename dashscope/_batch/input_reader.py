"""`InputReader`: reads one input at a time and decides how to process it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from dashscope._batch.context import BatchContext
from dashscope._batch.recovery import resume
from dashscope._batch.row import Row
from dashscope._common.plain import without_missing
from dashscope._errors import CheckpointError, FileError
from dashscope._files import inputs as _inputs

ROWS_AT_ONCE: Final = 256
"""How many rows of an Arrow table to convert at once."""


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
            row.input = _inputs.settled(_inputs.as_mapping(row.input))
            entry = await context.checkpoint.load(row)
        except CheckpointError:
            raise
        except (FileError, TypeError, ValueError) as error:
            context.put_error(row, error)
            return
        if (entry is not None and entry.is_busy) or not resume(context, row, entry):
            context.scheduler.add_unconfirmed(row)


class TableRows:
    """The rows of a table as mappings, without missing values.

    Args:
        rows: Iterates over the rows, each a mapping or the values of the columns.
        columns: The names of the columns.
        count: The number of rows.
    """

    def __init__(
        self, rows: Callable[[], Iterable[Any]], columns: Iterable[Any], count: int
    ) -> None:
        self._rows = rows
        self._columns = tuple(columns)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows():
            cells: Any = row
            if not isinstance(row, Mapping):
                cells = dict(zip(self._columns, row, strict=True))
            yield without_missing(cells)


def rows_of(inputs: Any) -> Any:
    """Return the rows of a table of pandas, Polars, Arrow or `datasets`, or other inputs as is.

    The libraries are not imported. Tables are known by their methods.
    """
    has = partial(hasattr, inputs)
    if has("itertuples") and has("columns"):
        rows = partial(inputs.itertuples, index=False, name=None)
        return TableRows(rows, inputs.columns, len(inputs))
    if has("iter_rows") and has("columns"):
        return TableRows(partial(inputs.iter_rows, named=True), inputs.columns, len(inputs))
    if has("to_batches") and has("to_pylist") and has("column_names"):
        return TableRows(partial(_arrow_rows, inputs), inputs.column_names, len(inputs))
    if has("to_pylist") and has("column_names"):
        return TableRows(inputs.to_pylist, inputs.column_names, len(inputs))
    if has("features") and has("column_names") and has("__len__") and not has("keys"):
        return TableRows(partial(iter, inputs), (), len(inputs))
    if has("collect") and has("lazy"):
        raise TypeError("inputs is a lazy frame: pass frame.collect()")
    return inputs


def _arrow_rows(table: Any) -> Iterator[Any]:
    for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
        yield from batch.to_pylist()


def total_of(inputs: Any) -> int | None:
    """Return the number of inputs, or `None` if they have no length."""
    if isinstance(inputs, Mapping) or not hasattr(inputs, "__len__"):
        return None
    return len(inputs)
