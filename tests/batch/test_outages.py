"""A server that drains, restarts or fails for a while: few rows fail, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashscope import InternalServerError
from tests.batch.checkpoints import change
from tests.batch.reading import REF, outputs, read, rows
from tests.servers.batch_service import Service
from tests.servers.fake_server import DROP, FakeServer, Received, Reply, reply
from tests.variants import variants

UNAVAILABLE = {"detail": "The server is shutting down.", "status": 503}


class Outage:
    """Replaces responses for some seconds, starting with a certain create."""

    def __init__(self, response: Reply, *, method: str, after: int, seconds: float) -> None:
        self._answer = response
        self._method = method
        self._remaining = after
        self._seconds = seconds
        self._ends = 0.0
        self.failures = 0

    def __call__(self, received: Received) -> Reply | None:
        if received.method != self._method:
            return None
        self._remaining -= 1
        if self._remaining >= 0:
            return None
        self._ends = self._ends or time.monotonic() + self._seconds
        if time.monotonic() >= self._ends:
            return None
        self.failures += 1
        return self._answer


async def test_a_503_with_x_should_retry_is_retried(client: Any, service: Service) -> None:
    response = reply(UNAVAILABLE, 503, x_should_retry="true")
    service.override = outage = Outage(response, method="POST", after=20, seconds=0.5)
    results = await read(client.map(REF, rows(70), concurrency=16))
    assert sorted(outputs(results)) == list(range(70))
    assert len(service.created) == 70
    assert 1 <= outage.failures <= 16 + 8


async def test_a_503_without_x_should_retry_fails_few_rows(client: Any, service: Service) -> None:
    response = reply(UNAVAILABLE, 503)
    service.override = outage = Outage(response, method="POST", after=20, seconds=0.5)
    results = await read(client.map(REF, rows(70), concurrency=16))
    failed = [result for result in results if not result.ok]
    assert len(failed) == outage.failures <= 16 + 8
    assert all(isinstance(result.error, InternalServerError) for result in failed)
    assert all(result.error.may_have_been_created for result in failed)


async def test_retry_after_of_a_503_blocks_all_creates(client: Any, service: Service) -> None:
    response = reply(UNAVAILABLE, 503, x_should_retry="true", retry_after="1")
    service.override = outage = Outage(response, method="POST", after=20, seconds=0.8)
    assert all(result.ok for result in await read(client.map(REF, rows(40), concurrency=16)))
    assert 1 <= outage.failures <= 16


@variants("response", [DROP, reply(UNAVAILABLE, 503), reply(None, 429)])
async def test_polls_are_retried_until_the_server_responds(
    make_client: Callable[..., Any], service: Service, fake_server: FakeServer, response: Reply
) -> None:
    service.seconds = lambda _: 0.2
    service.override = outage = Outage(response, method="GET", after=0, seconds=0.4)
    client = make_client(base_url=fake_server.base_url, max_retries=0)
    results = await read(client.map(REF, rows(10)))
    assert sorted(outputs(results)) == list(range(10))
    assert service.request_counts["create"] == 10
    assert outage.failures >= 1


async def test_a_resumed_batch_waits_for_a_server_on_this_machine_that_restarts(
    make_client: Callable[..., Any],
    service: Service,
    unreachable_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "run.sqlite"
    client = make_client(base_url=service.fake_server.base_url)
    await read(client.map(REF, rows(2), checkpoint=path))
    change(path, "UPDATE row SET outcome = NULL")
    monkeypatch.setattr("dashscope._predictions.watch.MAX_OUTAGE", 0.5)
    results = await read(make_client(base_url=unreachable_url).map(REF, rows(2), checkpoint=path))
    assert all("Polls of" in str(result.error) for result in results)


async def test_an_unknown_prediction_ends_its_row_unless_it_is_new(
    client: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = reply({"detail": "not found", "status": 404}, 404)
    service.seconds = lambda _: 0.2
    service.override = Outage(response, method="GET", after=0, seconds=0.3)
    (result,) = await read(client.map(REF, rows(1)))
    assert result.output == 0
    monkeypatch.setattr("dashscope._batch.poller.CREATE_SETTLE_TIME", 0.0)
    service.override = Outage(response, method="GET", after=0, seconds=60)
    (result,) = await read(client.map(REF, rows(1)))
    assert result.error.status == 404


async def test_a_response_hook_that_raises_leaves_nothing_running(
    make_client: Callable[..., Any], service: Service
) -> None:
    def hook(response: Any) -> None:
        if response.status == 201:
            raise ZeroDivisionError

    service.seconds = lambda _: 60.0
    client = make_client(base_url=service.fake_server.base_url, event_hooks={"response": [hook]})
    with pytest.raises(ZeroDivisionError):
        await read(client.map(REF, rows(3)))
    assert len(service.canceled) == len(service.created) >= 1
