"""Writers for the results of a batch: JSON lines, CSV or Parquet.

JSON lines and CSV are written while the batch runs, so that a crash loses nothing. A Parquet file
is complete or missing: it appears when the batch ends, also with an error.
"""

from __future__ import annotations

import csv
from abc import abstractmethod
from collections.abc import Container, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dashscope import BatchResult, FileError
from dashscope._common.json import object_in
from dashscope.cli import parquet
from dashscope.cli.inputs import STDIN
from dashscope.cli.parquet import part_of
from dashscope.cli.rows import format_of
from dashscope.cli.terminal import json_text, writable, write

FIELDS: Final = ("index", "status", "input", "output", "error", "prediction", "predict_time")
"""The keys of a result in JSON lines."""
COLUMNS: Final[Mapping[str, type]] = {
    "index": int,
    "status": str,
    "output": object,
    "error": str,
    "prediction_id": str,
    "predict_time": float,
}
"""The columns that a table has after those of the rows; `object` is JSON."""


def record(result: BatchResult) -> dict[str, Any]:
    """Return a result as JSON lines have it."""
    values = _values(result)
    return {
        "index": values["index"],
        "status": values["status"],
        "input": dict(result.input),
        "output": values["output"],
        "error": values["error"],
        "prediction": values["prediction_id"],
        "predict_time": values["predict_time"],
    }


def _values(result: BatchResult) -> dict[str, Any]:
    prediction = result.prediction
    metrics = None if prediction is None else prediction.metrics
    return {
        "index": result.index,
        "status": "succeeded" if result.ok else "failed",
        "output": result["output"],
        "error": None if result.error is None else str(result.error),
        "prediction_id": None if prediction is None else prediction.id,
        "predict_time": None if metrics is None else metrics.predict_time,
    }


class Table:
    """The columns of a table of results: those of the rows, then those of the results.

    Args:
        own: The types of the rows' columns. Without them, rows are JSON in the column `input`.
    """

    def __init__(self, own: Mapping[str, Any] | None) -> None:
        self._has_rows = own is not None
        self._own = {"input": object} if own is None else own
        self._names = {name: _unlike(name, self._own) for name in COLUMNS}
        self.output = self._names["output"]
        self.types = {**self._own, **{self._names[name]: kind for name, kind in COLUMNS.items()}}

    def cells(self, result: BatchResult) -> dict[str, Any]:
        """Return the cells of a result by column."""
        own = result.input.row.cells if self._has_rows else {"input": dict(result.input)}
        cells = {name: own.get(name) for name in self._own}
        return {**cells, **{self._names[name]: value for name, value in _values(result).items()}}


def _unlike(name: str, taken: Container[str]) -> str:
    """Return the name of a result's column; a row can have a column of the same name."""
    while name in taken:
        name = f"result_{name}"
    return name


def _are_results(names: Sequence[str]) -> bool:
    """True if a table with these columns is one of results."""
    last = names[-len(COLUMNS) :]
    return [name.replace("result_", "") for name in last] == list(COLUMNS)


class Results(AbstractContextManager["Results"]):
    """A file that results are written to.

    The results of an earlier call stay in the file until there are as many new ones. Until then,
    new results are written to a file next to it.

    Args:
        path: The file.
        kept: The number of results in the file that are kept.
    """

    def __init__(self, path: str, *, kept: int = 0) -> None:
        self.path = path
        self.count = 0
        self.has_replaced = False
        self._kept = kept

    def write(self, result: BatchResult) -> None:
        """Write a result.

        Raises:
            FileError: The file cannot be written.
            BrokenPipeError: The reader of stdout has closed it.
        """
        with writing(self.path):
            self._write(result)
            self.count += 1
            self._replace_in_time()

    def __enter__(self) -> Self:
        with writing(self.path):
            self._open()
            self._replace_in_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with writing(self.path):
                if error is None:
                    self._replace()
                self._close()
        except FileError:
            if error is None:
                raise  # otherwise `error` is the first one

    def _replace_in_time(self) -> None:
        if self.count >= self._kept:
            self._replace()

    def _replace(self) -> None:
        self.has_replaced = True

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _write(self, result: BatchResult) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class _Lines(Results):
    """A text file that is flushed after each line, or stdout."""

    _text: _Text | None = None

    def _open(self) -> None:
        if self.path != STDIN:
            self._text = _Text(self.path, temporary=self._kept > 0)

    def _line(self, line: str) -> None:
        if self._text is None:
            write(line)
        else:
            self._text.file.write(line)
            self._text.file.flush()

    def _replace(self) -> None:
        super()._replace()
        if self._text is not None:
            self._text.replace()

    def _close(self) -> None:
        if self._text is not None:
            self._text.close()


class JSONLines(_Lines):
    """One JSON object per line."""

    def _write(self, result: BatchResult) -> None:
        self._line(json_text(record(result)) + "\n")


