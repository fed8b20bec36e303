"""A rate limit in a PostgreSQL database, for workers on any number of machines."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any, Final

from dashscope._batch.checkpoint import database
from dashscope._batch.checkpoint.location import Location
from dashscope._common.validation import check_number, check_str

__all__ = ["PostgresRate", "shared_rate"]

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS dashscope_rate (name text PRIMARY KEY, next timestamptz NOT NULL)"
)
_ACQUIRE: Final = (
    "INSERT INTO dashscope_rate AS rate "
    "VALUES (%(name)s, clock_timestamp() + %(seconds)s * interval '1 second') "
    "ON CONFLICT (name) DO UPDATE SET next = greatest(rate.next, clock_timestamp()) "
    "+ %(seconds)s * interval '1 second' "
    "RETURNING extract(epoch FROM next - clock_timestamp())::float8 AS wait"
)
_BACK_OFF: Final = (
    "INSERT INTO dashscope_rate AS rate "
    "VALUES (%(name)s, clock_timestamp() + %(seconds)s * interval '1 second') "
    "ON CONFLICT (name) DO UPDATE SET next = greatest(rate.next, excluded.next)"
)


class PostgresRate:
    """A rate limit that all workers with the same URL and name share. `shared_rate()` creates it.

    Attributes:
        per_second: The rate.
    """

    def __init__(self, url: str, per_second: float, name: str) -> None:
        self.per_second = per_second
        self._url = url
        self._name = name
        self._start()

    def _start(self) -> None:
        self._location = Location(kind="database", address=self._url)
        self._lock = threading.Lock()
        self._connection: Any = None
        self._process = os.getpid()

    def acquire(self, count: int = 1, /) -> None:
        """Wait until `count` predictions may be created.

        Args:
            count: How many predictions the caller wants to create.

        Raises:
            CheckpointError: If the database cannot be reached.

        Example: see `dashscope docs scaling-out`.
        """
        seconds = count / self.per_second
        row = self._execute(_ACQUIRE, {"name": self._name, "seconds": seconds})
        # The permits are spent at the end of what the server returned, so start before it.
        time.sleep(max(0.0, row["wait"] - seconds))

    def back_off(self, seconds: float) -> None:
        """Keep all workers from creating predictions for some time.

        Args:
            seconds: The wait that the server requested.

        Raises:
            CheckpointError: If the database cannot be reached.

        Example: see `dashscope docs scaling-out`.
        """
        self._execute(_BACK_OFF, {"name": self._name, "seconds": seconds})

    def _execute(self, sql: str, values: dict[str, Any]) -> Any:
        import psycopg

        deadline = time.monotonic() + database.OUTAGE_TIMEOUT
        with database.explained(self._location.name, "cannot be used as a rate limit"), self._lock:
            while True:
                try:
                    cursor = self._connected().execute(sql, values)
                    return cursor.fetchone() if cursor.description else None
                except psycopg.OperationalError:
                    self._connection = None
                    if time.monotonic() > deadline:
                        raise
                time.sleep(database.RETRY_INTERVAL)

    def _connected(self) -> Any:
        if self._process != os.getpid():
            self._start()
        if self._connection is None:
            self._connection = database.connect(self._location)
            weakref.finalize(self, _close, self._connection, os.getpid())
            self._connection.execute(_CREATE)
        return self._connection

    def __reduce__(self) -> tuple[Any, ...]:
        return PostgresRate, (self._url, self.per_second, self._name)


def _close(connection: Any, process: int) -> None:
    """Close a connection, unless it belongs to the parent of this process."""
    if process == os.getpid():
        connection.close()


def shared_rate(url: str, per_second: float, *, name: str = "default") -> PostgresRate:
    """Return a rate limit for all workers, for `max_rate=` of `map()` and `udf()`.

    Workers that pass the same `name` share the rate. The object can be pickled. It works with
    `AsyncClient`, which calls it in a thread, and with `Client`.

    Args:
        url: The database, as `postgresql://user@host/name`.
        per_second: How many predictions all workers together may create per second.
        name: The name of the rate limit in the database.

    Returns:
        The rate limit.

    Raises:
        ConfigurationError: If the extra `postgres` is not installed.
        ValueError: If an argument is invalid.

    Example: see `dashscope docs scaling-out`.
    """
    database.check_installed()
    check_str("url", url)
    check_str("name", name)
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("url must start with postgresql://")
    return PostgresRate(url, check_number("per_second", per_second, "creates per second"), name)
