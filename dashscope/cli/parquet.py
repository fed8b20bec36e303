"""Parquet by pyarrow (extra `parquet`), which is loaded when it is used and has no types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from dashscope import DashscopeError, FileError
from dashscope._common.json import is_array, is_object

AT_ONCE: Final = 512
"""Rows in memory."""

_TYPES: Final = {int: "int64", float: "float64", str: "string"}


def check_installed() -> None:
    """See that the extra is there.

    Raises:
        DashscopeError: when it is not.
    """
    if find_spec("pyarrow") is None:
        raise DashscopeError("Parquet needs: pip install 'dashscope-client[parquet]'")


def read(path: str) -> Iterator[dict[str, Any]]:
    """The rows of a file: JSON, with bytes for files, times in ISO 8601 and decimals as numbers.

    Raises:
        FileError: when it is not Parquet.
    """
    arrow = import_module("pyarrow")
    try:
        with import_module("pyarrow.parquet").ParquetFile(path) as file:
            for piece in file.iter_batches(batch_size=AT_ONCE):
                yield from map(_plain, piece.to_pylist())
    except arrow.ArrowException as error:
        raise FileError(f"{path} is not Parquet: {error}") from error


def part_of(path: Path) -> Path:
    """The file beside another one that is written first, to take its place when it is whole."""
    return path.with_name(f".{path.name}.part")


def count(path: Path, columns: Sequence[str]) -> int | None:
    """How many rows a file has; `None` where it has other columns, or is not Parquet."""
    arrow = import_module("pyarrow")
    try:
        found = import_module("pyarrow.parquet").read_metadata(path)
    except arrow.ArrowException:
        return None
    rows: int = found.num_rows
    return rows if tuple(found.schema.names) == tuple(columns) else None


class Writer:
    """Rows into a file, which appears under its name when it is closed: there are no half ones.

    Args:
        path: the file.
        columns: the types of its columns, by name.
    """

    def __init__(self, path: Path, columns: Mapping[str, type]) -> None:
        self._arrow = import_module("pyarrow")
        fields = [(name, getattr(self._arrow, _TYPES[kind])()) for name, kind in columns.items()]
        self._schema = self._arrow.schema(fields)
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
        """Write the rest, and give the file its name; without `replace`, it is gone."""
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


def _plain(value: Any) -> Any:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if whole else float(value)
    if is_object(value):
        return {key: _plain(item) for key, item in value.items()}
    if is_array(value):
        return [_plain(item) for item in value]
    return value
