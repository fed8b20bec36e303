"""A real Ctrl-C cancels the running predictions, and the next call resumes."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashscope import Client
from tests.cli.process import Program, programs
from tests.servers.batch_service import Service
from tests.servers.fake_server import Reply
from tests.waiting import wait_until

Start = Callable[..., Program]

FOREVER = 1000.0
"""A program that waits so long for a response, or for the end of a cleanup, counts as hung."""

SLOW_CLEAN_UP = f"""
from dashscope._batch import canceling, creator, poller, shutdown

for module in (canceling, creator, poller, shutdown):
    module.CLEAN_UP = {FOREVER}
"""

SYNC = """
import sys
from dashscope import Client

inputs = ({"value": number} for number in range(40))
with Client(base_url=sys.argv[1]) as client:
    try:
        with client.map("owner/name", inputs, concurrency=20, checkpoint=sys.argv[2]) as results:
            for result in results:
                print(result.index, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise
"""

ASYNC = """
import sys, anyio
from dashscope import AsyncClient

inputs = ({"value": number} for number in range(40))
async def main():
    async with AsyncClient(base_url=sys.argv[1]) as client:
        try:
            async with client.map(
                "owner/name", inputs, concurrency=20, checkpoint=sys.argv[2]
            ) as results:
                async for result in results:
                    print(result.index, flush=True)
        except BaseException:
            print("interrupted", flush=True)
            raise

anyio.run(main, backend=sys.argv[3])
"""

PROGRAMS = [
    pytest.param(SYNC, "sync", id="sync"),
    pytest.param(ASYNC, "asyncio", id="asyncio"),
    pytest.param(ASYNC, "trio", id="trio", marks=pytest.mark.soak),
]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a program."""
    with programs(tmp_path) as start:
        yield start


@pytest.mark.parametrize(("source", "kind"), PROGRAMS)
def test_ctrl_c_cancels_running_predictions_and_the_next_call_resumes(
    start: Start, service: Service, tmp_path: Path, source: str, kind: str
) -> None:
    service.seconds = lambda input: 0.0 if input["value"] < 5 else 60.0
    program = start(source, service.fake_server.base_url, "run.sqlite", kind)
    wait_until(lambda: len(service.created) >= 25)
    program.send(signal.SIGINT)
    done = program.finish()
    assert done.code == -signal.SIGINT
    assert done.stdout.endswith("interrupted\n")
    assert "Warning" not in done.stderr
    assert "ExceptionGroup" not in done.stderr
    assert all(prediction.is_finished for prediction in service.created)

    service.seconds = lambda _: 0.0
    inputs = [{"value": number} for number in range(40)]
    with (
        Client(base_url=service.fake_server.base_url) as client,
        client.map("owner/name", inputs, checkpoint=tmp_path / "run.sqlite") as results,
    ):
        assert sorted(result.output for result in results) == list(range(40))
    succeeded = sorted(
        prediction.input["value"]
        for prediction in service.created
        if prediction.status == "succeeded"
    )
    assert succeeded == list(range(40))


def test_repeated_ctrl_c_does_not_wait_for_the_cancels(start: Start, service: Service) -> None:
    service.seconds = lambda _: 60.0
    service.override = lambda received: (
        Reply(delay=FOREVER) if received.path.endswith("/cancel") else None
    )
    program = start(SLOW_CLEAN_UP + SYNC, service.fake_server.base_url, "run.sqlite")
    wait_until(lambda: len(service.created) >= 20)
    program.send(signal.SIGINT)
    wait_until(lambda: service.request_counts["cancel"])
    for _ in range(2):  # the second of these interrupts the cancels
        program.send(signal.SIGINT)
        time.sleep(0.5)  # signals that arrive together are one signal
    done = program.finish()
    assert done.code == -signal.SIGINT
