"""Recovery if the clocks of the server, this machine and the earlier call differ."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import flavors
from tests.batch.checkpoints import change, stored
from tests.batch.reading import REF, outputs, read, rows
from tests.servers.batch_service import Service
from tests.servers.fake_server import DROP, Received, Reply
from tests.stopwatch import Stopwatch

SKEWS = [timedelta(minutes=-2), timedelta(seconds=60), timedelta(minutes=11), timedelta(days=1)]


@pytest.fixture
def flavor(request: pytest.FixtureRequest) -> str:
    """Each test names its flavors."""
    name: str = request.param
    return name


FLAVORS = pytest.mark.parametrize("flavor", flavors.params("asyncio", "sync"), indirect=True)


@FLAVORS
async def test_creates_without_a_response_are_recovered_by_the_next_call(
    make_client: Callable[..., Any],
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Simulate a kill before the first create was answered: the server created the predictions."""
    monkeypatch.setattr("dashscope._batch.recovery.SEARCH_INTERVAL", 0.05)

    def lose(received: Received) -> Reply | None:
        if received.method == "POST":
            service.create(received.json["input"])
            return DROP
        return None

    for ahead in SKEWS:
        path = tmp_path / f"{ahead.total_seconds()}.sqlite"
        service.created.clear()
        service.ahead = ahead
        service.override = lose
        first = make_client(base_url=service.fake_server.base_url)
        assert not any(result.ok for result in await read(first.map(REF, rows(3), checkpoint=path)))
        assert {row["clock_skew"] for row in stored(path)} == {None}
        service.override = lambda _: None
        second = make_client(base_url=service.fake_server.base_url)
        results = await read(second.map(REF, rows(3), checkpoint=path, ordered=True))
        assert outputs(results) == list(range(3))
        assert len(service.created) == 3, ahead


@FLAVORS
async def test_the_next_call_does_not_wait_for_the_clock_of_the_server(
    client: Any, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._batch.recovery.IN_TRANSIT", timedelta(seconds=0.2))
    monkeypatch.setattr("dashscope._batch.recovery.SEARCH_INTERVAL", 0.05)
    service.ahead = timedelta(seconds=60)
    service.override = lambda received: (
        DROP if received.method == "POST" and received.json["input"]["value"] == 1 else None
    )
    options: dict[str, Any] = {"checkpoint": tmp_path / "run.sqlite", "concurrency": 1}
    await read(client.map(REF, rows(2), **options))
    service.override = lambda _: None
    started = Stopwatch()
    assert sorted(outputs(await read(client.map(REF, rows(2), **options)))) == [0, 1]
    assert started.adjusted < 5


@FLAVORS
async def test_the_skew_of_the_earlier_call_is_stored_and_used(
    client: Any, service: Service, tmp_path: Path
) -> None:
    """Simulate an earlier call on a machine whose clock was an hour behind."""
    path = tmp_path / "run.sqlite"
    sent = threading.Event()

    def lose(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        if received.json["input"]["value"] == 0:
            assert sent.wait(60)  # row 1 was recorded before the skew was known
            return None
        service.create(received.json["input"])
        sent.set()
        return DROP

    service.ahead = timedelta(hours=1)
    service.override = lose
    await read(client.map(REF, rows(2), checkpoint=path))
    assert [row["clock_skew"] for row in stored(path)][1] == pytest.approx(3600, abs=5)
    service.ahead = timedelta(0)
    service.override = lambda _: None
    results = await read(client.map(REF, rows(2), checkpoint=path, ordered=True))
    assert outputs(results) == [0, 1]
    assert len(service.created) == 2


@FLAVORS
async def test_a_checkpoint_from_a_machine_whose_clock_is_ahead(
    client: Any, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._batch.recovery.IN_TRANSIT", timedelta(seconds=0.2))
    monkeypatch.setattr("dashscope._batch.recovery.SEARCH_INTERVAL", 0.05)
    path = tmp_path / "run.sqlite"
    await read(client.map(REF, rows(2), checkpoint=path))
    change(
        path,
        "UPDATE row SET outcome = NULL, prediction = NULL, clock_skew = 0, "
        "intended_at = '2999-01-01T00:00:00+00:00' WHERE position = 1",
    )
    started = Stopwatch()
    await read(client.map(REF, rows(2), checkpoint=path))
    assert started.adjusted < 5
    assert len(service.created) == 3


@FLAVORS
async def test_a_checkpoint_of_the_first_version_is_resumed(
    client: Any, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "run.sqlite"
    await read(client.map(REF, rows(3), checkpoint=path))
    change(path, "UPDATE row SET outcome = NULL WHERE position > 0")
    change(path, "UPDATE row SET prediction = NULL WHERE position > 1")
    change(path, "ALTER TABLE batch DROP COLUMN identity")
    change(path, "ALTER TABLE row DROP COLUMN clock_skew")
    change(path, "ALTER TABLE row RENAME COLUMN cancel_requested TO leaving")
    change(path, "PRAGMA user_version = 1")
    results = await read(client.map(REF, rows(3), checkpoint=path, ordered=True))
    assert outputs(results) == [0, 1, 2]
    assert results[0].from_checkpoint
    assert len(service.created) == 3
