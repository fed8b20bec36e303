"""Exceptions of a call that ends early have a note if a prediction may still be running."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable
from typing import Any

import pytest

from dashscope import APIStatusError, AsyncClient, Client, PredictionTimeoutError
from tests.predictions.test_signals import handled, sent
from tests.servers.prediction_server import PredictionServer
from tests.stopwatch import Stopwatch
from tests.suspending import cancel_once
from tests.waiting import wait_until

FLAVORS = pytest.mark.parametrize("flavor", ["asyncio", "trio"])


@FLAVORS
async def test_a_failed_cancel_is_a_note_of_the_cancellation(
    prediction_server: PredictionServer, flavor: str
) -> None:
    caught: list[BaseException] = []
    async with (
        AsyncClient(base_url=prediction_server.base_url) as client,
        cancel_once(lambda: prediction_server.request_counts["GET /v1/predictions/p1"]) as scope,
    ):
        try:
            await client.run("owner/rejects-cancel", {}, poll_interval=0.01)
        except BaseException as error:
            caught.append(error)
            raise
    assert scope.cancelled_caught
    (note,) = caught[0].__notes__
    assert note.startswith("p1 may still be running: it could not be canceled (")
    assert "not now" in note


async def test_an_exception_of_the_caller_has_the_note(
    prediction_server: PredictionServer,
) -> None:
    def fail(prediction: object) -> None:
        raise ZeroDivisionError

    async with AsyncClient(base_url=prediction_server.base_url) as client:
        with pytest.raises(ZeroDivisionError) as caught:
            await client.run("owner/rejects-cancel", {}, progress=fail)
    assert "p1 may still be running" in caught.value.__notes__[0]


def test_ctrl_c_has_the_note(prediction_server: PredictionServer) -> None:
    with (
        Client(base_url=prediction_server.base_url) as client,
        handled(signal.SIGINT, signal.default_int_handler),
        sent(signal.SIGINT, prediction_server.polling),
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        client.run("owner/rejects-cancel", {}, poll_interval=0.01)
    assert "p1 may still be running" in caught.value.__notes__[0]


async def test_exiting_a_stream_reports_a_failed_cancel(
    prediction_server: PredictionServer,
) -> None:
    """Without another exception, the failed cancel is raised."""
    async with AsyncClient(base_url=prediction_server.base_url) as client:
        with pytest.raises(APIStatusError, match="not now"):
            async with client.stream("owner/rejects-cancel", {}) as stream:
                async for _ in stream:
                    break


@FLAVORS
async def test_an_unanswered_cancel_is_awaited_for_seconds_only(
    prediction_server: PredictionServer, flavor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._predictions.watch.CLEAN_UP", 0.4)
    async with AsyncClient(base_url=prediction_server.base_url) as client:
        started = Stopwatch()
        async with cancel_once(lambda: prediction_server.request_counts["GET /v1/predictions/p1"]):
            await client.run("owner/ignores-cancel", {}, poll_interval=0.01)
        assert started.adjusted < 4
    assert prediction_server.request_counts["POST /v1/predictions/p1/cancel"] >= 1


@FLAVORS
async def test_an_unanswered_create_is_reported(
    prediction_server: PredictionServer, flavor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._predictions.watch.CLEAN_UP", 0.3)
    caught: list[BaseException] = []
    async with (
        AsyncClient(base_url=prediction_server.base_url) as client,
        cancel_once(prediction_server.creating.is_set),
    ):
        try:
            await client.run("owner/never-creates", {})
        except BaseException as error:
            caught.append(error)
            raise
    assert "may have been created" in caught[0].__notes__[0]


class TestCancelOnExitFalse:
    @FLAVORS
    async def test_cancel_on_exit_false_leaves_it_running(
        self, prediction_server: PredictionServer, flavor: str
    ) -> None:
        async with AsyncClient(base_url=prediction_server.base_url) as client:
            async with cancel_once(lambda: "p1" in prediction_server.running):
                await client.run("owner/never", {}, cancel_on_exit=False)
            async with (
                cancel_once(lambda: prediction_server.request_counts["GET /streams/p2"]),
                client.stream("owner/never", {}, cancel_on_exit=False) as stream,
            ):
                async for _ in stream:
                    pass
            with pytest.raises(PredictionTimeoutError) as caught:
                await client.run("owner/never", {}, cancel_on_exit=False, timeout=0.5)
            assert not hasattr(caught.value, "__notes__")
        assert prediction_server.running == {"p1", "p2", "p3"}

    def test_ctrl_c_leaves_it_running(self, prediction_server: PredictionServer) -> None:
        with (
            Client(base_url=prediction_server.base_url) as client,
            handled(signal.SIGINT, signal.default_int_handler),
            sent(signal.SIGINT, prediction_server.polling),
            pytest.raises(KeyboardInterrupt),
        ):
            client.run("owner/never", {}, cancel_on_exit=False, poll_interval=0.01)
        assert prediction_server.running == {"p1"}


class TestBlockingCreate:
    """With `wait=n`, the id is unknown until the prediction is finished."""

    @FLAVORS
    async def test_the_server_cancels_after_its_deadline(
        self, prediction_server: PredictionServer, flavor: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dashscope._predictions.run.cancel_after_for", lambda _: 0.5)
        monkeypatch.setattr("dashscope._predictions.create.SHORTEST_CANCEL_AFTER", 0)
        async with AsyncClient(base_url=prediction_server.base_url) as client:
            with pytest.raises(TimeoutError):
                await client.run("owner/never", {}, wait=30, timeout=0.3)
        wait_until(lambda: prediction_server.running == set())

    @FLAVORS
    async def test_a_response_within_the_grace_period_is_canceled(
        self, prediction_server: PredictionServer, flavor: str
    ) -> None:
        async with (
            AsyncClient(base_url=prediction_server.base_url) as client,
            cancel_once(prediction_server.creating.is_set),
        ):
            await client.run("owner/never", {}, wait=1)
        assert prediction_server.request_counts["POST /v1/predictions/p1/cancel"] == 1
        assert prediction_server.running == set()


def test_errors_of_a_cleanup_pickle_with_their_notes(
    prediction_server: PredictionServer,
) -> None:
    with Client("r8_secret", base_url=prediction_server.base_url) as client:
        errors = [
            error_of(lambda model=model: run_late(client, model)) for model in ("ignores-cancel",)
        ]
        errors.append(error_of(lambda: leave(client)))
        errors.append(error_of(lambda: client.run("owner/never-creates", {}, timeout=0.2)))
    for error in errors:
        data = pickle.dumps(error)
        assert b"r8_secret" not in data
        copy: Any = pickle.loads(data)
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert vars(copy).keys() == vars(error).keys()
        assert getattr(copy, "__notes__", None) == getattr(error, "__notes__", None)
    assert "may still be running" in errors[0].__notes__[0]


def run_late(client: Client, model: str) -> Any:
    return client.run(f"owner/{model}", {}, timeout=0.5, poll_interval=0.01)


def leave(client: Client) -> None:
    with client.stream("owner/rejects-cancel", {}) as stream:
        for _ in stream:
            break


def error_of(call: Callable[[], Any]) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")
