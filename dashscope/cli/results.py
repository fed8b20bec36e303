"""The results of a batch: JSON lines, CSV or Parquet, a row each.

JSON lines and CSV are written as results come, so that they are there whatever happens; Parquet
has no half files, and appears when the batch ends, in whatever way Python can end it.
"""

from __future__ import annotations

import csv
import sys
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from dashscope import BatchResult, FileError
from dashscope._common.json import object_in
from dashscope.cli import parquet
from dashscope.cli.inputs import STDIN
from dashscope.cli.parquet import part_of
from dashscope.cli.rows import format_of
from dashscope.cli.terminal import json_line, writable

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

FIELDS: Final[Mapping[str, type]] = {
    "index": int,
    "status": str,
    "input": str,
    "output": str,
    "error": str,
    "prediction": str,
    "predict_time": float,
}
"""What is written of a result, and what it is in a table."""


def record(result: BatchResult) -> dict[str, Any]:
    """A result as it is written."""
    prediction = result.prediction
    metrics = None if prediction is None else prediction.metrics
    return {
        "index": result.index,
        "status": "succeeded" if result.ok else "failed",
        "input": dict(result.input),
        "output": result.output,
        "error": None if result.error is None else str(result.error),
        "prediction": None if prediction is None else prediction.id,
        "predict_time": None if metrics is None else metrics.predict_time,
    }


class Results(AbstractContextManager["Results"]):
    """A file that records are written to.

    What it holds of an earlier call stays there until there is as much again: until then, records
    are written beside it.

    Args:
        path: the file.
        kept: how many records it holds.
    """

    def __init__(self, path: str, *, kept: int = 0) -> None:
        self.path = path
        self.count = 0
        self.has_replaced = False
        self._kept = kept

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one.

        Raises:
            FileError: when it cannot be written.
            BrokenPipeError: when nobody reads stdout any more.
        """
        with writing(self.path):
            self._write(record)
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
                raise  # else it is what went wrong already

    def _replace_in_time(self) -> None:
        if self.count >= self._kept:
            self._replace()

    def _replace(self) -> None:
        self.has_replaced = True

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _write(self, record: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class _Lines(Results):
    """A file of lines, each there as it is written; for `-`, stdout."""

    _text: _Text | None = None

    def _open(self) -> None:
        if self.path != STDIN:
            self._text = _Text(self.path, beside=self._kept > 0)

    def _line(self, line: str) -> None:
        file = sys.stdout if self._text is None else self._text.file
        file.write(line)
        file.flush()

    def _replace(self) -> None:
        super()._replace()
        if self._text is not None:
            self._text.replace()

    def _close(self) -> None:
        if self._text is not None:
            self._text.close()


class JSONLines(_Lines):
    """An object a line."""

    def _write(self, record: Mapping[str, Any]) -> None:
        self._line(json_line(record) + "\n")


class CSV(_Lines):
    """A heading and a line each; what is neither text nor number is JSON."""

    def _open(self) -> None:
        super()._open()
        try:
            self._line(_row(FIELDS))
        except OSError:
            with suppress(OSError):
                self._close()
            raise

    def _write(self, record: Mapping[str, Any]) -> None:
        self._line(_row(_cell(value) for value in record.values()))


class Parquet(Results):
    """Columns as in CSV; `input` and `output` are JSON."""

    _file: parquet.Writer

    def _open(self) -> None:
        self._file = parquet.Writer(Path(self.path), FIELDS)

    def _write(self, record: Mapping[str, Any]) -> None:
        output = None if record["error"] else json_line(record["output"])
        self._file.write({**record, "input": json_line(record["input"]), "output": output})

    def _close(self) -> None:
        self._file.close(replace=self.has_replaced)


class Failures(AbstractContextManager["Failures"]):
    """The file of the rows that failed, which appears with the first of them.

    One of an earlier call stays for as long as its results do.

    Args:
        path: the file; `None`: they are not written.
        results: where the results go.
    """

    def __init__(self, path: str | None, results: Results) -> None:
        self._path = path
        self._results = results
        self._text: _Text | None = None
        self._has_replaced = False

    @property
    def written(self) -> str | None:
        """The file, where there is one."""
        return None if self._text is None else self._path

    def add(self, result: BatchResult) -> None:
        """Note a row that failed, as it was read; others pass."""
        if self._path is None:
            return
        with writing(self._path):
            self._follow(self._path)
            if not result.ok:
                if self._text is None:
                    self._text = _Text(self._path, beside=not self._has_replaced)
                self._text.file.write(json_line(result.input.row) + "\n")
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
        """Let go of the rows of an earlier call, once its results are gone."""
        if self._has_replaced or not self._results.has_replaced:
            return
        self._has_replaced = True
        if self._text is not None:
            self._text.replace()
        else:
            Path(path).unlink(missing_ok=True)


class _Text:
    """A text file, or one beside it that takes its place."""

    def __init__(self, path: str, *, beside: bool) -> None:
        self._path = Path(path).resolve()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._part = part_of(self._path) if beside else None
        self.file = (self._part or self._path).open("w", encoding="utf-8", newline="")

    def replace(self) -> None:
        """Take the place of the file, and go on there."""
        if self._part is not None:
            self.file.close()  # not every system renames what is open
            self._part.replace(self._path)
            self._part = None
            self.file = self._path.open("a", encoding="utf-8", newline="")

    def close(self) -> None:
        """Write no more; one beside the file is gone."""
        self.file.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)


@contextmanager
def writing(path: str) -> Generator[None]:
    """Say which file cannot be written.

    Raises:
        FileError: when it cannot.
        BrokenPipeError: when nobody reads stdout any more.
    """
    try:
        yield
    except OSError as error:
        if path == STDIN and isinstance(error, BrokenPipeError):
            raise
        what = "stdout" if path == STDIN else path
        raise FileError(f"{what} cannot be written: {error.strerror or error}") from error


_WRITERS: Final[Mapping[str, type[Results]]] = {
    ".jsonl": JSONLines,
    ".csv": CSV,
    ".parquet": Parquet,
}


def results(path: str, *, kept: int = 0) -> Results:
    """What writes records there, by the extension; the file holds so many that are to be kept."""
    return _WRITERS[format_of(path, "written")](path, kept=kept)


def held(path: Path) -> int | None:
    """How many results of a batch a file holds; `None`: it holds something else."""
    kind = format_of(str(path), "written")
    if kind == ".parquet":
        return parquet.count(path, tuple(FIELDS))
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        if kind == ".csv":
            rows = csv.reader(file)
            return sum(1 for _ in rows) if next(rows, list(FIELDS)) == list(FIELDS) else None
        first = file.readline()
        if first and tuple(object_in(first)) != tuple(FIELDS):
            return None
        return bool(first) + sum(1 for _ in file)


def _row(cells: Iterable[Any]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    return "" if value is None else json_line(value)
