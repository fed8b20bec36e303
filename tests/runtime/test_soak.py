"""Many requests and streams do not leak memory, sockets, threads or tasks."""

from __future__ import annotations

import json
import textwrap

import pytest

from tests import flavors
from tests.runtime.conftest import Script
from tests.servers.prediction_server import PredictionServer
from tests.waiting import wait_until

MEGABYTE = 1024 * 1024

MEASURE = """
import json
from pathlib import Path

def figures(tasks=0):
    gc.collect()
    links = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return {
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        "sockets": sum("socket:" in link for link in links),
        "threads": threading.active_count(),
        "tasks": tasks,
        "objects": len(gc.get_objects()),
    }
"""

ASYNCIO = """
async def many(count, concurrency, call):
    numbers = iter(range(count))

    async def work():
        for number in numbers:
            await call(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())

async def main():
    async with AsyncClient(base_url=URL) as client:
        async def request(number):
            assert (await client.account.get()).username == "a"

        async def stream(number):
            left = number % 5 == 0
            async with client.stream("owner/never" if left else "owner/short", {}) as stream:
                async for event in stream:
                    if left and str(event) == "b ":
                        break

        await many(WARM_UP, 20, request)
        await many(WARM_UP // 10, 20, stream)
        before = figures(len(asyncio.all_tasks()))
        await many(REQUESTS, 20, request)
        await many(STREAMS, 20, stream)
        print(json.dumps([before, figures(len(asyncio.all_tasks()))]))

asyncio.run(main(), debug=False)
"""

TRIO = """
import trio

async def many(count, concurrency, call):
    numbers = iter(range(count))

    async def work():
        for number in numbers:
            await call(number)

    async with trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(work)

"""
TRIO += ASYNCIO[ASYNCIO.index("async def main") :].replace(
    "asyncio.run(main(), debug=False)", "trio.run(main)"
)
TRIO = TRIO.replace("len(asyncio.all_tasks())", "trio.lowlevel.current_statistics().tasks_living")

SYNC = """
def many(count, concurrency, call):
    numbers = iter(range(count))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            call(number)

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

with Client(base_url=URL) as client:
    def request(number):
        assert client.account.get().username == "a"

    def stream(number):
        left = number % 5 == 0
        with client.stream("owner/never" if left else "owner/short", {}) as stream:
            for event in stream:
                if left and str(event) == "b ":
                    break

    many(WARM_UP, 4, request)
    many(WARM_UP // 10, 4, stream)
    before = figures()
    many(REQUESTS, 4, request)
    many(STREAMS, 4, stream)
    print(json.dumps([before, figures()]))
"""

PROGRAMS = {"asyncio": ASYNCIO, "trio": TRIO, "sync": SYNC}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("flavor", flavors.params("asyncio", "sync", omit="uvloop"))
@pytest.mark.parametrize(
    ("requests", "streams", "warm_up"),
    [
        pytest.param(200, 40, 100, id="some"),
        pytest.param(100_000, 10_000, 5_000, id="many", marks=pytest.mark.soak),
    ],
)
def test_clients_leave_no_resources_behind(
    script: Script,
    prediction_server: PredictionServer,
    flavor: str,
    requests: int,
    streams: int,
    warm_up: int,
) -> None:
    numbers = f"REQUESTS, STREAMS, WARM_UP = {requests}, {streams}, {warm_up}\n"
    done = script(numbers + MEASURE + textwrap.dedent(PROGRAMS[flavor]), within=1700)
    assert (done.code, done.stderr) == (0, "")
    before, after = json.loads(done.stdout)
    print(f"\n{flavor}: {requests} requests, {streams} streams in {done.seconds:.0f} s")
    print(before, after, sep="\n")
    assert after["memory"] - before["memory"] < 5 * MEGABYTE
    assert after["objects"] - before["objects"] < 2_000
    assert after["sockets"] <= max(before["sockets"], 25)
    assert (after["threads"], after["tasks"]) == (before["threads"], before["tasks"])
    assert prediction_server.running == set()
    wait_until(lambda: prediction_server.open == 0)
