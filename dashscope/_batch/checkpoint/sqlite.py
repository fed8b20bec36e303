"""The file of a checkpoint: an SQLite database that one process has at a time.

What is written is on the disk when a method returns. The lock is the operating system's, held by
the open file: it is gone with the process, however that ends.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from dashscope._errors import CheckpointError

APPLICATION: Final = 0x44534350
"""What marks a database as one of ours: DSCP."""
SCHEMA: Final = 1
LOCK_WAIT: Final = 1.0
"""Seconds to wait for a lock: one that a process held is gone as soon as the process is."""
MOST_PARAMETERS: Final = 500

_CREATE: Final = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA};
CREATE TABLE batch (ref TEXT NOT NULL);
CREATE TABLE row (
    position INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    preview TEXT NOT NULL,
    sent BLOB,
    intended_at TEXT,
    prediction TEXT,
    created_at TEXT,
    leaving INTEGER NOT NULL DEFAULT 0,
    outcome TEXT
);
CREATE INDEX row_by_prediction ON row (prediction) WHERE prediction IS NOT NULL;
"""
_REASONS: Final = {
    "SQLITE_NOTADB": "it is no SQLite database",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_BUSY": "it is in use by another process, or by another map() of this one",
    "SQLITE_CANTOPEN": "see that its folder exists, and that the file may be written",
    "SQLITE_READONLY": "it may not be written",
    "SQLITE_FULL": "there is no space left for it",
    "SQLITE_IOERR": "the disk is full, or broken",
}

Statement = tuple[str, Sequence[Any]]


@frozen(kw_only=True)
class Stored:
    """A row as it is stored, without its outcome."""

    position: int
    digest: bytes
    preview: str
    sent: bytes | None
    intended_at: str | None
    prediction: str | None
    created_at: str | None
    leaving: int
    is_over: int


class CheckpointFile:
    """The open file.

    Attributes:
        last_write: when it was last written before it was opened, in seconds since the epoch.
        rows: how many rows it had when it was opened: the last position, and one.
    """

    def __init__(self, path: str, ref: str) -> None:
        self._path = path
        self._ref = ref
        self._connection: sqlite3.Connection | None = None
        self.last_write = 0.0
        self.rows = 0

    def open(self) -> None:
        """Open it, or make it.

        Raises:
            CheckpointError: when it is in use, or not a checkpoint of this model.
        """
        self.last_write = _last_write(self._path)
        with self._said("cannot be used as a checkpoint"):
            connection = sqlite3.connect(
                Path(self._path).absolute(),
                timeout=LOCK_WAIT,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def close(self) -> None:
        """Close it, and let others have it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._said("cannot be closed"):
                connection.close()

    def read(self, first: int, count: int) -> dict[int, Stored]:
        """Rows from a position on."""
        rows = self._rows(
            "SELECT position, digest, preview, sent, intended_at, prediction, created_at, leaving, "
            "outcome IS NOT NULL AS is_over FROM row WHERE position >= ? AND position < ?",
            (first, first + count),
        )
        return {row["position"]: Stored(**dict(row)) for row in rows}

    def outcome(self, position: int) -> str:
        """The JSON of the prediction of a row that is over."""
        (row,) = self._rows("SELECT outcome FROM row WHERE position = ?", (position,))
        outcome: str = row["outcome"]
        return outcome

    def claimed(self, ids: Collection[str]) -> set[str]:
        """Those of these predictions that a row has."""
        found: set[str] = set()
        every = list(ids)
        for start in range(0, len(every), MOST_PARAMETERS):
            some = every[start : start + MOST_PARAMETERS]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT prediction FROM row WHERE prediction IN ({marks})"  # noqa: S608 (marks)
            found |= {row["prediction"] for row in self._rows(sql, some)}
        return found

    def write(self, statements: Iterable[Statement]) -> None:
        """Carry out statements, all of them or none."""
        with self._said("cannot be written"):
            connection = self._open()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for sql, parameters in statements:
                    connection.execute(sql, parameters)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        with connection:
            connection.execute("BEGIN EXCLUSIVE")
            if self._is_new(connection):
                for sql in _CREATE.split(";"):
                    connection.execute(sql)
                connection.execute("INSERT INTO batch VALUES (?)", (self._ref,))
            else:
                self._check(connection)
        # A process that is killed leaves whole transactions in either mode; this one asks the
        # disk once for each.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (last,) = connection.execute("SELECT max(position) FROM row").fetchone()
        self.rows = 0 if last is None else last + 1

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        marks = [_pragma(connection, name) for name in ("application_id", "user_version")]
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return marks == [0, 0] and tables == 0

    def _check(self, connection: sqlite3.Connection) -> None:
        if _pragma(connection, "application_id") != APPLICATION:
            raise CheckpointError(f"{self._path} is not a checkpoint: another program's database.")
        version = _pragma(connection, "user_version")
        if version != SCHEMA:
            raise CheckpointError(
                f"{self._path} was written by a newer version of Dashscope (its schema is "
                f"{version}, this version knows {SCHEMA}): update, or use another file."
            )
        (ref,) = connection.execute("SELECT ref FROM batch").fetchone()
        if ref != self._ref:
            raise CheckpointError(
                f"{self._path} is the checkpoint of a batch of {ref}, not of {self._ref}: "
                "use another file."
            )

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[sqlite3.Row]:
        with self._said("cannot be read"):
            return self._open().execute(sql, parameters).fetchall()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise CheckpointError(f"{self._path} is closed: the batch was left.")
        return self._connection

    @contextmanager
    def _said(self, what: str) -> Generator[None]:
        """Say plainly what SQLite has against it."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            reason = next((text for code, text in _REASONS.items() if name.startswith(code)), "")
            explanation = f"{reason} ({error})" if reason else str(error)
        else:
            return
        raise CheckpointError(f"{self._path} {what}: {explanation}.")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    number: int = value
    return number


def _last_write(path: str) -> float:
    """When the file, or what SQLite keeps beside it, was last written."""
    times = [0.0]
    for name in (path, f"{path}-wal"):
        try:
            times.append(Path(name).stat().st_mtime)
        except OSError:
            continue
    return min(max(times), time.time())
