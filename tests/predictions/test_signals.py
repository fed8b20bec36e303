"""Signals in the sync client: a signal at any line leaves nothing running."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpcore
import pytest

import dashscope
from dashscope import Client
from dashscope._runtime import signals
from tests.predictions.interrupting import interrupt_at_line
from tests.servers.prediction_server import PredictionServer
from tests.stopwatch import Stopwatch
from tests.waiting import wait_until

OURS = str(Path(dashscope.__file__).parent)
THEIRS = str(Path(httpcore.__file__).parent)


def terminate(number: int, frame: object) -> None:
    sys.exit("terminated")


@pytest.fixture(params=["SIGINT", "SIGTERM"])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    """The exception of a signal handler."""
    number = getattr(signal, request.param)
    before = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else terminate)
    yield number
    signal.signal(number, before)


def run(client: Client) -> Any:
    return client.run("owner/polls-3", {}, poll_interval=0.001)


def stream(client: Client) -> Any:
    with client.stream("owner/never", {}) as stream:
        for event in stream:
            if str(event) == "b ":
                break
    return "left"


def wait(client: Client) -> Any:
    created = client.models.predictions.create("owner", "polls-3", input={})
    return client.wait(created, poll_interval=0.001, cancel_on_exit=True)


SLOW = pytest.mark.timeout(1200)
CALLS = {"run": run, "stream": stream, "wait": wait}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*was never awaited:RuntimeWarning")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("within", "step"),
    [
        pytest.param((OURS,), 211, id="some-lines"),
        pytest.param((OURS, THEIRS), 1, id="all-lines", marks=[pytest.mark.soak, SLOW]),
    ],
)
def test_a_signal_at_any_line_leaves_nothing_running(
    prediction_server: PredictionServer,
    number: int,
    call: Callable[[Client], Any],
    within: tuple[str, ...],
    step: int,
) -> None:
    kind = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    with Client(base_url=prediction_server.base_url) as client:
        call(client)  # imports and caches of the first call must not be interrupted
        before = signal.getsignal(number)
        line = 1 - step
        while True:
            line += step
            running = set(prediction_server.running)
            done = interrupt_at_line(line, lambda: call(client), within=within, number=number)
            assert signal.getsignal(number) == before, done.where
            if done.where is None:
                break
            assert done.swallowed or isinstance(done.error, kind), (done.where, done.error)
            left = prediction_server.running - running
            if call is wait:  # before the first poll, the call may not have started to wait
                left = {
                    id
                    for id in left
                    if prediction_server.request_counts[f"GET /v1/predictions/{id}"]
                }
            assert not left, done.where
        assert done.error is None
    assert line > 300
    # An interrupted call has closed its connection.
    del done
    gc.collect()
    wait_until(lambda: prediction_server.open == 0)


def test_every_signal_that_programs_turn_into_exceptions_is_deferred(
    prediction_server: PredictionServer,
) -> None:
    """A SIGALRM timeout or Celery's soft limit (SIGUSR1): the create completes first."""

    class TimeIsUp(Exception):
        pass

    def limit(number: int, frame: object) -> None:
        raise TimeIsUp

    with Client(base_url=prediction_server.base_url) as client:
        for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGHUP, signal.SIGQUIT):
            with (
                handled(number, limit),
                sent(number, prediction_server.creating),
                pytest.raises(TimeIsUp),
            ):
                client.run("owner/late-0.3", {})
            assert prediction_server.running == set()
    assert len(prediction_server.jobs) == 4


def test_two_deferred_signals_are_both_handled(
    prediction_server: PredictionServer,
) -> None:
    handled_ones: list[int] = []

    def note(number: int, frame: object) -> None:
        handled_ones.append(number)

    with (
        Client(base_url=prediction_server.base_url) as client,
        handled(signal.SIGTERM, note),
        handled(signal.SIGINT, signal.default_int_handler),
        sent(signal.SIGTERM, prediction_server.creating),
        sent(signal.SIGINT, prediction_server.creating),
        pytest.raises(KeyboardInterrupt),
    ):
        client.run("owner/late-0.3", {})
    assert handled_ones == [signal.SIGTERM]
    assert prediction_server.running == set()


def test_a_signal_is_deferred_for_a_limited_time(
    prediction_server: PredictionServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._predictions.watch.CLEAN_UP", 0.4)
    with (
        Client(base_url=prediction_server.base_url) as client,
        handled(signal.SIGINT, signal.default_int_handler),
        sent(signal.SIGINT, prediction_server.creating),
    ):
        started = Stopwatch()
        with pytest.raises(KeyboardInterrupt) as caught:
            client.run("owner/never-creates", {})
    assert started.adjusted < 3
    assert "may have been created" in caught.value.__notes__[0]


def test_a_handler_that_does_not_raise_does_not_affect_run(
    prediction_server: PredictionServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled_ones: list[int] = []
    monkeypatch.setattr("dashscope._predictions.watch.CLEAN_UP", 0.1)
    with (
        Client(base_url=prediction_server.base_url) as client,
        handled(signal.SIGTERM, lambda number, frame: handled_ones.append(number)),
        sent(signal.SIGTERM, prediction_server.creating),
    ):
        client.models.predictions.create("owner", "late-0.4", input={})
        assert client.run("owner/polls-1", {}) == "done"
    assert handled_ones == [signal.SIGTERM]


def test_without_signal_handlers_nothing_is_deferred(
    prediction_server: PredictionServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("signal only works in main thread of the main interpreter")

    monkeypatch.setattr(signal, "signal", refuse)
    with Client(base_url=prediction_server.base_url) as client:
        assert run(client) == "done"
    with signals.defer_signals(1), pytest.raises(SystemExit):
        sys.exit()


def test_a_sub_interpreter_defers_nothing() -> None:
    interpreters = pytest.importorskip("_xxsubinterpreters", reason="needs Python 3.11 or 3.12")
    number = interpreters.create(isolated=False)
    try:
        interpreters.run_string(
            number,
            "from dashscope._runtime.signals import defer_signals\n"
            "with defer_signals(1):\n"
            "    done = True\n"
            "assert done",
        )
    finally:
        interpreters.destroy(number)


def test_other_threads_do_not_defer_signals(prediction_server: PredictionServer) -> None:
    outputs: list[Any] = []
    with Client(base_url=prediction_server.base_url) as client:
        thread = threading.Thread(target=lambda: outputs.append(run(client)))
        thread.start()
        thread.join()
    assert outputs == ["done"]


@contextmanager
def handled(number: int, handler: Any) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def sent(number: int, when: threading.Event) -> Iterator[None]:
    """Send a signal to this process once a condition is true."""
    when.clear()

    def send() -> None:
        assert when.wait(30)
        time.sleep(0.05)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
