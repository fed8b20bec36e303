"""`CheckpointDatabase`: the SQLite file of a checkpoint, and all of its SQL.

When a method returns, what it wrote is on disk. The file is locked by the operating system for as
long as it is open, so the lock ends with the process, even if the process is killed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from attrs import frozen

from dashscope._errors import CheckpointError

APPLICATION_ID: Final = 0x44534350
"""Identifies a database as a checkpoint: "DSCP"."""
SCHEMA_VERSION: Final = 2
LOCK_TIMEOUT: Final = 1.0
"""Seconds to wait for the lock of a process that is just exiting."""
MAX_PARAMETERS: Final = 500

_SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE batch (ref TEXT NOT NULL);
CREATE TABLE row (
    position INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    preview TEXT NOT NULL,
    sent BLOB,
    intended_at TEXT,
    prediction TEXT,
    created_at TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    clock_skew REAL
);
CREATE INDEX row_by_prediction ON row (prediction) WHERE prediction IS NOT NULL;
"""
# Version 1 stored `intended_at` by the server's clock, as far as it was known.
_MIGRATION_FROM_1: Final = (
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "ALTER TABLE row RENAME COLUMN leaving TO cancel_requested",
    "ALTER TABLE row ADD COLUMN clock_skew REAL",
    "UPDATE row SET clock_skew = 0 WHERE prediction IS NULL AND intended_at IS NOT NULL",
)
_REASONS: Final = {
    "SQLITE_NOTADB": "it is not an SQLite database",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_BUSY": "it is in use by another process, or by another map() of this process",
    "SQLITE_CANTOPEN": "check that its folder exists and that the file is writable",
    "SQLITE_READONLY": "it is read-only",
    "SQLITE_FULL": "no space is left for it",
    "SQLITE_IOERR": "the disk is full or broken",
}

Statement: TypeAlias = tuple[str, Sequence[Any]]
"""SQL and its parameters."""

RECORD_INTENT: Final = (
    "INSERT INTO row (position, digest, preview, sent, intended_at, clock_skew) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (position) DO UPDATE SET sent = excluded.sent, "
    "intended_at = excluded.intended_at, clock_skew = excluded.clock_skew"
)
RECORD_CLOCK_SKEW: Final = "UPDATE row SET clock_skew = ? WHERE position = ?"
RECORD_CREATED: Final = (
    "UPDATE row SET prediction = ?, created_at = ?, cancel_requested = 0 WHERE position = ?"
)
RECORD_FINISHED: Final = (
    "UPDATE row SET prediction = ?, outcome = ?, cancel_requested = 0 WHERE position = ?"
)
RECORD_CANCEL_REQUESTED: Final = "UPDATE row SET cancel_requested = 1 WHERE position = ?"
RESET: Final = (
    "UPDATE row SET sent = NULL, intended_at = NULL, clock_skew = NULL, prediction = NULL, "
    "created_at = NULL, cancel_requested = 0, outcome = NULL WHERE position = ?"
)


@frozen(kw_only=True)
class StoredRow:
    """A row as it is stored, without its finished prediction."""

    position: int
    digest: bytes
    preview: str
    sent: bytes | None
    intended_at: str | None
    clock_skew: float | None
    prediction: str | None
    created_at: str | None
    cancel_requested: int
    is_finished: int


