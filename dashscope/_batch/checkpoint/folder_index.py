"""`FolderIndex`: what the segments of a checkpoint folder say, row by row.

Workers append events to their segments independently, so a reader may see the events of a row in
any order of segments. Each event names the *epoch* of its row: `Reset` starts a new one, and events
of an older epoch are ignored. Within an epoch, events only add to what is known.

The index is a temporary database, so that it needs little memory for any number of rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from attrs import frozen

from dashscope._batch.checkpoint.sqlite import MAX_PARAMETERS, batched

_SCHEMA: Final = """
CREATE TABLE row (
    key BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    run TEXT,
    writer TEXT,
    sent BLOB,
    intended_at TEXT,
    clock_skew REAL,
    prediction TEXT,
    created_at TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    segment TEXT,
    start INTEGER,
    length INTEGER
) WITHOUT ROWID;
CREATE INDEX row_by_prediction ON row (prediction) WHERE prediction IS NOT NULL;
CREATE INDEX row_by_sent ON row (sent) WHERE prediction IS NULL AND sent IS NOT NULL;
CREATE TABLE duplicate (key BLOB, first TEXT, second TEXT, PRIMARY KEY (key, first, second));
"""


@frozen
class Change:
    """What an event changes in the row of its epoch: columns and their values."""

    key: bytes
    epoch: int
    values: dict[str, Any]


class FolderIndex:
    """The state of all rows. The caller serializes access."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.executescript(_SCHEMA)
        self.duplicates: list[tuple[str, str]] = []
        """Pairs of predictions of one row that were found since the caller emptied this list."""

    def close(self) -> None:
        """Delete the index."""
        self._connection.close()

    def epoch(self, key: bytes) -> int:
        """Return the epoch of a row."""
        row = self._connection.execute("SELECT epoch FROM row WHERE key = ?", (key,)).fetchone()
        return 1 if row is None else row["epoch"]

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply changes, in the order of their segment."""
        self._connection.execute("BEGIN")
        for change in changes:
            self._apply(change)
        self._connection.execute("COMMIT")

    def _apply(self, change: Change) -> None:
        select = "SELECT epoch, prediction, segment FROM row WHERE key = ?"
        old = self._connection.execute(select, (change.key,)).fetchone()
        if old is not None and change.epoch < old["epoch"]:
            return
        values = change.values
        if old is None or change.epoch > old["epoch"]:
            self._insert({"key": change.key, "epoch": change.epoch, **values})
            return
        prediction, known = values.get("prediction"), old["prediction"]
        if prediction is not None and known is not None and prediction != known:
            self._duplicate(change.key, known, prediction)
            if old["segment"] is not None:
                return  # the first result stays the row's
        if values:
            columns = ", ".join(f"{name} = ?" for name in values)
            self._connection.execute(
                f"UPDATE row SET {columns} WHERE key = ?",  # noqa: S608 (columns)
                (*values.values(), change.key),
            )

    def _insert(self, values: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(values))
        self._connection.execute(
            f"INSERT OR REPLACE INTO row ({', '.join(values)}) VALUES ({marks})",  # noqa: S608
            tuple(values.values()),
        )

    def _duplicate(self, key: bytes, first: str, second: str) -> None:
        names = sorted((first, second))
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO duplicate VALUES (?, ?, ?)", (key, *names)
        )
        if cursor.rowcount > 0:
            self.duplicates.append((names[0], names[1]))

    def read(self, keys: Sequence[bytes]) -> list[sqlite3.Row]:
        """Return the rows with these keys."""
        return self._select("key", keys)

    def with_predictions(self, ids: Collection[str]) -> list[sqlite3.Row]:
        """Return the rows that have one of these predictions."""
        return self._select("prediction", ids)

    def with_intent(self, sent: Collection[bytes]) -> list[sqlite3.Row]:
        """Return the rows whose prediction has one of these inputs and no known id."""
        return self._select("prediction IS NULL AND sent", sent)

    def unfinished(self, run: str | None) -> list[sqlite3.Row]:
        """Return the rows of a run that may have a running prediction."""
        sql = (
            "SELECT * FROM row WHERE segment IS NULL AND run IS ? "
            "AND coalesce(prediction, intended_at) IS NOT NULL"
        )
        return self._connection.execute(sql, (run,)).fetchall()

    def counts(self) -> dict[str, int]:
        """Return the number of rows by state."""
        row = self._connection.execute(
            "SELECT count(*) AS rows, count(segment) AS finished, "
            "count(CASE WHEN segment IS NULL THEN prediction END) AS running, "
            "count(CASE WHEN prediction IS NULL THEN intended_at END) AS unknown, "
            "(SELECT count(DISTINCT key) FROM duplicate) AS duplicates FROM row"
        ).fetchone()
        return dict(row)

    def all(self) -> Iterable[sqlite3.Row]:
        """Return all rows."""
        return self._connection.execute("SELECT * FROM row")

    def _select(self, condition: str, values: Iterable[Any]) -> list[sqlite3.Row]:
        found: list[sqlite3.Row] = []
        for some in batched(values, MAX_PARAMETERS):
            marks = ", ".join("?" * len(some))
            sql = f"SELECT * FROM row WHERE {condition} IN ({marks})"  # noqa: S608 (marks)
            found += self._connection.execute(sql, some).fetchall()
        return found
