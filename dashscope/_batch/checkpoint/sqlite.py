"""`SqliteStore`: a checkpoint in an SQLite file, and all of its SQL.

The file is locked by the operating system for as long as it is open, so the lock ends with the
process, even if the process is killed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from dashscope._batch.checkpoint.events import (
    CancelRequested,
    Created,
    Event,
    Finished,
    Intended,
    Key,
    Reset,
    SkewKnown,
)
from dashscope._batch.checkpoint.store import Store, StoredRow
from dashscope._errors import CheckpointError

T = TypeVar("T")

APPLICATION_ID: Final = 0x44534350
"""Identifies a database as a checkpoint: "DSCP"."""
SCHEMA_VERSION: Final = 3
LOCK_TIMEOUT: Final = 1.0
"""Seconds to wait for the lock of a process that is just exiting."""
MAX_PARAMETERS: Final = 500

_SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE batch (ref TEXT NOT NULL, identity TEXT NOT NULL);
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
    "ALTER TABLE row RENAME COLUMN leaving TO cancel_requested",
    "ALTER TABLE row ADD COLUMN clock_skew REAL",
    "UPDATE row SET clock_skew = 0 WHERE prediction IS NULL AND intended_at IS NOT NULL",
)
_MIGRATION_FROM_2: Final = (
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "ALTER TABLE batch ADD COLUMN identity TEXT NOT NULL DEFAULT 'position'",
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

_INTENDED: Final = {
    "position": "INSERT INTO row (position, digest, preview, sent, intended_at, clock_skew) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (position) DO UPDATE SET sent = excluded.sent, "
    "intended_at = excluded.intended_at, clock_skew = excluded.clock_skew",
    "digest": "INSERT INTO row (digest, preview, sent, intended_at, clock_skew) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET sent = excluded.sent, "
    "intended_at = excluded.intended_at, clock_skew = excluded.clock_skew",
}
_SELECT: Final = (
    "SELECT position, digest, preview, sent, intended_at, clock_skew, prediction, created_at, "
    "cancel_requested, outcome IS NOT NULL AS is_finished FROM row"
)
_SKEW_KNOWN: Final = "UPDATE row SET clock_skew = ?"
_CREATED: Final = "UPDATE row SET prediction = ?, created_at = ?, cancel_requested = 0"
_FINISHED: Final = "UPDATE row SET prediction = ?, outcome = ?, cancel_requested = 0"
_CANCEL_REQUESTED: Final = "UPDATE row SET cancel_requested = 1"
_RESET: Final = (
    "UPDATE row SET sent = NULL, intended_at = NULL, clock_skew = NULL, prediction = NULL, "
    "created_at = NULL, cancel_requested = 0, outcome = NULL"
)


class SqliteStore(Store):
    """A checkpoint in a file, which one batch uses at a time. Not thread-safe.

    Args:
        path: The path of the file.
        ref: The model of the batch.
        identity: What identifies rows: their position, or the digest of their inputs.
    """

    is_shared = False

    def __init__(self, path: str, ref: str, identity: Literal["position", "digest"]) -> None:
        self.name = path
        # Absolute, because the program may change its working directory.
        self._absolute = str(Path(path).absolute())
        self._ref = ref
        self._identity = identity
        self._connection: sqlite3.Connection | None = None
        self._files: dict[str, tuple[int, int] | None] = {}
        self._last_write = 0.0
        self._rows = 0

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def last_write(self) -> float:
        return self._last_write

    def open(self) -> None:
        self._last_write = _last_write(self._absolute)
        with explained(self.name, "cannot be used as a checkpoint"):
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

    def problem(self) -> str | None:
        # SQLite does not notice if its files are deleted or replaced: it writes to the opened
        # files, which no later process can find.
        if self._is_in_place():
            return None
        return (
            f"{self.name} or its -wal file was deleted, moved or replaced while it was in use. If "
            "it was moved, pass its new path to resume. Otherwise, start again with another "
            "checkpoint."
        )

    def _is_in_place(self) -> bool:
        return all(_identity(name) == identity for name, identity in self._files.items())

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with explained(self.name, "cannot be closed"), closing(connection):
                if not self._is_in_place():
                    # SQLite would leave the log of a moved database behind.
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def read(self, keys: Sequence[Key]) -> dict[Key, StoredRow]:
        found: dict[Key, StoredRow] = {}
        for some in batched(keys, MAX_PARAMETERS):
            marks = ", ".join("?" * len(some))
            where = f"WHERE {self._identity} IN ({marks})"
            rows = self._query(f"{_SELECT} {where}", some)
            for row in rows:
                values = {name: row[name] for name in row.keys() if name != "position"}  # noqa: SIM118
                if self._identity == "digest":
                    del values["digest"]
                key = row[self._identity]
                found[key] = StoredRow(key=key, **values)
        return found

    def read_outcomes(self, keys: Sequence[Key]) -> dict[Key, str]:
        name, marks = self._identity, ", ".join("?" * len(keys))
        sql = f"SELECT {name}, outcome FROM row WHERE {name} IN ({marks})"  # noqa: S608 (a column)
        return {row[name]: row["outcome"] for row in self._query(sql, keys)}

    def recorded_ids(self, ids: Collection[str]) -> set[str]:
        found: set[str] = set()
        for some in batched(ids, MAX_PARAMETERS):
            marks = ", ".join("?" * len(some))
            sql = f"SELECT prediction FROM row WHERE prediction IN ({marks})"  # noqa: S608 (marks)
            found |= {row["prediction"] for row in self._query(sql, some)}
        return found

    def write(self, events: Iterable[Event]) -> None:
        """Record events in one transaction. After an error, none of them is recorded."""
        with explained(self.name, "cannot be written"):
            connection = self._opened()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for event in events:
                    connection.execute(*self._statement(event))

    def _statement(self, event: Event) -> tuple[str, Sequence[Any]]:
        where = f" WHERE {self._identity} = ?"
        match event:
            case Intended(key, digest, preview, sent, at, clock_skew):
                own = (key, digest) if self._identity == "position" else (key,)
                return _INTENDED[self._identity], (*own, preview, sent, at, clock_skew)
            case SkewKnown(key, clock_skew):
                return _SKEW_KNOWN + where, (clock_skew, key)
            case Created(key, prediction, created_at):
                return _CREATED + where, (prediction, created_at, key)
            case Finished(key, prediction, outcome):
                return _FINISHED + where, (prediction, outcome, key)
            case CancelRequested(key):
                return _CANCEL_REQUESTED + where, (key,)
            case Reset(key):
                return _RESET + where, (key,)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        with connection:
            connection.execute("BEGIN EXCLUSIVE")
            if self._is_new(connection):
                for sql in _SCHEMA.split(";"):
                    connection.execute(sql)
                if self._identity == "digest":
                    connection.execute("CREATE UNIQUE INDEX row_by_digest ON row (digest)")
                connection.execute("INSERT INTO batch VALUES (?, ?)", (self._ref, self._identity))
            else:
                self._check(connection)
        # Transactions survive a kill in any journal mode. WAL needs one fsync per transaction.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (last,) = connection.execute("SELECT max(position) FROM row").fetchone()
        self._rows = 0 if last is None else last + 1

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        ids = [_pragma(connection, name) for name in ("application_id", "user_version")]
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return ids == [0, 0] and tables == 0

    def _check(self, connection: sqlite3.Connection) -> None:
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise CheckpointError(
                f"{self.name} is not a checkpoint but another program's database. Use another file."
            )
        version = _pragma(connection, "user_version")
        if not 1 <= version <= SCHEMA_VERSION:
            raise CheckpointError(
                f"{self.name} was written by a newer version of Dashscope (schema {version}; this "
                f"version supports {SCHEMA_VERSION}). Update Dashscope, or use another file."
            )
        (ref,) = connection.execute("SELECT ref FROM batch").fetchone()
        if ref != self._ref:
            raise CheckpointError(
                f"{self.name} is the checkpoint of a batch of {ref}, not of {self._ref}. Use "
                "another file."
            )
        migrations = {1: (*_MIGRATION_FROM_1, *_MIGRATION_FROM_2), 2: _MIGRATION_FROM_2}
        for sql in migrations.get(version, ()):
            connection.execute(sql)
        (identity,) = connection.execute("SELECT identity FROM batch").fetchone()
        if identity != self._identity:
            raise CheckpointError(
                f"{self.name} identifies rows by {identity}, and this call by {self._identity}: "
                "map() and udf() cannot share a file. Use another file, a folder or a database."
            )

    def _query(self, sql: str, parameters: Sequence[Any]) -> list[sqlite3.Row]:
        with explained(self.name, "cannot be read"):
            return self._opened().execute(sql, parameters).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise CheckpointError(f"{self.name} is closed because the batch was closed.")
        return self._connection


@contextmanager
def explained(path: str, problem: str) -> Generator[None]:
    """Turn an SQLite error into a `CheckpointError` that explains it."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        reason = next((text for code, text in _REASONS.items() if name.startswith(code)), "")
        explanation = f"{reason} ({error})" if reason else str(error)
    else:
        return
    raise CheckpointError(f"{path} {problem}: {explanation}.")


def batched(items: Iterable[T], size: int) -> Generator[tuple[T, ...]]:
    """Yield the items in tuples of up to `size`."""
    remaining = iter(items)
    while some := tuple(islice(remaining, size)):
        yield some


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
