"""A hundred thousand inputs from a generator need constant memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROWS = 100_000
WARM_UP_ROWS = 20_000
"""The number of rows after which all modules are loaded and all pools have their final size."""
MAX_GROWTH = 12 * 2**20
"""The number of bytes by which the process may grow afterwards."""

PROGRAM = """
import sys
import anyio, psutil
from dashscope import AsyncClient, Client

base_url, kind, checkpoint, rows, first = sys.argv[1:4] + [int(n) for n in sys.argv[4:]]
process, counts = psutil.Process(), [0, 0]
inputs = ({"value": "x" * 100 + str(number)} for number in range(rows))
options = {"concurrency": 256, "checkpoint": checkpoint or None}

def count(result):
    assert result.output == result.input["value"], result
    counts[0] += 1
    if counts[0] in (first, rows):
        print(counts[0], process.memory_info().rss, flush=True)

async def asynchronous():
    async with AsyncClient(base_url=base_url) as client:
        async with client.map("owner/name", inputs, **options) as results:
            async for result in results:
                count(result)

def sync():
    with Client(base_url=base_url) as client:
        with client.map("owner/name", inputs, **options) as results:
            for result in results:
                count(result)

sync() if kind == "sync" else anyio.run(asynchronous, backend=kind)
"""


@pytest.fixture
def base_url() -> Iterator[str]:
    """The base URL of a fast server."""
    server = Path(__file__).with_name("fast_server.py")
    process = subprocess.Popen([sys.executable, server], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("kind", "with_checkpoint"), [("asyncio", False), ("asyncio", True), ("sync", False)]
)
def test_memory_does_not_grow_with_the_inputs(
    base_url: str, tmp_path: Path, kind: str, with_checkpoint: bool
) -> None:
    checkpoint = str(tmp_path / "run.sqlite") if with_checkpoint else ""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, base_url, kind, checkpoint, str(ROWS), str(WARM_UP_ROWS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    (_, early), (rows, late) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert rows == ROWS
    assert late - early < MAX_GROWTH, f"{early} bytes, then {late}"
