"""Parquet files, with pyarrow (extra `parquet`). pyarrow has no types and is imported on use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from dashscope import DashscopeError, FileError
from dashscope._common.installing import install_command
from dashscope._common.json import is_array, is_object

AT_ONCE: Final = 512
"""The number of rows to keep in memory."""

_TYPES: Final = {bool: "bool_", int: "int64", float: "float64", str: "string", object: "string"}


def check_installed() -> None:
    """Check that the extra is installed.

    Raises:
        DashscopeError: It is not.
    """
    if find_spec("pyarrow") is None:
        raise DashscopeError(f"Parquet support is not installed: {install_command('parquet')}")


def read(path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, with the values that pyarrow has for them.

    Raises:
        FileError: The file is not Parquet.
    """
    arrow = import_module("pyarrow")
    try:
        with import_module("pyarrow.parquet").ParquetFile(path) as file:
            for piece in file.iter_batches(batch_size=AT_ONCE):
                yield from piece.to_pylist()
    except arrow.ArrowException as error:
        raise FileError(f"{path} is not Parquet: {error}") from error


def columns_of(path: str) -> dict[str, Any]:
    """Return the columns of a file and their types in pyarrow."""
    schema = import_module("pyarrow.parquet").read_schema(path)
    return dict(zip(schema.names, schema.types, strict=True))


def part_of(path: Path) -> Path:
    """Return the path of the temporary file that replaces `path` when it is complete."""
    return path.with_name(f".{path.name}.part")


def count(path: Path, has: Callable[[Sequence[str]], bool]) -> int | None:
    """Return the number of rows of a file, or `None` if it has other columns or is not Parquet.

    Args:
        path: The file.
        has: Returns whether the names are those of the columns.
    """
    arrow = import_module("pyarrow")
    try:
        found = import_module("pyarrow.parquet").read_metadata(path)
    except arrow.ArrowException:
        return None
    rows: int = found.num_rows
    return rows if has(found.schema.to_arrow_schema().names) else None


class Writer:
    """Writes rows to a file, which appears under its name when it is closed.

    Args:
        path: The file.
        columns: The types of its columns: Python's, or pyarrow's as in `columns_of()`.
    """

    def __init__(self, path: Path, columns: Mapping[str, Any]) -> None:
        self._arrow = import_module("pyarrow")
        self._schema = self._arrow.schema(
            (name, getattr(self._arrow, _TYPES[kind])() if kind in _TYPES else kind)
            for name, kind in columns.items()
        )
        self._path = path.resolve()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._part = part_of(self._path)
        parquet = import_module("pyarrow.parquet")
        self._file = parquet.ParquetWriter(self._part, self._schema)
        self._waiting: list[Mapping[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row."""
        self._waiting.append(row)
        if len(self._waiting) >= AT_ONCE:
            self._flush()

    def close(self, *, replace: bool) -> None:
        """Write the remaining rows, and replace the file; without `replace`, discard the rows."""
        try:
            self._flush()
            self._file.close()
            if replace:
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)

    def _flush(self) -> None:
        table = self._arrow.Table.from_pylist(self._waiting, schema=self._schema)
        self._file.write_table(table)
        self._waiting = []


def plain(value: Any) -> Any:
    """Convert a value to JSON's types; bytes stay, times become ISO 8601, decimals numbers."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if whole else float(value)
    if is_object(value):
        return {key: plain(item) for key, item in value.items()}
    if is_array(value):
        return [plain(item) for item in value]
    return value
