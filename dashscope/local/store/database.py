"""The SQLite database: opening, locking, migrations, transactions, and the settings table.

The only connection is used on the server's event loop. A statement takes about 10 microseconds,
which is less than a switch to another thread, and a single connection keeps writes in order.
"""

import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dashscope.local.store.schema import MIGRATIONS

LOCK_TIMEOUT: Final = 0.2
"""Seconds to wait for the lock, in case another server is just stopping."""


class DataFolderError(Exception):
    """The data folder cannot be used. ``in_use`` is true if another server uses it."""

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


class Database:
    """The database connection, which holds an exclusive lock until ``close``."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            path, isolation_level=None, timeout=LOCK_TIMEOUT, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._depth = 0
        try:
            self._open(path)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, path: Path) -> None:
        try:
            # The exclusive lock keeps other servers out, and ends with the process.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            # A commit reaches the operating system, so it survives the process. A power failure
            # may lose the last commits, but never corrupts the file.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise DataFolderError("another server is using it", in_use=True) from error
        except sqlite3.DatabaseError as error:
            raise DataFolderError(f"its {path.name} is not a database ({error})") from error
        self._migrate()

    def _migrate(self) -> None:
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise DataFolderError(
                f"it was written by a newer version of the server (schema {version}, this server "
                f"supports {len(MIGRATIONS)})"
            )
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            with self.transaction():
                for statement in statements:
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Run the block in a transaction. A nested transaction joins the outer one."""
        self._depth += 1
        try:
            if self._depth > 1:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back after some errors, such as a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        finally:
            self._depth -= 1

    def execute(
        self, sql: str, parameters: tuple[Any, ...] | Mapping[str, Any] = ()
    ) -> sqlite3.Cursor:
        """Run one statement. Outside a transaction, it is committed immediately."""
        return self._connection.execute(sql, parameters)

    def insert(self, table: str, values: Mapping[str, Any]) -> int:
        """Insert a row and return its sequence number. The names never come from a request."""
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        cursor = self.execute(sql, values)
        return cursor.lastrowid or 0

    def update(self, table: str, seq: int, values: Mapping[str, Any]) -> None:
        """Update the row with this sequence number."""
        changes = ", ".join(f"{name} = :{name}" for name in values)
        sql = f"UPDATE {table} SET {changes} WHERE seq = :seq"  # noqa: S608
        self.execute(sql, {**values, "seq": seq})

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return all rows of a query."""
        return [dict(row) for row in self._connection.execute(sql, parameters)]

    def row(self, sql: str, *parameters: Any) -> dict[str, Any] | None:
        """Return the first row of a query."""
        row = self._connection.execute(sql, parameters).fetchone()
        return None if row is None else dict(row)

    def setting(self, key: str, make: Callable[[], str]) -> str:
        """Return a setting of this data folder. ``make`` creates it on first use."""
        row = self.row("SELECT value FROM setting WHERE key = ?", key)
        if row is None:
            row = {"key": key, "value": make()}
            self.insert("setting", row)
        return str(row["value"])

    def close(self) -> None:
        """Close the connection and release the lock."""
        self._connection.close()
