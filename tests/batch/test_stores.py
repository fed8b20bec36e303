"""Checkpoints in every store: the same call resumes and creates nothing twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dashscope import CheckpointError, ModelError, PredictionError
from dashscope._batch.checkpoint import inspection
from dashscope._batch.checkpoint.location import parse
from tests import flavors
from tests.batch.reading import REF, outputs, read, rows
from tests.batch.stores import TestedFile, TestedFolder, TestedStore
from tests.servers.batch_service import Service
from tests.servers.fake_server import DROP, Received, Reply, reply

STORES = {"file": TestedFile, "folder": TestedFolder}
BY_DEFAULT = (("asyncio", "file"), ("sync", "folder"))


@pytest.fixture(
    params=[
        pytest.param(
            (flavor, store),
            id=f"{flavor}-{store}",
            marks=() if (flavor, store) in BY_DEFAULT else pytest.mark.soak,
        )
        for flavor in flavors.FLAVORS
        for store in STORES
    ]
)
def flavor_and_store(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each store in one flavor by default, and in all flavors in the soak session."""
    both: tuple[str, str] = request.param
    return both


@pytest.fixture
def flavor(flavor_and_store: tuple[str, str]) -> str:
    return flavor_and_store[0]


@pytest.fixture
def store(flavor_and_store: tuple[str, str], tmp_path: Path) -> TestedStore:
    return STORES[flavor_and_store[1]](tmp_path)


async def stop_after(count: int, batch: Any) -> list[Any]:
    """Return the first results of a batch that is closed early."""
    seen: list[Any] = []
    async with batch as results:
        async for result in results:
            seen.append(result)
            if len(seen) == count:
                break
    return seen


async def test_finished_rows_are_read_from_the_checkpoint(
    client: Any, service: Service, store: TestedStore
) -> None:
    inputs = [*rows(4), {"fail": "too hot"}]
    first = await read(client.map(REF, inputs, ordered=True, checkpoint=store.checkpoint))
    assert not any(result.from_checkpoint for result in first)
    requested = len(service.fake_server.requests)
    second = await read(client.map(REF, inputs, ordered=True, checkpoint=store.checkpoint))
    assert len(service.fake_server.requests) == requested
    assert all(result.from_checkpoint for result in second)
    assert outputs(second) == outputs(first) == [0, 1, 2, 3, None]
    assert isinstance(second[4].error, ModelError)
    assert str(second[4].error) == str(first[4].error)
    assert [r.prediction.id for r in second] == [r.prediction.id for r in first]
    assert second[0].prediction.metrics.predict_time == 0.0


async def test_finished_rows_can_be_skipped(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(3), checkpoint=store.checkpoint))
    seen: list[Any] = []
    batch = client.map(
        REF, rows(5), checkpoint=store.checkpoint, resume="skip", ordered=True, progress=seen.append
    )
    assert outputs(await read(batch)) == [3, 4]
    assert len(service.created) == 5
    assert (seen[-1].skipped, seen[-1].done) == (3, 2)


async def test_a_batch_that_was_closed_early_resumes(
    client: Any, service: Service, store: TestedStore
) -> None:
    service.seconds = lambda input: 60.0 if input["value"] == 7 and not service.canceled else 0.0
    await stop_after(10, client.map(REF, rows(20), concurrency=4, checkpoint=store.checkpoint))
    results = await read(client.map(REF, rows(20), checkpoint=store.checkpoint))
    assert sorted(outputs(results)) == list(range(20))
    # Only canceled predictions are created again.
    done = [
        prediction.input["value"]
        for prediction in service.created
        if prediction.status == "succeeded"
    ]
    assert sorted(done) == list(range(20))
    assert len(service.canceled) >= 1


async def test_predictions_of_an_earlier_call_are_attached_to(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(3), checkpoint=store.checkpoint))
    for index in range(3):
        store.forget(index)
    results = await read(client.map(REF, rows(3), checkpoint=store.checkpoint))
    assert sorted(outputs(results)) == [0, 1, 2]
    assert len(service.created) == 3


async def test_a_prediction_whose_id_was_not_recorded_is_recovered(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, [{"value": 1}] * 3, checkpoint=store.checkpoint, concurrency=1))
    store.forget(1, id=True)
    service.create({"value": 1}, "other/model")
    results = await read(
        client.map(REF, [{"value": 1}] * 3, checkpoint=store.checkpoint, ordered=True)
    )
    assert [result.prediction.id for result in results] == ["p0", "p1", "p2"]
    assert service.request_counts["create"] == 3


async def test_a_row_whose_prediction_does_not_exist_is_created(
    client: Any, service: Service, store: TestedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._batch.recovery.SEARCH_INTERVAL", 0.05)
    await read(client.map(REF, [{"value": 1}] * 3, checkpoint=store.checkpoint, concurrency=1))
    store.forget(1, id=True)
    service.created[1].canceled = None
    del service.created[1]
    store.make_old()
    results = await read(
        client.map(REF, [{"value": 1}] * 3, checkpoint=store.checkpoint, ordered=True)
    )
    assert [result.prediction.id for result in results] == ["p0", "p3", "p2"]


@pytest.mark.parametrize("on_unknown", ["error", "recreate"])
async def test_a_prediction_that_cannot_be_identified(
    client: Any, service: Service, store: TestedStore, on_unknown: Any
) -> None:
    await read(client.map(REF, rows(2), checkpoint=store.checkpoint, concurrency=1))
    store.forget(1, id=True)
    for prediction in service.created:
        prediction.removed = True
    batch = client.map(
        REF, rows(2), checkpoint=store.checkpoint, ordered=True, on_unknown=on_unknown
    )
    results = await read(batch)
    if on_unknown == "error":
        assert isinstance(results[1].error, CheckpointError)
        assert "index 1 may have been created at" in str(results[1].error)
        assert service.request_counts["create"] == 2
    else:
        assert outputs(results) == [0, 1]
        assert service.request_counts["create"] == 3


async def test_without_lists_a_prediction_cannot_be_identified(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(2), checkpoint=store.checkpoint, concurrency=1))
    store.forget(1, id=True)
    service.lists = reply({"detail": "not here"}, 403)
    results = await read(client.map(REF, rows(2), checkpoint=store.checkpoint, ordered=True))
    assert "predictions cannot be listed" in str(results[1].error)


