"""Ctrl-C and SIGTERM cancel the prediction and leave no process behind."""

from __future__ import annotations

import re
import signal
import time
from functools import partial

import pytest

from dashscope import Client
from dashscope.local import LocalServer
from tests.cli.command import CommandLine
from tests.client.tags import status_of, wait_until_running
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.waiting import wait_until

INTERRUPTED = (signal.SIGINT, 130, "Interrupted.\n")
TERMINATED = (signal.SIGTERM, 143, "Terminated.\n")
soak = partial(pytest.param, marks=pytest.mark.soak)


@pytest.mark.parametrize(("number", "code", "message"), [INTERRUPTED, soak(*TERMINATED)])
def test_a_signal_cancels_the_prediction(
    dashscope: CommandLine, client: Client, number: signal.Signals, code: int, message: str
) -> None:
    program = dashscope.start("run", "test/slow", "seconds=60", f"tag={number.name}")
    id = wait_until_running(client, number.name)
    sent = time.monotonic()
    program.send(number)
    done = program.finish()
    assert time.monotonic() - sent < 20
    message += f"Canceled prediction {id}.\n"
    assert (done.code, done.stdout, done.stderr) == (code, "", message)
    assert status_of(client, number.name) == "canceled"


@pytest.mark.parametrize(
    ("command", "creates", "number", "code", "message"),
    [
        ("run", "models/test/slow/predictions", *INTERRUPTED),
        ("deployments run", "deployments/test/slow/predictions", *TERMINATED),
        soak("run", "models/test/slow/predictions", *TERMINATED),
        soak("deployments run", "deployments/test/slow/predictions", *INTERRUPTED),
    ],
)
def test_a_signal_during_the_create_cancels_the_prediction(
    dashscope: CommandLine,
    fake_server: FakeServer,
    command: str,
    creates: str,
    number: signal.Signals,
    code: int,
    message: str,
) -> None:
    def script(received: Received) -> Reply:
        if received.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        created = reply(prediction("starting"), 201)
        return Reply(created.status, created.headers, created.body, delay=0.5)

    fake_server.respond_with(script)
    env = {"DASHSCOPE_BASE_URL": fake_server.base_url}
    program = dashscope.start(*command.split(), "test/slow", "tag=a", env=env)
    wait_until(lambda: fake_server.request_lines)
    program.send(number)
    done = program.finish()
    assert fake_server.request_lines == [f"POST /v1/{creates}", "POST /v1/predictions/p1/cancel"]
    assert (done.code, done.stdout, done.stderr) == (
        code,
        "",
        f"{message}Canceled prediction p1.\n",
    )


@pytest.mark.parametrize(("number", "code", "message"), [TERMINATED, soak(*INTERRUPTED)])
def test_a_signal_stops_the_server_of_the_command(
    without_address: CommandLine, number: signal.Signals, code: int, message: str
) -> None:
    program = without_address.start("run", "dashscope/countdown", "start=3", "delay=60")
    base_url = program.wait_for_stderr(r"http://127\.0\.0\.1:\d+/v1")[0]
    with Client(base_url=base_url) as client:
        wait_until(lambda: any(p.status == "processing" for p in client.predictions.list()))
    sent = time.monotonic()
    program.send(number)
    done = program.finish()
    assert time.monotonic() - sent < 20
    assert (done.code, done.stdout) == (code, "")
    assert re.search(f"{message}Canceled prediction \\w+\\.\n$", done.stderr)
    assert "Traceback" not in done.stderr
    assert program.remaining_children() == []
    assert list(without_address.temporary.iterdir()) == []


def test_ctrl_c_during_wait_cancels_nothing(
    dashscope: CommandLine, client: Client, server: LocalServer
) -> None:
    created = client.models.predictions.create("test", "slow", input={"seconds": 60, "tag": "wait"})
    program = dashscope.start("predictions", "wait", created.id)
    wait_until(lambda: any(request.path.endswith(created.id) for request in server.requests))
    program.send(signal.SIGINT)
    done = program.finish()
    status = client.predictions.cancel(created).status
    assert done.code == 130
    assert (
        done.stderr == f"Interrupted.\nNothing was canceled: {created.id} may still be running.\n"
    )
    assert status == "canceled"


def test_an_unanswered_cancel_is_reported_after_a_short_wait(
    dashscope: CommandLine, fake_server: FakeServer
) -> None:
    def script(received: Received) -> Reply:
        if received.path.endswith("/cancel"):
            return reply({"detail": "not now"}, 400)
        return reply(prediction("processing"))

    fake_server.respond_with(script)
    program = dashscope.start(
        "run", "test/slow", "tag=a", env={"DASHSCOPE_BASE_URL": fake_server.base_url}
    )
    wait_until(lambda: len(fake_server.request_lines) > 1)
    program.send(signal.SIGINT)
    done = program.finish()
    assert done.code == 130
    assert done.stderr.startswith("Interrupted.\n")
    assert "p1 may still be running" in done.stderr
    assert "not now" in done.stderr


def test_a_second_ctrl_c_exits_at_once(dashscope: CommandLine, fake_server: FakeServer) -> None:
    def script(received: Received) -> Reply:
        if received.path.endswith("/cancel"):
            return Reply(delay=60.0)
        return reply(prediction("processing"))

    fake_server.respond_with(script)
    program = dashscope.start(
        "run", "test/slow", "tag=a", env={"DASHSCOPE_BASE_URL": fake_server.base_url}
    )
    wait_until(lambda: len(fake_server.request_lines) > 1)
    program.send(signal.SIGINT)
    wait_until(lambda: fake_server.request_lines[-1] == "POST /v1/predictions/p1/cancel")
    for _ in range(2):
        program.send(signal.SIGINT)
        time.sleep(0.1)
    again = time.monotonic()
    done = program.finish()
    assert time.monotonic() - again < 20
    assert done.code == 130
    assert "Traceback" not in done.stderr
