"""Ctrl-C in a program that waits for `run()` cancels the prediction on the server."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashscope import Client
from dashscope.local import LocalServer
from tests.cli.process import Program, programs
from tests.client.tags import status_of, wait_until_running
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.waiting import wait_until

Start = Callable[..., Program]

FOREVER = 1000.0
"""A program that waits so long for a response, or for the end of a cleanup, counts as hung."""

SLOW_CLEAN_UP = f"from dashscope._predictions import watch\nwatch.CLEAN_UP = {FOREVER}\n"

SYNC = """
import sys
from dashscope import Client

with Client(base_url=sys.argv[1]) as client:
    try:
        client.run("test/slow", {"seconds": 60, "tag": sys.argv[2]})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise
"""

ASYNCIO = """
import asyncio, sys
from dashscope import AsyncClient

async def main():
    async with AsyncClient(base_url=sys.argv[1]) as client:
        try:
            await client.run("test/slow", {"seconds": 60, "tag": sys.argv[2]})
        except asyncio.CancelledError:
            print("interrupted", flush=True)
            raise

asyncio.run(main())
"""

UPLOADS = """
import sys
from pathlib import Path
from dashscope import Client

files = [Path(f"{number}.bin") for number in range(3)]
for file in files:
    file.write_bytes(bytes(1000))
with Client(base_url=sys.argv[1]) as client:
    client.run("test/slow", {"files": files}, file_encoding="upload")
"""

TRIO = """
import sys, trio
from dashscope import AsyncClient

async def main():
    async with AsyncClient(base_url=sys.argv[1]) as client:
        try:
            await client.run("test/slow", {"seconds": 60, "tag": sys.argv[2]})
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            raise

trio.run(main)
"""

PROGRAMS = [
    pytest.param(SYNC, id="sync"),
    pytest.param(ASYNCIO, id="asyncio"),
    pytest.param(TRIO, id="trio", marks=pytest.mark.soak),
]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program."""
    with programs(tmp_path) as start:
        yield start


@pytest.mark.parametrize("source", PROGRAMS)
def test_ctrl_c_while_polling_cancels_the_prediction(
    start: Start, server: LocalServer, observer: Client, source: str, request: pytest.FixtureRequest
) -> None:
    tag = f"ctrl-c-{request.node.callspec.id}"
    program = start(source, server.base_url, tag)
    wait_until_running(observer, tag)
    program.send(signal.SIGINT)
    done = program.finish()
    assert (done.code, done.stdout) == (-signal.SIGINT, "interrupted\n")
    assert "Warning" not in done.stderr
    assert status_of(observer, tag) == "canceled"


@pytest.mark.parametrize("source", PROGRAMS)
def test_ctrl_c_during_the_create_cancels_the_prediction(
    start: Start, fake_server: FakeServer, source: str
) -> None:
    pressed = threading.Event()

    def script(received: Received) -> Reply:
        if received.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        pressed.wait(60)
        created = reply(prediction("starting"), 201)
        return Reply(created.status, created.headers, created.body, delay=0.1)

    fake_server.respond_with(script)
    program = start(source, fake_server.base_url, "create")
    wait_until(lambda: fake_server.request_lines)
    program.send(signal.SIGINT)
    pressed.set()
    done = program.finish()
    assert (done.code, done.stdout) == (-signal.SIGINT, "interrupted\n")
    assert "Warning" not in done.stderr
    assert fake_server.request_lines == [
        "POST /v1/models/test/slow/predictions",
        "POST /v1/predictions/p1/cancel",
    ]


def test_ctrl_c_does_not_wait_for_parallel_uploads(start: Start, fake_server: FakeServer) -> None:
    fake_server.respond_with(Reply(delay=FOREVER))
    program = start(SLOW_CLEAN_UP + UPLOADS, fake_server.base_url)
    wait_until(lambda: len(fake_server.request_lines) == 3)
    program.send(signal.SIGINT)
    done = program.finish()
    assert done.code == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "Warning" not in done.stderr
    assert set(fake_server.request_lines) == {"POST /v1/files"}


def test_a_second_ctrl_c_does_not_wait_for_the_create(
    start: Start, fake_server: FakeServer
) -> None:
    fake_server.respond_with(Reply(delay=FOREVER))
    program = start(SLOW_CLEAN_UP + SYNC, fake_server.base_url, "create")
    wait_until(lambda: fake_server.request_lines)
    program.send(signal.SIGINT)
    time.sleep(0.5)  # signals that arrive together are one signal
    program.send(signal.SIGINT)
    done = program.finish()
    assert (done.code, done.stdout) == (-signal.SIGINT, "interrupted\n")


def test_the_signal_handler_is_restored_after_ctrl_c(start: Start, fake_server: FakeServer) -> None:
    fake_server.respond_with(
        lambda r: reply(prediction("canceled" if "cancel" in r.path else "processing"))
    )
    program = start(
        """
import signal, sys
from dashscope import Client

before = signal.getsignal(signal.SIGINT)
with Client(base_url=sys.argv[1]) as client:
    for _ in range(2):
        try:
            client.run("owner/name", {}, progress=lambda p: signal.raise_signal(signal.SIGINT))
        except KeyboardInterrupt:
            print("interrupted", signal.getsignal(signal.SIGINT) is before)
""",
        fake_server.base_url,
    )
    done = program.finish()
    assert done.stdout == "interrupted True\ninterrupted True\n"
    assert fake_server.request_lines.count("POST /v1/predictions/p1/cancel") == 2


def test_a_signal_handler_of_the_application_is_called(
    start: Start, fake_server: FakeServer
) -> None:
    fake_server.respond_with(
        lambda r: reply(prediction("canceled" if "cancel" in r.path else "processing"))
    )
    program = start(
        """
import signal, sys
from dashscope import Client

class Stop(Exception): ...
def stop(number, frame): raise Stop
signal.signal(signal.SIGTERM, stop)
with Client(base_url=sys.argv[1]) as client:
    try:
        client.run("owner/name", {})
    except Stop:
        print("stopped")
""",
        fake_server.base_url,
    )
    wait_until(lambda: len(fake_server.request_lines) > 1)
    program.send(signal.SIGTERM)
    done = program.finish()
    assert (done.code, done.stdout, done.stderr) == (0, "stopped\n", "")
    assert fake_server.request_lines[-1] == "POST /v1/predictions/p1/cancel"
