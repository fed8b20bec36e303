"""A database for all tests of the session, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.distributed.database import Database


@pytest.fixture(scope="session")
def shared_database() -> Iterator[Database]:
    """A server for the whole session."""
    with Database() as database:
        yield database


@pytest.fixture
def database(shared_database: Database) -> Database:
    """An empty database."""
    import psycopg

    with psycopg.connect(shared_database.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return shared_database
