"""Running models by name, version and deployment; waiting, canceling and failures."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from dashscope import (
    Client,
    ModelError,
    NotFoundError,
    PredictionCanceledError,
    PredictionTimeoutError,
    UnprocessableEntityError,
)
from tests.client.tags import status_of
from tests.stopwatch import Stopwatch
from tests.variants import variants


async def test_a_model_is_run_by_its_name(client: Any) -> None:
    assert await client.run("dashscope/hello-world", {"text": "Alice"}) == "hello Alice"


async def test_a_version_is_run_by_its_id(client: Any) -> None:
    version = (await client.models.get("test", "echo")).latest_version
    assert await client.run(f"test/echo:{version.id}", {"value": 1}) == 1


@variants("value", [None, True, 0, 1.5, "", "Ζωή 🦊", [], [[None]], {"a": {"b": []}}])
async def test_any_json_round_trips(client: Any, value: Any) -> None:
    assert await client.run("test/echo", {"value": value}) == value


async def test_a_deployment_is_run(client: Any, flavor: str) -> None:
    version = (await client.models.get("test", "echo")).latest_version
    name = f"echo-{flavor}"
    await client.deployments.create(
        name=name,
        model="test/echo",
        version=version.id,
        hardware="cpu",
        min_instances=0,
        max_instances=1,
    )
    created = await client.deployments.predictions.create("local", name, input={"value": 5})
    done = await client.wait(created)
    assert (done.status, done.output, done.version) == ("succeeded", 5, version.id)
    assert done.deployment == name
    await client.deployments.delete("local", name)
    with pytest.raises(NotFoundError):
        await client.deployments.predictions.create("local", name, input={"value": 5})


async def test_create_accepts_each_form_of_a_version(client: Any) -> None:
    id = (await client.models.get("test", "echo")).latest_version.id
    for version in (id, f"test/echo:{id}", "test/echo"):
        created = await client.predictions.create(version=version, input={"value": version})
        assert (await client.wait(created)).output == version


async def test_wait_makes_the_create_block(client: Any) -> None:
    done = await client.models.predictions.create("test", "echo", input={"value": 7}, wait=10)
    assert (done.status, done.output) == ("succeeded", 7)
    assert await client.run("test/slow", {"seconds": 0.3, "tag": "held"}, wait=10) == "held"


async def test_a_background_prediction_can_be_waited_for(client: Any) -> None:
    created = await client.models.predictions.create(
        "test", "slow", input={"seconds": 0.4, "tag": "later"}
    )
    assert not created.is_done
    seen: list[str] = []
    done = await client.wait(created.id, progress=lambda p: seen.append(p.status))
    assert (done.status, done.output) == ("succeeded", "later")
    assert "processing" in seen
    assert seen[-1] == "succeeded"
    assert done.created_at.tzinfo is UTC or done.created_at.utcoffset().total_seconds() == 0
    assert done.created_at <= done.started_at <= done.completed_at
    assert done.metrics.predict_time >= 0.4
    assert await client.wait(done) == done


async def test_wait_times_out_without_canceling(client: Any) -> None:
    created = await client.models.predictions.create("test", "slow", input={"seconds": 30})
    started = Stopwatch()
    with pytest.raises(PredictionTimeoutError) as caught:
        await client.wait(created, timeout=1.0)
    assert started.wall > 0.9
    assert started.adjusted < 3
    assert caught.value.prediction.id == created.id
    assert not (await client.predictions.get(created)).is_done
    canceled = await client.predictions.cancel(created)
    assert canceled.status == "canceled"
    assert (await client.predictions.cancel(created.id)).status == "canceled"


async def test_a_timeout_of_run_cancels_the_prediction(
    client: Any, flavor: str, observer: Client
) -> None:
    tag = f"timed-{flavor}"
    with pytest.raises(PredictionTimeoutError):
        await client.run("test/slow", {"seconds": 30, "tag": tag}, timeout=1.0)
    assert status_of(observer, tag) == "canceled"


async def test_a_prediction_canceled_by_someone_else_raises(client: Any) -> None:
    async def cancel(prediction: Any) -> None:
        await client.predictions.cancel(prediction)

    def cancel_now(prediction: Any) -> None:
        client._value.predictions.cancel(prediction)

    progress = cancel_now if hasattr(client, "_value") else cancel
    with pytest.raises(PredictionCanceledError, match="canceled") as caught:
        await client.run("test/slow", {"seconds": 30}, progress=progress)
    assert caught.value.prediction.status == "canceled"


async def test_progress_is_parsed_from_the_logs(client: Any) -> None:
    seen: list[Any] = []
    output = await client.run(
        "test/steps", {"total": 4, "pause": 0.15}, progress=lambda p: seen.append(p.progress)
    )
    assert output == 4
    bars = [bar for bar in seen if bar is not None]
    assert len({bar.current for bar in bars}) >= 2
    assert [bar.current for bar in bars] == sorted(bar.current for bar in bars)
    assert (bars[-1].percentage, bars[-1].current, bars[-1].total) == (1.0, 4, 4)


async def test_streamed_text_is_a_list(client: Any) -> None:
    assert await client.run("test/words", {"count": 2}) == ["word1 ", "word2 "]
    assert await client.run("test/numbers", {"count": 3}) == [1, 2, 3]


async def test_a_failed_model_raises_with_its_logs(client: Any) -> None:
    with pytest.raises(ModelError, match="no such word") as caught:
        await client.run("test/fail", {"message": "no such word"})
    prediction = caught.value.prediction
    assert prediction.status == "failed"
    assert "no such word" in prediction.error
    assert "about to fail" in prediction.logs
    assert "ValueError" in prediction.logs


async def test_a_crashed_model_raises_and_the_next_run_works(client: Any) -> None:
    with pytest.raises(ModelError, match="exited with code 9") as caught:
        await client.run("test/crash", {"code": 9})
    assert "about to crash" in caught.value.prediction.logs
    assert await client.run("dashscope/hello-world", {"text": "Alice"}) == "hello Alice"


async def test_wait_returns_a_failed_prediction(client: Any) -> None:
    created = await client.models.predictions.create("test", "fail", input={"message": "no"})
    done = await client.wait(created)
    assert (done.status, done.error, done.output) == ("failed", "no", None)


async def test_an_error_names_the_invalid_input(client: Any) -> None:
    for input, detail in (
        ({}, "input.seconds is required"),
        ({"seconds": "long"}, "input.seconds"),
        ({"seconds": 1, "speed": 2}, "speed"),
    ):
        with pytest.raises(UnprocessableEntityError) as caught:
            await client.run("test/slow", input)
        assert detail in caught.value.detail
        assert detail in str(caught.value)
        assert caught.value.status == 422
        assert caught.value.request_id


async def test_an_unknown_model_version_or_prediction_is_named(client: Any) -> None:
    with pytest.raises(NotFoundError, match="test/nothing"):
        await client.run("test/nothing", {})
    unknown = "0" * 64
    with pytest.raises((NotFoundError, UnprocessableEntityError), match=unknown):
        await client.run(f"test/echo:{unknown}", {})
    with pytest.raises(NotFoundError, match="no-such-prediction"):
        await client.predictions.get("no-such-prediction")
    with pytest.raises(NotFoundError, match="no-such-prediction"):
        await client.wait("no-such-prediction")
