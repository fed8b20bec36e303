"""The results of a batch: JSON lines, CSV or Parquet, a row each.

JSON lines and CSV are written as results come, so that they are there whatever happens; Parquet
has no half files, and appears when the batch ends, in whatever way Python can end it.
"""

from __future__ import annotations

import csv
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

from dashscope import BatchResult, FileError
from dashscope._json import object_in
from dashscope.cli import parquet
from dashscope.cli.inputs import STDIN
from dashscope.cli.rows import format_of
from dashscope.cli.terminal import json_line, writable

if TYPE_CHECKING:
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
    """A file that records are written to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one.

        Raises:
            FileError: when it cannot be written.
        """
        self._try(lambda: self._write(record))
        self.count += 1

    def __enter__(self) -> Self:
        self._try(self._open)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._try(self._close)
        except FileError:
            if error is None:
                raise  # else it is what went wrong already

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _write(self, record: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except OSError as error:
            reason = error.strerror or error
            raise FileError(f"{self.path} cannot be written: {reason}") from error


class JSONLines(Results):
    """An object a line; for `-`, on stdout."""

    _file: IO[str]

    def _open(self) -> None:
        self._file = sys.stdout if self.path == STDIN else _opened(self.path)

    def _write(self, record: Mapping[str, Any]) -> None:
        self._file.write(json_line(record) + "\n")
        self._file.flush()

    def _close(self) -> None:
        if self.path != STDIN:
            self._file.close()


class CSV(Results):
    """A heading and a line each; what is neither text nor number is JSON."""

    _file: IO[str]

    def _open(self) -> None:
        self._file = _opened(self.path)
        try:
            self._line(FIELDS)
        except OSError:
            with suppress(OSError):
                self._file.close()
            raise

    def _write(self, record: Mapping[str, Any]) -> None:
        self._line([_cell(value) for value in record.values()])

    def _line(self, cells: Any) -> None:
        csv.writer(self._file, lineterminator="\n").writerow(cells)
        self._file.flush()

    def _close(self) -> None:
        self._file.close()


class Parquet(Results):
    """Columns as in CSV; `input` and `output` are JSON."""

    _file: parquet.Writer

    def _open(self) -> None:
        self._file = parquet.Writer(Path(self.path), FIELDS)

    def _write(self, record: Mapping[str, Any]) -> None:
        output = None if record["error"] else json_line(record["output"])
        self._file.write({**record, "input": json_line(record["input"]), "output": output})

    def _close(self) -> None:
        self._file.close()


_WRITERS: Final[Mapping[str, Callable[[str], Results]]] = {
    ".jsonl": JSONLines,
    ".csv": CSV,
    ".parquet": Parquet,
}


def results(path: str) -> Results:
    """What writes records there, by the extension."""
    return _WRITERS[format_of(path, "written")](path)


def is_ours(path: Path) -> bool:
    """Does this file hold the results of a batch, or nothing?"""
    if path.suffix.lower() == ".parquet":
        return tuple(parquet.columns(path)) == tuple(FIELDS)
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        first = file.readline()
    if path.suffix.lower() == ".csv":
        return first in ("", ",".join(FIELDS) + "\n")
    return not first or tuple(object_in(first)) == tuple(FIELDS)


def _opened(path: str) -> IO[str]:
    return Path(path).open("w", encoding="utf-8", newline="")


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    return "" if value is None else json_line(value)
