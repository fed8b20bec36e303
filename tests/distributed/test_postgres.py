"""Checkpoints in PostgreSQL pass the tests of all stores, and exclude live workers."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dashscope import CheckpointError, Client
from tests.batch.conftest import client, service
from tests.batch.reading import REF, read, rows
from tests.batch.stores import TestedStore
from tests.batch.test_stores import *  # noqa: F403 (the tests run here with another store)
from tests.distributed.database import Database
from tests.servers.batch_service import Service

pytestmark = pytest.mark.distributed

__all__ = ["client", "service"]


class TestedDatabase(TestedStore):
    """A PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self.checkpoint = url

    def forget(self, index: int, *, id: bool = False) -> None:
        columns = "outcome = NULL, prediction = NULL" if id else "outcome = NULL"
        self._execute(
            f"UPDATE dashscope_checkpoint SET {columns} WHERE key = "
            f"(SELECT key FROM dashscope_checkpoint ORDER BY intended_at OFFSET {index} LIMIT 1)"
        )

    def make_old(self) -> None:
        self._execute(
            "UPDATE dashscope_checkpoint SET intended_at = '2020-01-01T00:00:00+00:00' "
            "WHERE prediction IS NULL"
        )

    def _execute(self, sql: Any) -> None:
        with psycopg.connect(self.checkpoint) as connection:
            connection.execute(sql)


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> TestedStore:
    """The database."""
    # A row of a database may have been created just now.
    monkeypatch.setattr("dashscope._batch.recovery.IN_TRANSIT", timedelta(seconds=0.5))
    return TestedDatabase(database.url)


@pytest.fixture(params=["asyncio", "sync"])
def flavor(request: pytest.FixtureRequest) -> str:
    """Tasks and threads."""
    name: str = request.param
    return name


def test_a_checkpoint_of_another_model_is_rejected() -> None:
    """A database contains rows of several models."""


async def test_two_models_share_a_database(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(3), checkpoint=store.checkpoint))
    await read(client.map("owner/other", rows(3), checkpoint=store.checkpoint))
    assert len(service.created) == 6


def test_a_second_batch_waits_for_the_rows_of_the_first(
    service: Service, store: TestedStore
) -> None:
    service.seconds = lambda _: 1.0
    found: list[list[Any]] = []

    def run() -> None:
        with (
            Client(base_url=service.fake_server.base_url) as client,
            client.map(REF, rows(20), checkpoint=store.checkpoint) as results,
        ):
            found.append([result.output for result in results])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(item) for item in found] == [list(range(20))] * 2
    assert len(service.created) == 20


async def test_a_batch_survives_a_restart_of_the_database(
    client: Any, service: Service, store: TestedStore, database: Database
) -> None:
    service.seconds = lambda _: 0.2
    count = 0
    async with client.map(REF, rows(60), concurrency=4, checkpoint=store.checkpoint) as results:
        async for _ in results:
            count += 1
            if count == 10:
                database.stop()
                database.start()
    assert count == 60
    assert len(service.created) == 60


async def test_another_schema_is_rejected(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(1), checkpoint=store.checkpoint))
    with psycopg.connect(store.checkpoint) as connection:
        connection.execute("UPDATE dashscope_schema SET version = 9")
    with pytest.raises(CheckpointError, match="another version of Dashscope .schema 9"):
        await read(client.map(REF, rows(1), checkpoint=store.checkpoint))


async def test_a_full_database_loses_nothing(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(2), checkpoint=store.checkpoint))
    full = """
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE UPDATE ON dashscope_checkpoint FOR EACH ROW
        WHEN (NEW.outcome IS NOT NULL) EXECUTE FUNCTION full_disk();
    """
    with psycopg.connect(store.checkpoint) as connection:
        connection.execute(full)
    with pytest.raises(CheckpointError, match="the database is full .could not extend file"):
        await read(client.map(REF, rows(6), checkpoint=store.checkpoint))
    with psycopg.connect(store.checkpoint) as connection:
        connection.execute("DROP TRIGGER full_disk ON dashscope_checkpoint")
    results = await read(client.map(REF, rows(6), checkpoint=store.checkpoint))
    assert sorted(result.output for result in results) == list(range(6))
    assert len(service.created) == 6


async def test_an_unreachable_database_is_named_without_its_password(
    client: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._batch.checkpoint.postgres.OPEN_TIMEOUT", 0.1)
    with pytest.raises(CheckpointError, match="the database cannot be reached") as caught:
        await read(client.map(REF, rows(1), checkpoint="postgresql://me:secret@127.0.0.1:9/x"))
    assert "me:***@127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert service.created == []
