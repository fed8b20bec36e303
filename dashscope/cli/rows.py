"""The rows of a batch: JSON lines, CSV or Parquet, by the file's extension; `-` is JSON lines.

A file is read twice: once to its end before anything is sent, so that a broken line is named
while it costs nothing, and then as the batch needs it.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from dashscope import FileError
from dashscope._common.json import decode, is_object
from dashscope._functions.schema import kind_of
from dashscope.cli import parquet
from dashscope.cli.inputs import ANYTHING, STDIN, check_file, fitted, read
from dashscope.cli.terminal import counted

if TYPE_CHECKING:
    from collections.abc import Generator

LONGEST_CELL: Final = 2**31 - 1
"""Characters of a cell of a CSV file; a file may be in it as a data URI."""


class Given(dict[str, Any]):
    """The input that a row makes.

    Attributes:
        row: the row as it was read, which can be fed in again.
    """

    __slots__ = ("row",)

    def __init__(self, row: dict[str, Any], input: Mapping[str, Any]) -> None:
        super().__init__(input)
        self.row = row


class Rows:
    """The rows of a file.

    Attributes:
        known: the JSON types of the model's inputs, to read the cells of CSV by.
        base: inputs of each row that does not say otherwise.
    """

    def __init__(self, source: str, files: Iterable[str]) -> None:
        self.known: Mapping[str, frozenset[str]] = {}
        self.base: Mapping[str, Any] = {}
        self._source = source
        self._read = _READERS[format_of(source, "read")]
        self._files = frozenset(files)

    def __iter__(self) -> Iterator[Given]:
        for place, row in self._read(self._source, self.known):
            yield self._given(place, row)

    def _given(self, place: str, row: dict[str, Any]) -> Given:
        kinds = {name: self.known.get(name, ANYTHING) for name in row}
        input = {**self.base, **{name: fitted(row[name], kinds[name]) for name in row}}
        for key in self._files & row.keys():
            path = row[key]
            if not isinstance(path, str):
                raise FileError(f"{place}: {key} is the path of a file, not {path!r}")
            check_file(f"{place}: {key}={path}", path)
            input[key] = Path(path)
        return Given(row, input)


class CountedRows(Rows):
    """Rows that were all read once and are good: an iterable with a length."""

    def __init__(self, source: str, files: Iterable[str]) -> None:
        super().__init__(source, files)
        self._count = sum(1 for _ in self)

    def __len__(self) -> int:
        return self._count


def open_rows(source: str, *, files: Iterable[str]) -> Rows:
    """The rows of a file, all of them checked, or of stdin, which can be read once only.

    Raises:
        FileError: when the file cannot be read, or a row in it is none.
    """
    kind = Rows if source == STDIN else CountedRows
    return kind(source, files)


def format_of(path: str, verb: str) -> str:
    """What a file holds, by its extension.

    Raises:
        FileError: when the extension is none of ours, or asks for an extra.
    """
    if path == STDIN:
        return ".jsonl"
    extension = {".ndjson": ".jsonl"}.get(suffix := Path(path).suffix.lower(), suffix)
    if extension not in _READERS:
        raise FileError(
            f"{path} cannot be {verb}: rows are in .jsonl, .csv or .parquet, by the extension"
        )
    if extension == ".parquet":
        parquet.check_installed()
    return extension


def _json_lines(source: str, known: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, Any]]:
    with _opened(source) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{'stdin' if source == STDIN else source}, line {number}"
            try:
                row = decode(line)
            except (ValueError, RecursionError) as error:
                cut = "" if line.endswith(b"\n") else " It is the last one: is the file whole?"
                raise FileError(f"{place} is not JSON: {error}.{cut}") from error
            if not is_object(row):
                raise FileError(f"{place} is a JSON {kind_of(row)}, not an object of inputs")
            yield place, row


def _csv(source: str, known: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, Any]]:
    """Each row as an object; an empty cell is an input that is not given."""
    csv.field_size_limit(LONGEST_CELL)
    with Path(source).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, list[str]())
        if len(set(header)) < len(header) or "" in header:
            raise FileError(f"{source}: each column needs a name of its own: {', '.join(header)}")
        parting = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
        if parting is not None:
            raise FileError(f"{source}: its cells are parted by {parting!r}, not by commas")
        for cells in reader:
            place = f"{source}, line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise FileError(
                    f"{place} has {counted(len(cells), 'cell')}, and the heading {len(header)}"
                )
            named = zip(header, cells, strict=True)
            yield (
                place,
                {name: read(cell, known.get(name, ANYTHING)) for name, cell in named if cell},
            )


def _parquet(source: str, known: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, Any]]:
    """Each row as an object; null is an input that is not given."""
    for number, row in enumerate(parquet.read(source), start=1):
        yield (
            f"{source}, row {number}",
            {name: value for name, value in row.items() if value is not None},
        )


Reader = Callable[[str, Mapping[str, frozenset[str]]], Iterator[tuple[str, Any]]]


def _guarded(read: Reader) -> Reader:
    """The same reader; what goes wrong with the file is a `FileError`."""

    def guarded(source: str, known: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, Any]]:
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
