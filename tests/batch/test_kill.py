"""`kill -9` at random moments: no prediction is created twice, and every row has a result."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.process import Program
from tests.servers.batch_service import Service

PROGRAM = """
import sys
from datetime import timedelta
import anyio
from dashscope import AsyncClient, Client
from dashscope._batch import recovery

base_url, path, count, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
recovery.IN_TRANSIT = min(recovery.IN_TRANSIT, timedelta(seconds=float(sys.argv[5])))
inputs = ({"value": number // 2} for number in range(count))

def show(result):
    print(result.index, result["output"], result.error, flush=True)

async def asynchronous():
    async with AsyncClient(base_url=base_url) as client:
        async with client.map("owner/name", inputs, checkpoint=path, concurrency=16) as results:
            async for result in results:
                show(result)

def sync():
    with Client(base_url=base_url) as client:
        with client.map("owner/name", inputs, checkpoint=path, concurrency=16) as results:
            for result in results:
                show(result)

sync() if kind == "sync" else anyio.run(asynchronous, backend=kind)
print("finished", flush=True)
"""


class Batch:
    """A batch that runs as a program, which prints a line for each result."""

    def __init__(
        self,
        service: Service,
        folder: Path,
        *arguments: str | float,
    ) -> None:
        self._service, self._folder = service, folder
        self._arguments = arguments

    def start(self) -> Program:
        url = self._service.fake_server.base_url
        arguments = map(str, self._arguments)
        return Program("-c", PROGRAM, url, *arguments, cwd=self._folder, forked=True)

    def kill_after(self, lines: int) -> None:
        """Run the program and kill it after `lines` lines of output."""
        program = self.start()
        program.wait_for_stdout(f"(.*\n){{{lines}}}")
        time.sleep(random.random() * 0.05)
        program.send(signal.SIGKILL)
        assert "finished" not in program.finish().stdout


def check(
    service: Service,
    folder: Path,
    store: str,
    *,
    count: int,
    kind: str,
    kills: int,
    in_transit: float,
) -> None:
    """Kill a batch at random moments, resume it, and count the predictions."""
    service.seconds = lambda _: 0.02
    batch = Batch(service, folder, store, count, kind, in_transit)
    chance = random.Random(kills)
    fresh = 0
    for _ in range(kills):
        # Finished rows are printed first, so kill after some more than last time.
        fresh += chance.randrange(1, max(2, count // kills))
        batch.kill_after(min(fresh, count - 1))
    done = batch.start().finish()
    assert done.stderr == ""
    *printed, last = (line.split() for line in done.stdout.splitlines())
    assert last == ["finished"]
    assert sorted(int(index) for index, *_ in printed) == list(range(count))
    assert all(int(output) == int(index) // 2 for index, output, _ in printed)
    assert len(service.created) == count
    assert set(Counter(service.values).values()) == {2}
    assert all(prediction.status == "succeeded" for prediction in service.created)


@pytest.mark.parametrize("store", ["run.sqlite", "run/"])
@pytest.mark.parametrize("kind", ["asyncio", pytest.param("sync", marks=pytest.mark.soak)])
def test_a_batch_resumes_after_two_kills(
    service: Service, tmp_path: Path, kind: str, store: str
) -> None:
    check(service, tmp_path, store, count=40, kind=kind, kills=2, in_transit=0.5)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["run.sqlite", "run/"])
@pytest.mark.parametrize("kind", ["asyncio", "trio", "sync"])
def test_two_thousand_rows_resume_after_twenty_kills(
    service: Service, tmp_path: Path, kind: str, store: str
) -> None:
    check(service, tmp_path, store, count=2000, kind=kind, kills=20, in_transit=99.0)