class CSV(_Lines):
    """A header, and a line for each result. Values other than text and numbers are JSON."""

    def __init__(self, path: str, table: Table, *, kept: int = 0) -> None:
        super().__init__(path, kept=kept)
        self._table = table

    def _open(self) -> None:
        super()._open()
        try:
            self._line(_row(self._table.types))
        except OSError:
            with suppress(OSError):
                self._close()
            raise

    def _write(self, result: BatchResult) -> None:
        self._line(_row(_cell(value) for value in self._table.cells(result).values()))


class Parquet(Results):
    """Columns with types. `output`, and columns of mixed types, are JSON."""

    _file: parquet.Writer

    def __init__(self, path: str, table: Table, *, kept: int = 0) -> None:
        super().__init__(path, kept=kept)
        self._table = table

    def _open(self) -> None:
        self._file = parquet.Writer(Path(self.path), self._table.types)

    def _write(self, result: BatchResult) -> None:
        types = self._table.types
        cells = self._table.cells(result)
        typed = {name: _typed(value, types[name]) for name, value in cells.items()}
        if result.ok:  # an output can be null
            typed[self._table.output] = json_text(result.output)
        self._file.write(typed)

    def _close(self) -> None:
        self._file.close(replace=self.has_replaced)


class Failures(AbstractContextManager["Failures"]):
    """The file of the failed rows, which is created for the first of them.

    The file of an earlier call stays until its results are replaced.

    Args:
        path: The file, or `None` to not write one.
        results: The results of the batch.
    """

    def __init__(self, path: str | None, results: Results) -> None:
        self._path = path
        self._results = results
        self._text: _Text | None = None
        self._has_replaced = False

    @property
    def written(self) -> str | None:
        """The file, or `None` if no row failed."""
        return None if self._text is None else self._path

    def add(self, result: BatchResult) -> None:
        """Write the row of a result that failed, as it was read."""
        if self._path is None:
            return
        with writing(self._path):
            self._follow(self._path)
            if not result.ok:
                if self._text is None:
                    self._text = _Text(self._path, temporary=not self._has_replaced)
                self._text.file.write(json_text(result.input.row.inputs) + "\n")
                self._text.file.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._path is None:
            return
        with writing(self._path):
            self._follow(self._path)
            if self._text is not None:
                self._text.close()

    def _follow(self, path: str) -> None:
        """Replace the file of an earlier call once its results are replaced."""
        if self._has_replaced or not self._results.has_replaced:
            return
        self._has_replaced = True
        if self._text is not None:
            self._text.replace()
        else:
            Path(path).unlink(missing_ok=True)


class _Text:
    """A text file, or a temporary file that replaces it later."""

    def __init__(self, path: str, *, temporary: bool) -> None:
        self._path = Path(path).resolve()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._part = part_of(self._path) if temporary else None
        self.file = (self._part or self._path).open("w", encoding="utf-8", newline="")

    def replace(self) -> None:
        """Replace the file, and append to it from now on."""
        if self._part is not None:
            self.file.close()  # Windows cannot rename open files
            self._part.replace(self._path)
            self._part = None
            self.file = self._path.open("a", encoding="utf-8", newline="")

    def close(self) -> None:
        """Close the file. A temporary file is deleted."""
        self.file.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)


@contextmanager
def writing(path: str) -> Generator[None]:
    """Name the file in errors while writing to it.

    Raises:
        FileError: The file cannot be written.
        BrokenPipeError: The reader of stdout has closed it.
    """
    try:
        yield
    except OSError as error:
        if path == STDIN and isinstance(error, BrokenPipeError):
            raise
        what = "stdout" if path == STDIN else path
        raise FileError(f"{what} cannot be written: {error.strerror or error}") from error


def results(path: str, columns: Mapping[str, Any] | None = None, *, kept: int = 0) -> Results:
    """Return the writer for a file, by its extension.

    Args:
        path: The file, or `-` for stdout.
        columns: The types of the rows' columns, if they are known.
        kept: The number of results in the file that are kept.
    """
    extension = format_of(path, "written")
    if extension == ".jsonl":
        return JSONLines(path, kept=kept)
    return (CSV if extension == ".csv" else Parquet)(path, Table(columns), kept=kept)


def count_results(path: Path) -> int | None:
    """Return how many results of a batch a file has, or `None` if it has something else."""
    kind = format_of(str(path), "written")
    if kind == ".parquet":
        return parquet.count(path, _are_results)
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        if kind == ".csv":
            rows = csv.reader(file)
            return sum(1 for _ in rows) if _are_results(next(rows, list(COLUMNS))) else None
        first = file.readline()
        if first and tuple(object_in(first)) != FIELDS:
            return None
        return bool(first) + sum(1 for _ in file)


def _row(cells: Iterable[Any]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    value = parquet.plain(value)
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, bytes):
        return json_text(value)[1:-1]  # a data URI
    return "" if value is None else json_text(value)


def _typed(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if kind is object:
        return json_text(value)
    if kind is float:
        return float(value)
    return writable(value) if kind is str else value
