"""`PostgresStore`: a checkpoint in a PostgreSQL database that many workers share.

One table keeps the rows of all runs. A batch reserves the rows that it works on by writing its
*owner id* into them. The lease of the owner ends 60 seconds after it was last renewed, by the
clock of the database. Then another batch may take over the rows. Every write names its owner, so a
batch that lost its lease cannot overwrite what its successor recorded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from dashscope._batch.checkpoint.database import (
    OUTAGE_TIMEOUT,
    RETRY_INTERVAL,
    check_installed,
    connect,
    explained,
)
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
from dashscope._batch.checkpoint.location import Location, new_id
from dashscope._batch.checkpoint.store import SharedStore, StoredRow
from dashscope._common.logging import logger
from dashscope._errors import CheckpointError

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

LEASE: Final = 60.0
"""Seconds that a lease lasts after it was renewed."""
RENEW_INTERVAL: Final = 15.0
CREATE_MARGIN: Final = 45.0
"""Seconds after the last renewal for which predictions may be created."""
OPEN_TIMEOUT: Final = 15.0
"""Seconds for which opening retries a database that refuses connections."""
# ruff: noqa: S608 (the statements are put together from constants)
_IS_HELD: Final = (
    "EXISTS (SELECT 1 FROM dashscope_lease AS lease WHERE lease.owner = old.owner "
    "AND lease.expires_at > now())"
)
_RESERVE: Final = (
    "INSERT INTO dashscope_checkpoint AS old (key, ref, run, owner) "
    "SELECT key, %(ref)s, %(run)s, %(owner)s FROM unnest(%(keys)s::bytea[]) AS key "
    "ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, run = excluded.run, "
    "updated_at = now() WHERE old.outcome IS NULL AND (old.owner IS NULL "
    f"OR old.owner = excluded.owner OR NOT {_IS_HELD})"
)
_READ: Final = (
    "SELECT key, sent, intended_at, clock_skew, prediction, created_at, cancel_requested, "
    "outcome IS NOT NULL AS is_finished, outcome IS NULL AND owner IS DISTINCT FROM %(owner)s "
    "AS is_busy FROM dashscope_checkpoint WHERE key = ANY(%(keys)s)"
)
_RENEW: Final = (
    "INSERT INTO dashscope_lease VALUES (%(owner)s, now() + %(lease)s * interval '1 second') "
    "ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at "
    "RETURNING (SELECT count(*) FROM dashscope_stopped WHERE run = %(run)s)"
)
_UNDECIDED: Final = (
    "SELECT DISTINCT sent FROM dashscope_checkpoint AS old WHERE sent = ANY(%(sent)s) "
    "AND prediction IS NULL AND intended_at IS NOT NULL AND key <> ALL(%(keys)s) "
    f"AND owner IS DISTINCT FROM %(owner)s AND owner = intended_by AND {_IS_HELD}"
)
_REQUEST_CANCEL: Final = (
    "UPDATE dashscope_checkpoint SET cancel_requested = prediction IS NOT NULL "
    "WHERE run = %s AND outcome IS NULL AND intended_at IS NOT NULL "
    "RETURNING key, sent, intended_at, clock_skew, prediction, created_at"
)
_UPDATE: Final = "UPDATE dashscope_checkpoint AS old SET {set}, updated_at = now() FROM unnest("
_WHERE: Final = " WHERE old.key = new.key AND old.owner = %s"
_CLEARED: Final = (
    "sent",
    "intended_at",
    "clock_skew",
    "prediction",
    "created_at",
    "outcome",
)
# One statement for all events of a kind.
_STATEMENTS: Final[Mapping[type[Event], tuple[str, str, str]]] = {
    Intended: (
        "sent = new.sent, intended_at = new.at, clock_skew = new.skew, intended_by = old.owner",
        "bytea, bytea, text, float8",
        "key, sent, at, skew",
    ),
    SkewKnown: ("clock_skew = new.skew", "bytea, float8", "key, skew"),
    Created: (
        "prediction = new.prediction, created_at = new.at, cancel_requested = false",
        "bytea, text, text",
        "key, prediction, at",
    ),
    Finished: (
        "prediction = new.prediction, outcome = new.outcome, cancel_requested = false",
        "bytea, text, text",
        "key, prediction, outcome",
    ),
    CancelRequested: ("cancel_requested = true", "bytea", "key"),
    Reset: (
        ", ".join(f"{name} = NULL" for name in _CLEARED) + ", cancel_requested = false",
        "bytea",
        "key",
    ),
}
"""What each kind of event sets, and the types and names of its values."""


class PostgresStore(SharedStore):
    """The rows of one batch in a database. Thread-safe.

    Args:
        location: Where the database is.
        ref: The model of the batch.
    """

    def __init__(self, location: Location, ref: str) -> None:
        check_installed()
        self.name = location.name
        self._location = location
        self._ref = ref
        self._owner = new_id()
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._closed = threading.Event()
        self._renewed = float("-inf")
        self._is_stopped = False
        self._rows = 0
        self.statements = 0
        """The number of statements so far."""

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def last_write(self) -> float:
        # The workers' clocks may differ, so each request may have been sent just now.
        return time.time()

    def open(self) -> None:
        with explained(self.name, "cannot be used as a checkpoint"):
            self._rows = self._retried(self._count, OPEN_TIMEOUT)
        self._renew()
        threading.Thread(target=self._keep_renewing, daemon=True, name="dashscope-lease").start()

    def _count(self, connection: psycopg.Connection[Any]) -> int:
        sql = "SELECT count(*) AS rows FROM (SELECT 1 FROM dashscope_checkpoint LIMIT 1) AS first"
        row = self._execute(connection, sql).fetchone()
        return 0 if row is None else row["rows"]

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            try:
                # The rows are free as soon as the owner has no lease.
                self._execute(
                    connection, "DELETE FROM dashscope_lease WHERE owner = %s", [self._owner]
                )
            except Exception as error:  # noqa: BLE001 (the lease ends by itself)
                logger.info("the lease could not be released: %s", error)
            connection.close()

    def read(self, keys: Sequence[Key]) -> dict[Key, StoredRow]:
        # Sorted, so that two workers with the same rows cannot wait for each other.
        values = {
            "keys": sorted(cast("Sequence[bytes]", keys)),
            "ref": self._ref,
            "run": self._location.run,
            "owner": self._owner,
        }

        def reserve(connection: psycopg.Connection[Any]) -> list[Any]:
            with connection.transaction():
                self._execute(connection, _RESERVE, values)
                return self._execute(connection, _READ, values).fetchall()

        found = self._run(reserve, "cannot be read")
        return {row["key"]: StoredRow(**row) for row in found}

    def read_outcomes(self, keys: Sequence[Key]) -> dict[Key, str]:
        sql = "SELECT key, outcome FROM dashscope_checkpoint WHERE key = ANY(%s)"
        found = self._run(
            lambda connection: self._execute(connection, sql, [list(keys)]).fetchall(),
            "cannot be read",
        )
        return {row["key"]: row["outcome"] for row in found}

    def write(self, events: Iterable[Event]) -> None:
        groups = _grouped(events)
        creates = any(isinstance(some[0], Intended) for some in groups)
        if creates:
            self.check_can_create()

        def write(connection: psycopg.Connection[Any]) -> None:
            with connection.transaction():
                if creates and self._location.run is not None:
                    self._is_stopped = self._read_stopped(connection)
                    self._check_stopped()
                for some in groups:
                    self._write(connection, some)

        self._run(write, "cannot be written")

    def _write(self, connection: psycopg.Connection[Any], events: Sequence[Event]) -> None:
        assignments, types, columns = _STATEMENTS[type(events[0])]
        arrays = ", ".join(f"%s::{type}[]" for type in types.split(", "))
        sql = f"{_UPDATE.format(set=assignments)}{arrays}) AS new ({columns}){_WHERE}"
        rows = [_values(event) for event in events]
        cursor = self._execute(connection, sql, [*map(list, zip(*rows, strict=True)), self._owner])
        if cursor.rowcount < len(rows):
            raise CheckpointError(
                f"Another worker has taken over rows of this batch, because the lease in "
                f"{self.name} could not be renewed for {LEASE:.0f} s. Nothing is lost: the other "
                "worker finishes them."
            )

    def claim(self, event: Created) -> bool:
        import psycopg

        def claim(connection: psycopg.Connection[Any]) -> bool:
            try:
                with connection.transaction():
                    self._write(connection, [event])
            except psycopg.errors.UniqueViolation:
                return False
            return True

        return self._run(claim, "cannot be written")

    def recorded_ids(self, ids: Collection[str]) -> set[str]:
        sql = "SELECT prediction FROM dashscope_checkpoint WHERE prediction = ANY(%s)"
        found = self._run(
            lambda connection: self._execute(connection, sql, [list(ids)]).fetchall(),
            "cannot be read",
        )
        return {row["prediction"] for row in found}

    def undecided(self, sent: Collection[bytes], keys: Collection[Key]) -> set[bytes]:
        values = {"sent": list(sent), "keys": list(keys), "owner": self._owner}
        found = self._run(
            lambda connection: self._execute(connection, _UNDECIDED, values).fetchall(),
            "cannot be read",
        )
        return {row["sent"] for row in found}

    def check_can_create(self) -> None:
        self._check_stopped()
        if time.monotonic() - self._renewed > CREATE_MARGIN:
            self._renew()

    def _check_stopped(self) -> None:
        if self._is_stopped:
            raise CheckpointError(f"The run was canceled. {self.name} has its finished rows.")

    def is_stopped(self) -> bool:
        if self._location.run is None:
            return False
        return self._run(self._read_stopped, "cannot be read")

    def _read_stopped(self, connection: psycopg.Connection[Any]) -> bool:
        sql = "SELECT 1 FROM dashscope_stopped WHERE run = %s"
        return self._execute(connection, sql, [self._location.run]).fetchone() is not None

    def stop(self) -> None:
        sql = "INSERT INTO dashscope_stopped VALUES (%s) ON CONFLICT DO NOTHING"
        self._run(
            lambda connection: self._execute(connection, sql, [self._location.run]),
            "cannot be written",
        )

    def request_cancel(self) -> Sequence[StoredRow]:
        # The workers keep the rows: they see that the run was stopped.
        values = [self._location.run]
        found = self._run(
            lambda connection: self._execute(connection, _REQUEST_CANCEL, values).fetchall(),
            "cannot be written",
        )
        return [StoredRow(**row) for row in found]

    def _renew(self) -> None:
        """Renew the lease.

        Raises:
            CheckpointError: If the database cannot be reached.
        """
        values = {"owner": self._owner, "lease": LEASE, "run": self._location.run}
        began = time.monotonic()

        def renew(connection: psycopg.Connection[Any]) -> int:
            nonlocal began
            began = time.monotonic()
            row = self._execute(connection, _RENEW, values).fetchone()
            return 0 if row is None else row["count"]

        self._is_stopped = bool(self._run(renew, "cannot be written"))
        self._renewed = began

    def _keep_renewing(self) -> None:
        while not self._closed.wait(RENEW_INTERVAL):
            try:
                self._renew()
            except CheckpointError as error:
                if not self._closed.is_set():
                    logger.warning("%s", error)

    def _run(self, work: Callable[[psycopg.Connection[Any]], T], problem: str) -> T:
        with explained(self.name, problem):
            return self._retried(work, OUTAGE_TIMEOUT)

    def _retried(self, work: Callable[[psycopg.Connection[Any]], T], timeout: float) -> T:
        """Run work in the database, again after a restart. The work can be repeated."""
        import psycopg

        deadline = time.monotonic() + timeout
        while True:
            try:
                with self._lock:
                    return work(self._connected())
            except psycopg.errors.DiskFull:
                raise
            except psycopg.OperationalError as error:
                permanent = isinstance(error, psycopg.errors.InvalidAuthorizationSpecification)
                if permanent or not self._may_restart(error) or time.monotonic() > deadline:
                    raise
                logger.info("%s: %s", self.name, error)
            if self._closed.wait(RETRY_INTERVAL):
                raise CheckpointError(f"{self.name} is closed because the batch was closed.")

    @staticmethod
    def _may_restart(error: Exception) -> bool:
        """Return whether an error may end by itself, unlike a wrong password or name."""
        text = str(error)
        return not any(
            part in text
            for part in ("password", "does not exist", "no pg_hba.conf", "resolve host", "role ")
        )

    def _connected(self) -> psycopg.Connection[Any]:
        if self._closed.is_set():
            raise CheckpointError(f"{self.name} is closed because the batch was closed.")
        if self._connection is not None and self._connection.closed:
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = connect(self._location)
        return self._connection

    def _execute(
        self, connection: psycopg.Connection[Any], sql: str, values: Any = None
    ) -> psycopg.Cursor[Any]:
        self.statements += 1
        return connection.execute(cast("Any", sql), values)


def _grouped(events: Iterable[Event]) -> list[list[Event]]:
    """Return the events in groups of a kind, in order. A group has one event for each row."""
    groups: list[list[Event]] = []
    last: dict[Key, int] = {}
    by_kind: dict[tuple[int, type[Event]], int] = {}
    level = 0
    for event in events:
        if event.key in last:
            # A later event of a row has to follow all earlier ones.
            level += 1
            last.clear()
        last[event.key] = level
        place = by_kind.setdefault((level, type(event)), len(groups))
        if place == len(groups):
            groups.append([])
        groups[place].append(event)
    return groups


def _values(event: Event) -> tuple[Any, ...]:
    match event:
        case Intended(key=key, sent=sent, at=at, clock_skew=skew):
            return key, sent, at, skew
        case SkewKnown(key, skew):
            return key, skew
        case Created(key, prediction, at):
            return key, prediction, at
        case Finished(key, prediction, outcome):
            return key, prediction, outcome
        case CancelRequested(key) | Reset(key):
            return (key,)


def summaries(location: Location) -> list[dict[str, Any]]:
    """Return the counts of each model's rows, with the names of `CheckpointSummary`."""
    with explained(location.name, "cannot be read"), connect(location) as connection:
        return connection.execute(
            "SELECT ref, count(*) AS rows, count(outcome) AS finished, "
            "count(CASE WHEN outcome IS NULL THEN prediction END) AS running, "
            "count(CASE WHEN prediction IS NULL THEN intended_at END) AS unknown, "
            "sum(pg_column_size(old.*))::bigint AS size, max(updated_at) AS last_write "
            "FROM dashscope_checkpoint AS old GROUP BY ref ORDER BY ref"
        ).fetchall()


def prune(location: Location, ref: str | None, before: datetime | None) -> int:
    """Remove finished rows, and what runs that have ended left behind."""
    with explained(location.name, "cannot be written"), connect(location) as connection:
        connection.execute("DELETE FROM dashscope_lease WHERE expires_at < now()")
        return connection.execute(
            "DELETE FROM dashscope_checkpoint WHERE outcome IS NOT NULL "
            "AND (%(ref)s::text IS NULL OR ref = %(ref)s) "
            "AND (%(before)s::timestamptz IS NULL OR updated_at < %(before)s)",
            {"ref": ref, "before": before},
        ).rowcount
