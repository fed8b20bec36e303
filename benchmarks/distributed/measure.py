"""Measure scaling out: `python -m benchmarks.distributed PART... [--rows N] [--kills N]`.

Each part prints a line of JSON and adds it to `benchmarks/results/distributed.jsonl`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from dashscope import AsyncClient, Client
from dashscope.integrations.dataframes import ModelUdf, udf
from tests.distributed.database import Database

RESULTS = Path(__file__).parents[1] / "results" / "distributed.jsonl"


class Server:
    """The counting server, in a separate process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.distributed.server"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._origin = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.base_url = f"{self._origin}/v1"

    def stats(self) -> dict[str, Any]:
        """Return the counts since the last call."""
        found: dict[str, Any] = self._get("stats")
        return found

    def rows(self) -> int:
        """Return how many rows have been created since the counts were read."""
        found: int = self._get("created")
        return found

    def _get(self, name: str) -> Any:
        with urlopen(f"{self._origin}/{name}") as response:
            return json.load(response)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def report(part: str, **facts: Any) -> None:
    line = json.dumps({"part": part, **facts})
    print(line, flush=True)
    with RESULTS.open("a") as file:
        file.write(line + "\n")


@contextmanager
def place(kind: str) -> Generator[tuple[Any, Database | None]]:
    """Yield a checkpoint of a kind, and its database."""
    folder = tempfile.mkdtemp(prefix="dashscope-scale-", dir="/tmp")
    try:
        if kind == "postgres":
            with Database() as database:
                yield database.url, database
        else:
            yield (
                {"none": None, "file": f"{folder}/run.sqlite", "folder": f"{folder}/run/"}[kind],
                None,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def frame(rows: int) -> Any:
    import pandas as pd

    return pd.DataFrame({"value": range(rows)})


def check(out: Any, stats: dict[str, Any], rows: int) -> dict[str, Any]:
    values = sorted(int(value) for value in out["value"])
    right = sum(
        str(output) == str(value) for value, output in zip(out["value"], out["output"], strict=True)
    )
    return {
        "rows": rows,
        "each_row_once": values == list(range(rows)),
        "right": int(right),
        "created": stats["created"],
        "created_twice": stats["twice"],
        "canceled": stats["canceled"],
    }


def each_kill(
    server: Server, rows: int, kills: int, is_done: Callable[[], bool]
) -> Generator[None]:
    """Yield `kills` times, evenly over the rows."""
    for number in range(1, kills + 1):
        while server.rows() < rows * number / (kills + 1):
            if is_done():
                return
            time.sleep(0.05)
        yield


def kill_dask(server: Server, kind: str, rows: int, kills: int) -> None:
    """Kill workers of dask.distributed while they run."""
    import dask
    import dask.dataframe as dd
    from distributed import Client as Cluster
    from distributed import LocalCluster

    dask.config.set({"distributed.scheduler.allowed-failures": 1000})
    killed = removed = 0
    with (
        place(kind) as (checkpoint, database),
        LocalCluster(n_workers=3, threads_per_worker=2, dashboard_address=None) as cluster,
        Cluster(cluster) as engine,
    ):
        model = udf(
            "owner/seconds-0.5",
            inputs={"value": "value"},
            checkpoint=checkpoint,
            base_url=server.base_url,
        )
        ddf = dd.from_pandas(frame(rows), npartitions=max(8, rows // 125))
        began = time.monotonic()
        future = engine.compute(ddf.map_partitions(model, meta=model.dask_meta(ddf)))
        for _ in each_kill(server, rows, kills, future.done):
            nannies = [nanny for nanny in cluster.workers.values() if nanny.process is not None]
            pids = [nanny.process.pid for nanny in nannies if nanny.process.is_alive()]
            if not pids:
                continue
            os.kill(random.choice(sorted(pids)), signal.SIGKILL)
            killed += 1
            if killed == kills // 2:
                cluster.scale(2)  # a node is removed
                removed = 1
                if database is not None:
                    database.stop()
                    database.start()
        out = future.result(timeout=3000)
        seconds = time.monotonic() - began
    report(
        "kill dask",
        checkpoint=kind,
        kills=killed,
        removed=removed,
        database_restarts=int(kind == "postgres"),
        seconds=round(seconds, 1),
        **check(out, server.stats(), rows),
    )


def kill_ray(server: Server, kind: str, rows: int, kills: int) -> None:
    """Kill actors of Ray, and remove one of two nodes."""
    import ray
    from ray.cluster_utils import Cluster

    from dashscope.integrations.ray import run_model

    os.environ["RAY_raylet_start_wait_time_s"] = "120"  # noqa: SIM112 (the name that Ray reads)
    options = {"num_cpus": 2, "object_store_memory": 100_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    node = cluster.add_node(**options)
    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    killed = 0
    try:
        with place(kind) as (checkpoint, database):
            found: list[Any] = []
            whole, size = frame(rows), max(1, rows // 160)
            parts = [whole.iloc[first : first + size] for first in range(0, rows, size)]

            def run() -> None:
                dataset = ray.data.from_pandas(parts)
                out = run_model(
                    dataset,
                    "owner/seconds-0.5",
                    inputs={"value": "value"},
                    checkpoint=checkpoint,
                    base_url=server.base_url,
                    workers=(2, 4),
                    batch_size=125,
                )
                found.append(out.to_pandas())

            began = time.monotonic()
            thread = threading.Thread(target=run)
            thread.start()
            removed = 0
            for _ in each_kill(server, rows, kills, lambda: not thread.is_alive()):
                while not (actors := ray_actors()):
                    time.sleep(0.05)
                os.kill(random.choice(actors), signal.SIGKILL)
                killed += 1
                if killed == kills // 2:
                    cluster.remove_node(node, allow_graceful=False)
                    removed = 1
                    if database is not None:
                        database.stop()
                        database.start()
            thread.join(3000)
            seconds = time.monotonic() - began
    finally:
        ray.shutdown()
        cluster.shutdown()
    report(
        "kill ray",
        checkpoint=kind,
        kills=killed,
        removed=removed,
        database_restarts=int(kind == "postgres"),
        seconds=round(seconds, 1),
        **check(found[0], server.stats(), rows),
    )


def ray_actors() -> list[int]:
    """Return the process ids of the actors that run the model."""
    import psutil

    processes = psutil.Process().children(recursive=True)
    return [each.pid for each in processes if "MapWorker" in " ".join(each.cmdline())]


def kill_pool(server: Server, kind: str, rows: int, kills: int) -> None:
    """Kill forked worker processes, and run their partitions again, as an engine does."""
    workers, size = 4, 50
    with place(kind) as (checkpoint, database), tempfile.TemporaryDirectory() as results:
        model = udf(
            "owner/seconds-0.5",
            inputs={"value": "value"},
            checkpoint=checkpoint,
            base_url=server.base_url,
        )
        waiting = list(range(0, rows, size))
        running: dict[int, int] = {}
        chance = random.Random(rows)
        killed, next_kill, began = 0, time.monotonic() + 1.0, time.monotonic()
        while waiting or running:
            while waiting and len(running) < workers:
                first = waiting.pop(0)
                pid = os.fork()
                if pid == 0:
                    run_and_exit(model, first, size, results)
                running[pid] = first
            if killed < kills and time.monotonic() > next_kill and running:
                os.kill(chance.choice(sorted(running)), signal.SIGKILL)
                killed += 1
                next_kill = time.monotonic() + 0.2 + chance.random()
                if database is not None and killed == kills // 2:
                    database.stop()
                    database.start()
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                first = running.pop(pid)
                if status != 0:
                    waiting.append(first)
            time.sleep(0.01)
        seconds = time.monotonic() - began
        out: list[Any] = []
        for path in sorted(Path(results).iterdir()):
            out += json.loads(path.read_text())
    columns = {name: [row[name] for row in out] for name in ("value", "output")}
    report(
        "kill pool",
        checkpoint=kind,
        kills=killed,
        database_restarts=int(kind == "postgres"),
        seconds=round(seconds, 1),
        **check(columns, server.stats(), rows),
    )


def run_and_exit(model: ModelUdf, first: int, size: int, results: str) -> None:
    """Run a partition in a forked worker, and write its result."""
    code = 1
    try:
        rows = model([{"value": value} for value in range(first, first + size)])
        part = Path(results, f".{first}")
        part.write_text(json.dumps(rows))
        part.replace(Path(results, f"{first}"))
        code = 0
    finally:
        os._exit(code)


def run_part(model: ModelUdf, first: int, count: int) -> float:
    """Run a partition in a worker, and return the CPU seconds that it took."""
    before = time.process_time()
    model([{"value": value} for value in range(first, first + count)])
    return time.process_time() - before


def warm(model: ModelUdf) -> None:
    model([{"value": -os.getpid()}])


def speed(server: Server, seconds: str, rows: int, kind: str) -> None:
    """Compare workers: throughput, and CPU of the client per row."""
    for workers in (1, 2, 4, 8):
        with place(kind) as (checkpoint, _):
            model = udf(
                f"owner/seconds-{seconds}",
                inputs={"value": "value"},
                checkpoint=checkpoint,
                base_url=server.base_url,
            )
            context = multiprocessing.get_context("spawn")
            with context.Pool(workers) as pool:
                pool.starmap(warm, [(model,)] * workers, chunksize=1)
                server.stats()
                size = rows // 8
                began = time.monotonic()
                cpu = sum(
                    pool.starmap(
                        run_part, [(model, first, size) for first in range(0, rows, size)], 1
                    )
                )
                wall = time.monotonic() - began
            stats = server.stats()
        report(
            "speed of udf",
            seconds=float(seconds),
            checkpoint=kind,
            workers=workers,
            rows=rows,
            rows_per_second=round(rows / wall, 1),
            cpu_ms_per_row=round(cpu / rows * 1e3, 2),
            requests_per_row=round(sum(stats["requests"].values()) / rows, 2),
        )


async def _map(base_url: str, ref: str, rows: int, **options: Any) -> None:
    async with AsyncClient(base_url=base_url) as client:
        inputs = ({"value": value} for value in range(rows))
        async with client.map(ref, inputs, **options) as results:
            async for result in results:
                assert result.ok, result.error


def requests(server: Server, seconds: str, rows: int) -> None:
    """Count the requests per row of `map()`."""
    server.stats()
    cpu, began = time.process_time(), time.monotonic()
    asyncio.run(_map(server.base_url, f"owner/seconds-{seconds}", rows))
    cpu, wall = time.process_time() - cpu, time.monotonic() - began
    stats = server.stats()
    report(
        "requests of map",
        seconds=float(seconds),
        rows=rows,
        rows_per_second=round(rows / wall, 1),
        cpu_ms_per_row=round(cpu / rows * 1e3, 2),
        requests=stats["requests"],
        requests_per_row=round(sum(stats["requests"].values()) / rows, 3),
    )


def store(server: Server, kind: str, rows: int) -> None:
    """Measure the bytes, statements and CPU per row of a checkpoint."""
    from dashscope._batch.checkpoint import inspection
    from dashscope._batch.checkpoint.location import parse

    statements = 0
    if kind == "postgres":
        from dashscope._batch.checkpoint.postgres import PostgresStore

        close = PostgresStore.close

        def counting(self: PostgresStore) -> None:
            nonlocal statements
            statements += self.statements
            close(self)

        PostgresStore.close = counting  # type: ignore[method-assign]
    with place(kind) as (checkpoint, _):
        model = udf(
            "owner/seconds-0",
            inputs={"value": "value"},
            checkpoint=checkpoint,
            base_url=server.base_url,
        )
        cpu, began = time.process_time(), time.monotonic()
        model([{"value": value} for value in range(rows)])
        cpu, wall = time.process_time() - cpu, time.monotonic() - began
        size = 0 if checkpoint is None else inspection.summaries(parse(checkpoint))[0].size
        began = time.monotonic()
        model([{"value": value} for value in range(rows)])
        again = time.monotonic() - began
    server.stats()
    report(
        "store",
        checkpoint=kind,
        rows=rows,
        bytes_per_row=round(size / rows),
        statements_per_row=round(statements / 2 / rows, 2),
        rows_per_second=round(rows / wall, 1),
        cpu_ms_per_row=round(cpu / rows * 1e3, 2),
        rows_per_second_when_finished=None if checkpoint is None else round(rows / again, 1),
    )


def _resident() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(server: Server, kind: str, rows: int) -> None:
    """Measure the memory of one process in which partitions of 1,000 rows follow each other."""
    with place(kind) as (checkpoint, _):
        model = udf(
            "owner/seconds-0",
            inputs={"value": "value"},
            checkpoint=checkpoint,
            base_url=server.base_url,
        )
        after: dict[int, float] = {}
        for first in range(0, rows, 1000):
            model([{"value": value} for value in range(first, first + 1000)])
            done = first + 1000
            if done in (2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000):
                after[done] = round(_resident(), 1)
    server.stats()
    report("memory", checkpoint=kind, megabytes_after_rows=after)


def _spend(base_url: str, rate: Any, rows: int, first: int) -> None:
    with Client(base_url=base_url) as client:
        inputs = ({"value": first + value} for value in range(rows))
        with client.map("owner/seconds-0", inputs, max_rate=rate) as results:
            for result in results:
                assert result.ok


def rates(server: Server, per_second: float, seconds: float) -> None:
    """Measure the rate of four processes that share one."""
    from dashscope.integrations.postgres import shared_rate

    with Database() as database:
        rate = shared_rate(database.url, per_second)
        rate.acquire(1)
        rows = int(per_second * seconds / 4)
        context = multiprocessing.get_context("spawn")
        workers = [
            context.Process(target=_spend, args=(server.base_url, rate, rows, number * rows))
            for number in range(4)
        ]
        server.stats()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    stats = server.stats()
    report(
        "shared rate",
        kind="postgres",
        workers=4,
        per_second=per_second,
        rows=stats["created"],
        measured=round((stats["created"] - 1) / stats["seconds"], 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.distributed", description=__doc__)
    parser.add_argument("parts", nargs="+")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    chosen = parser.parse_args()
    rows, kills = chosen.rows, chosen.kills
    parts: dict[str, Callable[[Server], None]] = {
        **{
            f"kill-{engine}-{kind}": lambda server, run=run, kind=kind: run(
                server, kind, rows, kills
            )
            for engine, run in (("dask", kill_dask), ("ray", kill_ray), ("pool", kill_pool))
            for kind in ("folder", "postgres")
        },
        "speed-0": lambda server: speed(server, "0", rows, "folder"),
        "speed-1": lambda server: speed(server, "1", rows, "folder"),
        "requests-0": lambda server: requests(server, "0", rows),
        "requests-1": lambda server: requests(server, "1", rows),
        "requests-5": lambda server: requests(server, "5", rows),
        **{
            f"{what}-{kind}": lambda server, run=run, kind=kind: run(server, kind, rows)
            for what, run in (("store", store), ("memory", memory))
            for kind in ("none", "file", "folder", "postgres")
        },
        "rate": lambda server: rates(server, 40.0, rows / 40.0),
    }
    server = Server()
    try:
        for name in chosen.parts:
            parts[name](server)
    finally:
        server.close()
