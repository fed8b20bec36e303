"""`python -m benchmarks.attack`: kills, cancellations, closes and steady load on a local server.

The server is a separate process with a database. The script counts predictions in the database that
were created twice, and predictions that still run although no client waits for them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import anyio

from dashscope import AsyncClient, Client, DashscopeError

MODELS = """
import time
from collections.abc import Iterator
from pathlib import Path
from dashscope.local import model


@model("attack/row", concurrency=4)
def row(value: int) -> int:
    time.sleep(0.1)
    return value


@model("attack/idle", concurrency=1)
def idle(seconds: float = 3600.0) -> None:
    time.sleep(seconds)


@model("attack/slow", concurrency=4)
def slow(seconds: float = 120.0, file: Path | None = None) -> Iterator[str]:
    for number in range(int(seconds * 20)):
        yield f"{number} "
        time.sleep(0.05)


@model("attack/copy", concurrency=2)
def copy(file: Path) -> Path:
    return file


@model("attack/quick", concurrency=4)
def quick(value: int) -> Iterator[str]:
    yield from ("a ", "b ", str(value))
"""

SERVE = (
    "import sys; from dashscope.local import serve; "
    "sys.exit(serve(sys.argv[1], port=int(sys.argv[2]), data=sys.argv[3], drain=0.0))"
)

MAP = """
import json, sys
import anyio
from collections import Counter
from dashscope import AsyncClient, Client

url, path, count, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
inputs = ({"value": number} for number in range(count))
found = Counter()

def see(result):
    found["rows"] += 1
    found["succeeded" if result.error is None else str(result.error)[:60]] += 1
    if result.error is None:
        assert result.output == result.index

async def asynchronous():
    async with AsyncClient(base_url=url) as client:
        async with client.map("attack/row", inputs, checkpoint=path, concurrency=16) as results:
            async for result in results:
                see(result)

def sync():
    with Client(base_url=url) as client:
        with client.map("attack/row", inputs, checkpoint=path, concurrency=16) as results:
            for result in results:
                see(result)

sync() if kind == "sync" else anyio.run(asynchronous, backend=kind)
print(json.dumps(found))
"""

JOBS = "SELECT input, count(*) FROM job WHERE NOT example GROUP BY input"
RUNNING = "SELECT count(*) FROM job WHERE completed_at IS NULL"

KINDS = ("asyncio", "sync", "trio")
PAYLOAD = bytes(400_000)
"""Large enough to be uploaded."""

Operation = Callable[[AsyncClient], Coroutine[Any, Any, Any]]


class Server:
    """The local server in a separate process group, which can be killed and restarted."""

    def __init__(self, folder: Path) -> None:
        self._models = folder / "models.py"
        self._models.write_text(MODELS)
        self.data = folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Start the server, and wait until it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(self._models), str(self._port), str(self.data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith(b"Ready")

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def kill(self) -> None:
        """Kill the server and its workers with SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def stop(self, within: float = 10.0) -> dict[str, int]:
        """Stop the server once no prediction runs, and count the predictions in its database.

        Args:
            within: Seconds after which to stop it in any case.
        """
        end = time.monotonic() + within
        with Client(base_url=self.base_url) as client:
            while time.monotonic() < end and not all(
                prediction.is_done for prediction in client.iterate(client.predictions.list)
            ):
                time.sleep(0.2)
        self.kill()
        (path,) = (
            path
            for path in self.data.iterdir()
            if path.is_file() and path.read_bytes().startswith(b"SQLite format 3")
        )
        with closing(sqlite3.connect(path)) as database:
            inputs = database.execute(JOBS).fetchall()
            running = database.execute(RUNNING)
            return {
                "predictions": sum(count for _, count in inputs),
                "inputs": len(inputs),
                "left running": running.fetchone()[0],
            }


