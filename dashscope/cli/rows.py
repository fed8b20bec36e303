"""Readers for the rows of a batch: JSON lines, CSV or Parquet, by the file's extension.

A file is read twice: first as a whole, to report invalid rows before anything is sent, and then
as the batch needs rows. Stdin (`-`) is JSON lines, and is read once.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import NoneType
from typing import IO, Any, Final

from attrs import frozen

from dashscope import FileError
from dashscope._common.json import decode, is_array, is_object
from dashscope._functions.check import is_uri
from dashscope._functions.schema import kind_of
from dashscope.cli import parquet
from dashscope.cli.inputs import STDIN, UNKNOWN, InputType, check_file, fitted, read
from dashscope.cli.terminal import counted

LONGEST_CELL: Final = 2**31 - 1
"""The maximum number of characters in a CSV cell, which can contain a data URI."""


@frozen
class Row:
    """A row of a file.

    Attributes:
        place: Where it is, for messages.
        inputs: Its inputs in JSON's types, which can be read again as a line of JSON.
        cells: Its cells by column, as results in a table repeat them.
    """

    place: str
    inputs: dict[str, Any]
    cells: Mapping[str, Any]


class RowInput(dict[str, Any]):
    """The input of the model that a row makes.

    Attributes:
        row: The row.
    """

    __slots__ = ("row",)

    def __init__(self, row: Row, input: Mapping[str, Any]) -> None:
        super().__init__(input)
        self.row = row


class Rows:
    """The rows of a file.

    Attributes:
        known: The types of the model's inputs, which define the types of CSV cells.
        base: Default inputs for all rows.
        not_urls: The inputs that take a file or a URL and had other text in a row.
        columns: The types of the columns, or `None` if they are not known in advance.
    """

    def __init__(self, source: str, files: Iterable[str]) -> None:
        self.known: Mapping[str, InputType] = {}
        self.base: Mapping[str, Any] = {}
        self.not_urls: set[str] = set()
        self.columns: Mapping[str, Any] | None = None
        self._source = source
        self._read = _READERS[format_of(source, "read")]
        self._files = frozenset(files)

    def __iter__(self) -> Iterator[RowInput]:
        return map(self._input, self._read(self._source, self.known))

    def _input(self, read: Row) -> RowInput:
        row = read.inputs
        types = {name: self.known.get(name, UNKNOWN) for name in row}
        input = {**self.base, **{name: fitted(row[name], types[name].kinds) for name in row}}
        for key in self._files & row.keys():
            input[key] = _files(f"{read.place}: {key}", row[key])
        for key, type in types.items():
            if type.is_url and isinstance(input[key], str) and not is_uri(input[key]):
                self.not_urls.add(key)
        return RowInput(read, input)


def _files(what: str, value: Any) -> Any:
    """Return the file, or the list of files, that a path or a list of paths names."""
    if is_array(value):
        return [_files(f"{what}[{index}]", path) for index, path in enumerate(value)]
    if not isinstance(value, str):
        raise FileError(f"{what} is {value!r}, not the path of a file")
    check_file(f"{what}={value}", value)
    return Path(value)


class CountedRows(Rows):
    """The rows of a file that has been read and checked once. They have a length."""

    def __init__(self, source: str, files: Iterable[str]) -> None:
        super().__init__(source, files)
        self._count = 0
        types: dict[str, set[type]] = {}
        for given in self:
            self._count += 1
            for name, value in given.row.cells.items():
                types.setdefault(name, set()).add(_type_of(value))
        self.columns = {name: _column_type(found) for name, found in types.items()}
        if format_of(source, "read") == ".parquet":
            self.columns = parquet.columns_of(source)

    def __len__(self) -> int:
        return self._count


def _type_of(value: Any) -> type:
    """Return the type of a cell: one that a column can have, else `object`."""
    if type(value) is int and not -(2**63) <= value < 2**63:
        return object
    for kind in (bool, int, float, str, NoneType):
        if type(value) is kind:
            return kind
    return object


def _column_type(found: set[type]) -> type:
    """Return the type of a column with cells of these types; `object` is JSON."""
    types = found - {NoneType}
    if types == {int, float}:
        return float
    return types.pop() if len(types) == 1 else object if types else str


def open_rows(source: str, *, files: Iterable[str]) -> Rows:
    """Return the rows of a file, after checking all of them, or of stdin.

    Raises:
        FileError: The file cannot be read, or contains an invalid row.
    """
    kind = Rows if source == STDIN else CountedRows
    return kind(source, files)


def format_of(path: str, verb: str) -> str:
    """Return the format of a file, as the extension `.jsonl`, `.csv` or `.parquet`.

    Raises:
        FileError: The extension is unknown.
        DashscopeError: The extra for the format is not installed.
    """
    if path == STDIN:
        return ".jsonl"
    extension = {".ndjson": ".jsonl"}.get(suffix := Path(path).suffix.lower(), suffix)
    if extension not in _READERS:
        raise FileError(
            f"{path} cannot be {verb}: the extension has to be .jsonl, .csv or .parquet"
        )
    if extension == ".parquet":
        parquet.check_installed()
    return extension


def _json_lines(source: str, known: Mapping[str, InputType]) -> Iterator[Row]:
    with _opened(source) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{'stdin' if source == STDIN else source}, line {number}"
            try:
                row = decode(line)
            except (ValueError, RecursionError) as error:
                cut = "" if line.endswith(b"\n") else " The file may be incomplete."
                raise FileError(f"{place} is not JSON: {error}.{cut}") from error
            if not is_object(row):
                raise FileError(f"{place} is a JSON {kind_of(row)}, not an object of inputs")
            yield Row(place, row, row)


def _csv(source: str, known: Mapping[str, InputType]) -> Iterator[Row]:
    """Yield the rows of a CSV file. An empty cell is a missing input."""
    csv.field_size_limit(LONGEST_CELL)
    with Path(source).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, list[str]())
        if len(set(header)) < len(header) or "" in header:
            raise FileError(f"{source}: each column needs a unique name: {', '.join(header)}")
        separator = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
        if separator is not None:
            raise FileError(f"{source}: cells are separated by {separator!r}, not by commas")
        for cells in reader:
            place = f"{source}, line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise FileError(
                    f"{place} has {counted(len(cells), 'cell')}, but the header has {len(header)}"
                )
            named = dict(zip(header, cells, strict=True))
            yield Row(
                place,
                {
                    name: read(cell, known.get(name, UNKNOWN).kinds)
                    for name, cell in named.items()
                    if cell
                },
                {name: _number(cell) if cell else None for name, cell in named.items()},
            )


def _number(cell: str) -> str | float:
    """Return the number that a cell is, if the number is written exactly like that."""
    for kind in (int, float):
        with suppress(ValueError):
            if str(number := kind(cell)) == cell and math.isfinite(number):
                return number
    return cell


def _parquet(source: str, known: Mapping[str, InputType]) -> Iterator[Row]:
    """Yield the rows of a Parquet file. Null is a missing input."""
    for number, row in enumerate(parquet.read(source), start=1):
        given = {name: parquet.plain(value) for name, value in row.items() if value is not None}
        yield Row(f"{source}, row {number}", given, row)


Reader = Callable[[str, Mapping[str, InputType]], Iterator[Row]]


def _guarded(read: Reader) -> Reader:
    """Return the same reader, with problems of the file as `FileError`."""

    def guarded(source: str, known: Mapping[str, InputType]) -> Iterator[Row]:
        try:
            yield from read(source, known)
        except OSError as error:
            raise FileError(f"{source} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise FileError(f"{source} is not UTF-8: {error}") from error
        except csv.Error as error:
            raise FileError(f"{source} is not CSV: {error}") from error

    return guarded


_READERS: Final[Mapping[str, Reader]] = {
    ".jsonl": _guarded(_json_lines),
    ".csv": _guarded(_csv),
    ".parquet": _guarded(_parquet),
}


@contextmanager
def _opened(source: str) -> Generator[IO[bytes]]:
    if source == STDIN:
        yield sys.stdin.buffer
        return
    with Path(source).open("rb") as file:
        yield file
