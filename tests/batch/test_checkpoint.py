"""Checkpoints: the same call resumes where the last one stopped and creates nothing twice."""

from __future__ import annotations

import io
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dashscope import AsyncClient, CheckpointError, Client
from dashscope._api.clock import ServerClock
from dashscope._batch.checkpoint.keys import Positions
from dashscope._batch.checkpoint.sqlite import SqliteStore
from dashscope._batch.checkpoint.stored import StoredCheckpoint
from dashscope._batch.row import Row
from dashscope._runtime.drive import drive
from tests.batch.checkpoints import change, stored
from tests.batch.reading import REF, outputs, read, read_into, rows
from tests.cli.process import Program, programs
from tests.servers.batch_service import Service
from tests.variants import variants


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the checkpoint."""
    return tmp_path / "run.sqlite"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Return a function that starts a program."""
    with programs(tmp_path) as start:
        yield start


@pytest.mark.soak
async def test_a_request_of_a_killed_process_may_be_in_transit(
    client: Any, service: Service, path: Path
) -> None:
    await read(client.map(REF, [{"value": 1}] * 2, checkpoint=path, concurrency=1))
    change(path, "UPDATE row SET outcome = NULL, prediction = NULL WHERE position = 1")
    late = service.created.pop()
    timer = threading.Timer(1.5, lambda: service.created.append(late))
    timer.start()
    results = await read(client.map(REF, [{"value": 1}] * 2, checkpoint=path, ordered=True))
    timer.join()
    assert results[1].prediction.id == late.id
    assert service.request_counts["create"] == 2


async def test_an_error_names_changed_inputs(client: Any, service: Service, path: Path) -> None:
    await read(client.map(REF, rows(4), checkpoint=path))
    inputs = [{"value": 0}, {"value": 1}, {"value": "two"}, {"value": 3}]
    seen: list[Any] = []
    with pytest.raises(CheckpointError) as caught:
        await read_into(seen, client.map(REF, inputs, checkpoint=path, ordered=True))
    assert outputs(seen) == [0, 1]
    assert "the input at index 2 was {'value': 2} and is now {'value': 'two'}" in str(caught.value)
    assert len(service.created) == 4


async def test_an_error_shows_the_start_of_changed_inputs(
    client: Any, service: Service, path: Path
) -> None:
    await read(client.map(REF, [{"value": b"x" * 5000, "more": [1, "y" * 5000]}], checkpoint=path))
    with pytest.raises(CheckpointError) as caught:
        await read(client.map(REF, [{"value": None}], checkpoint=path))
    assert "was {'value': <5000 bytes>, 'more': [1, 'yyyy" in str(caught.value)
    assert "is now {'value': None}" in str(caught.value)
    assert len(str(caught.value)) < 500


