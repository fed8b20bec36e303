"""`wait()`: poll a prediction or training of someone else until it is finished."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from dashscope import (
    APITimeoutError,
    NotFoundError,
    Prediction,
    PredictionError,
    PredictionTimeoutError,
    RateLimitError,
    Training,
)
from tests.servers.fake_server import FakeServer, Received, Reply, reply
from tests.stopwatch import Stopwatch
from tests.variants import variants

TERMINAL = ["succeeded", "failed", "canceled", "aborted"]


def state(status: str = "processing", **fields: Any) -> Reply:
    return reply({"id": "x1", "status": status, **fields})


KINDS = ["prediction", "prediction id", "training", "training id"]
kinds = variants("waited", KINDS)
"""Runs a test for each kind of object to wait for."""


def path(waited: str) -> str:
    return f"/v1/{waited.split()[0]}s/x1"


def wait(client: Any, waited: str, **options: Any) -> Any:
    """Wait in one of the possible ways."""
    if waited == "prediction":
        return client.wait(Prediction(id="x1", status="starting"), **options)
    if waited == "prediction id":
        return client.wait("x1", **options)
    if waited == "training":
        return client.wait(Training(id="x1", status="starting"), **options)
    return client.trainings.wait("x1", **options)


@kinds
async def test_polls_until_finished(
    scripted_client: Any, fake_server: FakeServer, waited: str
) -> None:
    fake_server.respond_with(
        [state("starting"), state("processing"), state("dreaming"), state("succeeded")]
    )
    seen: list[str] = []
    done = await wait(
        scripted_client, waited, poll_interval=0.001, progress=lambda item: seen.append(item.status)
    )
    assert type(done) is (Training if "training" in waited else Prediction)
    assert done.status == "succeeded"
    assert seen == ["starting", "processing", "dreaming", "succeeded"]
    assert fake_server.request_lines == [f"GET {path(waited)}"] * 4


@kinds
async def test_every_terminal_status_ends_the_wait(
    scripted_client: Any, fake_server: FakeServer, waited: str
) -> None:
    for status in TERMINAL:
        fake_server.requests.clear()
        fake_server.respond_with(state(status, error="why"))
        assert (await wait(scripted_client, waited)).error == "why"
        assert len(fake_server.requests) == 1


async def test_a_finished_prediction_is_not_polled(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(state("succeeded", output={}))
    for done in (
        await scripted_client.predictions.get("x1"),
        await scripted_client.trainings.get("x1"),
    ):
        fake_server.requests.clear()
        seen: list[Any] = []
        assert await scripted_client.wait(done, progress=seen.append) == done
        assert seen == [done]
        assert fake_server.requests == []


async def test_a_partial_object_of_a_list_is_fetched(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({"results": [{"id": "x1", "status": "succeeded"}]}))
    (partial,) = await scripted_client.predictions.list()
    fake_server.respond_with(state("succeeded", output="whole"))
    assert (await scripted_client.wait(partial)).output == "whole"


async def test_a_timeout_does_not_cancel(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(state())
    started = Stopwatch()
    with pytest.raises(PredictionTimeoutError, match="x1 was still processing") as caught:
        await scripted_client.wait("x1", timeout=1.0)
    assert started.wall > 0.9
    assert started.adjusted < 3
    assert caught.value.prediction.id == "x1"
    assert not any("cancel" in requested for requested in fake_server.request_lines)


@kinds
async def test_cancel_on_exit_cancels(
    make_client: Any, fake_server: FakeServer, waited: str
) -> None:
    sent: list[str] = []  # sorted, because an abandoned request may arrive late
    hooks = {"request": [lambda request: sent.append(request.url)]}
    client = make_client(base_url=fake_server.base_url, event_hooks=hooks)
    fake_server.respond_with(lambda r: state("canceled" if "cancel" in r.path else "processing"))
    with pytest.raises(PredictionTimeoutError):
        await wait(client, waited, timeout=0.5, cancel_on_exit=True)
    assert fake_server.request_lines.count(f"POST {path(waited)}/cancel") == 1
    assert sent[-1].endswith(f"{path(waited)}/cancel")


async def test_a_response_that_does_not_arrive_is_a_timeout(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    first = [True]

    def script(_: Received) -> Reply:
        late = not first or not first.pop()
        return attrs.evolve(state(), delay=60.0 if late else 0)

    fake_server.respond_with(script)
    with pytest.raises(PredictionTimeoutError):
        await scripted_client.wait("x1", timeout=1.0)


async def test_a_first_poll_without_a_response_is_a_request_timeout(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(attrs.evolve(state(), delay=0.4))
    with pytest.raises(APITimeoutError):
        await scripted_client.wait("x1", timeout=0.15)


async def test_a_missing_prediction_is_not_found(scripted_client: Any) -> None:
    for waited in KINDS:
        with pytest.raises(NotFoundError):
            await wait(scripted_client, waited)


async def test_a_removed_output_is_an_error(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(state("succeeded", data_removed=True))
    with pytest.raises(PredictionError, match="removed"):
        await scripted_client.wait("x1")
    fake_server.respond_with(state("failed", data_removed=True))
    assert (await scripted_client.wait("x1")).status == "failed"


async def test_a_429_slows_all_waits_of_the_client(
    scripted_client: Any, fake_server: FakeServer, no_jitter: None
) -> None:
    fake_server.respond_with([reply({}, 429, retry_after="0"), state(), state("succeeded")])
    started = Stopwatch()
    await scripted_client.wait("x1", poll_interval=0.15)
    assert started.wall > 0.25
    # A view of the client shares the polling pace: 2, then 1.8 and 1.62 times.
    fake_server.respond_with([state(), state("succeeded")])
    started = Stopwatch()
    await scripted_client.with_options(max_retries=1).wait("x1", poll_interval=0.15)
    assert started.wall > 0.2


async def test_a_429_beyond_a_minute_ends_the_wait(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({}, 429, retry_after="100"))
    with pytest.raises(RateLimitError, match="wait 100 s"):
        await scripted_client.wait("x1")


async def test_invalid_options_are_rejected_before_a_request(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    invalid: list[tuple[str, Any, type[Exception]]] = [
        ("poll_interval", 0, ValueError),
        ("poll_interval", "1", TypeError),
        ("timeout", 0, ValueError),
        ("timeout", "1", TypeError),
        ("progress", "print", TypeError),
    ]
    for waited in KINDS:
        for name, value, error in invalid:
            with pytest.raises(error, match=name):
                await wait(scripted_client, waited, **{name: value})
    for wrong in (None, 5, {"id": "x1"}):
        with pytest.raises(TypeError, match="Prediction, a Training or an id"):
            await scripted_client.wait(wrong)
    assert fake_server.requests == []