class CheckpointDatabase:
    """An open checkpoint file. Only one thread may use it at a time.

    Attributes:
        last_write: When the file was last written before it was opened, in seconds since the
            epoch.
        rows: The number of rows when the file was opened.
    """

    def __init__(self, path: str, ref: str) -> None:
        self._path = path
        # Absolute, because the program may change its working directory.
        self._absolute = str(Path(path).absolute())
        self._ref = ref
        self._connection: sqlite3.Connection | None = None
        self._files: dict[str, tuple[int, int] | None] = {}
        self.last_write = 0.0
        self.rows = 0

    def open(self) -> None:
        """Open or create the file.

        Raises:
            CheckpointError: If the file is in use or is not a checkpoint of this model.
        """
        self.last_write = _last_write(self._absolute)
        with self._translate_errors("cannot be used as a checkpoint"):
            connection = sqlite3.connect(
                self._absolute,
                timeout=LOCK_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        self._files = {name: _identity(name) for name in (self._absolute, f"{self._absolute}-wal")}

    def is_in_place(self) -> bool:
        """Return whether the paths of the database and its log still name the opened files.

        SQLite does not notice if they are deleted or replaced: it writes to the opened files, which
        no later process can find.
        """
        return all(_identity(name) == identity for name, identity in self._files.items())

    def close(self) -> None:
        """Close the file and release its lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._translate_errors("cannot be closed"), closing(connection):
                if not self.is_in_place():
                    # SQLite would leave the log of a moved database behind.
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def read(self, first: int, count: int) -> dict[int, StoredRow]:
        """Return up to `count` rows by position, starting at position `first`."""
        rows = self._query(
            "SELECT position, digest, preview, sent, intended_at, clock_skew, prediction, "
            "created_at, cancel_requested, outcome IS NOT NULL AS is_finished "
            "FROM row WHERE position >= ? AND position < ?",
            (first, first + count),
        )
        return {row["position"]: StoredRow(**dict(row)) for row in rows}

    def read_prediction(self, position: int) -> str:
        """Return the finished prediction of a row as JSON."""
        (row,) = self._query("SELECT outcome FROM row WHERE position = ?", (position,))
        text: str = row["outcome"]
        return text

    def recorded_ids(self, ids: Collection[str]) -> set[str]:
        """Return the prediction ids that belong to a row."""
        found: set[str] = set()
        remaining = list(ids)
        for start in range(0, len(remaining), MAX_PARAMETERS):
            some = remaining[start : start + MAX_PARAMETERS]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT prediction FROM row WHERE prediction IN ({marks})"  # noqa: S608 (marks)
            found |= {row["prediction"] for row in self._query(sql, some)}
        return found

    def write(self, statements: Iterable[Statement]) -> None:
        """Execute statements in one transaction.

        Raises:
            CheckpointError: If the file cannot be written. None of the statements took effect.
        """
        with self._translate_errors("cannot be written"):
            connection = self._opened()
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
                for sql in _SCHEMA.split(";"):
                    connection.execute(sql)
                connection.execute("INSERT INTO batch VALUES (?)", (self._ref,))
            else:
                self._check(connection)
        # Transactions survive a kill in any journal mode. WAL needs one fsync per transaction.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (last,) = connection.execute("SELECT max(position) FROM row").fetchone()
        self.rows = 0 if last is None else last + 1

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        ids = [_pragma(connection, name) for name in ("application_id", "user_version")]
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return ids == [0, 0] and tables == 0

    def _check(self, connection: sqlite3.Connection) -> None:
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise CheckpointError(
                f"{self._path} is not a checkpoint but another program's database. Use another "
                "file."
            )
        version = _pragma(connection, "user_version")
        if not 1 <= version <= SCHEMA_VERSION:
            raise CheckpointError(
                f"{self._path} was written by a newer version of Dashscope (schema {version}; this "
                f"version supports {SCHEMA_VERSION}). Update Dashscope, or use another file."
            )
        (ref,) = connection.execute("SELECT ref FROM batch").fetchone()
        if ref != self._ref:
            raise CheckpointError(
                f"{self._path} is the checkpoint of a batch of {ref}, not of {self._ref}. Use "
                "another file."
            )
        if version == 1:
            for sql in _MIGRATION_FROM_1:
                connection.execute(sql)

    def _query(self, sql: str, parameters: Sequence[Any]) -> list[sqlite3.Row]:
        with self._translate_errors("cannot be read"):
            return self._opened().execute(sql, parameters).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise CheckpointError(f"{self._path} is closed because the batch was closed.")
        return self._connection

    @contextmanager
    def _translate_errors(self, problem: str) -> Generator[None]:
        """Turn an SQLite error into a `CheckpointError` that explains it."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            reason = next((text for code, text in _REASONS.items() if name.startswith(code)), "")
            explanation = f"{reason} ({error})" if reason else str(error)
        else:
            return
        raise CheckpointError(f"{self._path} {problem}: {explanation}.")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    number: int = value
    return number


def _identity(path: str) -> tuple[int, int] | None:
    """Return what identifies the file at a path, or `None` if there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _last_write(path: str) -> float:
    """Return when the file or its write-ahead log was last written."""
    times = [0.0]
    for name in (path, f"{path}-wal"):
        try:
            times.append(Path(name).stat().st_mtime)
        except OSError:
            continue
    return min(max(times), time.time())
