"""The results of a batch: exactly one per input."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashscope import ModelError, NotFoundError, UnprocessableEntityError
from tests.batch.reading import REF, outputs, read, read_into, rows
from tests.servers.batch_service import Service
from tests.servers.fake_server import DROP, FakeServer, Received, Reply, reply
from tests.variants import variants


async def test_each_row_has_one_result(client: Any, service: Service) -> None:
    results = await read(client.map(REF, rows(20), concurrency=8))
    assert sorted(result.index for result in results) == list(range(20))
    assert all(result.ok and result.error is None for result in results)
    assert all(result.input == {"value": result.index} for result in results)
    assert all(result.output == result.index for result in results)
    assert all(result.prediction.status == "succeeded" for result in results)
    assert sorted(service.values) == list(range(20))


@variants("count", [0, 1])
async def test_no_inputs_and_one_input(
    client: Any, service: Service, fake_server: FakeServer, count: int
) -> None:
    assert outputs(await read(client.map(REF, rows(count)))) == list(range(count))
    assert service.request_counts["create"] == count


async def test_a_version_is_run(client: Any, service: Service) -> None:
    assert outputs(await read(client.map(f"{REF}:v1", [{"value": 1}]))) == [1]
    names, create = service.fake_server.requests[:2]
    assert (names.method, names.path) == ("GET", "/v1/models/owner/name/versions/v1")
    assert create.path == "/v1/predictions"
    assert create.json == {"version": "v1", "input": {"value": 1}}


async def test_results_are_returned_as_they_finish(client: Any, service: Service) -> None:
    service.seconds = lambda input: 0.6 if input["value"] == 0 else 0.0
    results = await read(client.map(REF, rows(6)))
    assert results[-1].index == 0


async def test_ordered_results_keep_the_order_of_the_inputs(client: Any, service: Service) -> None:
    service.seconds = lambda input: 0.3 if input["value"] % 5 == 0 else 0.0
    results = await read(client.map(REF, rows(30), concurrency=4, ordered=True))
    assert outputs(results) == list(range(30))


async def test_one_failure_does_not_end_the_batch(client: Any, service: Service) -> None:
    inputs = [{"value": 0}, {"fail": "too hot"}, {"value": 2}]
    good, bad, last = await read(client.map(REF, inputs, ordered=True))
    assert (good.output, last.output) == (0, 2)
    assert not bad.ok
    assert isinstance(bad.error, ModelError)
    assert "too hot" in str(bad.error)
    with pytest.raises(ModelError, match="too hot"):
        _ = bad.output
    assert bad.prediction.status == "failed"


async def test_on_error_raise_ends_the_batch(client: Any, service: Service) -> None:
    service.seconds = lambda input: 0.0 if "fail" in input else 60.0
    inputs = [{"value": 0}, {"fail": "too hot"}, {"value": 2}]
    seen: list[Any] = []
    with pytest.raises(ModelError, match="too hot") as caught:
        await read_into(seen, client.map(REF, inputs, on_error="raise"))
    assert seen == []
    assert "index 1" in caught.value.__notes__[0]
    assert all(prediction.is_finished for prediction in service.created)


@variants("bad", ["text", None, 7, ["a"], {1: 2}, {"value": {1, 2j}}, {"v": float("nan")}])
async def test_an_invalid_input_fails_its_own_row(
    client: Any, service: Service, fake_server: FakeServer, bad: Any
) -> None:
    first, second, third = await read(
        client.map(REF, [{"value": 0}, bad, {"value": 2}], ordered=True)
    )
    assert (first.output, third.output) == (0, 2)
    assert isinstance(second.error, TypeError | ValueError)
    assert second.input is bad
    assert second.prediction is None
    assert service.request_counts["create"] == 2


async def test_a_missing_file_fails_its_own_row(
    client: Any, service: Service, tmp_path: Path
) -> None:
    there = tmp_path / "there.txt"
    there.write_text("content")
    inputs = [{"value": there}, {"value": tmp_path / "missing.txt"}]
    good, bad = await read(client.map(REF, inputs, ordered=True))
    assert good.output == "data:text/plain;base64,Y29udGVudA=="
    assert "missing.txt cannot be read" in str(bad.error)


async def test_a_rejected_input_fails_its_own_row(client: Any, service: Service) -> None:
    def refuse(received: Received) -> Reply | None:
        if received.method == "POST" and received.json["input"] == {"value": 1}:
            return reply({"detail": "value is too odd", "status": 422}, 422)
        return None

    service.override = refuse
    results = await read(client.map(REF, rows(3), ordered=True))
    assert isinstance(results[1].error, UnprocessableEntityError)
    assert (results[0].output, results[2].output) == (0, 2)


async def test_a_create_whose_response_is_lost_is_not_retried(
    client: Any, service: Service
) -> None:
    service.override = lambda received: (
        DROP if received.method == "POST" and received.json["input"] == {"value": 1} else None
    )
    results = await read(client.map(REF, rows(3), ordered=True))
    assert results[1].error.may_have_been_created
    assert service.request_counts["create"] == 3


async def test_a_deleted_prediction_fails_its_own_row(
    client: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._batch.poller.CREATE_SETTLE_TIME", 0.0)
    service.seconds = lambda _: 0.2
    service.override = lambda received: (
        reply({"detail": "gone"}, 404) if received.path.endswith("/predictions/p0") else None
    )
    service.omitted_from_lists = ("output",)
    results = await read(client.map(REF, rows(2), ordered=True, concurrency=1))
    assert isinstance(results[0].error, NotFoundError)
    assert results[1].output == 1


async def test_an_exception_from_the_inputs_is_raised_after_the_rows_before(
    client: Any, service: Service
) -> None:
    service.seconds = lambda _: 0.2

    def breaking() -> Iterator[dict[str, Any]]:
        yield from rows(5)
        raise LookupError("the file ends here")

    seen: list[Any] = []
    with pytest.raises(LookupError, match="the file ends here"):
        await read_into(seen, client.map(REF, breaking(), concurrency=2))
    assert sorted(outputs(seen)) == [0, 1, 2, 3, 4]
    assert service.canceled == []


@variants("ordered", [False, True])
async def test_inputs_are_read_lazily(client: Any, service: Service, ordered: bool) -> None:
    read_so_far = 0
    given = 0
    furthest = 0

    def inputs() -> Iterator[dict[str, Any]]:
        nonlocal read_so_far, furthest
        for row in rows(50):
            read_so_far += 1
            furthest = max(furthest, read_so_far - given)
            yield row

    async with client.map(REF, inputs(), concurrency=4, ordered=ordered) as results:
        async for _ in results:
            given += 1
    assert given == 50
    assert furthest <= 4 * (4 if ordered else 2)
    assert service.most_running <= 4


async def test_infinite_inputs(client: Any, service: Service) -> None:
    def forever() -> Iterator[dict[str, Any]]:
        while True:
            yield {"value": 1}

    given = 0
    async with client.map(REF, forever(), concurrency=4) as results:
        async for _ in results:
            given += 1
            if given == 20:
                break
    assert service.request_counts["create"] <= 20 + 8


async def test_the_concurrency_is_an_upper_bound(client: Any, service: Service) -> None:
    service.seconds = lambda _: 0.05
    await read(client.map(REF, rows(30), concurrency=3))
    assert service.most_running <= 3


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_async_inputs(client: Any, service: Service) -> None:
    import anyio

    closed = False

    async def inputs() -> AsyncIterator[dict[str, Any]]:
        nonlocal closed
        try:
            for row in rows(20):
                await anyio.sleep(0)
                yield row
        finally:
            closed = True

    assert sorted(outputs(await read(client.map(REF, inputs(), concurrency=3)))) == list(range(20))
    assert closed


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_async_inputs_are_closed_with_the_batch(client: Any, service: Service) -> None:
    import anyio

    closed = []

    async def inputs() -> AsyncIterator[dict[str, Any]]:
        try:
            with anyio.CancelScope():
                while True:
                    yield {"value": 1}
        finally:
            closed.append(True)

    async with client.map(REF, inputs(), concurrency=3) as results:
        async for _ in results:
            break
    assert closed == [True]


@pytest.mark.parametrize("flavor", ["asyncio", "trio"])
async def test_results_do_not_wait_for_slow_async_inputs(client: Any, service: Service) -> None:
    import anyio

    seen = anyio.Event()

    async def inputs() -> AsyncIterator[dict[str, Any]]:
        yield {"value": 0}
        await seen.wait()
        yield {"value": 1}

    async with client.map(REF, inputs()) as results:
        got = []
        async for result in results:
            seen.set()
            got.append(result.output)
    assert got == [0, 1]


@pytest.mark.parametrize("flavor", ["sync"])
async def test_the_sync_client_reads_inputs_in_the_callers_thread(
    client: Any, service: Service
) -> None:
    threads: set[int] = set()

    def inputs() -> Iterator[dict[str, Any]]:
        for row in rows(20):
            threads.add(threading.get_ident())
            yield row

    await read(client.map(REF, inputs(), concurrency=3))
    assert threads == {threading.get_ident()}


async def test_file_outputs(make_client: Callable[..., Any], service: Service) -> None:
    client = make_client(base_url=service.fake_server.base_url)
    (result,) = await read(client.map(REF, [{"value": "data:text/plain,hello"}]))
    output = getattr(result.output, "read", None)
    assert output is not None
    assert result.prediction.output == "data:text/plain,hello"
    (result,) = await read(
        client.map(REF, [{"value": "data:text/plain,hello"}], use_file_output=False)
    )
    assert type(result.output) is str
