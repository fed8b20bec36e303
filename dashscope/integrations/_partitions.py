"""Partitions of data engines: pandas, Polars, Arrow and plain Python, read and extended by rows.

None of the libraries is imported. A partition shows by its class which library it comes from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from importlib import import_module
from typing import Any, Final, cast

from attrs import frozen

from dashscope._common.json import is_array, is_mapping, is_sequence
from dashscope._common.validation import shown

SUPPORTED: Final = (
    "a pandas or Polars DataFrame, a pyarrow Table or RecordBatch, a list of dicts, a dict of "
    "columns, or an iterator of these"
)


@frozen
class Column:
    """A column to add.

    Attributes:
        values: Its cells, one for each row.
        is_number: Whether it contains numbers. All other columns contain text or Python values.
    """

    values: Sequence[Any]
    is_number: bool = False


@frozen
class Partition:
    """A partition.

    Attributes:
        columns: The names of its columns. `None` if each row has its own.
        rows: Its rows, as mappings.
        extend: Returns a partition of the same kind with more columns.
    """

    columns: Sequence[str] | None
    rows: Sequence[Mapping[str, Any]]
    extend: Callable[[Mapping[str, Column]], Any]


def is_iterator(partition: Any) -> bool:
    """Return whether an engine passes an iterator of partitions."""
    return isinstance(partition, Iterator)


def open_partition(partition: Any, *, as_text: bool) -> Partition:
    """Return the rows of a partition.

    Args:
        partition: The partition.
        as_text: Whether values that are not text become JSON text, also where Python values fit.

    Raises:
        TypeError: If it is of no supported kind.
    """
    library = type(partition).__module__.partition(".")[0]
    if library == "pandas" and hasattr(partition, "iloc"):
        return _pandas(partition, as_text=as_text)
    if library == "polars" and hasattr(partition, "with_columns"):
        return _polars(partition)
    if library == "pyarrow" and hasattr(partition, "to_pylist"):
        return _arrow(partition)
    if is_mapping(partition):
        return _columns(partition)
    if is_array(partition) and all(isinstance(row, Mapping) for row in partition):
        return _rows(partition)
    raise TypeError(f"a partition must be {SUPPORTED}, not {shown(partition)}")


def _pandas(frame: Any, *, as_text: bool) -> Partition:
    pandas = import_module("pandas")

    def extend(columns: Mapping[str, Column]) -> Any:
        added = {
            name: pandas.Series(
                list(column.values) if column.is_number or not as_text else _texts(column.values),
                index=frame.index,
                dtype="float64" if column.is_number else "object",
            )
            for name, column in columns.items()
        }
        return frame.assign(**added)

    names = [str(name) for name in frame.columns]
    series = [frame.iloc[:, place].tolist() for place in range(len(names))]
    return Partition(names, _rows_of(names, series), extend)


def _polars(frame: Any) -> Partition:
    polars = import_module("polars")

    def extend(columns: Mapping[str, Column]) -> Any:
        return frame.with_columns(
            polars.Series(name, column.values, dtype=polars.Float64)
            if column.is_number
            else polars.Series(name, _texts(column.values), dtype=polars.String)
            for name, column in columns.items()
        )

    return Partition(list(frame.columns), frame.to_dicts(), extend)


def _arrow(table: Any) -> Partition:
    arrow = import_module("pyarrow")

    def extend(columns: Mapping[str, Column]) -> Any:
        names, arrays = list(table.schema.names), list(table.columns)
        for name, column in columns.items():
            names.append(name)
            arrays.append(
                arrow.array(column.values, arrow.float64())
                if column.is_number
                else arrow.array(_texts(column.values), arrow.string())
            )
        kind = cast("Any", type(table))
        return kind.from_arrays(arrays, names=names)

    return Partition(list(table.schema.names), table.to_pylist(), extend)


def _columns(partition: Mapping[str, Any]) -> Partition:
    """Return the rows of a mapping of columns, as `datasets.map(batched=True)` and Ray pass it."""
    names = list(partition)
    series = [_values(name, partition[name]) for name in names]
    if len({len(values) for values in series}) > 1:
        raise TypeError("a dict of columns must have columns of the same length")

    def extend(columns: Mapping[str, Column]) -> Any:
        added = {
            name: list(column.values) if column.is_number else _texts(column.values)
            for name, column in columns.items()
        }
        return {**{name: partition[name] for name in names}, **added}

    return Partition(names, _rows_of(names, series), extend)


def _values(name: str, column: Any) -> list[Any]:
    if hasattr(column, "tolist"):
        found: list[Any] = column.tolist()
        return found
    if isinstance(column, str | bytes) or not is_sequence(column):
        raise TypeError(
            f"a partition must be {SUPPORTED}; in this dict, {name!r} is {shown(column)}. For "
            "datasets.map, pass batched=True."
        )
    return list(column)


def _rows(rows: Sequence[Mapping[str, Any]]) -> Partition:
    def extend(columns: Mapping[str, Column]) -> Any:
        return [
            {**row, **{name: column.values[place] for name, column in columns.items()}}
            for place, row in enumerate(rows)
        ]

    return Partition(None, rows, extend)


def _rows_of(names: Sequence[str], series: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(names, cells, strict=True)) for cells in zip(*series, strict=True)]


def _texts(values: Sequence[Any]) -> list[str | None]:
    """Return values as text: text as it is, everything else as JSON."""
    return [
        str(value)
        if isinstance(value, str)
        else None
        if value is None
        else json.dumps(value, ensure_ascii=False)
        for value in values
    ]


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: `None`, NaN, NaT or NA."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NaTType", "NAType")


def plain(value: Any) -> Any:
    """Return a cell as a value that an input may have."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if whole else float(value)
    if type(value).__module__.partition(".")[0] == "numpy":
        return plain(value.tolist())
    if is_mapping(value):
        return {key: plain(item) for key, item in value.items()}
    if is_array(value):
        return [plain(item) for item in value]
    return value