def attack_map(server: Server, folder: Path, kills: int, chance: random.Random) -> dict[str, Any]:
    """Kill the client and the server alternately while a batch runs, and resume it."""
    count = max(200, kills * 40)
    path = folder / "checkpoint"
    killed: Counter[str] = Counter()
    started = time.monotonic()

    def start(number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", MAP, server.base_url, str(path), str(count)]
        return subprocess.Popen([*command, KINDS[number % 3]], stdout=subprocess.PIPE)

    client = start(0)
    while killed.total() < kills and client.poll() is None:
        time.sleep(chance.uniform(0.7, 2.0))
        victim = "server" if killed.total() % 2 else "client"
        killed[victim] += 1
        if victim == "server":
            server.kill()
            time.sleep(chance.uniform(0.0, 1.0))
            server.start()
        else:
            client.kill()
            client.communicate()
            client = start(killed.total())
    printed, _ = client.communicate()
    assert client.returncode == 0, client.returncode
    found = server.stop()
    return {
        "kills": dict(killed),
        "rows": count,
        "results": json.loads(printed),
        **found,
        "duplicates": found["predictions"] - found["inputs"],
        "seconds": round(time.monotonic() - started),
    }


async def run(client: AsyncClient) -> None:
    await client.run("attack/slow", {})


async def run_and_poll(client: AsyncClient) -> None:
    await client.run("attack/slow", {}, poll_interval=0.05, timeout=60)


async def run_with_upload(client: AsyncClient) -> None:
    await client.run("attack/slow", {"file": PAYLOAD})


async def stream(client: AsyncClient) -> None:
    async with client.stream("attack/slow", {}) as events:
        async for _ in events:
            pass


async def use(client: AsyncClient) -> None:
    await client.use("attack/slow")(seconds=120.0)


async def batch(client: AsyncClient) -> None:
    inputs = ({"seconds": 100.0 + number} for number in range(6))
    async with client.map("attack/slow", inputs, concurrency=3) as results:
        async for _ in results:
            pass


OPERATIONS: tuple[Operation, ...] = (run, run_and_poll, run_with_upload, stream, use, batch)


async def cancel_natively(call: Callable[[], Coroutine[Any, Any, Any]], after: float) -> None:
    task = asyncio.ensure_future(call())
    await asyncio.sleep(after)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def cancel_by_wait_for(call: Callable[[], Coroutine[Any, Any, Any]], after: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(call(), after)


async def cancel_by_scope(call: Callable[[], Coroutine[Any, Any, Any]], after: float) -> None:
    with anyio.move_on_after(after):
        await call()


Cancel = Callable[[Callable[[], Coroutine[Any, Any, Any]], float], Awaitable[None]]


def attack_calls(
    server: Server, folder: Path, cancellations: int, chance: random.Random
) -> dict[str, Any]:
    """Cancel operations at random moments, in every way, and count what still runs."""
    done: Counter[str] = Counter()
    unexpected: Counter[str] = Counter()
    started = time.monotonic()

    async def many(count: int, ways: tuple[Cancel, ...]) -> None:
        numbers = iter(range(count))
        async with AsyncClient(base_url=server.base_url) as client:

            async def work() -> None:
                for _ in numbers:
                    operation, way = chance.choice(OPERATIONS), chance.choice(ways)
                    after = chance.choice((0.002, 0.02, 0.2, 1.0)) * chance.random()
                    try:
                        await way(lambda operation=operation: operation(client), after)
                    except Exception as error:  # noqa: BLE001 (reported)
                        unexpected[f"{operation.__name__}: {error!r}"[:200]] += 1
                    done[f"{operation.__name__} by {way.__name__}"] += 1

            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(work)

    native: tuple[Cancel, ...] = (cancel_natively, cancel_by_wait_for, cancel_by_scope)
    anyio.run(many, cancellations * 2 // 3, native)
    anyio.run(many, cancellations - cancellations * 2 // 3, (cancel_by_scope,), backend="trio")
    return {
        "cancellations": done.total(),
        "kinds": len(done),
        **server.stop(),
        "unexpected errors": dict(unexpected),
        "seconds": round(time.monotonic() - started),
    }


def attack_clients(
    server: Server, folder: Path, closes: int, chance: random.Random
) -> dict[str, Any]:
    """Close clients, async and sync, while operations are in progress."""
    started = time.monotonic()
    unexpected: Counter[str] = Counter()

    def note(operation: str, error: BaseException) -> None:
        if not isinstance(error, (DashscopeError, RuntimeError, asyncio.CancelledError)):
            unexpected[f"{operation}: {error!r}"[:200]] += 1

    async def close_async() -> None:
        client = AsyncClient(base_url=server.base_url)
        operations = [chance.choice(OPERATIONS) for _ in range(4)]

        async def attempt(operation: Operation) -> None:
            try:
                await operation(client)
            except Exception as error:  # noqa: BLE001 (reported)
                note(operation.__name__, error)

        async with anyio.create_task_group() as group:
            for operation in operations:
                group.start_soon(attempt, operation)
            await anyio.sleep(chance.random() * 0.3)
            await client.aclose()

    def close_sync() -> None:
        client = Client(base_url=server.base_url)

        def attempt() -> None:
            try:
                client.run("attack/slow", {})
            except Exception as error:  # noqa: BLE001 (reported)
                note("run", error)

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(chance.random() * 0.3)
        client.close()
        for thread in threads:
            thread.join()

    for number in range(closes):
        if number % 3 == 1:
            close_sync()
        else:
            backend = "asyncio" if number % 3 == 0 else "trio"
            anyio.run(close_async, backend=backend)
    return {
        "closes": closes,
        **server.stop(),
        "unexpected errors": dict(unexpected),
        "seconds": round(time.monotonic() - started),
    }


def figures() -> dict[str, int]:
    """Measure this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "kilobytes": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
    }


def steady_load(
    server: Server, folder: Path, seconds: float, chance: random.Random
) -> dict[str, Any]:
    """Run, stream, upload and save for a while, and cancel some. Measure this process."""
    counts: Counter[str] = Counter()

    async def copy(client: AsyncClient) -> None:
        """Upload a file, and save a copy of it."""
        file = await client.files.create(PAYLOAD, filename="x.bin")
        output = await client.run("attack/copy", {"file": PAYLOAD})
        path = await output.save(folder, overwrite=True)
        assert path.read_bytes() == PAYLOAD
        await client.files.delete(file)

    async def one(client: AsyncClient) -> None:
        kind = chance.choice(("run", "stream", "request", "copy", "cancel"))
        counts[kind] += 1
        match kind:
            case "run":
                assert await client.run("attack/quick", {"value": 1}) == ["a ", "b ", "1"]
            case "stream":
                async with client.stream("attack/quick", {"value": 2}) as events:
                    async for _ in events:
                        pass
            case "request":
                await client.account.get()
            case "copy":
                await copy(client)
            case _:
                with anyio.move_on_after(chance.random() * 0.2):
                    await client.run("attack/slow", {})

    async def load() -> list[dict[str, int]]:
        measured: list[dict[str, int]] = []
        end = time.monotonic() + seconds
        async with AsyncClient(base_url=server.base_url) as client:

            async def work() -> None:
                while time.monotonic() < end:
                    await one(client)

            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(work)
                for share in (0.25, 0.5, 0.75, 0.99):
                    await anyio.sleep(max(0.0, end - seconds * (1 - share) - time.monotonic()))
                    measured.append(figures())
        return measured

    measured = anyio.run(load)
    return {
        "seconds": seconds,
        "operations": dict(counts),
        **server.stop(),
        "process": measured,
        "growth after a quarter": {
            name: measured[-1][name] - measured[0][name] for name in measured[0]
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--cancellations", type=int, default=500)
    parser.add_argument("--closes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600.0, help="of steady load")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    chance = random.Random(arguments.seed)
    attacks: tuple[tuple[str, Callable[..., dict[str, Any]], Any], ...] = (
        ("kills during map", attack_map, arguments.kills),
        ("cancellations", attack_calls, arguments.cancellations),
        ("closes", attack_clients, arguments.closes),
        ("steady load", steady_load, arguments.seconds),
    )
    for name, attack, size in attacks:
        if not size:
            continue
        with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
            result = attack(server, Path(folder), size, chance)
        print(f"\n{name}: {json.dumps(result, indent=2, ensure_ascii=False)}", flush=True)


if __name__ == "__main__":
    main()
