"""Rate limits, back-off and polling: a batch slows down when asked to and sends few requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashscope import InternalServerError, RateLimitError
from tests.batch.reading import REF, outputs, read, rows
from tests.servers.batch_service import Service
from tests.servers.fake_server import DROP, FakeServer, Received, Reply, reply
from tests.stopwatch import Stopwatch
from tests.variants import variants


@pytest.fixture(
    params=[
        "asyncio",
        *(pytest.param(name, marks=pytest.mark.soak) for name in ("uvloop", "trio", "sync")),
    ]
)
def flavor(request: pytest.FixtureRequest) -> str:
    """One flavor in the default run, because all flavors share the decisions."""
    name: str = request.param
    return name


async def test_a_429_blocks_all_creates(client: Any, service: Service) -> None:
    refused: list[float] = []
    creates: list[float] = []

    def throttle(received: Received) -> Reply | None:
        if received.method != "POST":
            return None
        creates.append(time.monotonic())
        if len(creates) == 5:
            refused.append(time.monotonic())
            return reply({"detail": "Request was throttled.", "retry_after": 1}, 429)
        return None

    service.override = throttle
    results = await read(client.map(REF, rows(40), concurrency=4))
    assert sorted(outputs(results)) == list(range(40))
    assert len(service.created) == 40
    # Three others were in flight, and each may be followed by one before the response is read.
    assert sum(refused[0] < at < refused[0] + 0.9 for at in creates) <= 6


async def test_a_rate_limit_causes_no_errors(
    make_client: Callable[..., Any], service: Service
) -> None:
    """The server limits creates with a token bucket."""
    level, at = 10.0, time.monotonic()
    refusals = 0

    def throttle(received: Received) -> Reply | None:
        nonlocal level, at, refusals
        if received.method != "POST":
            return None
        level = min(10.0, level + (time.monotonic() - at) * 50)
        at = time.monotonic()
        if level < 1:
            refusals += 1
            return reply({"detail": "throttled", "status": 429}, 429)
        level -= 1
        return None

    service.override = throttle
    service.seconds = lambda _: 0.05
    client = make_client(base_url=service.fake_server.base_url)
    results = await read(client.map(REF, rows(40), concurrency=32))
    assert all(result.ok for result in results)
    assert len(service.created) == 40
    assert refusals > 0


async def test_without_retries_a_429_is_the_rows_error(
    make_client: Callable[..., Any], service: Service
) -> None:
    service.override = lambda received: (
        reply({"detail": "throttled"}, 429)
        if received.method == "POST" and received.json["input"]["value"] == 1
        else None
    )
    client = make_client(base_url=service.fake_server.base_url, max_retries=0)
    results = await read(client.map(REF, rows(3), ordered=True))
    assert [result.ok for result in results] == [True, False, True]
    assert isinstance(results[1].error, RateLimitError)


async def test_max_rate_spaces_creates(client: Any, service: Service) -> None:
    started = Stopwatch()
    await read(client.map(REF, rows(9), max_rate=10))
    assert started.wall >= 0.8


async def test_an_unreachable_server_fails_each_row(
    make_client: Callable[..., Any],
) -> None:
    client = make_client(base_url="http://127.0.0.1:9/v1", max_retries=1)
    results = await read(client.map(REF, rows(3)))
    assert len(results) == 3
    assert all("No connection" in str(result.error) for result in results)
    assert results[0].error.attempts == 2


async def test_many_predictions_are_polled_through_the_list(client: Any, service: Service) -> None:
    service.seconds = lambda _: 0.5
    results = await read(client.map(REF, rows(60), concurrency=60))
    assert all(result.ok for result in results)
    assert service.request_counts["get"] <= 2
    assert sum(service.request_counts.values()) <= 2.5 * 60


async def test_fields_that_the_list_omits_are_fetched(client: Any, service: Service) -> None:
    service.omitted_from_lists = ("output", "error", "input", "logs")
    service.seconds = lambda _: 0.3
    inputs = [*rows(20), {"fail": "too hot"}]
    results = await read(client.map(REF, inputs, ordered=True))
    assert outputs(results[:20]) == list(range(20))
    assert "too hot" in str(results[20].error)
    assert service.request_counts["get"] <= 25


@variants(
    "lists",
    [
        reply({"detail": "no lists here"}, 403),
        reply({"detail": "what?"}, 404),
        reply({"next": None, "previous": None, "results": []}),
        reply({"nonsense": True}),
        reply(None, 500),
    ],
)
async def test_without_lists_each_prediction_is_polled(
    client: Any, service: Service, fake_server: FakeServer, lists: Reply
) -> None:
    service.lists = lists
    service.seconds = lambda _: 0.1
    results = await read(client.map(REF, rows(10)))
    assert sorted(outputs(results)) == list(range(10))
    assert service.request_counts["list"] <= 3


async def test_predictions_of_others_do_not_cause_many_list_requests(
    client: Any, service: Service
) -> None:
    service.foreign = 99
    service.seconds = lambda _: 0.4
    results = await read(client.map(REF, rows(20), concurrency=20))
    assert sorted(outputs(results)) == list(range(20))
    assert service.request_counts["list"] <= 12


async def test_a_throttled_list_is_polled_again(client: Any, service: Service) -> None:
    throttled = 0

    def throttle(received: Received) -> Reply | None:
        nonlocal throttled
        if received.method == "GET" and throttled < 2:
            throttled += 1
            return reply({"detail": "throttled"}, 429, retry_after="0.2")
        return None

    service.override = throttle
    service.seconds = lambda _: 0.5
    results = await read(client.map(REF, rows(20)))
    assert sorted(outputs(results)) == list(range(20))
    assert service.request_counts["get"] <= 10


async def test_a_fixed_poll_interval(client: Any, service: Service) -> None:
    service.seconds = lambda _: 0.5
    await read(client.map(REF, rows(1), poll_interval=0.3))
    assert service.request_counts["get"] <= 3


async def test_progress_receives_the_counts(client: Any, service: Service) -> None:
    seen: list[Any] = []
    service.seconds = lambda _: 0.1
    inputs = [*rows(19), {"fail": "x"}]
    async with client.map(REF, inputs, concurrency=4, progress=seen.append) as results:
        assert results.progress.total == 20
        async for _ in results:
            pass
    assert seen[0].queued == 20
    last = seen[-1]
    assert (last.total, last.done, last.failed, last.running, last.queued) == (20, 19, 1, 0, 0)
    assert last.is_over
    assert last.remaining == 0
    assert last.rate > 0
    assert [p.is_over for p in seen].count(True) == 1
    assert all(0 <= p.running <= 4 for p in seen)


async def test_progress_is_called_after_an_exception(client: Any, service: Service) -> None:
    seen: list[Any] = []
    service.seconds = lambda _: 60
    with pytest.raises(ZeroDivisionError):
        async with client.map(REF, rows(3), progress=seen.append):
            raise ZeroDivisionError
    assert seen[-1].is_over


async def test_an_exception_in_progress_ends_the_batch(client: Any, service: Service) -> None:
    def progress(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read(client.map(REF, rows(3), progress=progress))
    assert all(prediction.is_finished for prediction in service.created)


async def test_polls_survive_dropped_connections(
    client: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)
    broken = 0

    def break_some(received: Received) -> Reply | None:
        nonlocal broken
        if received.method == "GET" and broken < 4:
            broken += 1
            return DROP
        return None

    service.override = break_some
    service.seconds = lambda _: 0.3
    results = await read(client.map(REF, rows(10)))
    assert sorted(outputs(results)) == list(range(10))
    assert service.request_counts["create"] == 10


@pytest.mark.parametrize("kept", [False, True])
async def test_a_prediction_that_cannot_be_polled_is_an_error_and_is_canceled(
    client: Any, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: bool
) -> None:
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)
    monkeypatch.setattr("dashscope._predictions.watch.MAX_OUTAGE", 0.2)
    service.seconds = lambda input: 60.0 if input["value"] == 0 else 0.0
    service.lists = reply({"detail": "no"}, 403)
    service.override = lambda received: (
        reply({"detail": "no"}, 500) if received.path.endswith("/p0") else None
    )
    checkpoint = tmp_path / "run.sqlite" if kept else None
    options = {"concurrency": 1, "ordered": True, "checkpoint": checkpoint}
    results = await read(client.map(REF, rows(2), **options))
    assert isinstance(results[0].error, InternalServerError)
    assert results[1].output == 1
    if not kept:
        assert service.canceled == ["p0"]
        return
    assert service.canceled == []  # the next call attaches to it
    service.created[0].seconds = 0.0
    service.override = lambda _: None
    assert outputs(await read(client.map(REF, rows(2), **options))) == [0, 1]
    assert service.request_counts["create"] == 2


class Bucket:
    """A rate limit with a blocking `acquire`, which counts its permits."""

    per_second = 40.0

    def __init__(self) -> None:
        self.permits: list[int] = []
        self.pauses: list[float] = []
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def acquire(self, count: int = 1) -> None:
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + count / self.per_second
            self.permits.append(count)
        time.sleep(start - time.monotonic() if start > time.monotonic() else 0.0)

    def back_off(self, seconds: float) -> None:
        self.pauses.append(seconds)


class AsyncBucket(Bucket):
    """The same rate limit with a coroutine function."""

    async def acquire(self, count: int = 1) -> None:  # type: ignore[override]
        super().acquire(count)


async def test_a_rate_limit_can_be_an_object(client: Any, service: Service, flavor: str) -> None:
    rejected = iter([True])
    service.override = lambda received: (
        reply({"detail": "slow down", "retry_after": 0.1}, 429)
        if received.method == "POST" and next(rejected, False)
        else None
    )
    for bucket in (Bucket(), AsyncBucket()):
        if flavor == "sync" and isinstance(bucket, AsyncBucket):
            with pytest.raises(TypeError, match=r"max_rate.acquire must be a plain function"):
                client.map(REF, rows(1), max_rate=bucket)
            continue
        started = Stopwatch()
        results = await read(client.map(REF, rows(40), max_rate=bucket))
        assert all(result.ok for result in results)
        assert started.wall >= 0.7
        # The rate is granted in blocks of up to half a second.
        assert sum(bucket.permits) >= 40
        assert max(bucket.permits) <= 20
        assert bucket.pauses in ([0.1], [])
    with pytest.raises(TypeError, match="or an object with acquire"):
        client.map(REF, rows(1), max_rate="5")
