"""Functions that the scripts of all contenders share. They run in the contender's environment.

A script is `python contender.py TASK PARAMETERS` and prints one line of JSON. This module uses
only a few modules of the standard library, so that it costs the same in each environment.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import resource
import sys
import threading
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

Call = Callable[[], Any]


def main(*tasks: Callable[..., Any]) -> None:
    """Run the task from the command line, and print its result."""
    name, parameters = sys.argv[1], json.loads(sys.argv[2])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result = {task.__name__: task for task in tasks}[name](**parameters)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    print(json.dumps(result))


def cpu() -> float:
    """CPU seconds so far, in user and in system mode."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """Measures wall and CPU seconds from its creation to `read()`."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu()

    def read(self, **more: Any) -> dict[str, Any]:
        return {"wall": time.perf_counter() - self._wall, "cpu": cpu() - self._cpu, **more}


class Failures:
    """Counts errors instead of ending the measurement."""

    def __init__(self) -> None:
        self.count = 0
        self.example: str | None = None

    def note(self, error: Exception) -> None:
        self.count += 1
        self.example = self.example or f"{type(error).__name__}: {error}"[:200]


async def hammer(
    call: Callable[[], Awaitable[Any]], *, in_flight: int, total: int
) -> dict[str, Any]:
    """Make `total` calls, `in_flight` of them concurrently, after a warm-up of as many calls."""
    failures = Failures()

    async def worker(calls: int) -> None:
        for _ in range(calls):
            try:
                await call()
            except Exception as error:  # noqa: BLE001
                failures.note(error)

    each = max(1, total // in_flight)
    await asyncio.gather(*(worker(max(1, 20 // in_flight)) for _ in range(in_flight)))
    meter = Meter()
    await asyncio.gather(*(worker(each) for _ in range(in_flight)))
    return meter.read(count=each * in_flight, failures=failures.count, failure=failures.example)


def hammer_sync(call: Call, *, total: int) -> dict[str, Any]:
    """Make `total` calls, one after another."""
    for _ in range(20):
        call()
    meter = Meter()
    for _ in range(total):
        call()
    return meter.read(count=total)


def hammer_threads(calls: list[Call], *, total: int) -> dict[str, Any]:
    """Make `total` calls in one thread per function."""
    each = total // len(calls)
    ready = threading.Barrier(len(calls) + 1)
    failures = Failures()

    def work(call: Call) -> None:
        call()
        ready.wait()
        for _ in range(each):
            try:
                call()
            except Exception as error:  # noqa: BLE001
                failures.note(error)

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    ready.wait()
    meter = Meter()
    for thread in threads:
        thread.join()
    return meter.read(count=each * len(calls), failures=failures.count, failure=failures.example)


def tally(events: Iterable[Any]) -> dict[str, Any]:
    """Read all events of a stream. The clock starts at the first event."""
    taken = iter(events)
    next(taken)
    meter = Meter()
    count = 0
    for _ in taken:
        count += 1
    return meter.read(count=count)


async def tally_async(events: AsyncIterable[Any]) -> dict[str, Any]:
    """Read all events of a stream. The clock starts at the first event."""
    taken = aiter(events)
    await anext(taken)
    meter = Meter()
    count = 0
    async for _ in taken:
        count += 1
    return meter.read(count=count)


class Delays:
    """Measures the latency of events that contain their time of sending."""

    def __init__(self) -> None:
        self._sent: list[tuple[float, str]] = []

    def take(self, data: str | None) -> None:
        """Record an event whose text, or the JSON around it, is `data`."""
        self._sent.append((time.monotonic(), data or ""))

    def read(self) -> dict[str, Any]:
        late = []
        for arrived, data in self._sent:
            if data.startswith("{") and "content" in data:
                data = json.loads(data)["choices"][0]["delta"]["content"]
            if data[:1].isdigit():
                late.append(arrived - float(data))
        return {"first": late[0], "delays": late[1:]}


def memory() -> int:
    """Bytes of memory that this process currently uses."""
    return _status("VmRSS")


def peak_memory() -> int:
    """The peak memory of this process since `reset_peak()`, in bytes."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Reset the peak memory."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name}")


class Growth:
    """A meter that also measures the peak growth of the process."""

    def __init__(self) -> None:
        reset_peak()
        self._before = memory()
        self._meter = Meter()

    def read(self, **more: Any) -> dict[str, Any]:
        return self._meter.read(growth=peak_memory() - self._before, **more)