async def test_a_create_whose_response_was_lost_is_recovered_by_the_next_call(
    client: Any, service: Service, store: TestedStore
) -> None:
    def lose(received: Received) -> Reply | None:
        if received.method == "POST" and received.json["input"] == {"value": 1}:
            service.create(received.json["input"])
            return DROP
        return None

    service.override = lose
    results = await read(client.map(REF, rows(3), checkpoint=store.checkpoint, ordered=True))
    assert [result.ok for result in results] == [True, False, True]
    service.override = lambda _: None
    results = await read(client.map(REF, rows(3), checkpoint=store.checkpoint, ordered=True))
    assert outputs(results) == [0, 1, 2]
    assert len(service.created) == 3


async def test_rejected_rows_are_created_again(
    client: Any, service: Service, store: TestedStore
) -> None:
    service.override = lambda received: (
        reply({"detail": "bad"}, 422) if received.method == "POST" else None
    )
    results = await read(client.map(REF, rows(2), checkpoint=store.checkpoint))
    assert not any(result.ok for result in results)
    service.override = lambda _: None
    assert sorted(outputs(await read(client.map(REF, rows(2), checkpoint=store.checkpoint)))) == [
        0,
        1,
    ]


async def test_rows_that_timed_out_are_created_again(
    client: Any, service: Service, store: TestedStore
) -> None:
    service.seconds = lambda _: 60.0
    (result,) = await read(client.map(REF, rows(1), checkpoint=store.checkpoint, timeout=1.0))
    assert isinstance(result.error, TimeoutError)
    service.seconds = lambda _: 0.0
    (result,) = await read(client.map(REF, rows(1), checkpoint=store.checkpoint, timeout=5))
    assert result.output == 0


async def test_a_poll_that_sees_the_cancel_first_reports_the_timeout(
    client: Any, service: Service, store: TestedStore
) -> None:
    polled = threading.Event()

    def cancel_slowly(received: Received) -> None:
        if received.path.endswith("/cancel"):
            service.created[0].canceled = time.monotonic()
            polled.wait(10)
        elif service.created and service.created[0].canceled is not None:
            polled.set()

    service.seconds = lambda _: 60.0
    service.override = cancel_slowly
    (result,) = await read(client.map(REF, rows(1), checkpoint=store.checkpoint, timeout=1.0))
    assert polled.is_set()
    assert isinstance(result.error, TimeoutError)
    service.override, service.seconds = (lambda _: None), (lambda _: 0.0)
    (result,) = await read(client.map(REF, rows(1), checkpoint=store.checkpoint))
    assert result.output == 0


async def test_a_prediction_canceled_by_someone_else_is_not_created_again(
    client: Any, service: Service, store: TestedStore
) -> None:
    service.seconds = lambda _: 60.0
    batch = client.map(REF, rows(1), checkpoint=store.checkpoint)
    service.override = lambda received: (
        setattr(service.created[0], "canceled", time.monotonic()) if service.created else None
    )
    for _ in range(2):
        (result,) = await read(batch)
        assert "canceled" in str(result.error)
        batch = client.map(REF, rows(1), checkpoint=store.checkpoint)
    assert len(service.created) == 1


async def test_removed_data_is_an_error_and_not_an_empty_output(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(2), checkpoint=store.checkpoint, concurrency=1))
    store.forget(1)
    service.created[1].removed = True
    for _ in range(2):
        results = await read(client.map(REF, rows(2), checkpoint=store.checkpoint, ordered=True))
        assert results[0].output == 0
        assert isinstance(results[1].error, PredictionError)
        assert "removed the output" in str(results[1].error)


async def test_the_order_of_keys_does_not_matter(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(
        client.map(REF, [{"value": 1, "more": {"a": 1, "b": 2.0}}], checkpoint=store.checkpoint)
    )
    await read(
        client.map(REF, [{"more": {"b": 2, "a": 1}, "value": 1}], checkpoint=store.checkpoint)
    )
    assert len(service.created) == 1


async def test_a_checkpoint_of_another_model_is_rejected(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(1), checkpoint=store.checkpoint))
    with pytest.raises(CheckpointError, match="of a batch of owner/name, not of owner/other"):
        await read(client.map("owner/other", rows(1), checkpoint=store.checkpoint))


async def test_finished_rows_can_be_pruned(
    client: Any, service: Service, store: TestedStore
) -> None:
    await read(client.map(REF, rows(3), checkpoint=store.checkpoint, concurrency=1))
    store.forget(0)
    location = parse(store.checkpoint)
    (summary,) = inspection.summaries(location)
    assert (summary.rows, summary.finished, summary.running) == (3, 2, 1)
    assert inspection.prune(location, ref="other/model", before=None) == 0
    assert inspection.prune(location, ref=None, before=None) == 2
    (summary,) = inspection.summaries(location)
    assert (summary.rows, summary.finished, summary.running) == (1, 0, 1)
    await read(client.map(REF, rows(3), checkpoint=store.checkpoint))
    assert len(service.created) == 5