async def test_more_inputs_resume_and_fewer_are_logged(
    client: Any, service: Service, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await read(client.map(REF, rows(3), checkpoint=path))
    assert len(await read(client.map(REF, rows(5), checkpoint=path))) == 5
    assert "the inputs end" not in caplog.text
    assert len(await read(client.map(REF, rows(2), checkpoint=path))) == 2
    assert "has 5 rows, but the inputs end after 2" in caplog.text


async def test_files_are_identified_by_name_and_content(
    client: Any, service: Service, path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    await read(client.map(REF, [{"value": file}, {"value": b"x"}], checkpoint=path))
    os.utime(file, (0, 0))
    moved = tmp_path / "elsewhere" / "a.txt"
    moved.parent.mkdir()
    moved.write_text("one")
    await read(client.map(REF, [{"value": moved}, {"value": io.BytesIO(b"x")}], checkpoint=path))
    assert len(service.created) == 2
    moved.write_text("two")
    with pytest.raises(CheckpointError, match="index 0"):
        await read(client.map(REF, [{"value": moved}, {"value": b"x"}], checkpoint=path))


async def test_an_open_file_is_identified_and_sent(
    client: Any, service: Service, path: Path
) -> None:
    opened = io.BytesIO(b"hello")
    await read(client.map(REF, [{"value": opened}] * 3, checkpoint=path))
    assert service.values == ["data:application/octet-stream;base64,aGVsbG8="] * 3


async def test_a_file_that_can_be_read_only_once_is_rejected(
    client: Any, service: Service, path: Path
) -> None:
    class Pipe(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return 0

    (result,) = await read(client.map(REF, [{"value": Pipe()}], checkpoint=path))
    assert "can be read only once" in str(result.error)


@pytest.mark.parametrize("flavor", ["asyncio"])
async def test_two_calls_cannot_share_a_checkpoint(
    client: Any,
    service: Service,
    path: Path,
    start: Callable[..., Program],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashscope._batch.checkpoint.sqlite.LOCK_TIMEOUT", 0.1)
    async with client.map(REF, rows(1), checkpoint=path):
        with pytest.raises(CheckpointError, match="in use by another process"):
            await read(client.map(REF, rows(1), checkpoint=path))
        done = start(
            "import sys; from dashscope import Client\n"
            "with Client(base_url=sys.argv[1]) as client:\n"
            "    with client.map('owner/name', [], checkpoint=sys.argv[2]): pass",
            *(service.fake_server.base_url, str(path)),
        ).finish()
        assert "CheckpointError" in done.stderr
        assert "in use by another process" in done.stderr
    assert len(await read(client.map(REF, rows(1), checkpoint=path))) == 1


def write_text(path: Path) -> None:
    path.write_text("index,value\n0,1\n" * 100)


def write_other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()


def write_newer_schema(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 1146307408")
    connection.execute("PRAGMA user_version = 9")
    connection.close()


@variants(
    "prepare, sentence",
    [
        (write_text, "it is not an SQLite database"),
        (write_other_database, "is not a checkpoint but another program's database"),
        (write_newer_schema, "written by a newer version of Dashscope .schema 9"),
    ],
)
async def test_a_file_that_is_not_a_checkpoint_is_rejected(
    client: Any, service: Service, path: Path, prepare: Callable[[Path], None], sentence: str
) -> None:
    path.unlink(missing_ok=True)
    prepare(path)
    content = path.read_bytes() if path.is_file() else b""
    with pytest.raises(CheckpointError, match=sentence) as caught:
        await read(client.map(REF, rows(1), checkpoint=path))
    assert str(path) in str(caught.value)
    assert service.fake_server.requests == []
    assert (path.read_bytes() if path.is_file() else b"") == content


async def test_a_missing_folder_is_an_error(client: Any, service: Service, path: Path) -> None:
    with pytest.raises(CheckpointError, match="check that its folder exists"):
        await read(client.map(REF, rows(1), checkpoint=path.parent / "no" / "run.sqlite"))


FULL_DISK = """
import resource, sys
import anyio
from dashscope import AsyncClient, CheckpointError, Client

_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, most))
inputs = [{"value": "x" * 500 + str(n)} for n in range(120)]
seen = 0
def sync():
    global seen
    with Client(base_url=sys.argv[1]) as client:
        with client.map("owner/name", inputs, checkpoint=sys.argv[2]) as results:
            for result in results:
                assert result.ok
                seen += 1
async def asynchronous():
    global seen
    async with AsyncClient(base_url=sys.argv[1]) as client:
        async with client.map("owner/name", inputs, checkpoint=sys.argv[2]) as results:
            async for result in results:
                assert result.ok
                seen += 1
try:
    sync() if sys.argv[3] == "sync" else anyio.run(asynchronous, backend=sys.argv[3])
except CheckpointError as error:
    print(seen, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # coverage writes a file at the end
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on files")
@pytest.mark.parametrize(
    "kind",
    ["asyncio", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("trio", "sync"))],
)
def test_a_full_disk_is_an_error_and_the_next_call_resumes(
    service: Service,
    path: Path,
    start: Callable[..., Program],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashscope._batch.recovery.IN_TRANSIT", timedelta(seconds=0.5))
    done = start(FULL_DISK, service.fake_server.base_url, str(path), kind).finish()
    assert (done.code, done.stderr.count("Traceback")) == (0, 0), done.stderr
    seen, _, sentence = done.stdout.partition(" ")
    assert f"{path} cannot be written: the disk is full or broken" in sentence
    assert service.canceled == []
    inputs = [{"value": "x" * 500 + str(n)} for n in range(120)]
    with (
        Client(base_url=service.fake_server.base_url) as client,
        client.map(REF, inputs, checkpoint=path) as results,
    ):
        every = list(results)
    assert sorted(result.index for result in every) == list(range(120))
    assert all(result.ok for result in every)
    assert len(service.created) == 120
    assert sum(result.from_checkpoint for result in every) >= int(seen)


async def test_results_are_on_disk_before_they_are_returned(
    client: Any, service: Service, path: Path
) -> None:
    def program() -> Iterator[dict[str, Any]]:
        yield from rows(20)

    async with client.map(REF, program(), checkpoint=path, concurrency=4) as results:
        async for result in results:
            wal = path.with_name(path.name + "-wal")
            content = path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")
            assert f'"id": "{result.prediction.id}"'.encode() in content


def test_concurrent_writes_are_all_recorded(path: Path) -> None:
    class Here:
        async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
            return function(*args)

    here: Any = Here()
    store = SqliteStore(str(path), REF, "position")
    checkpoint = StoredCheckpoint(here, ServerClock(), store, Positions(), skip_finished=False)
    drive(checkpoint.open())

    def record(first: int) -> None:
        for index in range(first, 400, 8):
            row = Row(index=index, input={}, key=index, fingerprint=b"", sent_fingerprint=b"")
            drive(checkpoint.record_intent(row))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=record, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        drive(checkpoint.close())
    assert [row["position"] for row in stored(path)] == list(range(400))


def test_sync_and_async_clients_share_checkpoints(service: Service, path: Path) -> None:
    import asyncio

    with (
        Client(base_url=service.fake_server.base_url) as client,
        client.map(REF, rows(3), checkpoint=path) as results,
    ):
        list(results)

    async def resume() -> list[Any]:
        async with AsyncClient(base_url=service.fake_server.base_url) as client:
            return await read(client.map(REF, rows(3), checkpoint=str(path)))

    assert len(asyncio.run(resume())) == 3
    assert len(service.created) == 3
