"""`kill -9` at any moment, again and again: each row once, each prediction paid for once."""

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
from dashscope._batch import finding

base_url, path, count, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
finding.SETTLED = min(finding.SETTLED, timedelta(seconds=float(sys.argv[5])))
inputs = ({"value": number // 2} for number in range(count))

def say(result):
    print(result.index, result.output, result.error, flush=True)

async def asynchronous():
    async with AsyncClient(base_url=base_url) as client:
        async with client.map("test/echo", inputs, checkpoint=path, concurrency=16) as results:
            async for result in results:
                say(result)

def sync():
    with Client(base_url=base_url) as client:
        with client.map("test/echo", inputs, checkpoint=path, concurrency=16) as results:
            for result in results:
                say(result)

sync() if kind == "sync" else anyio.run(asynchronous, backend=kind)
print("over", flush=True)
"""


@model("test/echo", concurrency=2)
def echo(value: int) -> int:
    """Gives back what it got."""
    return value


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server of its own: its predictions are counted."""
    with LocalServer(models=[echo]) as server:
        yield server


def run(
    server: LocalServer, path: Path, count: int, kind: str, lines: int | None, settled: float
) -> tuple[list[list[str]], str]:
    """Run the program to its end, or kill it once it has printed so many lines."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    process = subprocess.Popen(
        [*command, server.base_url, str(path), str(count), kind, str(settled)],
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
    server: LocalServer, path: Path, count: int, kind: str, kills: int, settled: float
) -> None:
    """A batch that is killed at random moments, and resumed."""
    chance = random.Random(kills)
    fresh = 0
    for _ in range(kills):
        # Rows that are over come first, so the moment is told by how many there were.
        fresh += chance.randrange(1, max(2, count // kills))
        lines = min(fresh, count - 1)
        printed, _ = run(server, path, count, kind, lines, settled)
        assert printed[-1] != ["over"]
    printed, errors = run(server, path, count, kind, None, settled)
    assert errors == ""
    assert printed.pop() == ["over"]
    assert sorted(int(index) for index, *_ in printed) == list(range(count))
    assert all(int(output) == int(index) // 2 for index, output, _ in printed)
    with Client(base_url=server.base_url) as client:
        every = list(client.iterate(client.predictions.list))
    values: Counter[Any] = Counter(one.input["value"] for one in every if one.input is not None)
    assert len(every) == count
    assert set(values.values()) == {2}
    assert all(one.status == "succeeded" for one in every)


@pytest.mark.parametrize("kind", ["asyncio", pytest.param("sync", marks=pytest.mark.soak)])
def test_sixty_rows_and_four_kills(server: LocalServer, tmp_path: Path, kind: str) -> None:
    check(server, tmp_path / "run.sqlite", 60, kind, kills=4, settled=1.0)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["asyncio", "trio", "sync"])
def test_two_thousand_rows_and_twenty_kills(server: LocalServer, tmp_path: Path, kind: str) -> None:
    check(server, tmp_path / "run.sqlite", 2000, kind, kills=20, settled=99.0)
