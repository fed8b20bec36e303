"""`replicate` 1.0.7."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
from harness import (
    Delays,
    Growth,
    Meter,
    hammer,
    hammer_sync,
    hammer_threads,
    main,
    memory,
    tally,
    tally_async,
)
from replicate.client import Client


def _client(origin: str) -> Client:
    return Client("token", base_url=origin, timeout=httpx.Timeout(120))


async def requests(origin: str, in_flight: int, total: int) -> Any:
    client = _client(origin)
    return await hammer(
        lambda: client.predictions.async_get("fixed"), in_flight=in_flight, total=total
    )


def sync_requests(origin: str, total: int) -> Any:
    client = _client(origin)
    return hammer_sync(lambda: client.predictions.get("fixed"), total=total)


def threads(origin: str, count: int, total: int) -> Any:
    client = _client(origin)
    return hammer_threads([lambda: client.predictions.get("fixed")] * count, total=total)


async def events(origin: str, stream: str) -> Any:
    return await tally_async(await _client(origin).async_stream("a/b", input={"stream": stream}))


def sync_events(origin: str, stream: str) -> Any:
    return tally(_client(origin).stream("a/b", input={"stream": stream}))


async def latency(origin: str) -> Any:
    delays = Delays()
    async for event in await _client(origin).async_stream("a/b", input={"stream": "latency"}):
        delays.take(str(event))
    return delays.read()


def upload(origin: str, paths: list[str]) -> Any:
    client = _client(origin)
    client.predictions.get("fixed")
    growth = Growth()
    for path in paths:
        client.files.create(Path(path))
    return growth.read()


def download(origin: str, size: int, target: str) -> Any:
    """Save a file the way the client documents: iterate over the output."""
    from replicate.helpers import FileOutput

    client = _client(origin)
    client.predictions.get("fixed")
    growth = Growth()
    with Path(target).open("wb") as file:
        file.writelines(FileOutput(f"{origin}/bytes/{size}", client))
    return growth.read()


async def noticing(origin: str, seconds: list[float], **options: Any) -> Any:
    client = _client(origin)
    await client.predictions.async_get("fixed")

    async def one(length: float) -> tuple[float, int]:
        output = await client.async_run("a/b", input={"seconds": length}, **options)
        return time.monotonic() - output["finished_at"], output["requests"]

    meter = Meter()
    return meter.read(runs=await asyncio.gather(*map(one, seconds)))


async def held(origin: str, in_flight: int, hold: int) -> Any:
    before = memory()
    client = _client(origin)
    await client.predictions.async_get("fixed")
    rest = memory()
    growth = Growth()
    await asyncio.gather(*(client.predictions.async_get(f"held-{hold}") for _ in range(in_flight)))
    return growth.read(rest=rest - before)


async def output(origin: str, size: int, count: int) -> Any:
    client = _client(origin)
    await client.predictions.async_get("fixed")
    meter = Meter()
    for _ in range(count):
        await client.predictions.async_get(f"output-{size}")
    return meter.read(count=count)


async def page(origin: str, items: int, count: int) -> Any:
    client = _client(f"{origin}/page/{items}")
    assert len((await client.predictions.async_list()).results) == items
    before = memory()
    meter = Meter()
    kept = [await client.predictions.async_list() for _ in range(count)]
    return meter.read(count=len(kept), kept=memory() - before)


if __name__ == "__main__":
    main(
        requests, sync_requests, threads, events, sync_events, latency, upload, download,
        noticing, held, output, page,
    )  # fmt: skip
