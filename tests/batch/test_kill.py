"""`kill -9` at random moments: no prediction is created twice, and every row has a result."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashscope import Client
from dashscope.local import LocalServer, model

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
        async with client.map("test/echo", inputs, checkpoint=path, concurrency=16) as results:
            async for result in results:
                show(result)

def sync():
    with Client(base_url=base_url) as client:
        with client.map("test/echo", inputs, checkpoint=path, concurrency=16) as results:
            for result in results:
                show(result)

sync() if kind == "sync" else anyio.run(asynchronous, backend=kind)
print("finished", flush=True)
"""


@model("test/echo", concurrency=2)
def echo(value: int) -> int:
    """Return the input."""
    return value


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server for one test, which counts its predictions."""
    with LocalServer(models=[echo]) as server:
        yield server


def run(
    server: LocalServer, path: str, count: int, kind: str, lines: int | None, in_transit: float
) -> tuple[list[list[str]], str]:
    """Run the program to its end, or kill it after `lines` lines of output."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    process = subprocess.Popen(
        [*command, server.base_url, path, str(count), kind, str(in_transit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    printed: list[list[str]] = []
    for line in process.stdout:
        printed.append(line.split())
        if lines is not None and len(printed) >= lines:
            break
    if lines is not None:
        time.sleep(random.random() * 0.05)
        process.kill()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait()
    return printed, errors


def check(
    server: LocalServer, path: str, count: int, kind: str, kills: int, in_transit: float
) -> None:
    """Kill a batch at random moments, resume it, and count the predictions."""
    chance = random.Random(kills)
    fresh = 0
    for _ in range(kills):
        # Finished rows are printed first, so kill after some more than last time.
        fresh += chance.randrange(1, max(2, count // kills))
        lines = min(fresh, count - 1)
        printed, _ = run(server, path, count, kind, lines, in_transit)
        assert printed[-1] != ["finished"]
    printed, errors = run(server, path, count, kind, None, in_transit)
    assert errors == ""
    assert printed.pop() == ["finished"]
    assert sorted(int(index) for index, *_ in printed) == list(range(count))
    assert all(int(output) == int(index) // 2 for index, output, _ in printed)
    with Client(base_url=server.base_url) as client:
        every = list(client.iterate(client.predictions.list))
    values: Counter[Any] = Counter(item.input["value"] for item in every if item.input is not None)
    assert len(every) == count
    assert set(values.values()) == {2}
    assert all(item.status == "succeeded" for item in every)


@pytest.mark.parametrize("store", ["run.sqlite", "run/"])
@pytest.mark.parametrize("kind", ["asyncio", pytest.param("sync", marks=pytest.mark.soak)])
def test_a_batch_resumes_after_two_kills(
    server: LocalServer, tmp_path: Path, kind: str, store: str
) -> None:
    check(server, f"{tmp_path}/{store}", 40, kind, kills=2, in_transit=0.5)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["run.sqlite", "run/"])
@pytest.mark.parametrize("kind", ["asyncio", "trio", "sync"])
def test_two_thousand_rows_resume_after_twenty_kills(
    server: LocalServer, tmp_path: Path, kind: str, store: str
) -> None:
    check(server, f"{tmp_path}/{store}", 2000, kind, kills=20, in_transit=99.0)
