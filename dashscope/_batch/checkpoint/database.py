"""The PostgreSQL database of checkpoints and rates: its tables, its connections, and its errors."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, LiteralString

from dashscope._batch.checkpoint.location import Location
from dashscope._common.installing import install_command
from dashscope._errors import CheckpointError, ConfigurationError
from dashscope._runtime import forking

if TYPE_CHECKING:
    import psycopg

SCHEMA_VERSION: Final = 1
CONNECT_TIMEOUT: Final = 10
OUTAGE_TIMEOUT: Final = 120.0
"""Seconds for which an open checkpoint or rate waits for a database that restarts."""
RETRY_INTERVAL: Final = 0.5

_LOCK: Final = 0x44534350
"""The advisory lock under which the tables are created."""
_SCHEMA: Final[tuple[LiteralString, ...]] = (
    "CREATE TABLE IF NOT EXISTS dashscope_schema (version int NOT NULL)",
    """CREATE TABLE IF NOT EXISTS dashscope_checkpoint (
        key bytea PRIMARY KEY,
        ref text NOT NULL,
        run text,
        owner text,
        intended_by text,
        sent bytea,
        intended_at text,
        clock_skew double precision,
        prediction text,
        created_at text,
        cancel_requested boolean NOT NULL DEFAULT false,
        outcome text,
        updated_at timestamptz NOT NULL DEFAULT now()
    )""",
    """CREATE UNIQUE INDEX IF NOT EXISTS dashscope_checkpoint_prediction
        ON dashscope_checkpoint (prediction) WHERE prediction IS NOT NULL""",
    """CREATE INDEX IF NOT EXISTS dashscope_checkpoint_sent
        ON dashscope_checkpoint (sent) WHERE prediction IS NULL AND sent IS NOT NULL""",
    """CREATE INDEX IF NOT EXISTS dashscope_checkpoint_run
        ON dashscope_checkpoint (run) WHERE outcome IS NULL""",
    """CREATE TABLE IF NOT EXISTS dashscope_lease
        (owner text PRIMARY KEY, expires_at timestamptz NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS dashscope_stopped (run text PRIMARY KEY)",
)


def check_installed() -> None:
    """Raise a `ConfigurationError` if the extra `postgres` is not installed."""
    if find_spec("psycopg") is None:
        raise ConfigurationError(
            f"PostgreSQL support is not installed: {install_command('postgres')}"
        )


@contextmanager
def explained(name: str, problem: str) -> Generator[None]:
    """Turn an error of the database into a `CheckpointError` that explains it."""
    import psycopg

    try:
        yield
    except psycopg.errors.DiskFull as error:
        reason = f"the database is full ({_text(error)})"
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        reason = f"the user may not write to the database ({_text(error)})"
    except psycopg.errors.UniqueViolation as error:
        reason = f"a prediction belongs to another row already ({_text(error)})"
    except psycopg.OperationalError as error:
        reason = f"the database cannot be reached ({_text(error)})"
    except psycopg.Error as error:
        reason = _text(error)
    else:
        return
    raise CheckpointError(f"{name} {problem}: {reason}.")


def _text(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def connect(location: Location) -> psycopg.Connection[Any]:
    """Return a connection to a database whose tables exist.

    Raises:
        CheckpointError: If the tables belong to another version.
        psycopg.Error: If the database cannot be used.
    """
    import psycopg
    from psycopg.rows import dict_row

    connect: Any = psycopg.connect  # its types do not know rows that are dicts
    connection: psycopg.Connection[Any] = connect(
        location.address, autocommit=True, row_factory=dict_row, connect_timeout=CONNECT_TIMEOUT
    )
    try:
        _check_schema(location, connection)
    except BaseException:
        connection.close()
        raise
    _connections.append(connection)
    return connection


def _check_schema(location: Location, connection: psycopg.Connection[Any]) -> None:
    version = _version(connection)
    if version is None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            for sql in _SCHEMA:
                connection.execute(sql)
            connection.execute(
                "INSERT INTO dashscope_schema SELECT %s "
                "WHERE NOT EXISTS (SELECT 1 FROM dashscope_schema)",
                [SCHEMA_VERSION],
            )
        version = _version(connection)
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{location.name} was written by another version of Dashscope (schema {version}; "
            f"this version supports {SCHEMA_VERSION}). Use the same version for all workers, "
            "or another database."
        )


def _version(connection: psycopg.Connection[Any]) -> int | None:
    row = connection.execute("SELECT to_regclass('dashscope_schema') AS name").fetchone()
    if row is None or row["name"] is None:
        return None
    row = connection.execute("SELECT version FROM dashscope_schema").fetchone()
    return None if row is None else row["version"]


class _Connections:
    """Keeps a forked child from closing its parent's connections."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        forking.know(self)

    def append(self, connection: Any) -> None:
        """Remember a connection."""
        self._open.add(connection)

    def loaded_later(self) -> Iterable[str]:
        return ()

    def forget(self) -> None:
        """Keep the parent's connections alive, so that nothing closes them."""
        forking.inherited.extend(self._open)
        self._open.clear()


_connections = _Connections()
